"""AesBench: what people see in a photo (perception), feel (empathy) and think of it (assessment), options each."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import ByKind
from sphinx_x.evaluation.readers import Folders, entry, load, picture, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.scoring.choice import read_option
from sphinx_x.evaluation.task import Files, Task

ABILITIES = {"AesP": "perception", "AesE": "empathy", "AesA1": "assessment"}
ANSWERS = ("*GT*.json", "*ground_truth*.json", "*answer*.json")
_OPTION = re.compile(r"^\s*\(?([A-F])[).:]\s*(.*?)\s*$", re.MULTILINE)


def question(asked: Mapping[str, Any]) -> str:
    """As the release asks it."""
    options = text_of(asked, "Options")
    return (
        f"{text_of(asked, 'Question')} Choose one from the following options:\n{options}\nYou should output a correct "
    )


def _answers(path: Path) -> Mapping[str, Any]:
    """The answers beside the questions: an object of the same images, of the form in which answers are handed in."""
    found = next((file for pattern in ANSWERS for file in sorted(path.parent.glob(pattern)) if file != path), None)
    content = load(found) if found else {}
    if not isinstance(content, Mapping):
        raise DataError(f"{found}: holds no answers by the names of images")
    return content


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """AesBench_evaluation.json: for every image its questions; the release keeps the answers to itself."""
    content, answers = load(path), _answers(path)
    if not isinstance(content, Mapping) or not content:
        raise DataError(f"{path}: holds no questions by the names of images")
    number = 0
    for place, (name, row) in enumerate(content.items()):
        for key, ability in ABILITIES.items():
            with entry(path, place):
                asked = row[f"{key}_data"] if f"{key}_data" in row else row[key]
                true = asked.get("Answer") or answers.get(name, {}).get(key)
                if true is None:
                    files = " or ".join(ANSWERS)
                    raise DataError(f"no answer to {key}: the release has none; put {files} of its authors beside it")
                yield _item(number, name, ability, asked, str(true), folders)
                number += 1


def _item(number: int, name: str, ability: str, asked: Mapping[str, Any], true: str, folders: Folders) -> Item:
    options = dict(_OPTION.findall(text_of(asked, "Options")))
    letter = read_option(true, options)
    if letter is None:
        raise DataError(f"the answer {true!r} is none of the options {', '.join(options.values()) or '(none)'}")
    ending = "option." if ability == "assessment" else "option without explanation."
    return Item(
        index=number,
        question=question(asked) + ending,
        pictures=picture(name, folders),
        references=(letter,),
        id=f"{name}-{ability}",
        kind=ability,
        cluster=name,
        options=options,
    )


TASKS = [
    Task(
        "aesbench",
        "AesBench (perception, empathy, assessment)",
        {"test": Files(("**/AesBench_evaluation.json",), ("**/EAPD_release/images", "**/EAPD/images"), 8400)},
        read,
        verdicts.option,
        ByKind(tuple(ABILITIES.values())),
        max_new_tokens=32,
        chance=guessed_option,
        rules=("strict",),
        licence="Apache-2.0",
        address="https://github.com/yipoh/AesBench",
        layout="AesBench's eval scripts (names of files and keys, prompts) and the form in which it takes answers; the "
        "form of the options in the questions' file could not be looked up",
        paper={"perception": {"moe": 72.93}, "empathy": {"moe": 73.32}, "assessment": {"moe": 49.93}},
        note="2,800 images; answers are the authors', on request. The fourth part, interpretation, is free text that "
        "the release has judged from 0 to 2 (MoE 1.267): it wants a judge and is no part of this task",
    )
]
