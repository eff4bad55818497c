"""AI2D: questions about diagrams of school books, answered with the text of an option."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, entry, lettered, listing, load, numbered, picture, reader, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.scoring.text import same_text
from sphinx_x.evaluation.task import Files, Reading, Task

IDS = "ai2d_test_ids.csv"


def own_item(asked: str, row: Mapping[str, Any], image: str, folders: Folders) -> Item:
    """A question of the release (answerTexts, correctAnswer: the number of one)."""
    options = lettered(row["answerTexts"])
    place = int(row["correctAnswer"])
    if not 0 <= place < len(options):
        raise DataError(f"the answer {place} is not from 0 to {len(options) - 1}")
    letter = list(options)[place]
    return Item(
        index=0,
        question=f"{asked}\n{listing(options)}",
        pictures=picture(image, folders),
        references=(options[letter],),
        id=text_of(row, "questionId"),
        cluster=image,
        options=options,
        facts={"letter": letter},
    )


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The numbers of the test images, with the folder `questions` beside them, or the reference repository's list."""
    if path.suffix == ".json":
        return reader()(path, folders)
    return numbered(item for name in path.read_text("utf-8").split() for item in _image(path, name, folders))


def _image(path: Path, name: str, folders: Folders) -> Iterator[Item]:
    file = path.parent / "questions" / f"{name}.png.json"
    content = load(file)
    with entry(file, 0):
        for asked, row in content["questions"].items():
            yield own_item(asked, row, text_of(content, "imageName"), folders)


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """An option by its text, which is asked for, else by its letter: a label "A" may well be the text of option D.

    The reference's list has its options glued together: there by text alone.
    """
    if not item.options or same_text(answer, tuple(item.options.values())):
        return verdicts.same_text(item, answer, how)
    return verdicts.option(replace(item, references=(item.facts["letter"],)), answer, how)


TASKS = [
    Task(
        "ai2d",
        "AI2D",
        {"test": Files(("**/ai2diagram_test.json", f"**/{IDS}"), ("**/ai2d/abc_images", "**/ai2d/images"), 3088)},
        read,
        verdict,
        prompt=SHORT,
        chance=lambda items: 0.25,
        licence="CC BY-SA 4.0",
        address="https://allenai.org/data/diagrams",
        layout="AI2D's release (questions/*.png.json, ai2d_test_ids.csv); the reference repository's list",
        paper={"": {"tiny": 24.6, "intern2": 63.0, "plus": 46.0, "moe": 55.6}},
        aliases=("ai2diagram",),
        note="the list glues the options to the question without a blank; the true answer is an option's text. Letters "
        "that stand for labels of a diagram are not drawn here: pictures with them belong in abc_images",
    )
]
