"""DocVQA: questions about scanned pages of documents."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item, PictureFile
from sphinx_x.evaluation.measures import Mean
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import (
    Folders,
    is_published,
    items_of,
    published_item,
    rows_of,
    text_of,
    texts,
)
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release, all of its answers."""
    name = text_of(row, "image")
    return Item(
        index=number,
        question=text_of(row, "question"),
        # newer downloads have no folder `documents`
        pictures=(PictureFile(name, folders, (PurePosixPath(name).name,)),),
        references=texts(row["answers"]),
        id=str(row["questionId"]),
        kind=", ".join(row.get("question_types", ())),
        cluster=name,
    )


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The release, or the reference repository's list; that has one answer, the release beside it has all."""
    rows = rows_of(path, "data")
    if not is_published(rows):
        yield from items_of(path, rows, folders, own_item)
        return
    official = path.with_name("official_gt.json")
    gold = rows_of(official, "data") if official.is_file() else []
    for number, item in enumerate(items_of(path, rows, folders, published_item)):
        if gold:
            if len(gold) != len(rows) or str(gold[number]["questionId"]) != item.id:
                raise DataError(f"{official}: entry {number} is not about question {item.id}, as {path.name} is")
            item = replace(item, references=texts(gold[number]["answers"]))
        yield item


TASKS = [
    Task(
        "docvqa",
        "DocVQA",
        {
            "val": Files(
                ("**/val_v1.0*.json", "**/docvqa_val.json"),
                ("docvqa/val", "docvqa", "val", "**/spdocvqa_images"),
                5349,
            )
        },
        read,
        verdicts.anls,
        Mean("ANLS"),
        prompt=SHORT,
        max_new_tokens=32,
        rules=("script",),
        licence="see the address (registration)",
        address="https://www.docvqa.org",
        layout="DocVQA 1.0's release; the reference repository's list",
        paper={"": {"tiny": 53.0, "intern2": 56.3, "plus": 61.2, "moe": 68.4}},
        aliases=("docvqa_val_b",),
        note="the paper's scores are of the test split, whose answers are not public",
    )
]
