"""Measures that count over all items: right answers, values of keys, errors of texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sphinx_x.evaluation.measures import Judged, ratio

Errors = Callable[[str, str], tuple[int, int]]
"""Errors of an answer, and the length of the true text."""


@dataclass(frozen=True)
class Count:
    """How many answers are right: of all items, and of groups (names and the kinds that they sum up).

    In a draw, which may have more items or fewer, it is the share of them times the true number.
    """

    groups: Mapping[str, Sequence[str]]
    headline: str = "right answers"
    scale: float = 1000.0

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """Of all and of each group: the score, one, and the number of items, where the item is one of them."""
        inside = np.ones((len(rows), 1 + len(self.groups)))
        for number, (item, _) in enumerate(rows):
            inside[number, 1:] = [item.kind in kinds for kinds in self.groups.values()]
        scores = np.array([verdict.score for _, verdict in rows])[:, None]
        return np.concatenate([scores * inside, inside, inside * inside.sum(axis=0)], axis=1)

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """All, then each group."""
        right, drawn, there = np.split(sums, 3, axis=-1)
        found = np.divide(right * there, drawn**2, out=np.zeros_like(right), where=drawn > 0)
        return {name: found[..., k] for k, name in enumerate((self.headline, *self.groups))}


@dataclass(frozen=True)
class ValueF1:
    """F1 over the values of keys, all documents together (DUE).

    nothing: what an answer says that names no value; items have the number of their true values in `facts["values"]`.
    """

    nothing: str = "None"
    headline: str = "F1"
    scale: float = 1.0

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """Values that are said and true, said, and true; an answer that cannot be read is a wrong value."""
        found = np.zeros((len(rows), 3))
        for number, (item, verdict) in enumerate(rows):
            said = verdict.said != self.nothing
            found[number] = verdict.score if said else 0.0, said, item.facts["values"]
        return found

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """F1, precision, recall."""
        both, said, true = np.moveaxis(sums, -1, 0)
        found = {"precision": ratio(both, said), "recall": ratio(both, true)}
        return {self.headline: ratio(2 * both, said + true), **found}


@dataclass(frozen=True)
class ErrorRate:
    """Errors over the length of what is true, all items together; 0 is perfect, and more than 1 is possible.

    errors: of an answer and a true text, and the length of the latter; of several true texts the one counts of which
    the answer has the smallest share wrong.
    """

    errors: Errors
    headline: str = "character error rate"
    scale: float = 1.0

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """Errors, and lengths."""
        found = [closest(self.errors, verdict.said or "", item.references) for item, verdict in rows]
        return np.array(found, np.float64).reshape(-1, 2)

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Their ratio."""
        return {self.headline: self.scale * ratio(sums[..., 0], sums[..., 1])}


def closest(errors: Errors, answer: str, references: Sequence[str]) -> tuple[int, int]:
    """Errors and length of the true text of which an answer has the smallest share wrong."""
    found = [errors(answer, reference) for reference in references]
    return min(found, key=lambda pair: pair[0] / max(pair[1], 1), default=(len(answer), 0))
