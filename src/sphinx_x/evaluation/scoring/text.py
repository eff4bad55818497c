"""Answers that are short texts or numbers: equality, ANLS, relaxed accuracy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from rapidfuzz.distance import Levenshtein

from sphinx_x.evaluation.scoring import vqa

TOLERANCE = 0.05
HALF = 0.5


def same_text(prediction: str, answers: Sequence[str]) -> float:
    """1 where the prediction is one of the answers, but for case, blanks around and one full stop at the end."""
    return float(_plain(prediction) in map(_plain, answers))


def _plain(text: str) -> str:
    return text.strip().casefold().removesuffix(".")


def letters_and_digits(text: str) -> str:
    """The letters and digits of a text, without regard to case, width or form."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def same_letters_and_digits(prediction: str, answers: Sequence[str]) -> float:
    """1 where the prediction has the letters and digits of one of the answers in their order, whatever else is there.

    An answer without any ("***") has to be the prediction itself.
    """
    said = letters_and_digits(prediction)
    plain = map(letters_and_digits, answers)
    return float(said in plain) if said else same_text(prediction, answers)


def anls(prediction: str, answers: Sequence[str], rule: Literal["official", "script"] = "official") -> float:
    """Return the average normalised Levenshtein similarity of one answer (Biten et al. 2019).

    It is 1 - distance / length of the longer text for the closest true answer if the distance is less than half of that
    length, otherwise 0. Case and runs of blanks do not count.

    Args:
        prediction: The answer.
        answers: The true answers.
        rule: `script` divides by the lengths before blanks are folded and keeps a similarity of exactly one half, as
            the released program does.
    """
    return max((_similarity(prediction, answer, rule) for answer in answers), default=0.0)


def _similarity(prediction: str, answer: str, rule: str) -> float:
    first, second = (" ".join(text.lower().split()) for text in (prediction, answer))
    raw = rule == "script"
    longer = max(len(prediction), len(answer)) if raw else max(len(first), len(second))
    share = Levenshtein.distance(first, second) / longer if longer else 0.0
    return 1 - share if share < HALF or (raw and share == HALF) else 0.0


def relaxed_accuracy(
    prediction: str, answers: Sequence[str], rule: Literal["official", "script"] = "official"
) -> float:
    """Return 1 for a number within 5 % of a true one, or a text that is the same but for case (Masry et al. 2022).

    "12%" is 0.12 on both sides.

    Args:
        prediction: The answer.
        answers: The true answers.
        rule: `script` treats a true 0 as text, as the released program does.
    """
    return float(any(_relaxed(prediction.strip(), answer, rule) for answer in answers))


def _relaxed(prediction: str, answer: str, rule: str) -> bool:
    said, true = _number(prediction), _number(answer)
    if said is not None and true is not None and not (rule == "script" and true == 0):
        return abs(said - true) <= TOLERANCE * abs(true)
    return prediction.lower() == answer.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def holds_word(prediction: str, answers: Sequence[str]) -> float:
    """1 where one of the answers stands in the prediction as whole words, both normalised as for VQA.

    An answer of which the normalisation leaves nothing ("a") has to be the whole prediction.
    """
    said = vqa.normalise(prediction)
    return float(any(_holds(said, vqa.normalise(answer)) for answer in answers))


def _holds(said: str, true: str) -> bool:
    return re.search(rf"\b{re.escape(true)}\b", said) is not None if true else not said
