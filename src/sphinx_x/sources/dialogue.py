"""Building blocks of the dialogue that public sets become, and instructions shared with the benchmarks."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sphinx_x.conversation import Image, Message, Part, Place, Text
from sphinx_x.errors import DataError
from sphinx_x.sources.base import UnusedError

SHORT = "Answer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."
FIND = "Please provide the bounding box coordinate of the region this sentence describes: {}."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Content = str | Part | Sequence[str | Part]
"""The content of a message: a text, a part, or a list of both. Text is literal: `<image>` in it is not an image."""


@dataclass(frozen=True)
class Answer:
    """An answer, and all that the release takes for true: votes, spellings."""

    said: str
    references: tuple[str, ...]


def answer_of(said: str, references: Iterable[str]) -> str | Answer:
    """Return an answer, with all that is true where the release has more than the one, without white space around."""
    found = tuple(text for reference in references if (text := reference.strip()))
    return said if found in ((), (said.strip(),)) else Answer(said, found)


def dialogue(turns: Sequence[tuple[Content, Content | Answer]], images: int = 1, system: str = "") -> list[Message]:
    """Return messages of alternating questions and answers, with all `images` before the first question.

    Raises:
        UnusedError: There is no turn.
        DataError: A question or an answer is empty.
    """
    if not turns:
        raise UnusedError("nothing to ask about")
    messages = [Message("system", _parts(system))] if system.strip() else []
    for number, (question, answer) in enumerate(turns):
        asked = Message("user", (*[Image()] * (images if number == 0 else 0), *_parts(question)))
        content, references = (answer.said, answer.references) if isinstance(answer, Answer) else (answer, ())
        said = Message("assistant", _parts(content), references=references)
        for parts, reason in ((_parts(question), "empty question"), (said.parts, "empty answer")):
            if not any(not isinstance(part, Text) or part.text.strip() for part in parts):
                raise DataError(reason)
        messages += [asked, said]
    return messages


def items_of(content: Content) -> list[str | Part]:
    """Return the content as a list."""
    return list(content) if isinstance(content, list | tuple) else [content]  # pyright: ignore[reportReturnType]


def _parts(content: Content) -> tuple[Part, ...]:
    """Return the parts, with adjacent texts joined."""
    parts: list[Part] = []
    for item in items_of(content):
        part = Text(item) if isinstance(item, str) else item
        if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
            parts[-1] = Text(parts[-1].text + part.text)
        elif not isinstance(part, Text) or part.text:
            parts.append(part)
    return tuple(parts)


def box(xyxy: Sequence[float]) -> Place:
    """Return a box part (x1, y1, x2, y2)."""
    return Place(0, (_rounded(xyxy),))


def boxes(places: Sequence[Sequence[float]]) -> Place:
    """Return several boxes in one pair of brackets."""
    return Place(0, tuple(_rounded(place) for place in places), several=True)


def point(xy: Sequence[float]) -> Place:
    """Return a point part (x, y)."""
    return Place(0, (_rounded(xy),))


def points(places: Sequence[Sequence[float]]) -> Place:
    """Return several points, or the corners of a polygon, in one pair of brackets."""
    return Place(0, tuple(_rounded(place) for place in places), several=True)


def _rounded(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(number), 6) for number in numbers)


def short(question: str) -> str:
    """Return a question that asks for a word or a phrase, in the benchmarks' wording."""
    return f"{question}\n{SHORT}"


def multiple_choice(question: str, options: Sequence[str], correct: int) -> tuple[str, str]:
    """Return a question with lettered options, and the letter of the right one (`correct` counts from 0)."""
    if not 0 <= correct < len(options) <= len(LETTERS):
        raise DataError("the right option is not among the options")
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    return f"{question}\n{listed}\n{LETTER}", LETTERS[correct]


def pick(options: Sequence[str], key: str) -> str:
    """Return one of several wordings, always the same for the same key."""
    return options[int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % len(options)]


def rng_of(key: str) -> random.Random:
    """Return a random generator that depends on `key` alone."""
    return random.Random(key)


def listing(items: Sequence[Content]) -> list[str | Part]:
    """Join items that hold parts into one list of content: `a, b and c`."""
    said: list[str | Part] = []
    for number, item in enumerate(items):
        if number:
            said.append(" and " if number == len(items) - 1 else ", ")
        said += items_of(item)
    return said
