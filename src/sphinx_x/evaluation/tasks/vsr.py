"""VSR: whether a statement about where things are is true."""

from collections.abc import Mapping
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.readers import Folders, picture, reader, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A statement of the release (caption, label 0 or 1, relation)."""
    name = text_of(row, "image")
    if row["label"] not in (0, 1):
        raise DataError(f"label must be 0 or 1, not {row['label']!r}")
    answer = ("no", "yes")[row["label"]]
    question = f"{text_of(row, 'caption')} Is this statement true? Answer yes or no."
    return Item(number, question, picture(name, folders), (answer,), str(number), row.get("relation", ""), name)


TASKS = [
    Task(
        "vsr",
        "VSR",
        {
            "val": Files(
                ("**/vsr/test.jsonl", "**/splits/random/test.jsonl", "**/vsr_val.json"),
                ("coco/train2017", "coco/val2017", "**/vsr/images"),
            )
        },
        reader(own=own_item),
        verdicts.same_text,
        chance=lambda items: 0.5,
        licence="Apache-2.0",
        address="https://github.com/cambridgeltl/visual-spatial-reasoning",
        layout="VSR's release (random split); the reference repository's list, which holds all splits",
    )
]
