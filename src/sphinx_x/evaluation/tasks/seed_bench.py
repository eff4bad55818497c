"""SEED-Bench, the questions about images (dimensions 1 to 9): one letter of four options."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import ByKind
from sphinx_x.evaluation.prompts import OPTIONS
from sphinx_x.evaluation.readers import Folders, items_of, lettered, listing, picture, rows_of, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task

DIMENSIONS = (
    *("Scene Understanding", "Instance Identity", "Instance Attributes", "Instance Location", "Instances Counting"),
    *("Spatial Relation", "Instance Interaction", "Visual Reasoning", "Text Understanding"),
)


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release (choice_a to choice_d, answer, data_id, question_type_id)."""
    name, options = text_of(row, "data_id"), lettered([row[f"choice_{letter}"] for letter in "abcd"])
    answer, dimension = text_of(row, "answer").strip(), int(row["question_type_id"])
    if answer not in options:
        raise DataError(f"the answer {answer!r} is none of the options {', '.join(options)}")
    if not 1 <= dimension <= len(DIMENSIONS):
        raise DataError(f"question_type_id must be from 1 to {len(DIMENSIONS)}, not {dimension}")
    question = f"{text_of(row, 'question')}\n{listing(options)}"
    kind, known = DIMENSIONS[dimension - 1], str(row["question_id"])
    return Item(number, question, picture(name, folders), (answer,), known, kind, name, options)


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The release; questions about videos (dimensions 10 to 12) are no part of this benchmark."""
    rows = rows_of(path, "questions")
    return items_of(path, [row for row in rows if row.get("data_type") != "video"], folders, own_item)


TASKS = [
    Task(
        "seed_bench",
        "SEED-Bench (image)",
        {"image": Files(("**/SEED-Bench.json",), ("**/SEED-Bench-image", "**/seed_bench_image"), 14232)},
        read,
        verdicts.option,
        ByKind(DIMENSIONS, "accuracy", whole="items"),
        prompt=OPTIONS,
        chance=guessed_option,
        rules=("strict",),
        licence="CC BY-NC 4.0",
        address="https://github.com/AILab-CVC/SEED-Bench",
        layout="SEED-Bench's release and its eval.py; LLaVA's prompt",
        paper={"": {"tiny": 17.1, "intern2": 68.8, "plus": 74.8, "moe": 73.0}},
        aliases=("seed", "seedbench", "seed_image"),
        note="the release ranks the options by their likelihood; here the answer is read. `index` counts the questions "
        "about images",
    )
]
