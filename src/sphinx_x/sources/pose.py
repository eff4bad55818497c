"""Key points of people, animals and things: COCO's, and UniKPT, which UniPose (X-Pose) was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sphinx_x.boxes import area, from_xywh
from sphinx_x.conversation import Part
from sphinx_x.errors import DataError
from sphinx_x.sources.base import UNVERIFIED, Draft, Expected, Malformed, Raw, Record, Source, UnusedError
from sphinx_x.sources.coco import COCO_API, coco_picture, coco_records, name_of, size_of, visible
from sphinx_x.sources.dialogue import Content, box, dialogue, point
from sphinx_x.sources.names import spoken

FIND_POINTS = "Detect the key points of the {} in the region {}."
MAX_POINTS = 68
"""Largest number of key points asked for in one image, except that one object is always complete: a face has as many.
"""

COCO_POSE = "person_keypoints_{split}2017.json"
UNIKPT = "unikpt_training_annotations.json"
SEEN, LABELLED = 2, 1
"""COCO's visibility of a key point: visible, or labelled although something hides it; 0 is not labelled."""


def read_key_points(pattern: str, raw: Raw, least: int = SEEN) -> Iterator[Record]:
    """Yield the images of a COCO JSON file with their objects.

    Args:
        pattern: The file.
        raw: The release.
        least: Least visibility of a key point that is told.
    """
    content = raw.json(pattern)
    kinds = {entry["id"]: (spoken(entry["name"]), entry["keypoints"]) for entry in content["categories"]}
    for record in coco_records(content):
        if isinstance(record.data, Malformed):
            yield record
        elif record.data[1]:
            yield Record(record.id, (*record.data, kinds, least), len(record.data[1]))


def build_key_points(record: Record, raw: Raw) -> Draft:
    """Give each object's box and ask for its key points, largest object first."""
    image, objects, kinds, least = record.data
    left_out: Counter[str] = Counter()
    usable = []
    for entry in objects:
        name, names = name_of(kinds, entry["category_id"])
        place = from_xywh(entry["bbox"])
        found = _key_points(entry["keypoints"], names, image, least, left_out)
        if not found:
            left_out["object without key points"] += 1
        elif not visible(place, image["width"], image["height"]):
            left_out["empty box"] += 1
        else:
            usable.append((area(place), name, place, found))
    if not usable:
        raise UnusedError("object without key points")
    usable.sort(key=lambda item: item[0], reverse=True)
    turns: list[tuple[Content, Content]] = []
    told = 0
    for _, name, place, found in usable:
        if turns and told + len(found) > MAX_POINTS:
            left_out["object beyond the limit of an image"] += 1
        else:
            told += len(found)
            before, after = FIND_POINTS.format(name, "\0").split("\0")
            turns.append(([before, box(place), after], _told(found)))
    return Draft(dialogue(turns), [raw.picture(coco_picture(image))], size=size_of(image), left_out=left_out)


def _key_points(
    numbers: Sequence[float], names: Sequence[str], image: dict[str, Any], least: int, left_out: Counter[str]
) -> list[tuple[str, tuple[float, float]]]:
    """Return names and places of an object's key points, given as a flat list of x, y and visibility."""
    triples = list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))
    found = []
    if any(v > 0 for _, _, v in triples[len(names) :]):
        raise DataError("more key points than names")
    for name, (x, y, v) in zip(names, triples, strict=False):
        if v <= 0:
            continue
        if v < least:
            left_out["key point that is hidden"] += 1
        elif not (0 <= x <= image["width"] and 0 <= y <= image["height"]):
            left_out["key point outside the image"] += 1
        else:
            found.append((spoken(name), (x, y)))
    return found


def _told(found: Sequence[tuple[str, tuple[float, float]]]) -> list[str | Part]:
    """Return `nose[...], left eye[...]`."""
    parts: list[str | Part] = []
    for name, place in found:
        parts += [f", {name}" if parts else name, point(place)]
    return parts


SOURCES = (
    Source(
        name="coco-pose",
        title="COCO-Pose",
        task="pose",
        home="https://cocodataset.org/#download",
        licence="CC-BY-4.0 (annotations); images under Flickr's terms",
        files=(
            Expected(COCO_POSE, "key points"),
            Expected("{split}2017/*.jpg", "images of COCO 2017", {"train": 118_287, "val": 5_000}),
        ),
        unit="people",
        count={"train": 262_465, "val": 11_004},
        layout=f"{COCO_API}; OpenGVLab/VisionLLM VisionLLMv2/docs/data_pose.md (names of files and folders)",
        prompts=(FIND_POINTS,),
        read=partial(read_key_points, COCO_POSE),
        build=build_key_points,
        note="Key points that are labelled although hidden are left out. People without key points (small ones, "
        "crowds) are left out.",
    ),
    Source(
        name="unipose",
        title="UniKPT, the training data of UniPose (X-Pose)",
        task="pose",
        home="https://github.com/IDEA-Research/X-Pose",
        licence="non-commercial research only; images under the terms of the 13 sets they come from",
        files=(
            Expected(UNIKPT, "key points"),
            Expected("*.jpg", "images of the 13 sets, to be had from their owners"),
        ),
        unit="objects",
        count={"train": 418_487},
        layout="IDEA-Research/X-Pose README.md (contents, counts) and issue 14 (name of the file, entries of images); "
        f"annotations and categories with `keypoints` as in COCO: {UNVERIFIED}",
        prompts=(FIND_POINTS,),
        read=partial(read_key_points, UNIKPT, least=LABELLED),
        build=build_key_points,
        note="The release names images without saying which of the 13 sets they are from, and some names occur in "
        "several: those are set aside. The sets do not agree on what visible means, so all labelled points are given.",
    ),
)
