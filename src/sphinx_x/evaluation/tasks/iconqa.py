"""IconQA, the questions whose options are texts: drawings for children, one letter of two to five options."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.prompts import OPTIONS
from sphinx_x.evaluation.readers import Folders, entry, lettered, listing, load, picture, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task


def own_item(row: Mapping[str, Any], number: int, name: str, image: str, folders: Folders) -> Item:
    """A problem of the release (question, choices, answer: the number of one)."""
    options = lettered(row["choices"])
    place = int(row["answer"])
    if not 0 <= place < len(options):
        raise DataError(f"the answer {place} is not from 0 to {len(options) - 1}")
    question = f"{text_of(row, 'question')}\n{listing(options)}"
    return Item(number, question, picture(image, folders), (list(options)[place],), name, cluster=name, options=options)


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """All problems in one file with the lists of the splits beside it, or a folder with a folder for each problem."""
    if path.is_dir():
        for number, file in enumerate(sorted(path.glob("*/data.json"), key=lambda file: (len(file.parent.name), file))):
            with entry(file, 0):
                name = file.parent.name
                yield own_item(load(file), number, name, f"{name}/image.png", (path, *folders))
        return
    problems, splits = load(path), load(path.with_name("pid_splits.json"))
    for number, name in enumerate(map(str, splits["choose_txt_test"])):
        with entry(path, number):
            yield own_item(problems[name], number, name, f"{name}/image.png", folders)


TASKS = [
    Task(
        "iconqa",
        "IconQA (text choice)",
        {
            "test": Files(
                ("**/iconqa_data/problems.json", "**/iconqa/test/choose_txt", "**/test/choose_txt"),
                ("**/iconqa/test/choose_txt", "**/test/choose_txt"),
                6316,
            )
        },
        read,
        verdicts.option,
        prompt=OPTIONS,
        chance=guessed_option,
        rules=("strict",),
        licence="CC BY-NC-SA 4.0",
        address="https://github.com/lupantech/IconQA",
        layout="IconQA's release (run_choose_txt/dataset.py; folders as in Multi-Modality-Arena); LLaVA's prompt",
        paper={"": {"tiny": 40.7, "intern2": 49.0, "plus": 54.7, "moe": 57.3}},
        note="the paper does not say which of the three sub-tasks it means; a folder's problems come by their number",
    )
]
