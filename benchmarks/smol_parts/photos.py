"""Photos in COCO's layout: the main object by its name, and whether something is there."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smol_parts.part import Part, made_here
from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import UNREADABLE, Item, PictureFile, Verdict
from sphinx_x.evaluation.measures import Mean, YesNo
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Reading, Task

MAIN = "What is the main object in the picture?"
THERE = "Is there {} in the picture?"
SEED = 0
OTHER_NAMES = {
    "person": "people man men woman women boy girl child children kid baby player human guy lady",
    "bicycle": "bike cycle", "car": "automobile sedan", "motorcycle": "motorbike scooter moped",
    "airplane": "aeroplane plane aircraft jet airliner", "bus": "coach", "train": "locomotive tram",
    "truck": "lorry pickup van", "boat": "ship sailboat canoe kayak", "traffic light": "traffic-light stoplight",
    "fire hydrant": "hydrant", "stop sign": "", "parking meter": "meter", "bench": "", "bird": "duck gull seagull owl",
    "cat": "kitten", "dog": "puppy", "horse": "pony", "sheep": "lamb", "cow": "cattle bull calf ox", "elephant": "",
    "bear": "", "zebra": "", "giraffe": "", "backpack": "rucksack", "umbrella": "parasol",
    "handbag": "purse bag", "tie": "necktie", "suitcase": "luggage", "frisbee": "disc", "skis": "ski",
    "snowboard": "", "sports ball": "ball football soccerball", "kite": "", "baseball bat": "bat",
    "baseball glove": "glove mitt", "skateboard": "", "surfboard": "", "tennis racket": "racket racquet",
    "bottle": "", "wine glass": "wineglass glass goblet", "cup": "mug", "fork": "", "knife": "knives", "spoon": "",
    "bowl": "", "banana": "", "apple": "", "sandwich": "burger hamburger", "orange": "",
    "broccoli": "", "carrot": "", "hot dog": "hotdog", "pizza": "", "donut": "doughnut", "cake": "",
    "chair": "armchair", "couch": "sofa settee", "potted plant": "plant houseplant flowerpot flower", "bed": "",
    "dining table": "table desk", "toilet": "", "tv": "television monitor screen", "laptop": "notebook",
    "mouse": "mice", "remote": "", "keyboard": "", "cell phone": "phone cellphone smartphone telephone",
    "microwave": "", "oven": "stove", "toaster": "", "sink": "basin washbasin",
    "refrigerator": "fridge", "book": "", "clock": "watch", "vase": "", "scissors": "",
    "teddy bear": "teddy", "hair drier": "hairdryer hairdrier", "toothbrush": "",
}  # fmt: skip
"""Other words for COCO's categories, as answers use them."""


@dataclass(frozen=True)
class Thing:
    """An object in a photo: its name, the area of its box in pixels, and whether it is a crowd of them."""

    name: str
    area: float
    crowd: bool = False


def things_in(content: Mapping[str, Any]) -> dict[str, list[Thing]]:
    """Return the objects of every photo of a file in COCO's form, by its table of categories.

    Raises:
        DataError: An id is not in the table (copies of coco128 exist whose annotations have ids of another scheme), or
            a name is not one of COCO's.
    """
    table = {category["id"]: category["name"] for category in content["categories"]}
    files = {image["id"]: image["file_name"] for image in content["images"]}
    found: dict[str, list[Thing]] = defaultdict(list)
    for one in content["annotations"]:
        name = table.get(one["category_id"])
        if name not in OTHER_NAMES:
            raise DataError(f"annotation {one['id']}: category {one['category_id']} is none of COCO's in the table")
        thing = Thing(name, one["bbox"][2] * one["bbox"][3], bool(one.get("iscrowd")))
        found[files[one["image_id"]]].append(thing)
    return dict(sorted(found.items()))


def named(answer: str) -> str | None:
    """Return the category of COCO that an answer names first, by any of its words; None if it names none.

    A longer name begins before the shorter one in it: a "hot dog" is no dog, and a "teddy bear" no bear.
    """
    text, found = answer.lower(), []
    for category, others in OTHER_NAMES.items():
        for word in (category, *others.split()):
            match = re.search(rf"\b{re.escape(word)}(?:s|es)?\b", text)
            if match:
                found.append((match.start(), -len(match[0]), category))
    return min(found)[2] if found else None


def _main_verdict(item: Item, answer: str, how: Reading) -> Verdict:
    said = named(answer)
    return UNREADABLE if said is None else Verdict(float(said == item.references[0]), said)


def with_article(name: str) -> str:
    """Return a name with its article: `a dog`, `an apple`, `skis`."""
    if name in ("skis", "scissors", "broccoli"):
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def photos(folder: Path) -> list[Part]:
    """Return the questions about the photos of a folder (images, instances.json): what it is, and is there.

    The main object is the one with the largest box that is no crowd. For each photo one thing that is there is asked
    for and one that is not: of those that other photos show, drawn as often as they are shown.
    """
    things = things_in(json.loads((folder / "instances.json").read_bytes()))
    counts = Counter(name for some in things.values() for name in sorted({thing.name for thing in some}))
    rng, main, there = random.Random(SEED), [], []
    for number, (file, some) in enumerate(things.items()):
        picture = (PictureFile(file, (folder / "images", folder)),)
        single = [thing for thing in some if not thing.crowd]
        if single:
            largest = max(single, key=lambda thing: (thing.area, thing.name))
            main.append(Item(number, MAIN, picture, (largest.name,), file, cluster=file))
        present = sorted({thing.name for thing in some})
        absent = {name: count for name, count in sorted(counts.items()) if name not in present}
        if not absent:
            continue
        pairs = (("yes", rng.choice(present)), ("no", rng.choices(list(absent), list(absent.values()))[0]))
        for answer, name in pairs:
            question = THERE.format(with_article(name))
            there.append(Item(len(there), question, picture, (answer,), f"{file}-{answer}", cluster=file))
    say = Task("photos-main", "", {}, made_here, _main_verdict, Mean("main object"), max_new_tokens=16)
    ask = Task("photos-there", "", {}, made_here, verdicts.word(), YesNo(), max_new_tokens=8, chance=lambda _: 0.5)
    return [
        Part("photos, main object", say, main, least={"main object": 0.60}),
        Part("photos, is there", ask, there, note="chance is 50 %", least={"accuracy": 0.75}),
    ]
