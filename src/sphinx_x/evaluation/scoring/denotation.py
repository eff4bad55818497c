"""Whether two lists of values mean the same, as WikiTableQuestions compares answers (Pasupat and Liang 2015)."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NEAR = 1e-6
_QUOTES = str.maketrans({**dict.fromkeys("‘’´`", "'"), **dict.fromkeys("“”", '"'), **dict.fromkeys("‐‑‒–—−", "-")})
_CITATIONS = re.compile(r"(?:(?<!^)\[[^\]]*\]|\[\d+\]|[•♦†‡*#+])*$")
_DETAILS = re.compile(r"(?<!^)(?: \([^)]*\))*$")
_QUOTED = re.compile(r'^"([^"]*)"$')
_UNKNOWN = ("xx", "xxxx")
Meaning = float | tuple[int, int, int] | None
"""A number, a date (year, month, day; -1 where it is not told), or nothing but the text."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of an answer: its text as it is compared, and what it means."""

    text: str
    meaning: Meaning

    @property
    def key(self) -> object:
        """What equal values share: a list counts them once."""
        return self.text if self.meaning is None else self.meaning

    def matches(self, other: Value) -> bool:
        """Whether texts, numbers or dates are the same."""
        if self.text == other.text:
            return True
        if isinstance(self.meaning, float) and isinstance(other.meaning, float):
            return abs(self.meaning - other.meaning) < NEAR
        return isinstance(self.meaning, tuple) and self.meaning == other.meaning


def plain(text: str) -> str:
    """A text without accents, citations, details in parentheses, quotes around and a full stop at the end."""
    text = "".join(char for char in unicodedata.normalize("NFKD", text) if unicodedata.category(char) != "Mn")
    text = text.translate(_QUOTES)
    before = None
    while before != text:
        before = text
        text = _CITATIONS.sub("", text.strip())
        text = _DETAILS.sub("", text.strip())
        text = _QUOTED.sub(r"\1", text.strip())
    return " ".join(text.removesuffix(".").split()).lower()


def value_of(text: str, canonical: str = "") -> Value:
    """A value of its text. canonical: the form that the release gives for a number or a date."""
    return Value(plain(text), _meaning(canonical or text))


def _meaning(text: str) -> Meaning:
    try:
        number = float(text)
    except ValueError:
        return _date(text)
    return number if math.isfinite(number) else None


def _date(text: str) -> Meaning:
    """`2010-06-xx`; a year alone is a number."""
    parts = text.lower().split("-")
    if len(parts) != 3:
        return None
    try:
        year, month, day = (-1 if part in _UNKNOWN else int(part) for part in parts)
    except ValueError:
        return None
    if not ((month == -1 or 1 <= month <= 12) and (day == -1 or 1 <= day <= 31)) or year == month == day == -1:
        return None
    return float(year) if month == day == -1 else (year, month, day)


def same_values(said: Iterable[Value], true: Iterable[Value]) -> bool:
    """Whether two lists have as many different values, and every true one is among those said."""
    ours, theirs = ({value.key: value for value in values}.values() for values in (said, true))
    return len(ours) == len(theirs) and all(any(value.matches(other) for other in ours) for value in theirs)


def same_answer(answer: str, true: Sequence[str], canonical: Sequence[str] = (), single: bool = False) -> bool:
    """Whether an answer means the true values. One true value is the whole answer; several stand between `|` or `, `.

    canonical: the values' canonical forms; single: the answer is one value in any case.
    """
    values = [value_of(text, form) for text, form in zip(true, canonical or [""] * len(true), strict=True)]
    if same_values([value_of(answer)], values):
        return True
    if single or len(true) < 2:
        return False
    if "|" in answer:
        return same_values(map(value_of, answer.split("|")), values)
    # a true value may have a comma itself ("Boston, MA"): both sides are cut alike
    cut = [part for value, text in zip(values, true, strict=True) for part in _cut(value, text)]
    return same_values((part for text in [answer] for part in _cut(None, text)), cut)


def _cut(value: Value | None, text: str) -> list[Value]:
    parts = text.split(", ")
    return [value] if value is not None and len(parts) == 1 else [value_of(part) for part in parts]
