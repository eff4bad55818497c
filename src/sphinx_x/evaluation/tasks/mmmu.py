"""MMMU: questions of college courses, options or open, several images in some."""

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.items import UNREADABLE, Item, Verdict
from sphinx_x.evaluation.readers import Folders, published_item, reader, texts
from sphinx_x.evaluation.scoring import mmmu
from sphinx_x.evaluation.scoring.choice import listed_options
from sphinx_x.evaluation.task import Files, Reading, Task


def listed_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """An item of the reference repository's list; a true answer in square brackets is a list."""
    item = published_item(row, number, folders)
    gold = item.references[0].strip()
    options = listed_options(item.question)
    if gold.startswith("[") and gold.endswith("]"):
        item = replace(item, references=texts(ast.literal_eval(gold)))
    lettered = options if gold in options else {}
    return replace(item, options=lettered, kind=item.id, id=f"{item.id}-{number}")


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """As the release reads answers, but that an answer without a letter is unreadable where it draws one."""
    if not item.options:
        right = mmmu.open_answer(answer, item.references)
        return Verdict(float(right), answer.strip() or None) if answer.strip() or right else UNREADABLE
    said = mmmu.read_letter(answer, item.options)
    return UNREADABLE if said is None else Verdict(float(said == item.references[0].strip()), said)


TASKS = [
    Task(
        "mmmu",
        "MMMU",
        {"val": Files(("**/MMMU_val_single.json",), (), 900)},
        reader(published=listed_item),
        verdict,
        max_new_tokens=16,
        chance=guessed_option,
        licence="Apache-2.0",
        address="https://mmmu-benchmark.github.io",
        layout="the reference repository's list",
        paper={"": {"moe": 31.1}},
        aliases=("mmmu_val_single",),
        note="the released reader, without its random letters: unreadable answers are wrong",
    )
]
