"""AI2D: questions about diagrams of school books, answered with the text of an option or with its letter."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.drawn import PictureDrawn
from sphinx_x.evaluation.items import Item, Picture, PictureFile, Verdict
from sphinx_x.evaluation.prompts import LETTER, SHORT
from sphinx_x.evaluation.readers import Folders, entry, lettered, listing, load, numbered, picture, reader, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.scoring.text import same_text
from sphinx_x.evaluation.task import Files, Reading, Task
from sphinx_x.sources.science import NO_OPTION, labels_of, lettered_picture

IDS = "ai2d_test_ids.csv"
IMAGES = ("**/ai2d/abc_images", "**/ai2d/images")
LAYOUT = "AI2D's release (questions/*.png.json, ai2d_test_ids.csv): its README; google-research/big_vision ai2d.py"


def own_item(asked: str, row: Mapping[str, Any], image: str, root: Path, folders: Folders) -> Item:
    """A question of the release (answerTexts, correctAnswer: the number of one)."""
    given, right = [text.strip() for text in row["answerTexts"]], int(row["correctAnswer"])
    if not 0 <= right < len(given):
        raise DataError(f"the answer {right} is not from 0 to {len(given) - 1}")
    shown = [place for place, text in enumerate(given) if place == right or text not in ("", NO_OPTION)]
    options = lettered(given[place] for place in shown)
    letter = list(options)[shown.index(right)]
    return Item(
        index=0,
        question=f"{asked}\n{listing(options)}",
        pictures=_pictures(image, bool(row["abcLabel"]), root, folders),
        references=(options[letter],),
        id=text_of(row, "questionId"),
        cluster=image,
        options=options,
        facts={"letter": letter},
    )


def _pictures(image: str, letters: bool, root: Path, folders: Folders) -> tuple[Picture, ...]:
    """A diagram; where questions name letters, with these over its texts, unless there are such pictures already."""
    if not letters or PictureFile(image, tuple(f for f in folders if f.name == "abc_images")).find() is not None:
        return picture(image, (root / "images", *folders) if not letters else folders)
    return (PictureDrawn(image, partial(_lettered, root, image)),)


def _lettered(root: Path, name: str) -> bytes:
    return lettered_picture(root / "images" / name, labels_of(root / "annotations" / f"{name}.json"))


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The numbers of the test images, with `questions` beside them or in `ai2d`, or the reference repository's list."""
    if path.suffix == ".json":
        return reader()(path, folders)
    root = next((folder for folder in (path.parent, path.parent / "ai2d") if (folder / "questions").is_dir()), None)
    if root is None:
        raise DataError(f"{path}: no folder of questions beside it")
    names = path.read_text("utf-8").split()
    return numbered(item for name in names for item in _image(name, root, folders))


def _image(name: str, root: Path, folders: Folders) -> Iterator[Item]:
    file = root / "questions" / f"{name}.png.json"
    if not file.is_file():
        return  # "some images do not have a question" (README of the release)
    content = load(file)
    with entry(file, 0):
        for asked, row in content["questions"].items():
            yield own_item(asked, row, text_of(content, "imageName"), root, folders)


def read_letters(path: Path, folders: Folders) -> Iterator[Item]:
    """The release, where the letter of an option is the true answer."""
    return (replace(item, references=(item.facts["letter"],)) for item in read(path, folders))


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """An option by its text, which is asked for, else by its letter: a label "A" may well be the text of option D.

    The reference's list has its options glued together: there by text alone.
    """
    if not item.options or same_text(answer, tuple(item.options.values())):
        return verdicts.same_text(item, answer, how)
    return verdicts.option(replace(item, references=(item.facts["letter"],)), answer, how)


RELEASE = partial(
    Task,
    licence="non-commercial research only (license.txt of the release)",
    address="https://prior.allenai.org/projects/diagram-understanding",
)
TASKS = [
    RELEASE(
        "ai2d",
        "AI2D",
        {"test": Files(("**/ai2diagram_test.json", f"**/{IDS}"), IMAGES, 3088)},
        read,
        verdict,
        prompt=SHORT,
        chance=lambda items: 0.25,
        layout=f"{LAYOUT}; the reference repository's list",
        paper={"": {"tiny": 24.6, "intern2": 63.0, "plus": 46.0, "moe": 55.6}},
        aliases=("ai2diagram",),
        note="the true answer is an option's text; the list glues the options to the question without a blank. Where "
        "questions name letters, these are drawn over the texts of a diagram, but for pictures in abc_images",
    ),
    RELEASE(
        "ai2d_letters",
        "AI2D (letters of options)",
        {"test": Files((f"**/{IDS}",), IMAGES, 3088)},
        read_letters,
        verdicts.option,
        prompt="{}\n" + LETTER,
        chance=guessed_option,
        rules=("strict",),
        layout=LAYOUT,
        note="as LLaVA and lmms-eval ask it",
    ),
]
