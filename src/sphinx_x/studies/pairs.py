"""What a comparison says: differences between arms on the same items and seeds, with paired intervals.

Answers about one document are alike, so documents are drawn and not answers; and three seeds are few, so what differs
between them is told by a t interval, as draws of three would give a much too narrow one.

Shapes: R repeats (seeds), I items, G documents.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sphinx_x.errors import DataError, needs_extra
from sphinx_x.studies.declaration import Arm, Change, Comparison, Study
from sphinx_x.studies.plan import Cell, Plan
from sphinx_x.studies.results import Line

DRAWS = 2000
METRICS = ("loss", "error")
SEEDS = 3
"""Seeds of the smallest size without which no effect counts."""


@dataclass(frozen=True)
class Effect:
    """How an arm differs from the reference of its comparison.

    Attributes:
        metric: `loss` or `error`.
        repeats: Number of seeds.
        reference: The reference's value, as the mean over seeds.
        difference: The arm's value minus the reference's.
        low: Lower end of the 95 % interval of the difference, as `high` is the upper one.
        samples: Numbers of samples of the reference and of the arm.
        flops: Their operations.
    """

    comparison: str
    arm: str
    size: str
    match: str
    skill: str
    metric: str
    repeats: int
    reference: float
    difference: float
    low: float
    high: float
    samples: tuple[int, int]
    flops: tuple[float, float]

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired(
    first: np.ndarray,
    second: np.ndarray,
    lengths: np.ndarray,
    documents: Sequence[int] | None = None,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the difference second - first of means weighted by length, with its 95 % interval.

    The interval is a t interval. Its variance is that between documents (by draws of whole ones) and, if there are
    several seeds, that between their differences; its degrees of freedom are Satterthwaite's. Of one seed it says
    nothing about others.

    Args:
        first: Values (R, I).
        second: Values (R, I) of the same seeds and items.
        lengths: Weights (I,) of the items.
        documents: The number (I,) of each item's document; each is its own by default.
        seed: Seed of the draws.
    """
    with needs_extra("study", "intervals"):
        from scipy.stats import t  # pyright: ignore[reportMissingImports]

    weighted = (second - first) * lengths
    difference = float(weighted.mean(axis=0).sum() / lengths.sum())
    _, of = np.unique(np.arange(len(lengths)) if documents is None else documents, return_inverse=True)
    sums, weights = np.bincount(of, weighted.mean(axis=0)), np.bincount(of, lengths)  # (G,)
    if len(sums) < 2:  # of one document nothing is known about others
        return difference, -math.inf, math.inf
    chosen = np.random.default_rng(seed).integers(len(sums), size=(DRAWS, len(sums)))
    drawn = sums[chosen].sum(axis=1) / weights[chosen].sum(axis=1)
    parts = [(float(drawn.var()), len(sums) - 1)]
    if len(weighted) > 1:
        means = weighted.sum(axis=1) / lengths.sum()  # (R,)
        parts.append((float(means.var(ddof=1)) / len(means), len(means) - 1))
    variance = sum(part for part, _ in parts)
    if not variance:
        return difference, difference, difference
    if any(not freedom for part, freedom in parts if part):
        return difference, -math.inf, math.inf
    freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts if part)
    wide = float(t.ppf(0.975, freedom)) * math.sqrt(variance)
    return difference, difference - wide, difference + wide


def effects_of(plan: Plan, lines: Sequence[Line]) -> list[Effect]:
    """Return the effects of all arms whose results, and whose reference's, are there.

    Raises:
        DataError: Arms that should see the same samples in the same order have not.
    """
    by_run = {line["run"]: line for line in lines}
    cells = {(c.comparison, c.size, c.match, c.arm, c.seed): c for c in plan.cells}
    groups = dict.fromkeys((c.comparison, c.size, c.match, c.arm) for c in plan.cells)
    found: list[Effect] = []
    for comparison, size, match, arm in groups:
        reference = plan.study.comparisons[comparison].reference
        if arm == reference:
            continue
        pairs = []
        for seed in plan.study.repeats[size]:
            one, other = (cells[comparison, size, match, name, seed] for name in (reference, arm))
            if one.run in by_run and other.run in by_run:
                pairs.append((by_run[one.run], by_run[other.run]))
        for one, other in pairs:
            _check_recipes(plan.study.comparisons[comparison], arm, match, one, other)
        if pairs:
            if match == "samples" and plan.study.comparisons[comparison].same_order:
                _check_order(cells[comparison, size, match, arm, plan.study.repeats[size][0]], pairs)
            found += _effects(plan.study, comparison, arm, size, match, pairs)
    return found


def _check_recipes(comparison: Comparison, arm: str, match: str, first: Line, second: Line) -> None:
    """Refuse a pair that differs in more than its arms, as after a change of the declaration."""
    changes = [change for one in (comparison.reference, arm) for change in _changes(comparison.arms[one])]
    apart = {"total_samples", "warmup", *(name for change in changes for name in change)}
    recipes = [line["recipe"][-1] for line in (first, second)]
    names = {name for recipe in recipes for name in recipe} - apart
    other = sorted(name for name in names if recipes[0].get(name) != recipes[1].get(name))
    if match == "samples" and first["samples"] != second["samples"]:
        other.append("samples")
    if other:
        raise DataError(f"{second['point']}: differs from {first['point']} in {', '.join(other)}, not only in {arm}")


def _changes(arm: Arm) -> Iterator[Change]:
    yield arm.change
    for stage in arm.stages:
        yield stage.change


def _check_order(cell: Cell, pairs: Sequence[tuple[Line, Line]]) -> None:
    for first, second in pairs:
        if first["order"] != second["order"]:
            raise DataError(
                f"{second['point']}: did not see the samples of {first['point']} in their order ({cell.arm})"
            )


def _effects(
    study: Study, comparison: str, arm: str, size: str, match: str, pairs: Sequence[tuple[Line, Line]]
) -> Iterator[Effect]:
    for skill in study.comparisons[comparison].skills or study.held_out.skills:
        for metric in METRICS:
            tables = [[line[metric][skill] for line in pair] for pair in pairs]
            lengths = np.array(tables[0][0]["lengths"], float)
            values = np.array([[side["items"] for side in pair] for pair in tables], float)  # (R, 2, I)
            if metric == "error":  # errors of an item, out of its length
                values = values / lengths
            documents = pairs[0][0]["documents"][skill][: len(lengths)]
            difference, low, high = paired(values[:, 0], values[:, 1], lengths, documents)
            reference = float((values[:, 0].mean(axis=0) * lengths).sum() / lengths.sum())
            flops = [float(np.mean([line["flops"] for line in side])) for side in zip(*pairs, strict=True)]
            yield Effect(
                comparison,
                arm,
                size,
                match,
                skill,
                metric,
                len(pairs),
                reference,
                difference,
                low,
                high,
                (pairs[0][0]["samples"], pairs[0][1]["samples"]),
                (flops[0], flops[1]),
            )


def counts(effect: Effect, effects: Sequence[Effect], sizes: Sequence[str]) -> str:
    """Return what an effect at the smallest size is worth: `yes`, `no`, or `?` while seeds or the next size lack.

    It counts if its interval over `SEEDS` seeds leaves out zero and it has the same sign at every further size.
    """
    same = [
        other
        for other in effects
        if (other.comparison, other.arm, other.match, other.skill, other.metric)
        == (effect.comparison, effect.arm, effect.match, effect.skill, effect.metric)
    ]
    smallest = min(same, key=lambda other: sizes.index(other.size))
    further = [other for other in same if other.size != smallest.size]
    if smallest.repeats < SEEDS:
        return "?"
    if not smallest.sure or any(other.difference * smallest.difference <= 0 for other in further):
        return "no"
    return "yes" if further else "?"
