"""MM-Vet: free answers to questions that need several abilities at once, graded from 0 to 1 by a judge."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx_x.evaluation import judge_prompts as prompts
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.judging import Judging, Texts
from sphinx_x.evaluation.measures import Grouped
from sphinx_x.evaluation.readers import Folders, items_of, picture, rows_by_id, text_of, texts
from sphinx_x.evaluation.scoring import grades, parts
from sphinx_x.evaluation.scoring.verdicts import graded
from sphinx_x.evaluation.task import Files, Reading, Task

ABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """mm-vet.json: entries by their ids."""
    return items_of(path, rows_by_id(path, "id"), folders, own_item)


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release (imagename, question, answer, capability)."""
    name, needed = text_of(row, "imagename"), texts(row["capability"])
    if unknown := sorted(set(needed) - set(ABILITIES)):
        raise ValueError(f"no ability of MM-Vet: {', '.join(unknown)}")
    facts = {"abilities": sorted(set(needed))}
    true = texts(row["answer"])[0]
    kind = "_".join(facts["abilities"])
    return Item(
        number, text_of(row, "question"), picture(name, folders), (true,), str(row["id"]), kind, name, facts=facts
    )


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """The share of the parts of the true answer that stand in an answer."""
    return graded(parts.found_share(answer, item.references[0]), answer)


def ask(item: Item, answer: str) -> Texts:
    """A row of a table to be completed."""
    cells = {"question": item.question, "truth": " <OR> ".join(item.references), "answer": answer}
    return [("user", prompts.filled(prompts.GRADE, **{key: prompts.one_row(text) for key, text in cells.items()}))]


GRADED = Judging(prompts.GRADE_VERSION, ask, grades.read_grade, offline="the true answer's parts, word for word")
TASKS = [
    Task(
        "mmvet",
        "MM-Vet",
        {"test": Files(("**/mm-vet.json",), ("**/mm-vet/images", "images"), 218)},
        read,
        verdict,
        Grouped(ABILITIES, lambda item: item.facts["abilities"], "score"),
        max_new_tokens=512,
        judging=GRADED,
        licence="CC BY-NC 4.0 (images as their sources)",
        address="https://github.com/yuweihao/MM-Vet",
        layout="MM-Vet's evaluator (mm-vet.json, images)",
        paper={"": {"tiny": 23.8, "intern2": 36.5, "plus": 47.9, "moe": 40.9}},
        aliases=("mm_vet",),
        note="the judge's prompt is our own wording, so scores differ from those by the release's (gpt-4-0613)",
    )
]
