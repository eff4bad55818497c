"""Building blocks of the dialogue that public sets become, and the instructions that the benchmarks use as well."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.sources.base import UnusedError

SHORT = "Answer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."
FIND = "Please provide the bounding box coordinate of the region this sentence describes: {}."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Content = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""What is said: a text, a part, or a list of both. A text is taken as it is: `<image>` in it is no image."""


def dialogue(turns: Sequence[tuple[Content, Content]], images: int = 1, system: str = "") -> list[dict]:
    """Messages of questions and answers in turn; all `images` stand before the first question.

    Raises `UnusedError` where there is no turn, `DataError` where a question or an answer is empty.
    """
    if not turns:
        raise UnusedError("nothing to ask about")
    messages: list[dict] = [{"role": "system", "content": _parts(system)}] if system.strip() else []
    for number, (question, answer) in enumerate(turns):
        for content, reason in ((question, "empty question"), (answer, "empty answer")):
            if not any(part["type"] != "text" or part["text"].strip() for part in _parts(content)):
                raise DataError(reason)
        ahead = [{"type": "image"}] * images if number == 0 else []
        messages.append({"role": "user", "content": [*ahead, *_parts(question)]})
        messages.append({"role": "assistant", "content": _parts(answer)})
    return messages


def _parts(content: Content) -> list[dict]:
    """Parts, neighbouring texts joined."""
    parts: list[dict] = []
    for item in [content] if isinstance(content, str | Mapping) else content:
        part = {"type": "text", "text": item} if isinstance(item, str) else dict(item)
        if part["type"] == "text" and parts and parts[-1]["type"] == "text":
            parts[-1] = {"type": "text", "text": parts[-1]["text"] + part["text"]}
        elif part["type"] != "text" or part["text"]:
            parts.append(part)
    return parts


def box(xyxy: Sequence[float]) -> dict:
    """A box part, (x1, y1, x2, y2)."""
    return {"type": "box", "image": 0, "box": _rounded(xyxy)}


def boxes(places: Sequence[Sequence[float]]) -> dict:
    """Several boxes in one pair of brackets."""
    return {"type": "boxes", "image": 0, "boxes": [_rounded(place) for place in places]}


def point(xy: Sequence[float]) -> dict:
    """A point part, (x, y)."""
    return {"type": "point", "image": 0, "point": _rounded(xy)}


def points(places: Sequence[Sequence[float]]) -> dict:
    """Several points, or the corners of a polygon, in one pair of brackets."""
    return {"type": "points", "image": 0, "points": [_rounded(place) for place in places]}


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(float(number), 6) for number in numbers]


def short(question: str) -> str:
    """A question that wants a word or a phrase, as the benchmarks ask it."""
    return f"{question}\n{SHORT}"


def multiple_choice(question: str, options: Sequence[str], correct: int) -> tuple[str, str]:
    """A question with lettered options, and the letter of the right one (its place among them, from 0)."""
    if not 0 <= correct < len(options) <= len(LETTERS):
        raise DataError("the right option is not among the options")
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    return f"{question}\n{listed}\n{LETTER}", LETTERS[correct]


def pick(options: Sequence[str], key: str) -> str:
    """One of several wordings, always the same for the same key."""
    return options[int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % len(options)]


def rng_of(key: str) -> random.Random:
    """A source of chance that depends on `key` alone."""
    return random.Random(key)


def listing(items: Sequence[Content]) -> list[str | Mapping[str, Any]]:
    """The same of items that hold parts: one list to say."""
    said: list[str | Mapping[str, Any]] = []
    for number, item in enumerate(items):
        if number:
            said.append(" and " if number == len(items) - 1 else ", ")
        said += [item] if isinstance(item, str | Mapping) else item
    return said
