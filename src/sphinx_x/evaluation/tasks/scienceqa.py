"""ScienceQA, the questions with an image: one letter of two to five options."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.prompts import LETTER_PREFIX
from sphinx_x.evaluation.readers import (
    Folders,
    entry,
    is_published,
    items_of,
    lettered,
    listing,
    load,
    picture,
    published_item,
)
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.scoring.choice import listed_options
from sphinx_x.evaluation.task import Files, Task

ASK = 'Answer with the option"s letter from the given choices directly.'
"""As the reference asks it, its quotation mark included."""


def listed_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """An item of the reference repository's list: the options stand in the question."""
    item = published_item(row, number, folders)
    options = listed_options(item.question)
    if item.references[0].strip() not in options:
        raise DataError(f"the answer {item.references[0]!r} is none of the options {', '.join(options) or '(none)'}")
    return replace(item, options=options)


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The release (problems.json), or the reference repository's list."""
    content = load(path)
    if isinstance(content, list) and content and is_published(content):
        yield from items_of(path, content, folders, listed_item)
        return
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds no problems")
    count = 0
    for number, (key, row) in enumerate(content.items()):
        with entry(path, number):
            if row["split"] != "test" or not row["image"]:
                continue
            options = lettered(row["choices"])
            question = f"Context:\n{row['hint']}\nQuestion:\n{row['question']}\nChoices:\n{listing(options)}\n{ASK}"
            letter, name = list(options)[row["answer"]], f"{key}/{row['image']}"
            pictures = picture(name, folders)
            yield Item(count, question, pictures, (letter,), key, row["subject"], name, options)
            count += 1


TASKS = [
    Task(
        "scienceqa",
        "ScienceQA (image)",
        {
            "test_img": Files(
                ("**/scienceqa/problems.json", "**/scienceqa_test_img.json"),
                ("**/scienceqa/images/test", "**/scienceqa/test"),
                2017,
            )
        },
        read,
        verdicts.option,
        prefix=LETTER_PREFIX,
        chance=guessed_option,
        rules=("strict",),
        licence="CC BY-NC-SA 4.0",
        address="https://github.com/lupantech/ScienceQA",
        layout="ScienceQA's release; the reference repository's list",
        paper={"": {"tiny": 21.5, "intern2": 70.4, "plus": 74.2, "moe": 74.5}},
        aliases=("scienceqa_test", "sqa"),
    )
]
