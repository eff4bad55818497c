"""Samples of this package's engines that were not trained on: documents, charts, pictures, marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from smol_parts.evidence import PLACED, PLACED_RIGHT, overlaps, read_box
from smol_parts.kinds import ABSENT, ENTRY, FIELD, HIGHEST, KINDS, LOWEST, TITLE, question_kind
from smol_parts.part import Answers, Part, Rows, by_task, share, verdict_of
from sphinx_x.boxes import union
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.documents.wordings import NOT_THERE
from sphinx_x.evaluation.items import UNREADABLE, Item, Verdict
from sphinx_x.evaluation.measures import Grouped
from sphinx_x.evaluation.samples import BOX, questions
from sphinx_x.evaluation.scores import read_items
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.scoring.text import same_letters_and_digits
from sphinx_x.evaluation.scoring.verdicts import graded
from sphinx_x.evaluation.scoring.yes_no import read_yes_no
from sphinx_x.evaluation.task import Reading, Task, find_task
from sphinx_x.text_lines.reader import LineReader

NEAR = 0.05
"""How far a value of a chart may be off, as a share of it."""
LONGEST = 256
"""Tokens of an answer: some tables in text are as long."""
YES_NO = ("yes_no", "there", "listed")
WHOLE = ("read", "block", "as_table")
"""Kinds whose answers are several lines: what counts is the share of right characters."""
PRINTED, UNPRINTED = "value within 5 %, printed", "value within 5 %, not printed"
VALUE = "value within 5 %"
SAID, SAID_WRONGLY = "'not in the document' where it is not", "'not in the document' where it is"


def number_in(text: str) -> float | None:
    """Return the first number of a text, whatever stands between its thousands; None if there is none."""
    found = re.search(r"[-−]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", text)
    if found is None:
        return None
    return float(found[0].replace("−", "-").replace(",", ""))


def near(answer: str, true: str) -> float:
    """1 where the number in an answer is within 5 % of the true one."""
    said, wanted = number_in(answer), number_in(true)
    return float(said is not None and wanted is not None and abs(said - wanted) <= NEAR * abs(wanted))


def says_absent(answer: str) -> bool:
    """Return whether an answer is that something is not in the document, however it goes on."""
    return answer.strip().lower().startswith(NOT_THERE.rstrip(".").lower())


def document_verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """Boxes by their overlap, several lines by their characters, anything else by letters and digits."""
    kind, true = item.kind, item.references[0]
    if item.facts["box"]:
        return UNREADABLE if item.size is None else verdicts.box(item, answer, how)
    if kind in WHOLE:
        return verdicts.characters(item, answer, how)
    if kind in YES_NO:
        return verdicts.word()(replace(item, references=(read_yes_no(true) or "",)), answer, how)
    if kind == ABSENT:
        return graded(float(says_absent(answer)), answer)
    if item.facts["chart"] and kind in (ENTRY, "difference"):
        return graded(near(answer, true), answer)
    return graded(same_letters_and_digits(answer, item.references), answer)


def held_items(folder: Path, chart: bool) -> list[Item]:
    """Return the questions of a folder of samples, each of its kind.

    Their facts are whether the answer is a box (`box`), whether it is about a chart (`chart`), the box of the lines in
    which the answer stands (`boxes`, none if there is no such line), and whether its words stand there (`printed`): a
    chart's value that is not printed stands at its label.
    """
    (chosen,) = find_task("samples")
    lines = _answer_lines(folder)
    found = []
    for item in read_items(chosen, folder):
        kind = question_kind(item.question, item.facts["text"], chart)
        kind = FIELD if kind == TITLE and not chart else kind
        regions = lines.get(item.id, [])
        printed = any(item.facts["text"] in region["text"].split() for region in regions)
        boxes = [union([region["box"] for region in regions])] if regions else []
        told = {"box": item.kind == BOX, "chart": chart, "boxes": boxes, "printed": printed}
        facts: Mapping[str, Any] = {**told, **item.facts}
        found.append(replace(item, kind=kind, facts=facts))
    return found


def _answer_lines(folder: Path) -> dict[str, list]:
    """Return the lines in which each answer stands, by the id of its question."""
    samples, found = SampleReader(folder), {}
    for sample in (samples[number] for number in range(len(samples))):
        places: dict[int, list] = {}
        for region in sample.regions:
            for answer in region.get("answers", ()):
                places.setdefault(answer, []).append(region)
        for asked in questions(sample):
            if asked.turn in places:
                found[f"{asked.sample}#{asked.turn}"] = places[asked.turn]
    return found


def _grouped(task: Task, names: tuple[str, ...], of: Callable[[Item], list[str]]) -> Task:
    return replace(task, score=document_verdict, max_new_tokens=LONGEST, measure=Grouped(names, of, "all kinds"))


def documents(name: str, folder: Path, reader: LineReader) -> Part:
    """Return the questions about made documents, or about screens, by kind."""
    (chosen,) = find_task("samples")
    task = _grouped(chosen.task, KINDS, lambda item: [item.kind])

    def judge(part: Part, answers: Answers, how: Reading) -> list[Rows]:
        (kinds,) = by_task(part, answers, how)
        absent = [(item, verdict.score) for item, verdict in kinds.judged if item.kind == ABSENT]
        there = [item for item in part.items if item.kind in (FIELD, ENTRY, "which", "order", HIGHEST, LOWEST)]
        wrongly = [(item, float(says_absent(answers.get(item.index, "")))) for item in there]
        found = [kinds]
        found += [share(SAID, absent)] if absent else []
        found += [share(SAID_WRONGLY, wrongly)] if wrongly else []
        # an answer of another kind has the line of its number as well among those of its evidence
        return [*found, *_placed(part, answers, how, reader, [i for i in there if i.kind in (FIELD, ENTRY)])]

    return Part(name, task, held_items(folder, False), judge, True, least={SAID: 0.80}, most={SAID_WRONGLY: 0.10})


def _placed(part: Part, answers: Answers, how: Reading, reader: LineReader, asked: list[Item]) -> list[Rows]:
    """Return whether the lines that hold an answer are those of the true one: of all answers, and of right ones."""
    found, right = [], []
    for item in asked:
        if item.facts["boxes"]:
            reading = reader.read_file(item.pictures[0].read())
            box = read_box(answers.get(item.index, ""), item.question, reading)
            found.append((item, float(overlaps(box, item.facts["boxes"]))))
            if verdict_of(part.task, item, answers, how).score == 1:
                right.append(found[-1])
    return [share(name, rows) for name, rows in ((PLACED, found), (PLACED_RIGHT, right)) if rows]


def charts(folder: Path) -> Part:
    """Return the questions about charts: title, highest, values, and all else together."""
    (chosen,) = find_task("samples")

    def of(item: Item) -> list[str]:
        if item.kind != ENTRY:
            return [item.kind]
        return [VALUE, PRINTED if item.facts["printed"] else UNPRINTED]

    task = _grouped(chosen.task, (*KINDS, VALUE, PRINTED, UNPRINTED), of)
    goals = {TITLE: 0.90, HIGHEST: 0.65, VALUE: 0.40}
    return Part("charts", task, held_items(folder, True), text=True, least=goals)


def samples(name: str, folder: Path) -> Part:
    """Return the questions of any other folder of samples, scored as `sphinx-x eval --tasks samples` does."""
    (chosen,) = find_task("samples")
    return Part(name, chosen.task, read_items(chosen, folder), note="errors, less is better, but for the mean score")
