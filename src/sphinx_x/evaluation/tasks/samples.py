"""Held-out samples of this package's own format: every answer of every dialogue, asked after the true ones before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sphinx_x.conversation import Text, count_images
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation.counts import closest
from sphinx_x.evaluation.drawn import PictureDrawn
from sphinx_x.evaluation.items import UNREADABLE, Item, Picture, Verdict
from sphinx_x.evaluation.measures import Judged, mean_of, ratio
from sphinx_x.evaluation.metrics import character_errors
from sphinx_x.evaluation.readers import Folders, numbered
from sphinx_x.evaluation.samples import BOX, KINDS, TEXT, YES_NO, Asked, questions, same_answer
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.scoring.verdicts import graded
from sphinx_x.evaluation.scoring.yes_no import read_yes_no
from sphinx_x.evaluation.task import Files, Reading, Task

ENDINGS = (".jsonl", ".json", ".parquet")


class Shards(Files):
    """All files of a folder."""

    def find(self, root: Path) -> Path | None:
        """The folder itself, where it has a file of samples."""
        there = root.is_dir() and any(path.suffix in ENDINGS for path in root.iterdir())
        return root if there else None


@dataclass(frozen=True)
class Errors:
    """The mean score, and for every kind that occurs how much is wrong: of texts characters, of others answers."""

    headline: str = "mean score"
    scale: float = 1.0

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """Scores, ones, and for every kind errors and what they are out of."""
        found = np.zeros((len(rows), 2 + 2 * len(KINDS)))
        for number, (item, verdict) in enumerate(rows):
            place = 2 + 2 * KINDS.index(item.kind)
            wrong: tuple[float, float] = (1 - verdict.score, 1)
            if item.kind == TEXT:
                wrong = closest(character_errors, verdict.said or "", item.references)
            found[number, :2] = verdict.score, 1
            found[number, place : place + 2] = wrong
        return found

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """The mean, then every kind that occurs."""
        found = {self.headline: ratio(sums[..., 0], sums[..., 1])}
        for number, kind in enumerate(KINDS, 1):
            wrong, total = sums[..., 2 * number], sums[..., 2 * number + 1]
            if np.max(total) > 0:
                found[f"{kind}: {'character error rate' if kind == TEXT else 'wrong'}"] = mean_of(wrong, total)
        return found


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """Every answer that can be measured: a text, a box, a mark, yes or no."""
    samples = SampleReader(path)
    return numbered(
        _item(samples, sample, asked)
        for sample in (samples[number] for number in range(len(samples)))
        for asked in questions(sample)
    )


def _item(samples: SampleReader, sample: Sample, asked: Asked) -> Item:
    pictures: tuple[Picture, ...] = tuple(
        PictureDrawn(f"{sample.id}#{number}", partial(samples.image_bytes, sample, number))
        for number in range(count_images(asked.messages))
    )
    box, size, references = None, None, asked.references or (asked.text,)
    if asked.box is not None:
        x1, y1, x2, y2 = asked.box.places[0]
        box, size = (x1, y1, x2, y2), _size(samples, sample, asked.box.image)
        references = (", ".join(f"{corner:g}" for corner in box),)
    question = (
        "".join(part.text for part in asked.messages[-1].parts if isinstance(part, Text)) if asked.messages else ""
    )
    name = f"{asked.sample}#{asked.turn}"
    facts = {"text": asked.text}
    return Item(
        *(0, question, pictures, references, name, asked.kind, asked.document),
        box=box,
        size=size,
        facts=facts,
        messages=asked.messages,
    )


def _size(samples: SampleReader, sample: Sample, number: int) -> tuple[int, int] | None:
    """Width and height of an image; None where it cannot be read, as will be told when it is shown."""
    try:
        return samples.image_size(sample, number)
    except (DataError, ImageError):
        return None


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """A box by its overlap, a text by its characters, any other answer right or wrong."""
    if item.kind == BOX:
        return UNREADABLE if item.size is None else verdicts.box(item, answer, how)
    if item.kind == TEXT:
        return verdicts.characters(item, answer, how)
    if item.kind == YES_NO and read_yes_no(answer) is None:
        return UNREADABLE
    return graded(float(same_answer(item.kind, answer, item.facts["text"], item.references)), answer)


TASKS = [
    Task(
        "samples",
        "Held-out samples",
        {"all": Shards(("*.jsonl", "*.json", "*.parquet"))},
        read,
        verdict,
        Errors(),
        max_new_tokens=512,
        licence="that of the samples",
        address="https://arxiv.org/abs/2402.05935",
        layout="docs/data.md of this package",
        note="all forms that `data validate` reads; an answer with `references` is right as any of them",
    )
]
