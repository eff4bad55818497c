"""What an image shows: ImageNet-1K, asked openly or as a choice of four."""

from __future__ import annotations

from collections.abc import Iterator

from sphinx_x.errors import DataError
from sphinx_x.sources.base import Draft, Expected, Raw, Record, Source
from sphinx_x.sources.dialogue import LETTER, SHORT, dialogue, multiple_choice, pick, rng_of, short

QUESTIONS = (
    "What is the main object in this image?",
    "What is shown in this image?",
    "What is the main subject of this image?",
)
CHOICES = 4
MAPPING = "LOC_synset_mapping.txt"
IMAGES = "{split}/n????????/*.JPEG"


def read_imagenet(raw: Raw) -> Iterator[Record]:
    """Yield the images in a folder per class, with the first name of their class and the names of all."""
    names = {}
    for line in raw.file(MAPPING).read_text(encoding="utf-8").splitlines():
        folder, _, synonyms = line.strip().partition(" ")
        names[folder] = synonyms.split(",")[0].strip()
    everything = sorted(set(names.values()))
    for path in raw.files(IMAGES):
        yield Record(path.stem, (path, names.get(path.parent.name), everything))


def build_imagenet(record: Record, raw: Raw) -> Draft:
    """Ask about half of the images openly, and about the others with three wrong names; both would tell."""
    path, name, everything = record.data
    if not name:
        raise DataError(f"no name for the class: {path.parent.name}")
    question = pick(QUESTIONS, record.id)
    rng = rng_of(record.id)
    if rng.random() < 0.5:
        return Draft(dialogue([(short(question), name)]), [path])
    wrong = [other for other in rng.sample(everything, min(CHOICES, len(everything))) if other != name]
    options = [*wrong[: CHOICES - 1], name]
    rng.shuffle(options)
    return Draft(dialogue([multiple_choice(question, options, options.index(name))]), [path])


SOURCES = (
    Source(
        name="imagenet",
        title="ImageNet-1K (ILSVRC 2012)",
        task="classification",
        home="https://www.kaggle.com/c/imagenet-object-localization-challenge/data",
        licence="non-commercial research and education only (ImageNet's terms of access)",
        files=(
            Expected(MAPPING, "names of the 1,000 classes"),
            Expected(IMAGES, "images, in a folder per class", {"train": 1_281_167, "val": 50_000}),
        ),
        unit="images",
        count={"train": 1_281_167, "val": 50_000},
        layout="pytorch/vision torchvision/datasets/imagenet.py (folders); "
        "JasmineLi-805/res18 LOC_synset_mapping.txt (names, as in Kaggle's release)",
        prompts=tuple(
            f"{question}\n{how}" for question in QUESTIONS for how in (SHORT, "A. {}\nB. {}\n...\n" + LETTER)
        ),
        read=read_imagenet,
        build=build_imagenet,
        note="The first of the names that WordNet gives a class is the answer. The validation images of Kaggle's "
        "release lie in one folder; they must be moved into folders by class first.",
    ),
)
