"""Q-Bench: what a picture looks like (sharpness, light, colours), one letter."""

from collections.abc import Mapping
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.prompts import LETTER
from sphinx_x.evaluation.readers import Folders, lettered, listing, picture, reader, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task
from sphinx_x.evaluation.tasks.scienceqa import listed_item


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release (img_path, question, candidates, correct_ans)."""
    name, options = text_of(row, "img_path"), lettered(row["candidates"])
    letters = [letter for letter, text in options.items() if text == row["correct_ans"]]
    if len(letters) != 1:
        raise DataError(f"the answer {row['correct_ans']!r} is not one of the options")
    question = f"{text_of(row, 'question')}\n{listing(options)}\n{LETTER}"
    return Item(
        number, question, picture(name, folders), (letters[0],), f"{name}-{number}", cluster=name, options=options
    )


TASKS = [
    Task(
        "qbench",
        "Q-Bench (dev)",
        {
            "dev": Files(
                ("**/llvisionqa_dev.json", "**/Qbench_dev.json"),
                ("**/llvisionqa/images", "**/images_llvisionqa", "**/qbench/dev"),
                1495,
            )
        },
        reader(own=own_item, published=listed_item),
        verdicts.option,
        chance=guessed_option,
        rules=("strict",),
        licence="CC BY-NC-SA 4.0",
        address="https://github.com/Q-Future/Q-Bench",
        layout="Q-Bench's release (LLVisionQA); the reference repository's list",
        paper={"": {"tiny": 19.7, "intern2": 60.0, "plus": 68.6, "moe": 66.2}},
    )
]
