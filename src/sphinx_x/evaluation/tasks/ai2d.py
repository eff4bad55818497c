"""AI2D: questions about diagrams of school books, answered with the text of an option or with its letter."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.drawn import PictureDrawn
from sphinx_x.evaluation.items import Item, Picture
from sphinx_x.evaluation.prompts import LETTER, SHORT
from sphinx_x.evaluation.readers import Folders, entry, lettered, listing, load, picture, reader
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task
from sphinx_x.sources.science import NO_OPTION, labels_of, lettered_picture

TEST = "ai2d_test_ids.csv"
LAYOUT = "README.txt of the release; google-research/big_vision big_vision/datasets/ai2d/ai2d.py"


def read_letters(path: Path, folders: Folders) -> Iterator[Item]:
    """The release: the file of the test diagrams' numbers, beside it (or in `ai2d`) questions, images, annotations."""
    beside = (path.parent, path.parent / "ai2d", *folders)
    root = next((folder for folder in beside if (folder / "questions").is_dir()), None)
    if root is None:
        raise DataError(f"{path}: no folder of questions beside it")
    held_out = set(path.read_text("utf-8").split())
    count = 0
    for file in sorted((root / "questions").glob("*.json"), key=lambda file: (len(file.name), file.name)):
        if file.name.split(".")[0] in held_out:
            for number, (question, row) in enumerate(_questions(file)):
                with entry(file, number):
                    yield _item(count, question, row, file.name.removesuffix(".json"), root)
                    count += 1
    if not count:
        raise DataError(f"{path}: none of its diagrams has a question in {root / 'questions'}")


def _questions(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with entry(file, 0):
        yield from load(file)["questions"].items()


def _item(number: int, question: str, row: Mapping[str, Any], name: str, root: Path) -> Item:
    """Where the question names letters, the picture has them over its texts; what is no option is not shown."""
    given = [text.strip() for text in row["answerTexts"]]
    right = row["correctAnswer"]
    shown = [place for place, text in enumerate(given) if place == right or text not in ("", NO_OPTION)]
    if right not in shown:
        raise DataError(f"the answer {right!r} is not one of the options")
    options = lettered(given[place] for place in shown)
    letter = list(options)[shown.index(right)]
    plain = picture(name, (root / "images",))
    drawn: Picture = PictureDrawn(name, partial(_lettered, root, name))
    pictures = (drawn,) if row["abcLabel"] else plain
    asked = f"{question.strip()}\n{listing(options)}"
    return Item(number, asked, pictures, (letter,), row["questionId"], cluster=name, options=options)


def _lettered(root: Path, name: str) -> bytes:
    return lettered_picture(root / "images" / name, labels_of(root / "annotations" / f"{name}.json"))


def read_texts(path: Path, folders: Folders) -> Iterator[Item]:
    """The reference repository's list, or the release asked in its manner: options without letters, a text is true."""
    if path.name != TEST:
        yield from reader()(path, folders)
        return
    for item in read_letters(path, folders):
        question = item.question.removesuffix(f"\n{listing(item.options)}")
        true = item.options[item.references[0]]
        yield replace(item, question="\n".join([question, *item.options.values()]), references=(true,), options={})


TASK = partial(
    Task,
    licence="non-commercial research only (license.txt of the release)",
    address="https://prior.allenai.org/projects/diagram-understanding",
)
TASKS = [
    TASK(
        "ai2d",
        "AI2D",
        {"test": Files(("**/ai2diagram_test.json", f"**/{TEST}"), ("ai2d/images",), 3088)},
        read_texts,
        verdicts.same_text,
        prompt=SHORT,
        layout=f"the reference repository's list; {LAYOUT}",
        paper={"": {"tiny": 24.6, "intern2": 63.0, "plus": 46.0, "moe": 55.6}},
        aliases=("ai2diagram",),
        note="the true answer is an option's text; the list glues the options to the question without a blank",
    ),
    TASK(
        "ai2d_letters",
        "AI2D (letters of options)",
        {"test": Files((f"**/{TEST}",), (), 3088)},
        read_letters,
        verdicts.option,
        prompt="{}\n" + LETTER,
        chance=guessed_option,
        rules=("strict",),
        layout=LAYOUT,
        note="as LLaVA and lmms-eval ask it; letters are drawn over the texts of a diagram where questions name them",
    ),
]
