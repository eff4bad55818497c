"""Packs: which samples share a row, under two budgets, tokens and views.

The mixture is processed window by window, and the samples of a window are fitted into packs by their lengths alone: so
the packs are a function of the mixture and the budgets, the same for any number of ranks and workers. A training step
takes the next few packs; its position is two numbers, the window and the pack in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sphinx_x.errors import DataError

Costs = Callable[[int, int], tuple[np.ndarray, np.ndarray]]
"""Returns tokens and views of the samples at the global indices first to last - 1."""
Indices = tuple[int, ...]
"""Global indices of the samples of one pack, in the mixture's order."""


@dataclass(frozen=True)
class Budget:
    """Limits of a pack, and how many samples (a window) are fitted into packs at once."""

    tokens: int
    views: int
    window: int = 2048


@dataclass(frozen=True)
class Position:
    """The next pack of a run: window and number of the pack in it."""

    window: int = 0
    pack: int = 0


@dataclass(frozen=True)
class Step:
    """The packs of one step, the position after it, and the share of the run that is then done (0 to 1)."""

    packs: tuple[Indices, ...]
    after: Position
    progress: float


class PackPlan:
    """The packs of a run over the first `total` samples of a mixture."""

    def __init__(self, costs: Costs, total: int, budget: Budget, seed: int = 0) -> None:
        self.costs, self.total, self.budget, self.seed = costs, total, budget, seed
        self.windows = -(-total // budget.window)
        self._latest: tuple[int, list[Indices]] = (-1, [])

    def window(self, number: int) -> list[Indices]:
        """Return the packs of a window, in an order that the seed chooses."""
        if self._latest[0] != number:
            first = number * self.budget.window
            last = min(first + self.budget.window, self.total)
            tokens, views = self.costs(first, last)
            packs = fit(tokens, views, self.budget.tokens, self.budget.views)
            order = np.random.default_rng((self.seed, 4, number)).permutation(len(packs))
            self._latest = (number, [tuple(first + k for k in packs[place]) for place in order])
        return self._latest[1]

    def steps(self, packs: int, start: Position | None = None) -> Iterator[Step]:
        """Yield steps of `packs` packs each from a position on; the last one of the run may have fewer."""
        at = start or Position()
        taken: list[Indices] = []
        while at.window < self.windows:
            window = self.window(at.window)
            if at.pack >= len(window):
                at = Position(at.window + 1)
                continue
            taken.append(window[at.pack])
            at = Position(at.window, at.pack + 1)
            if len(taken) == packs:
                yield Step(tuple(taken), at, self._progress(at))
                taken = []
        if taken:
            yield Step(tuple(taken), at, 1.0)

    def _progress(self, at: Position) -> float:
        """Return the share of the run before a position in the window that was planned last."""
        first = at.window * self.budget.window
        size = min(self.budget.window, self.total - first)
        return (first + size * at.pack / max(len(self.window(at.window)), 1)) / self.total


def fit(tokens: np.ndarray, views: np.ndarray, max_tokens: int, max_views: int) -> list[list[int]]:
    """Fit samples into packs: each goes to the fullest pack that still has room for it.

    Samples come in the mixture's order, not the largest first: that would fill packs slightly better (0.4 instead of
    0.7 % padding on a mixture like the paper's), but group the short samples together, and a pack should be a fair draw
    of the mixture.

    Returns:
        Numbers of the samples in each pack, ascending.

    Raises:
        DataError: A single sample exceeds a budget.
    """
    if len(tokens) and (tokens.max() > max_tokens or views.max() > max_views):
        raise DataError(f"a sample of {tokens.max()} tokens or {views.max()} views is over the budget of a pack")
    room = np.empty((2, len(tokens)), np.int64)  # tokens and views still free in each pack
    packs: list[list[int]] = []
    for k, (need_tokens, need_views) in enumerate(zip(tokens.tolist(), views.tolist(), strict=True)):
        open_tokens, open_views = room[:, : len(packs)]
        left = np.where((open_tokens >= need_tokens) & (open_views >= need_views), open_tokens, max_tokens + 1)
        best = int(left.argmin()) if packs else -1
        if best < 0 or left[best] > max_tokens:
            best = len(packs)
            packs.append([])
            room[:, best] = max_tokens, max_views
        packs[best].append(k)
        room[:, best] -= need_tokens, need_views
    return packs
