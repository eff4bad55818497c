"""Yes or no: MME's reading of the first four characters, and a plain one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = 4
_FIRST = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


def read_yes_no(answer: str) -> str | None:
    """`yes` or `no`, the word that an answer begins with; None where it begins with another."""
    found = _FIRST.match(answer)
    return found[1].lower() if found else None


def read_mme(answer: str) -> str | None:
    """As MME reads it: "yes", else "no", anywhere in the first four characters (so "None" is a no)."""
    head = answer.lower()[:HEAD]
    return next((word for word in ("yes", "no") if word in head), None)


@dataclass(frozen=True)
class Detection:
    """What POPE tells of answers to yes-or-no questions, "yes" being what is looked for."""

    accuracy: float
    precision: float
    recall: float
    f1: float
    yes_share: float


def detection(said: Sequence[str | None], true: Sequence[str]) -> Detection:
    """Accuracy, precision, recall, F1 and the share of yes among all answers; an unreadable answer is wrong."""
    hits = sum(a == b == "yes" for a, b in zip(said, true, strict=True))
    yes, wanted = said.count("yes"), list(true).count("yes")
    precision, recall = hits / yes if yes else 0.0, hits / wanted if wanted else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    right = sum(a == b for a, b in zip(said, true, strict=True))
    return Detection(right / len(true), precision, recall, f1, yes / len(true))
