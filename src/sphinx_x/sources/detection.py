"""Boxes of objects by class: COCO, LVIS, Objects365 and V3Det, which share COCO's JSON format, and Open Images.

An image becomes a few turns, each about all objects of one class, so only classes that are boxed completely are asked
about: not those with a crowd, a box around a group, or a flag that some were not boxed. The largest box of a class
comes first. If a release says that a class is not in the image, that is asked now and then as well.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from sphinx_x.boxes import area, from_xywh
from sphinx_x.conversation import Part
from sphinx_x.sources.base import Draft, Expected, Malformed, Raw, Record, Source, UnusedError
from sphinx_x.sources.coco import COCO_API, coco_picture, coco_records, name_of, said, size_of, visible
from sphinx_x.sources.dialogue import Content, boxes, dialogue, pick, rng_of
from sphinx_x.sources.names import not_there, plural, spoken

DETECT = (
    "Detect all {} shown in the image.",
    "Find all {} in the image and give their bounding boxes.",
    "Please provide the bounding boxes of all {} in the image.",
)
DETECT_EVERYTHING = (
    "Detect all objects shown in the image.",
    "List all objects in the image by class, with their bounding boxes.",
)
MAX_CLASSES, MAX_BOXES = 4, 30
"""Limits of what is asked about one image; the rest is counted."""
NOW_AND_THEN = 0.25
FOLDERS = "open-mmlab/mmdetection configs/mm_grounding_dino/dataset_prepare.md (names of files and folders)"
LVIS_API = "lvis-dataset/lvis-api lvis/lvis.py; facebookresearch/detectron2 detectron2/data/datasets/lvis.py"
OPEN_IMAGES = "https://storage.googleapis.com/openimages/web/download_v5.html and download_v6.html (data formats)"
OBJECTS365_NAMES = "xjwwjx/LiDAE tools/dataset_converters/zhiyuan_objv2_train_names_fix.csv (names of classes)"


@dataclass
class Scene:
    """What is known about one image.

    Attributes:
        places: Boxes by class.
        incomplete: Classes of which there may be more.
        absent: Classes that are not in the image.
        closed: Whether the image has nothing but `places`, of all classes.
        left_out: What was skipped, by reason.
    """

    places: dict[str, list[Sequence[float]]] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)
    absent: list[str] = field(default_factory=list)
    closed: bool = False
    left_out: Counter[str] = field(default_factory=Counter)

    def turns(self, key: str) -> list[tuple[Content, Content]]:
        """Return questions and answers, always the same for the same key; raise `UnusedError` if there are none."""
        rng = rng_of(key)
        whole = self.closed and not self.incomplete and not self.left_out
        for name in self.incomplete & self.places.keys():
            self.left_out["class that is not boxed completely"] += len(self.places.pop(name))
        chosen = self._chosen(rng)
        turns: list[tuple[Content, Content]] = []
        if whole and len(chosen) == len(self.places) > 1 and rng.random() < NOW_AND_THEN:
            turns.append((pick(DETECT_EVERYTHING, key), everything(chosen)))
        else:
            turns += [(pick(DETECT, key + name).format(plural(name)), boxes(chosen[name])) for name in chosen]
        if self.absent and (not turns or rng.random() < NOW_AND_THEN):
            name = rng.choice(self.absent)
            question = pick(DETECT, key + name).format(plural(name))
            turns.insert(rng.randint(0, len(turns)), (question, not_there(name)))
        if not turns:
            raise UnusedError("image with nothing to ask about")
        return turns

    def _chosen(self, rng: random.Random) -> dict[str, list[Sequence[float]]]:
        names = sorted(self.places)
        rng.shuffle(names)
        chosen: dict[str, list[Sequence[float]]] = {}
        total = 0
        for name in names:
            places = sorted(self.places[name], key=area, reverse=True)
            if len(chosen) == MAX_CLASSES or total + len(places) > MAX_BOXES:
                self.left_out["class beyond the limit of an image"] += len(places)
            else:
                chosen[name] = places
                total += len(places)
        return chosen


def everything(places: Mapping[str, list[Sequence[float]]]) -> list[str | Part]:
    """Return all classes with their boxes, `dog[...; ...], cat[...]`, the class of the largest box first."""
    parts: list[str | Part] = []
    for name in sorted(places, key=lambda name: area(places[name][0]), reverse=True):
        parts += [f", {name}" if parts else name, boxes(places[name])]
    return parts


def read_coco(pattern: str, raw: Raw, lower: bool = False, closed: bool = False) -> Iterator[Record]:
    """Yield images with their boxes.

    Args:
        pattern: The annotation file.
        raw: The release.
        lower: Whether names are in title case and are lowered.
        closed: Whether every object of every class is boxed.
    """
    content = raw.json(pattern)
    names = {entry["id"]: spoken(entry["name"], lower) for entry in content["categories"]}
    for record in coco_records(content):
        if isinstance(record.data, Malformed):
            yield record
        else:
            yield Record(record.id, (*record.data, names, closed), record.count)


def build_coco(record: Record, raw: Raw) -> Draft:
    """Ask about some classes of an image of a set in COCO's format."""
    image, annotations, names, closed = record.data
    scene = Scene(closed=closed)
    scene.incomplete |= {name_of(names, k) for k in image.get("not_exhaustive_category_ids", ())}
    for annotation in annotations:
        name, place = name_of(names, annotation["category_id"]), from_xywh(annotation["bbox"])
        if said(annotation, "iscrowd"):
            scene.incomplete.add(name)
            scene.left_out["crowd"] += 1
        elif not name:
            scene.left_out["class whose name says nothing"] += 1
        elif not visible(place, image["width"], image["height"]):
            scene.left_out["empty box"] += 1
        else:
            scene.places.setdefault(name, []).append(place)
    here = {names[annotation["category_id"]] for annotation in annotations} | scene.incomplete
    absent = names.values() if closed else [name_of(names, k) for k in image.get("neg_category_ids", ())]
    scene.absent = [name for name in absent if name and name not in here]
    turns = scene.turns(record.id)
    return Draft(dialogue(turns), [raw.picture(coco_picture(image))], size=size_of(image), left_out=scene.left_out)


def read_open_images(raw: Raw) -> Iterator[Record]:
    """Read consecutive rows of one image's boxes, and the labels that people verified to be absent."""
    columns = ["LabelName", "DisplayName"]
    labels = raw.table("*class-descriptions-boxable.csv", columns=columns)
    names = {row["LabelName"]: spoken(row["DisplayName"], lower=True) for row in labels}
    absent: dict[str, list[str]] = {}
    if raw.files("{split}-annotations-human-imagelabels-boxable.csv"):
        for row in raw.table("{split}-annotations-human-imagelabels-boxable.csv"):
            if float(row["Confidence"]) == 0 and row["LabelName"] in names:
                absent.setdefault(row["ImageID"], []).append(names[row["LabelName"]])
    keys = ("LabelName", "XMin", "YMin", "XMax", "YMax", "IsGroupOf")
    for image, rows in groupby(raw.table("*{split}-annotations-bbox.csv"), lambda row: row["ImageID"]):
        found = [[row[key] for key in keys] for row in rows]
        found = [[names.get(label), *numbers] for label, *numbers in found]
        yield Record(str(image), (found, absent.get(image, [])), len(found))


def build_open_images(record: Record, raw: Raw) -> Draft:
    """Ask about some classes of an image of Open Images, whose boxes are relative to the image."""
    rows, absent = record.data
    scene = Scene()
    for name, x1, y1, x2, y2, group in rows:
        place = tuple(map(float, (x1, y1, x2, y2)))
        if name is None:
            scene.left_out["label without a name"] += 1
        elif int(group) == 1:
            scene.incomplete.add(name)
            scene.left_out["box around a group"] += 1
        elif not visible(place, 1, 1, least=0.001):
            scene.left_out["empty box"] += 1
        else:
            scene.places.setdefault(name, []).append(place)
    here = {row[0] for row in rows}
    scene.absent = [name for name in absent if name not in here]
    turns = scene.turns(record.id)
    return Draft(dialogue(turns), [raw.picture(f"{record.id}.jpg")], unit=1, left_out=scene.left_out)


COCO = "instances_{split}2017.json"
LVIS = "lvis_v1_{split}.json"
OBJECTS = "zhiyuan_objv2_{split}.json"
V3DET = "v3det_2023_v1_{split}.json"

SOURCES = (
    Source(
        name="coco",
        title="COCO 2017",
        task="detection",
        home="https://cocodataset.org/#download",
        licence="CC-BY-4.0 (annotations); images under Flickr's terms",
        files=(
            Expected(COCO, "boxes"),
            Expected("{split}2017/*.jpg", "images", {"train": 118_287, "val": 5_000}),
        ),
        unit="images",
        count={"train": 118_287, "val": 5_000},
        layout=f"{COCO_API}; {FOLDERS}",
        prompts=DETECT + DETECT_EVERYTHING,
        read=partial(read_coco, COCO, closed=True),
        build=build_coco,
        note="A class with a crowd region in an image is not asked about there. Images without objects are asked for "
        "something that is not there. It holds images of the test parts of RefCOCO, RefCOCO+ and RefCOCOg.",
    ),
    Source(
        name="lvis",
        title="LVIS v1",
        task="detection",
        home="https://www.lvisdataset.org/dataset",
        licence="CC-BY-4.0 (annotations); COCO images under Flickr's terms",
        files=(
            Expected(LVIS, "boxes"),
            Expected("*2017/*.jpg", "images of COCO 2017, of both parts"),
        ),
        unit="images",
        count={"train": 100_170, "val": 19_809},
        layout=f"{LVIS_API}; {FOLDERS}",
        prompts=DETECT,
        read=partial(read_coco, LVIS),
        build=build_coco,
        note="Images are those of COCO 2017: train2017 and val2017 are both needed (--images). Classes that are not "
        "boxed exhaustively in an image are not asked about there; classes verified to be absent sometimes are.",
    ),
    Source(
        name="objects365",
        title="Objects365 v2",
        task="detection",
        home="https://www.objects365.org/download.html",
        licence="CC-BY-4.0 (annotations); images under Flickr's terms",
        files=(
            Expected(OBJECTS, "boxes"),
            Expected("patch*/objects365_v*_*.jpg", "images, in folders patch0, patch1, ..."),
        ),
        unit="images",
        count={"val": 80_000},
        layout=f"{FOLDERS}; {OBJECTS365_NAMES}; entries as in {COCO_API}",
        prompts=DETECT + DETECT_EVERYTHING,
        read=partial(read_coco, OBJECTS, lower=True, closed=True),
        build=build_coco,
        note="The JSON file of the training part is read as a whole and takes tens of gigabytes of memory. Misspelt "
        "names are corrected; the classes `Other ...` and `French` are not asked about.",
    ),
    Source(
        name="v3det",
        title="V3Det",
        task="detection",
        home="https://github.com/V3Det/V3Det",
        licence="CC-BY-4.0 (annotations); images under Flickr's terms",
        files=(
            Expected(V3DET, "boxes"),
            Expected("images/*/*", "images, in a folder per class"),
        ),
        unit="images",
        count={"train": 183_354, "val": 29_821},
        layout="V3Det/V3Det README.md (data format)",
        prompts=DETECT,
        read=partial(read_coco, V3DET),
        build=build_coco,
        note="Classes form a tree, so none is assumed to be absent.",
    ),
    Source(
        name="openimages",
        title="Open Images V7, boxes",
        task="detection",
        home="https://storage.googleapis.com/openimages/web/download_v7.html",
        licence="CC-BY-4.0 (annotations); images listed as CC-BY-2.0",
        files=(
            Expected("*{split}-annotations-bbox.csv", "boxes (oidv6-train-..., validation-..., test-...)"),
            Expected("*class-descriptions-boxable.csv", "names of the 600 classes"),
            Expected("{split}-annotations-human-imagelabels-boxable.csv", "labels that people checked", optional=True),
            Expected("{split}*/*.jpg", "images", {"train": 1_743_042, "validation": 41_620, "test": 125_436}),
        ),
        unit="boxes",
        count={"train": 14_610_229, "validation": 303_980, "test": 937_327},
        layout=f"{OPEN_IMAGES}; {FOLDERS}",
        prompts=DETECT,
        read=read_open_images,
        build=build_open_images,
        note="The rows of an image must follow one another (the files are sorted by image); rows apart are set aside. "
        "A class with a box around a group is not asked about in that image. Without the checked labels, nothing is "
        "asked about absent classes.",
    ),
)
