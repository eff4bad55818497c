"""ScreenSpot: where on a screenshot of a phone, a computer or a web page something is; a point inside its box."""

from collections.abc import Mapping
from typing import Any

from sphinx_x.boxes import from_xywh
from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation.items import Item, PictureFile
from sphinx_x.evaluation.measures import ByKind
from sphinx_x.evaluation.readers import Folders, reader, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task
from sphinx_x.images import picture_size

KINDS = ("text", "icon")


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """An element of the release: bbox is its left, top, width and height in pixels."""
    name, kind = text_of(row, "img_filename"), text_of(row, "data_type")
    box = from_xywh([float(corner) for corner in row["bbox"]])
    if kind not in KINDS:
        raise DataError(f"data_type must be text or icon, not {kind!r}")
    return Item(
        index=number,
        question=text_of(row, "instruction"),
        pictures=(PictureFile(name, folders),),
        references=(", ".join(f"{corner:g}" for corner in box),),
        id=str(number),
        kind=kind,
        cluster=name,
        box=box,
        size=_size(PictureFile(name, folders)),
        facts={"source": row.get("data_source", "")},
    )


def _size(shown: PictureFile) -> tuple[int, int] | None:
    """Width and height in pixels, of which the annotation says nothing.

    None where the picture is missing or broken: that is told when it is shown, and when an answer about it is scored.
    """
    path = shown.find()
    try:
        return picture_size(path) if path else None
    except ImageError:
        return None


TASKS = [
    Task(
        "screenspot",
        "ScreenSpot",
        {
            split: Files((f"**/screenspot_{split}.json",), ("**/screenspot_imgs", "**/screenspot/images"), count)
            for split, count in (("mobile", 502), ("desktop", 334), ("web", 436))
        },
        reader(own=own_item),
        verdicts.inside,
        ByKind(KINDS, "accuracy", whole="items"),
        prompt="In this UI screenshot, what is the position of the element corresponding to the command "
        '"{}" (with point)?',
        max_new_tokens=30,
        licence="see the address",
        address="https://github.com/njucckevin/SeeClick",
        layout="SeeClick's release and its screenspot_test.py",
        paper={split: {"moe": score} for split, score in (("mobile", 55.1), ("desktop", 50.5), ("web", 37.3))},
        note="a point, or the centre of a box, in the first brackets; in the one frame that a model declares. Sizes of "
        "images are not in the annotation: scoring needs the images as well",
    )
]
