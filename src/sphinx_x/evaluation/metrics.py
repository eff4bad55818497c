"""How far an answer is from the truth, in characters, and how sure a rate is."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from sphinx_x.errors import DataError

BOOTSTRAP_DRAWS = 2000


def normalise_text(text: str) -> str:
    """Return the text in NFKC, with every run of white space as one space and none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def character_errors(prediction: str, reference: str) -> tuple[int, int]:
    """Return the edit distance of the two texts and the length of the reference, both normalised first."""
    reference = normalise_text(reference)
    return Levenshtein.distance(normalise_text(prediction), reference), len(reference)


def word_errors(prediction: str, reference: str) -> tuple[int, int]:
    """Return the same as `character_errors`, in words between blanks."""
    words = normalise_text(reference).split()
    return Levenshtein.distance(normalise_text(prediction).split(), words), len(words)


def character_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Return summed edit distance over summed reference length, both normalised; can be above 1."""
    if len(predictions) != len(references):
        raise DataError(f"{len(predictions)} predictions for {len(references)} references")
    pairs = [character_errors(one, other) for one, other in zip(predictions, references, strict=True)]
    length = sum(pair[1] for pair in pairs)
    if not length:
        raise DataError("the references hold no characters, so there is no error rate")
    return sum(pair[0] for pair in pairs) / length


def drawn_rates(table: np.ndarray) -> np.ndarray:
    """Return rates over fixed bootstrap draws of documents, the same draws for every column.

    Args:
        table: (documents, columns) of errors, with what they are out of in the last column.

    Returns:
        Rates (draws, columns - 1).
    """
    draws = np.random.default_rng(0).integers(len(table), size=(BOOTSTRAP_DRAWS, len(table)))
    sums = table[draws].sum(axis=1)
    return sums[:, :-1] / sums[:, -1:]


def interval(drawn: np.ndarray) -> tuple[float, float]:
    """Return the 2.5% and 97.5% quantiles of the draws."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
