"""How far an answer is from the truth: characters of a text, overlap of two boxes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein

from sphinx_x.errors import DataError

BOOTSTRAP_DRAWS = 2000


def normalise_text(text: str) -> str:
    """NFKC, with every run of white space as one space and none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def character_errors(prediction: str, reference: str) -> tuple[int, int]:
    """The edit distance of the two texts and the length of the reference, both normalised first."""
    reference = normalise_text(reference)
    return Levenshtein.distance(normalise_text(prediction), reference), len(reference)


def word_errors(prediction: str, reference: str) -> tuple[int, int]:
    """As `character_errors`, in words between blanks."""
    words = normalise_text(reference).split()
    return Levenshtein.distance(normalise_text(prediction).split(), words), len(words)


def character_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Summed edit distance over summed reference length, after normalising both sides; can be above 1."""
    if len(predictions) != len(references):
        raise DataError(f"{len(predictions)} predictions for {len(references)} references")
    pairs = [character_errors(one, other) for one, other in zip(predictions, references, strict=True)]
    length = sum(pair[1] for pair in pairs)
    if not length:
        raise DataError("the references hold no characters, so there is no error rate")
    return sum(pair[0] for pair in pairs) / length


def iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2); 0 for boxes without area."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0.0) * max(height, 0.0)
    union = _area(first) + _area(second) - common
    return common / union if union > 0 else 0.0


def _area(box: Sequence[float]) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def drawn_rates(table: np.ndarray) -> np.ndarray:
    """(draws, columns - 1) rates over fixed draws of documents with replacement, the same draws for every column.

    table: (documents, columns) of errors, in the last column what they are out of.
    """
    draws = np.random.default_rng(0).integers(len(table), size=(BOOTSTRAP_DRAWS, len(table)))
    sums = table[draws].sum(axis=1)
    return sums[:, :-1] / sums[:, -1:]


def interval(drawn: np.ndarray) -> tuple[float, float]:
    """The 2.5% and 97.5% quantiles of what was drawn."""
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
