"""Where is what a phrase describes: RefCOCO, RefCOCO+, RefCOCOg."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.boxes import from_xywh
from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import Mean
from sphinx_x.evaluation.prompts import BOX
from sphinx_x.evaluation.readers import Folders, entry, picture, published_item, reader, rows_of, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task
from sphinx_x.sources.grounding import load_pickle

MEMBERS = ("tiny", "intern2", "plus", "moe")
_SIZE = re.compile(r"height(\d+)_width(\d+)")


def item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A phrase with its box; the picture's size stands in the id."""
    made = published_item(row, number, folders)
    size = _SIZE.fullmatch(made.id)
    if len(row["gt_answers"]) != 4 or size is None:
        raise DataError("gt_answers must be four numbers and question_id height<H>_width<W>")
    x1, y1, x2, y2 = (float(corner) for corner in row["gt_answers"])
    box = (x1, y1, x2, y2)
    shown = ", ".join(f"{corner:g}" for corner in box)
    return replace(made, box=box, size=(int(size[2]), int(size[1])), references=(shown,))


def read(path: Path, folders: Folders, split: str) -> Iterator[Item]:
    """The release: objects with their phrases in a pickle of plain data, boxes and pictures in instances.json."""
    if path.suffix != ".p":
        yield from reader(published=item)(path, folders)
        return
    refs, instances = load_pickle(path), path.with_name("instances.json")
    images = {row["id"]: row for row in rows_of(instances, "images")}
    boxes = {row["id"]: row for row in rows_of(instances, "annotations")}
    count = 0
    for number, ref in enumerate(refs):
        with entry(path, number):
            if ref["split"] != split:
                continue
            if ref["ann_id"] not in boxes or ref["image_id"] not in images:
                raise DataError(f"object {ref['ann_id']} in image {ref['image_id']} is not in {instances.name}")
            image, corners = images[ref["image_id"]], from_xywh(boxes[ref["ann_id"]]["bbox"])
            for sentence in ref["sentences"]:
                yield _phrase(count, text_of(sentence, "sent"), image, corners, str(sentence["sent_id"]), folders)
                count += 1
    if not count:
        raise DataError(f"{path}: holds no phrases of the split {split}")


def _phrase(
    number: int, phrase: str, image: Mapping[str, Any], corners: Sequence[float], name: str, folders: Folders
) -> Item:
    x1, y1, x2, y2 = (float(corner) for corner in corners)
    box = (x1, y1, x2, y2)
    size = (int(image["width"]), int(image["height"]))
    shown, file = ", ".join(f"{corner:g}" for corner in box), text_of(image, "file_name")
    return Item(number, phrase, picture(file, folders), (shown,), name, cluster=file, box=box, size=size)


def _task(
    name: str,
    title: str,
    counts: Mapping[str, int],
    paper: Mapping[str, Mapping[str, float]],
    refs: str = "refs(unc).p",
) -> Task:
    images = ("coco/train2014", "**/train2014")
    return Task(
        name,
        title,
        {
            split: Files((f"**/{name}_{split}.json", f"**/{name}/{refs}"), images, count, partial(read, split=split))
            for split, count in counts.items()
        },
        reader(published=item),
        verdicts.box,
        Mean("IoU >= 0.5"),
        prompt=BOX,
        max_new_tokens=30,
        licence="Apache-2.0 (refer), images of COCO",
        address="https://github.com/lichengunc/refer",
        layout="lichengunc/refer README and refer.py (refs(unc).p, for RefCOCOg refs(umd).p); the reference's lists",
        paper=paper,
        note="boxes in the one frame that a model declares; of an answer the first pair of brackets counts",
    )


def _paper(*splits: str) -> dict[str, dict[str, float]]:
    """Scores of the paper's table 5: a split and the scores of Tiny, Intern2, Plus and MoE."""
    rows = (row.split() for row in splits)
    return {split: dict(zip(MEMBERS, map(float, scores), strict=True)) for split, *scores in rows}


TASKS = [
    _task(
        "refcoco",
        "RefCOCO",
        {"val": 10834, "testA": 5657, "testB": 5095},
        _paper("val 82.89 86.08 92.44 90.64", "testA 86.89 89.70 94.22 93.74", "testB 77.91 81.78 90.06 86.85"),
    ),
    _task(
        "refcoco+",
        "RefCOCO+",
        {"val": 10758, "testA": 5726, "testB": 4889},
        _paper("val 71.34 76.80 87.59 85.50", "testA 78.49 84.86 92.08 90.48", "testB 63.71 69.01 82.96 79.88"),
    ),
    _task(
        "refcocog",
        "RefCOCOg",
        {"val": 4896, "test": 9602},
        _paper("val 78.50 83.99 90.11 88.26", "test 78.86 83.40 90.56 88.51"),
        "refs(umd).p",
    ),
]
