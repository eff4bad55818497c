"""COCO's JSON format, in which many sets are released: images, annotations and classes in one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sphinx_x.boxes import clip, sides
from sphinx_x.errors import DataError
from sphinx_x.sources.base import Malformed, Record, grouped

COCO_API = "cocodataset/cocoapi PythonAPI/pycocotools/coco.py"
LARGE_ENOUGH = 1.0
"""Smallest width and height of a box in pixels."""


def coco_records(content: Mapping[str, Any]) -> Iterator[Record]:
    """Yield the images of a COCO JSON file, one record each, whose data is the image's entry and its annotations.

    Annotations without an image, and entries that cannot be read, come last and are set aside.
    """
    annotations: dict[str, list[dict]] = {}
    lost = []
    for record in grouped(content["annotations"], "image_id"):
        if isinstance(record.data, Malformed):
            lost.append(Record(f"annotation-{record.id}", record.data, 0))
        else:
            annotations[record.id] = record.data
    for record in grouped(content["images"], "id"):
        if isinstance(record.data, Malformed):
            yield record
        elif record.count > 1:
            annotations.pop(record.id, None)
            yield Record(record.id, Malformed("image is listed twice"), record.count)
        else:
            yield Record(record.id, (record.data[0], annotations.pop(record.id, [])))
    yield from lost
    for image in annotations:
        yield Record(f"unlisted-{image}", Malformed("annotations of an image that is not listed"), 0)


def said(entry: Mapping[str, Any], field: str) -> bool:
    """Return whether a field of an annotation is set (`iscrowd`); some releases write `"0"`, a text that is not false.

    Raises:
        DataError: It is neither 0 nor 1.
    """
    value = entry.get(field) or 0
    if isinstance(value, str):
        value = {"0": 0, "1": 1, "false": 0, "true": 1}.get(value.strip().lower(), value)
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    raise DataError(f"{field} is neither 0 nor 1: {entry[field]!r}")


def coco_picture(image: Mapping[str, Any]) -> str:
    """Return the name of an image: its own, or the end of its URL with the folder (LVIS)."""
    return image.get("file_name") or "/".join(image["coco_url"].split("/")[-2:])


def size_of(image: Mapping[str, Any]) -> tuple[int, int]:
    """Return width and height of an image from its entry."""
    return int(image["width"]), int(image["height"])


def name_of(names: Mapping[int, Any], number: int) -> Any:
    """Return the entry of a list of classes under this number."""
    if number not in names:
        raise DataError(f"class is not listed: {number}")
    return names[number]


def visible(place: Sequence[float], width: float, height: float, least: float = LARGE_ENOUGH) -> bool:
    """Return whether a box (x1, y1, x2, y2) inside an image of this size is at least `least` wide and high."""
    return min(sides(clip(place, (width, height)))) >= least
