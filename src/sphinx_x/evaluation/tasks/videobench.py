"""Video-Bench: 13 parts about videos, one letter of two to six options."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_by_kind
from sphinx_x.evaluation.clips import PictureFrame
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import ByKind, mean_of
from sphinx_x.evaluation.readers import Folders, entry, load, text_of, texts
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task

LEVELS = {
    "video-exclusive understanding": {
        **dict.fromkeys(("ActivityNet", "MSVD", "MSRVTT", "TGIF", "Youcook2", "Ucfcrime"), 1.0),
        "MOT": 0.5,
    },
    "prior knowledge": {"TVQA": 1.0, "MV": 1.0, "NBA": 1.0},
    "comprehension and decision-making": {"Driving-exam": 0.5, "Driving-decision-making": 1.0, "SQA3D": 1.0},
}
"""The parts of each level, and what each counts in it."""
PARTS = tuple(part for level in LEVELS.values() for part in level)
COUNTS = ("", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Scores(ByKind):
    """The mean over the parts, as the paper prints it, and what it is made of.

    The levels, and their mean, have the weights of the release's program.
    """

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """The mean of the parts, that of the levels, each level, each part; of those that occur."""
        found = super().scores(sums)
        there = sums.reshape(*sums.shape[:-1], len(self.kinds), 2)[..., 1] > 0
        levels, occur = {}, []
        for name, parts in LEVELS.items():
            counts = {part: weight * there[..., self.kinds.index(part)] for part, weight in parts.items()}
            total = np.sum(list(counts.values()), axis=0)
            scores = [
                np.nan_to_num(found[part]) * weight for part, weight in counts.items()
            ]  # one that is absent weighs 0
            levels[name] = mean_of(np.sum(scores, axis=0), total)
            occur.append(total > 0)
        mean = mean_of(np.nansum(list(levels.values()), axis=0), np.sum(occur, axis=0))
        return {self.headline: found.pop(self.headline), "mean of levels": mean, **levels, **found}


def item(part: str, key: str, row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release (vid_path, question, choices by letter, answer), asked as its README does."""
    options = {letter: texts(text)[0] for letter, text in row["choices"].items()}
    answer, video = text_of(row, "answer").strip(), text_of(row, "vid_path")
    if answer not in options or len(options) not in range(2, len(COUNTS)):
        raise DataError(f"the answer {answer!r} is not one of the options {', '.join(options) or '(none)'}")
    listed = " ".join(f"{letter}.{text}" for letter, text in options.items())
    heading = "Choices:" if len(options) == 6 else ""
    question = (
        f"{text_of(row, 'question')}{heading} {listed} \n Among the {COUNTS[len(options)]} options "
        f"{', '.join(options)} above, the one closest to the correct answer is:"
    )
    plain = {letter: text.strip() for letter, text in options.items()}
    return Item(number, question, (PictureFrame(video, folders),), (answer,), f"{part}/{key}", part, video, plain)


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The parts whose files are in the folder `Eval_QA`, in the order of the levels; or one part's file."""
    files = {part: path / f"{part}_QA_new.json" for part in PARTS} if path.is_dir() else {part_of(path): path}
    beside = (path.parent if path.is_dir() else path.parent.parent, *folders)
    number = 0
    for part, file in files.items():
        rows = load(file)
        if not isinstance(rows, Mapping) or not rows:
            raise DataError(f"{file}: holds no questions by their ids")
        for key, row in rows.items():
            with entry(file, number):
                yield item(part, key, row, number, beside)
            number += 1


def part_of(path: Path) -> str:
    """The part that a file's name says. Raises `DataError` where it says none."""
    part = path.name.removesuffix("_QA_new.json")
    if part not in PARTS:
        raise DataError(f"{path}: its name is none of PART_QA_new.json, for a PART of {', '.join(PARTS)}")
    return part


TASKS = [
    Task(
        "videobench",
        "Video-Bench",
        {"all": Files(("**/Eval_QA",))},
        read,
        verdicts.option,
        Scores(PARTS, "mean of parts"),
        chance=guessed_by_kind,
        rules=("strict",),
        licence="Apache-2.0",
        address="https://github.com/PKU-YuanGroup/Video-Bench",
        layout="the release's README, Eval_QA files and Step3_compute_scores.py",
        paper={
            "": {"plus": 45.1},
            **{
                part: {"plus": score}
                for part, score in zip(
                    PARTS,
                    (53.1, 68.5, 54.0, 53.4, 42.0, 27.6, 11.1, 36.5, 44.0, 45.0, 47.2, 55.6, 48.8),
                    strict=True,
                )
            },
        },
        aliases=("video_bench",),
        note="the release lets ChatGPT or T5 match an answer to an option; here one has to be named, by letter or text",
        video=True,
    )
]
