"""How often the classifier's word is the main object of a photo of COCO: a bound on what learning from it can give.

    python benchmarks/teacher_names.py PHOTOS/instances.json PHOTOS/images [--teacher efficientnet-lite2]

The main object of a photo is the one with the largest box. Its category is compared with the teacher's word for the
whole photo, both in common words (`sphinx_x.engines.pictures.words`): `tv` is a television. Of people, ImageNet has a
groom, a ball player and a diver, so a teacher of its classes hardly ever says `person`. Told are the share of photos
with the right word, among the first five words, and the share in which it names any annotated object; the same for
photos whose main object it has a word for; how many pass the threshold of the engine and how right they are; and
whether two words, one there and one not, are told apart by their probabilities (the other one is a main object of
another photo). Intervals (95 %) are over draws of photos, as in the evaluation. Takes a minute for 128 photos on one
core.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sphinx_x.boxes import area, from_xywh
from sphinx_x.engines.pictures.engine import PictureSettings
from sphinx_x.engines.pictures.teacher import Opinion, teacher_named
from sphinx_x.engines.pictures.words import classes, word_of
from sphinx_x.evaluation.metrics import drawn_rates, interval
from sphinx_x.images import open_image

PAIRS = 5
"""Words that are not there, tried for each photo."""


@dataclass(frozen=True)
class Photo:
    """A photo's main object, all its objects (both in common words), and what the teacher says of it."""

    main: str
    words: frozenset[str]
    opinion: Opinion


def read_photos(instances: Path, images: Path, teacher: str) -> list[Photo]:
    """Return the photos that have an annotated object."""
    told = json.loads(instances.read_bytes())
    names = {one["id"]: word_of(one["name"]).word for one in told["categories"]}
    found = []
    for image in told["images"]:
        boxes = [
            (area(from_xywh(one["bbox"])), names[one["category_id"]])
            for one in told["annotations"]
            if one["image_id"] == image["id"]
        ]
        if boxes:
            opinion = teacher_named(teacher).opinion(open_image(images / image["file_name"]))
            found.append(Photo(max(boxes)[1], frozenset(word for _, word in boxes), opinion))
    return found


def row(title: str, photos: list[Photo], right: Callable[[Photo], float]) -> str:
    """Return a row of the table: a rate with its interval."""
    if not photos:
        return f"| {title} | 0 | - | - |"
    table = np.array([[right(photo), 1.0] for photo in photos])
    low, high = interval(drawn_rates(table)[:, 0])
    return f"| {title} | {len(photos)} | {100 * table[:, 0].mean():.1f} | {100 * low:.1f} to {100 * high:.1f} |"


def apart(photo: Photo, others: list[str], rng: random.Random) -> float:
    """Return how often the main object is likelier than a main object of another photo that is not in this one."""
    absent = [word for word in others if word not in photo.words]
    words = photo.opinion.words
    return float(np.mean([words.get(photo.main, 0) > words.get(rng.choice(absent), 0) for _ in range(PAIRS)]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("instances", type=Path, help="annotations in COCO's form")
    parser.add_argument("images", type=Path, help="the folder of the photos")
    parser.add_argument("--teacher", default="efficientnet-lite2")
    args = parser.parse_args()
    photos = read_photos(args.instances, args.images, args.teacher)
    sayable = {one.word for one in classes()}
    known = [photo for photo in photos if photo.main in sayable]
    mains = [photo.main for photo in photos]
    sure = PictureSettings().sure
    rng = random.Random(0)

    def first(photo: Photo) -> float:
        return photo.opinion.first[0].word == photo.main

    print("| | photos | % | 95% interval |\n|---|---|---|---|")
    for title, some in (("all photos", photos), ("main object has a class", known)):
        print(row(f"{title}: its word is the main object", some, first))
        print(row("... among the first five", some, lambda p: p.main in list(p.opinion.words)[:5]))
        print(row("... its word is any object there", some, lambda p: p.opinion.first[0].word in p.words))
        print(row("... told from a word not there", some, lambda p: apart(p, mains, rng)))
    certain = [photo for photo in photos if photo.opinion.first[1] >= sure]
    print(row(f"sure of its word ({sure} or more)", photos, lambda p: p.opinion.first[1] >= sure))
    print(row("... where sure: the main object", certain, first))
    print(row("... where sure: any object there", certain, lambda p: p.opinion.first[0].word in p.words))
    print(row("always `person`", photos, lambda p: p.main == "person"))
    print("\nMain objects without a class:", ", ".join(sorted({photo.main for photo in photos} - sayable)) or "none")


if __name__ == "__main__":
    main()
