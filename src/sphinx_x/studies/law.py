"""The law of scaling, L = E + A / N^alpha + B / D^beta: its fit, how sure it is, and what it says about compute.

As in the studies before (Hoffmann et al., arXiv 2203.15556; Shukor et al., arXiv 2504.07951): a Huber loss on the
logarithms, minimised by L-BFGS from a grid of starts, and intervals from draws of whole runs. Points of one run share
their trunk, so runs are drawn and not points.

Shapes: P points, S starts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sphinx_x.errors import DataError, needs_extra

DELTA = 1e-3
"""Where the Huber loss goes from a square to a line."""
STARTS = {
    "log_a": (0.0, 5.0, 10.0, 15.0),
    "log_b": (0.0, 5.0, 10.0, 15.0),
    "log_e": (-3.0, -1.0, 0.0),
    "alpha": (0.2, 0.5, 1.0),
    "beta": (0.2, 0.5, 1.0),
}
LIMITS = {"a": (-10, 40), "b": (-10, 40), "e": (-12, 5), "alpha": (0.01, 3), "beta": (0.01, 3)}
"""Where numbers are looked for: of A, B and E their logarithms."""
DRAWS = 100
TRIED = 12
"""Number of starts that are minimised from."""
TRIED_AGAIN = 4
"""The same for each draw: the best numbers of all points, and others by chance."""
EQUAL = 1e-3
"""Minima that differ by less than this share are as good as each other."""
LEAST = 6
"""Number of points from which five numbers are fitted."""


@dataclass(frozen=True)
class Law:
    """A fitted law: `loss` at N parameters and D samples is E + A / N^alpha + B / D^beta."""

    e: float
    a: float
    b: float
    alpha: float
    beta: float

    @classmethod
    def of(cls, theta: np.ndarray) -> Law:
        """Return the law with these logarithms of A, B and E, and these exponents."""
        return cls(float(np.exp(theta[2])), float(np.exp(theta[0])), float(np.exp(theta[1])), *map(float, theta[3:]))

    def loss(self, parameters: np.ndarray | float, samples: np.ndarray | float) -> np.ndarray:
        """Return the loss at these sizes and amounts."""
        n, d = np.asarray(parameters, float), np.asarray(samples, float)
        return self.e + self.a * n**-self.alpha + self.b * d**-self.beta

    def optimum(self, flops: np.ndarray, per_sample: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the parameters and samples with the least loss for a number of operations.

        Args:
            flops: The operations.
            per_sample: Operations for one parameter and one sample: flops = per_sample x parameters x samples.
        """
        product = np.asarray(flops, float) / per_sample
        g = (self.alpha * self.a / (self.beta * self.b)) ** (1 / (self.alpha + self.beta))
        n = g * product ** (self.beta / (self.alpha + self.beta))
        return n, product / n

    @property
    def exponents(self) -> tuple[float, float]:
        """By which powers of compute the best size and the best amount grow."""
        return self.beta / (self.alpha + self.beta), self.alpha / (self.alpha + self.beta)


@dataclass(frozen=True)
class Fit:
    """A law, and how well it describes what it was fitted to.

    Attributes:
        law: The law.
        intervals: 95 % intervals of its numbers, by their names (`e`, `alpha`, `beta`, `size`, `amount`).
        draws: The laws of all draws.
        off: Root mean square of the differences of logarithms: 0.1 is about 10 % of a loss.
        limited: Names of the numbers that lie at the end of where they are looked for, and so are no findings.
    """

    law: Law
    intervals: dict[str, tuple[float, float]]
    draws: tuple[Law, ...]
    off: float
    limited: tuple[str, ...]


def fit_law(parameters: Sequence[float], samples: Sequence[float], losses: Sequence[float]) -> Law:
    """Fit a law to points.

    Raises:
        DataError: There are too few points, or too few different sizes or amounts.
    """
    return Law.of(_minima(_logs(parameters, samples, losses), _grid())[0])


def fit_with_intervals(
    runs: Sequence[str],
    parameters: Sequence[float],
    samples: Sequence[float],
    losses: Sequence[float],
    draws: int | None = None,
    seed: int = 0,
) -> Fit:
    """Fit a law, and again to draws of whole runs, for the intervals of its numbers.

    Args:
        runs: The run of each point.
        parameters: Its number of parameters.
        samples: Its number of samples.
        losses: Its loss.
        draws: Number of draws, `DRAWS` by default; those that leave two sizes or fewer are drawn again.
        seed: Seed of the draws.
    """
    draws = draws or DRAWS
    logs, grid = _logs(parameters, samples, losses), _grid()
    minima = _minima(logs, grid)
    best = minima[0]
    names, rng = sorted(set(runs)), np.random.default_rng(seed)
    places = {name: np.flatnonzero(np.asarray(runs) == name) for name in names}
    laws: list[Law] = []
    alike = [Law.of(theta) for theta in minima]  # all that describe the points as well: what they leave open is told
    for _ in range(20 * draws):
        if len(laws) == draws:
            break
        chosen = np.concatenate([places[names[k]] for k in rng.integers(len(names), size=len(names))])
        if len(set(logs[0][chosen])) < 3 or len(chosen) < LEAST:
            continue
        starts = np.concatenate([best[None], rng.choice(grid, TRIED_AGAIN - 1, replace=False)])
        found = [Law.of(theta) for theta in _minima(logs[:, chosen], starts)]
        laws.append(found[0])
        alike += found
    if len(laws) < draws:
        raise DataError("intervals need at least three sizes")
    numbers = {name: [getattr(law, name) for law in alike] for name in ("e", "a", "b", "alpha", "beta")}
    numbers |= {name: [law.exponents[k] for law in alike] for k, name in enumerate(("size", "amount"))}
    intervals = {name: _interval(values) for name, values in numbers.items()}
    law = Law.of(best)
    off = float(np.sqrt(np.mean((np.log(law.loss(*np.exp(logs[:2]))) - logs[2]) ** 2)))
    limited = tuple(
        name for name, value in zip(LIMITS, best, strict=True) if min(abs(value - end) for end in LIMITS[name]) < 1e-6
    )
    return Fit(law, intervals, tuple(laws), off, limited)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _grid() -> np.ndarray:
    return np.array(list(itertools.product(*STARTS.values())))


def _logs(*numbers: Sequence[float]) -> np.ndarray:
    """Return the logarithms (3, P) of parameters, samples and losses."""
    return np.log(np.asarray(numbers, float))


def _minima(logs: np.ndarray, starts: np.ndarray) -> list[np.ndarray]:
    """Return minima (5,) for points (3, P), from starts (S, 5): the best one, and those that are as good.

    Only the starts that are best before anything is minimised are tried.
    """
    with needs_extra("study", "fitting a law"):
        from scipy.optimize import minimize  # pyright: ignore[reportMissingImports]

    log_n, log_d, log_l = logs
    if len(log_l) < LEAST or min(len(set(log_n)), len(set(log_d))) < 2:
        raise DataError(f"a law needs at least {LEAST} results of two sizes and two amounts, not {len(log_l)}")
    order = np.argsort([_loss(start, log_n, log_d, log_l)[0] for start in starts])
    chosen = starts[order[:TRIED]]
    limits = list(LIMITS.values())
    options = {"maxiter": 1000, "maxfun": 2000, "ftol": 1e-12, "gtol": 1e-9}
    found = [
        minimize(_loss, start, (log_n, log_d, log_l), jac=True, method="L-BFGS-B", bounds=limits, options=options)
        for start in chosen
    ]
    found.sort(key=lambda one: one.fun)
    return [one.x for one in found if one.fun <= found[0].fun * (1 + EQUAL)]


def _loss(theta: np.ndarray, log_n: np.ndarray, log_d: np.ndarray, log_l: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the summed Huber loss of the logarithms, and its gradient."""
    log_a, log_b, log_e, alpha, beta = theta
    terms = np.stack([log_a - alpha * log_n, log_b - beta * log_d, np.full_like(log_l, log_e)])
    top = terms.max(axis=0)
    parts = np.exp(terms - top)
    whole = parts.sum(axis=0)
    off = top + np.log(whole) - log_l
    inside = np.abs(off) <= DELTA
    value = np.where(inside, 0.5 * off**2, DELTA * (np.abs(off) - 0.5 * DELTA)).sum()
    slope = np.where(inside, off, DELTA * np.sign(off)) * parts / whole
    gradient = [slope[0].sum(), slope[1].sum(), slope[2].sum(), -(slope[0] * log_n).sum(), -(slope[1] * log_d).sum()]
    return float(value) / DELTA, np.array(gradient) / DELTA
