"""Receipts in SROIE's layout: four fields, and where the answers stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smol_parts.evidence import PLACED, PLACED_RIGHT, overlaps, read_box, receipt_lines, true_boxes
from smol_parts.part import Answers, Part, Rows, by_task, share
from sphinx_x.boxes import Box
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.scores import read_items
from sphinx_x.evaluation.scoring.text import letters_and_digits
from sphinx_x.evaluation.task import Reading, find_task
from sphinx_x.text_lines.reader import LineReader


def receipts(folder: Path, reader: LineReader) -> Part:
    """Return the questions about the receipts of a folder (img, box, key)."""
    (chosen,) = find_task("sroie")
    items = [
        replace(item, facts={"boxes": true_boxes(item.kind, item.references[0], _lines(folder, item.cluster))})
        for item in read_items(chosen, folder)
    ]
    lost = sum(not item.facts["boxes"] for item in items)
    notes = [f"{lost} values stand in no run of labelled lines: their boxes are not counted"] if lost else []
    notes.append(f"the value stands in RapidOCR's text, read from line to line: {_in_text(items, reader)}")

    def judge(part: Part, answers: Answers, how: Reading) -> list[Rows]:
        (fields,) = by_task(part, answers, how)
        placed = [(item, verdict) for item, verdict in fields.judged if item.facts["boxes"]]
        found = []
        for item, verdict in placed:
            reading = reader.read_file(item.pictures[0].read())
            box = read_box(answers.get(item.index, ""), item.question, reading)
            found.append((item, float(overlaps(box, item.facts["boxes"])), verdict.score))
        right = [(item, good) for item, good, score in found if score == 1]
        return [fields, share(PLACED, [row[:2] for row in found]), *([share(PLACED_RIGHT, right)] if right else [])]

    goals = {"company": 0.75, "date": 0.92, "address": 0.45, "total": 0.85, PLACED_RIGHT: 0.80}
    return Part("receipts", chosen.task, items, judge, text=True, note="; ".join(notes), least=goals)


def _in_text(items: Sequence[Item], reader: LineReader) -> str:
    """Return for how many items of each kind letters and digits of the answer stand in what is read, in one piece."""
    found: dict[str, list[bool]] = {}
    for item in items:
        text = letters_and_digits("".join(line.text for line in reader.read_file(item.pictures[0].read()).lines))
        there = any(letters_and_digits(answer) in text for answer in item.references)
        found.setdefault(item.kind, []).append(there)
    return ", ".join(f"{kind} {sum(there)} of {len(there)}" for kind, there in found.items())


def _lines(folder: Path, picture: str) -> list[tuple[str, Box]]:
    names = (folder / "box" / f"{Path(picture).stem}{ending}" for ending in (".csv", ".txt"))
    path = next((name for name in names if name.is_file()), None)
    return [] if path is None else receipt_lines(path)
