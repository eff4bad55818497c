"""From verdicts to scores: each is a function of sums over clusters, so that draws of clusters give its interval."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.metrics import BOOTSTRAP_DRAWS, interval

SEED = 0
Judged = tuple[Item, Verdict]


class Measure(Protocol):
    """A way to sum up verdicts.

    `columns` gives every item's contribution to a few sums; `scores` makes the scores of such sums. The first score is
    the headline. Items that are scored together (the two questions of an MME image, the rotations of an MMBench
    question) have to be in one cluster.
    """

    @property
    def headline(self) -> str:
        """The name of the score that comes first."""
        ...

    @property
    def scale(self) -> float:
        """What a perfect headline is: 1 for shares, 100 for per cent, 2800 for MME."""
        ...

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """(items, columns)."""
        ...

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """(..., columns) -> (...) by the name of each score, the headline first."""
        ...


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Above / below, and 0 where below is 0."""
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=np.asarray(below) != 0)


def mean_of(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Above / below, and NaN where below is 0: a group of which nothing was drawn has no score, which is not 0."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) != 0)


def sum_of(means: np.ndarray) -> np.ndarray:
    """(..., groups) -> (...): the sum over groups that occur at all, NaN for a draw in which one of them is missing.

    NaN if none occurs.
    """
    occurs = ~np.all(np.isnan(means), axis=tuple(range(means.ndim - 1)))
    return means[..., occurs].sum(axis=-1) if occurs.any() else np.full(means.shape[:-1], np.nan)


@dataclass(frozen=True)
class Mean:
    """The mean score of the items.

    headline: what it is called; scale: what is shown for 1; digits: decimals to which the benchmark rounds it.
    """

    headline: str = "accuracy"
    scale: float = 1.0
    digits: int | None = None

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """Scores, and ones."""
        return np.array([(verdict.score, 1.0) for _, verdict in rows]).reshape(-1, 2)

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Their mean."""
        mean = self.scale * ratio(sums[..., 0], sums[..., 1])
        return {self.headline: mean if self.digits is None else np.round(mean, self.digits)}


@dataclass(frozen=True)
class YesNo:
    """Accuracy, precision, recall, F1 and the share of `yes` among the answers (POPE).

    An answer that cannot be read is wrong and is not a `yes`.

    Attributes:
        headline: Which of the scores comes first.
    """

    headline: str = "accuracy"
    scale: float = 1.0

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """Right, said yes, truly yes, both, and ones."""
        found = []
        for item, verdict in rows:
            said, true = verdict.said == "yes", item.references[0].strip().lower() == "yes"
            found.append((verdict.score, said, true, said and true, 1))
        return np.array(found, np.float64).reshape(-1, 5)

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """All five."""
        right, said, true, both, count = np.moveaxis(sums, -1, 0)
        precision, recall = ratio(both, said), ratio(both, true)
        found = {
            "accuracy": ratio(right, count),
            "precision": precision,
            "recall": recall,
            "f1": ratio(2 * precision * recall, precision + recall),
            "yes share": ratio(said, count),
        }
        return {self.headline: found[self.headline], **found}


@dataclass(frozen=True)
class Together:
    """Shares of groups of items all of which are right (rotations of a question, pairs), one for each way to group.

    groups: what the items of one group have in common, None for an item that is in none, by the name of the score; the
    headline first. `each` makes a group of every item: the plain accuracy.
    """

    groups: Mapping[str, Callable[[Item], str | None]]
    scale: float = 1.0

    @property
    def headline(self) -> str:
        """The first way to group."""
        return next(iter(self.groups))

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """For each way groups that are all right, and groups: both told at the last item of each."""
        found = np.zeros((len(rows), 2 * len(self.groups)))
        for place, group in enumerate(self.groups.values()):
            last: dict[str, int] = {}
            wrong: set[str] = set()
            for number, (item, verdict) in enumerate(rows):
                key = group(item)
                if key is not None:
                    last[key] = number
                    wrong |= {key} if verdict.score < 1 else set()
            for key, number in last.items():
                found[number, 2 * place : 2 * place + 2] = key not in wrong, 1
        return found

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """A share for each way that some item is grouped in, and the first."""
        pairs = sums.reshape(*sums.shape[:-1], len(self.groups), 2)
        shares = self.scale * mean_of(pairs[..., 0], pairs[..., 1])
        return {name: shares[..., n] for n, name in enumerate(self.groups) if n == 0 or np.any(pairs[..., n, 1] != 0)}


def each(item: Item) -> str:
    """Every item by itself."""
    return str(item.index)


@dataclass(frozen=True)
class ByKind:
    """The means over the items of every kind, and what they come to.

    kinds: their names, in order; headline: what the whole is called; scale: what is shown for 1; whole: `macro` for the
    mean over the kinds that occur, `items` for that over all items, `sum` for the sum over the kinds.
    """

    kinds: tuple[str, ...]
    headline: str = "mean of kinds"
    scale: float = 1.0
    whole: Literal["macro", "items", "sum"] = "macro"

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """For every kind scores, and ones."""
        found = np.zeros((len(rows), len(self.kinds), 2))
        for number, (item, verdict) in enumerate(rows):
            found[number, self.kinds.index(item.kind)] = verdict.score, 1
        return found.reshape(len(rows), 2 * len(self.kinds))

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """The whole, then each kind that occurs."""
        table = sums.reshape(*sums.shape[:-1], len(self.kinds), 2)
        means = self.scale * mean_of(table[..., 0], table[..., 1])
        if self.whole == "items":
            whole = self.scale * ratio(table[..., 0].sum(axis=-1), table[..., 1].sum(axis=-1))
        elif self.whole == "macro":
            whole = ratio(np.nansum(means, axis=-1), (table[..., 1] > 0).sum(axis=-1))
        else:
            whole = sum_of(means)
        there = {kind: means[..., n] for n, kind in enumerate(self.kinds) if np.any(table[..., n, 1] != 0)}
        return {self.headline: whole, **there}


def _whole(item: Item, verdict: Verdict) -> tuple[float, float]:
    return verdict.score, 1.0


@dataclass(frozen=True)
class Grouped:
    """The mean over all items, then that of every group; an item may be in several groups.

    groups: their names, in order; those without an item are left out; of: the groups of an item; parts: what an item
    adds above and below the line (its score and 1 by default).
    """

    groups: tuple[str, ...]
    of: Callable[[Item], Collection[str]]
    headline: str = "accuracy"
    scale: float = 1.0
    parts: Callable[[Item, Verdict], tuple[float, float]] = _whole

    def columns(self, rows: Sequence[Judged]) -> np.ndarray:
        """Above and below the line: of all, then of every group."""
        found = np.zeros((len(rows), 1 + len(self.groups), 2))
        for number, (item, verdict) in enumerate(rows):
            places = [0, *(1 + self.groups.index(group) for group in self.of(item))]
            found[number, places] = self.parts(item, verdict)
        return found.reshape(len(rows), -1)

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """All, then each group that occurs."""
        table = sums.reshape(*sums.shape[:-1], 1 + len(self.groups), 2)
        means = self.scale * mean_of(table[..., 0], table[..., 1])
        names = (self.headline, *self.groups)
        return {name: means[..., n] for n, name in enumerate(names) if n == 0 or np.any(table[..., n, 1] != 0)}


@dataclass(frozen=True, slots=True)
class Figure:
    """A score with its 95 % interval over draws of clusters.

    A score of a group is drawn from the draws that have something of the group. All three are NaN where there is no
    score: nothing was judged, or no item is of the group. Its ends alone are NaN where no draw has a score: that of a
    sum over groups with a single cluster each.
    """

    value: float
    low: float
    high: float


def cluster_sums(measure: Measure, rows: Sequence[Judged]) -> np.ndarray:
    """(clusters, columns) in the order in which the clusters first occur."""
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(item.cluster or f"#{item.index}", len(numbers)) for item, _ in rows]
    columns = measure.columns(rows)
    sums = np.zeros((len(numbers), columns.shape[1]))
    np.add.at(sums, places, columns)
    return sums


def figures(measure: Measure, rows: Sequence[Judged]) -> dict[str, Figure]:
    """Every score of some verdicts with its interval, the headline first."""
    sums = cluster_sums(measure, rows)
    values = measure.scores(sums.sum(axis=0))
    drawn = measure.scores(drawn_sums(sums))
    return {name: _figure(value, drawn[name]) for name, value in values.items()}


def _figure(value: np.ndarray, drawn: np.ndarray) -> Figure:
    if np.isnan(value):
        return Figure(np.nan, np.nan, np.nan)
    drawn = drawn[~np.isnan(drawn)]
    return Figure(float(value), *(interval(drawn) if len(drawn) else (np.nan, np.nan)))


def drawn_sums(sums: np.ndarray, draws: int = BOOTSTRAP_DRAWS) -> np.ndarray:
    """(clusters, columns) -> (draws, columns): sums over as many clusters, drawn with replacement, always the same."""
    generator = np.random.default_rng(SEED)
    found = np.empty((draws, sums.shape[1]))
    for number in range(draws):
        found[number] = np.bincount(generator.integers(len(sums), size=len(sums)), minlength=len(sums)) @ sums
    return found


def difference(measure: Measure, first: Sequence[Judged], second: Sequence[Judged]) -> dict[str, Figure]:
    """Scores of the second less those of the first, on the same items, over the same draws of clusters."""
    sums = np.concatenate([cluster_sums(measure, first), cluster_sums(measure, second)], axis=1)
    width = sums.shape[1] // 2

    def both(table: np.ndarray) -> Mapping[str, np.ndarray]:
        before, after = measure.scores(table[..., :width]), measure.scores(table[..., width:])
        return {name: after[name] - before[name] for name in before}

    values, drawn = both(sums.sum(axis=0)), both(drawn_sums(sums))
    return {name: _figure(value, drawn[name]) for name, value in values.items()}


def calibration_error(probabilities: Sequence[float], right: Sequence[float], bins: int = 10) -> float:
    """Return the expected calibration error (Guo et al. 2017).

    It is the mean distance between how sure answers are and how often they are right, over equally wide bins of the
    probability.
    """
    sure, true = np.asarray(probabilities, float), np.asarray(right, float)
    places = np.minimum((sure * bins).astype(int), bins - 1)
    total = 0.0
    for number in range(bins):
        here = places == number
        if here.any():
            total += abs(sure[here].mean() - true[here].mean()) * here.sum()
    return float(total / len(sure))
