"""POPE: whether an object is in a photo.

Objects that are not there are drawn at random, from the most frequent ones, or from those that mostly go with what is
there.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.measures import YesNo
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, items_of, json_lines, picture, text_of
from sphinx_x.evaluation.scoring import verdicts, yes_no
from sphinx_x.evaluation.task import Files, Reading, Task


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release (image, text, label)."""
    name, answer = text_of(row, "image"), text_of(row, "label").strip().lower()
    if answer not in ("yes", "no"):
        raise DataError(f"label must be yes or no, not {answer!r}")
    return Item(number, text_of(row, "text"), picture(name, folders), (answer,), str(row["question_id"]), cluster=name)


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The release: JSON lines, though the file is called .json."""
    return items_of(path, json_lines(path), folders, own_item)


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """The word that the answer begins with; `script`: as the released program reads it."""
    return verdicts.word(yes_no.read_pope if how.rule == "script" else yes_no.read_yes_no)(item, answer, how)


TASKS = [
    Task(
        "pope",
        "POPE (COCO)",
        {
            split: Files((f"**/coco_pope_{split}.json",), ("**/val2014",), count)
            for split, count in (("random", 2910), ("popular", 3000), ("adversarial", 3000))
        },
        read,
        verdict,
        YesNo(),
        prompt=SHORT,
        chance=lambda items: 0.5,
        rules=("script",),
        licence="MIT, images of COCO",
        address="https://github.com/AoiDragon/POPE",
        layout="POPE's release (output/coco); the prompt of lmms-eval",
        paper={"f1": {"tiny": 82.2, "intern2": 86.9, "plus": 89.1, "moe": 89.6}},
        note="the paper has one number: F1, the mean of the three splits, is what its baselines are known for; rule "
        "`script` takes whatever has no 'no' or 'not' in its first sentence for a yes",
    )
]
