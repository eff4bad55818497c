"""How well a model answers held-out samples: every answer of every dialogue, asked after the true ones before it.

Answers are of several kinds: text (character error rate), a box (right if its overlap with the true one is at least
half), a mark (`<Mark 2>.`), yes or no, one of several that are true (`references`). Two models are compared on the same
answers, with intervals from draws of whole documents, since the answers about one document are alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sphinx_x.boxes import iou
from sphinx_x.conversation import Image, Message, Place, Text, parse_boxes
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.som.words import READY
from sphinx_x.errors import DataError
from sphinx_x.evaluation.metrics import character_errors, drawn_rates, interval, normalise_text
from sphinx_x.evaluation.scoring.text import same_text
from sphinx_x.evaluation.scoring.yes_no import read_yes_no
from sphinx_x.inference import Prompt, SphinxX

OVERLAP = 0.5
MARK = re.compile(r"<Mark \w+>\.")
KINDS = (TEXT, BOX, MARKED, YES_NO, SEVERAL) = ("text", "box", "mark", "yes or no", "one of several")
CHUNK = 512
"""Number of answers that are asked for at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer that is measured.

    Attributes:
        sample: Name of its sample.
        document: The document that it is about.
        turn: Its number in the dialogue, from 0.
        kind: What kind of answer it is.
        messages: All messages before it.
        text: The true answer.
        box: Or the true box, in pixels of one of the images.
        references: All true answers, where there are several.
    """

    sample: str
    document: str
    turn: int
    kind: str
    messages: tuple[Message, ...]
    text: str = ""
    box: Place | None = None
    references: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        """What the same answer of two models has in common."""
        return self.sample, self.turn


@dataclass(frozen=True, slots=True)
class Score:
    """A model's answer.

    Attributes:
        asked: What was asked.
        answer: The answer.
        errors: Its errors.
        length: Out of how many: the characters of a text, otherwise 1.
    """

    asked: Asked
    answer: str
    errors: int
    length: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Errors of all answers of a kind as a fraction, with its 95 % interval."""

    answers: int
    documents: int
    rate: float
    low: float
    high: float


def score_samples(
    sphinx: SphinxX,
    paths: Sequence[str | Path],
    longest: int = 512,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Score]:
    """Ask a model everything that the samples of these shards ask.

    Args:
        sphinx: The model.
        paths: The samples.
        longest: Longest answer in tokens.
        progress: Called with the number of samples done, and of all samples.

    Raises:
        DataError: There is nothing to ask.
    """
    reader = SampleReader(paths)
    scores: list[Score] = []
    waiting: list[tuple[Asked, Prompt]] = []
    for index in range(len(reader)):
        sample = reader[index]
        # still encoded: hundreds of answers wait, and images are opened when their batch is asked
        images = [reader.image_bytes(sample, k) for k in range(len(sample.images))]
        for asked in questions(sample):
            shown = sum(isinstance(part, Image) for message in asked.messages for part in message.parts)
            waiting.append((asked, sphinx.prompt(asked.messages, images[:shown])))
        if len(waiting) >= CHUNK or index == len(reader) - 1:
            answers = sphinx.answers([prompt for _, prompt in waiting], max_new_tokens=longest)
            scores += [judge(asked, prompt, answer) for (asked, prompt), answer in zip(waiting, answers, strict=True)]
            waiting = []
            progress(index + 1, len(reader))
    if not scores:
        raise DataError(f"{paths[0]}: no answer that can be measured")
    return scores


def document_of(sample: Sample) -> str:
    """Return what a sample's answers share with those of others: its page's document, or an image by itself."""
    document, page, _ = sample.source.partition("#")
    return document if page else sample.id


def questions(sample: Sample) -> Iterator[Asked]:
    """Yield the answers of a dialogue that can be measured."""
    messages = sample.messages
    document = document_of(sample)
    answers = [number for number, message in enumerate(messages) if message.role == "assistant" and message.trained]
    for turn, number in enumerate(answers):
        before, parts = tuple(messages[:number]), messages[number].parts
        match parts:
            case [Text(text)] if text not in READY:
                true = messages[number].references
                yield Asked(sample.id, document, turn, SEVERAL if true else _kind(text), before, text, references=true)
            case [Place(_, [box])] if len(box) == 4:
                yield Asked(sample.id, document, turn, BOX, before, box=parts[0])


def _kind(text: str) -> str:
    if MARK.fullmatch(text):
        return MARKED
    return YES_NO if re.fullmatch(r"(?:Yes|No)(?:\.|,.*)?", text) else TEXT


def judge(asked: Asked, prompt: Prompt, answer: str) -> Score:
    """Compare an answer with the true one: a text by characters, a mark exactly, yes or no by the first word.

    Where several answers are true, it is right as one of them, but for case, white space around and a final full stop.
    """
    if asked.box is not None:
        found = parse_boxes(answer)
        layout = prompt.layouts[asked.box.image]
        good = bool(found) and iou(layout.from_square(found[0]), asked.box.places[0]) >= OVERLAP
        return Score(asked, answer, int(not good), 1)
    if asked.kind == TEXT:
        return Score(asked, answer, *character_errors(answer, asked.text))
    return Score(asked, answer, int(not same_answer(asked.kind, answer, asked.text, asked.references)), 1)


def same_answer(kind: str, answer: str, text: str, references: Sequence[str] = ()) -> bool:
    """Return whether an answer that is no free text is the true one."""
    if kind == SEVERAL:
        return bool(same_text(answer, references))
    if kind == YES_NO:
        return read_yes_no(answer) == read_yes_no(text)
    return normalise_text(answer) == normalise_text(text)


def rates(scores: Sequence[Score]) -> dict[str, Rate]:
    """Return the rate of every kind of answer, by its name."""
    out = {}
    for kind, table in _tables([scores]).items():
        low, high = interval(drawn_rates(table)[:, 0])
        total = table.sum(axis=0)
        count = sum(score.asked.kind == kind for score in scores)
        out[kind] = Rate(count, len(table), float(total[0] / total[-1]), low, high)
    return out


def differences(first: Sequence[Score], second: Sequence[Score]) -> dict[str, tuple[float, float, float]]:
    """Return the second model's rate minus the first's by kind, with its 95 % interval, on the same document draws.

    Raises:
        DataError: The two did not answer the same questions.
    """
    if [score.asked.key for score in first] != [score.asked.key for score in second]:
        raise DataError("the two models were not asked the same")
    out = {}
    for kind, table in _tables([first, second]).items():
        drawn = drawn_rates(table)
        low, high = interval(drawn[:, 1] - drawn[:, 0])
        total = table.sum(axis=0)
        out[kind] = float((total[1] - total[0]) / total[-1]), low, high
    return out


def _tables(models: Sequence[Sequence[Score]]) -> Mapping[str, np.ndarray]:
    """Return by kind (documents, models + 1): errors of every model, and what they are out of."""
    counts: dict[str, dict[str, np.ndarray]] = {}
    for scores in zip(*models, strict=True):
        asked = scores[0].asked
        row = np.array([*(score.errors for score in scores), scores[0].length], np.int64)
        table = counts.setdefault(asked.kind, {})
        table[asked.document] = table.get(asked.document, 0) + row
    return {kind: np.stack(list(table.values())) for kind, table in sorted(counts.items())}
