"""MME: two yes-or-no questions about every image, in ten categories of perception and four of cognition."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import Judged, mean_of, sum_of
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, entry, picture, published_item, reader
from sphinx_x.evaluation.scoring import verdicts, yes_no
from sphinx_x.evaluation.task import Files, Task

PERCEPTION = ("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR")
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
CATEGORIES = (*PERCEPTION, *COGNITION)
ENDINGS = (".jpg", ".png", ".jpeg")


@dataclass(frozen=True)
class Scores:
    """MME's sums: of every category 100 x share of right questions + 100 x share of images with both right."""

    headline: str = "sum"
    scale: float = 2800.0

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """For every category: right, questions, images with both right, images (told at an image's last question)."""
        last = {item.cluster: number for number, (item, _) in enumerate(rows)}
        right: dict[str, bool] = {}
        for item, verdict in rows:
            right[item.cluster] = right.get(item.cluster, True) and verdict.score == 1
        found = np.zeros((len(rows), len(CATEGORIES), 4))
        for number, (item, verdict) in enumerate(rows):
            place = CATEGORIES.index(item.kind)
            found[number, place, :2] = verdict.score, 1
            if last[item.cluster] == number:
                found[number, place, 2:] = right[item.cluster], 1
        return found.reshape(len(rows), 4 * len(CATEGORIES))

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """The sum of both parts, each part, each category that occurs."""
        table = sums.reshape(*sums.shape[:-1], len(CATEGORIES), 4)
        each = 100 * mean_of(table[..., 0], table[..., 1]) + 100 * mean_of(table[..., 2], table[..., 3])
        perception, cognition = sum_of(each[..., : len(PERCEPTION)]), sum_of(each[..., len(PERCEPTION) :])
        parts = {"perception": perception, "cognition": cognition}
        # of a few items, one part may have none
        there = {name: part for name, part in parts.items() if not np.all(np.isnan(part))}
        found = {self.headline: np.sum([*there.values()], axis=0) if there else perception, **there}
        return found | {name: each[..., n] for n, name in enumerate(CATEGORIES) if np.any(table[..., n, 1] != 0)}


def item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the reference repository's list."""
    made = published_item(row, number, folders)
    kind = str(row["dataset_name"]).removeprefix("MME_")
    if kind not in CATEGORIES:
        raise DataError(f"no category of MME: {kind!r}")
    return replace(made, kind=kind, cluster=f"{kind}/{made.cluster}")


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The list, or the release: a folder for each category with images and a text file of questions for each."""
    if path.is_file():
        yield from reader(published=item)(path, folders)
        return
    # the release has been packed with a further folder, and without
    path = path / "MME_Benchmark" if (path / "MME_Benchmark").is_dir() else path
    number = 0
    for kind in CATEGORIES:
        for file in sorted([*path.glob(f"{kind}/*.txt"), *path.glob(f"{kind}/questions_answers_YN/*.txt")]):
            named = (f"{kind}/{place}{file.stem}{end}" for place in ("", "images/") for end in ENDINGS)
            image = next((name for name in named if (path / name).is_file()), f"{kind}/{file.stem}.jpg")
            for count, (question, answer) in enumerate(_pairs(file)):
                pictures = picture(image, (path, *folders))
                yield Item(number, question, pictures, (answer,), f"{file.stem}/{count}", kind, image)
                number += 1


def _pairs(file: Path) -> list[tuple[str, str]]:
    """The questions of a file with their answers, a tab between."""
    found = []
    with entry(file, 0):
        lines = [line.rstrip("\r") for line in file.read_text("utf-8-sig").split("\n") if line.strip()]
    for number, line in enumerate(lines):
        with entry(file, number):
            question, answer = line.split("\t")
            found.append((question, answer))
    return found


TASKS = [
    Task(
        "mme",
        "MME",
        {"test": Files(("**/MME_Benchmark_release_version", "**/MME_benchmark.json"), (), 2374)},
        read,
        verdicts.word(yes_no.read_mme),
        Scores(),
        prompt=SHORT,
        chance=lambda items: 75.0 * len({item.kind for item in items}),  # of each kind's 200: 50, and 25 for pairs
        address="https://github.com/BradyFU/Awesome-Multimodal-Large-Language-Models",
        licence="for research only",
        layout="MME's release; the reference repository's list",
        paper={
            "perception": {"tiny": 1261.2, "intern2": 1260.4, "plus": 1457.7, "moe": 1485.3},
            "cognition": {"tiny": 242.1, "intern2": 294.6, "plus": 283.6, "moe": 367.1},
        },
        aliases=("mme_b",),
        whole=True,
        note="yes or no is looked for in the first four characters, as the release does it",
    )
]
