"""The weighted mixture of sources: which sample is at a global index.

A pure function of (seed, index): no state, no buffer, the same for any number of ranks and workers, resumed by index in
constant time. The order consists of blocks: within a block each source has its exact share of places, shuffled; within
a source every sample comes once before any comes again, in a new order for each round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sphinx_x.errors import DataError

BLOCK = 1024
"""Number of places in a block: shares are exact over this many samples."""
REMEMBERED = 16
"""Number of blocks that are kept in memory, 16 KB each."""


@dataclass(frozen=True)
class Weighted:
    """A source of a mixture.

    Attributes:
        name: Its name.
        size: Its number of samples.
        weight: Its share relative to the others.
        end: Its share at the end of the run, if different (the share then changes linearly over the run).
    """

    name: str
    size: int
    weight: float
    end: float | None = None

    def share(self, progress: float) -> float:
        """Return the weight at `progress` (0 to 1) of the run."""
        end = self.weight if self.end is None else self.end
        return self.weight + (end - self.weight) * min(max(progress, 0.0), 1.0)


class Blend:
    """The mixture of `sources` over a run of `total` samples."""

    def __init__(self, sources: Sequence[Weighted], total: int, seed: int = 0) -> None:
        for source in sources:
            if source.weight < 0 or (source.end or 0) < 0:
                raise DataError(f"source {source.name}: weight must not be negative")
            if source.size < 1 and (source.weight > 0 or source.end):
                raise DataError(f"source {source.name} has no samples")
        blocks = max(math.ceil(total / BLOCK), 1)
        if any(sum(source.share(at) for source in sources) <= 0 for at in (0.0, 1.0)):
            raise DataError("no source has a weight")
        self.sources, self.total, self.seed = tuple(sources), total, seed
        self._counts = self._plan(blocks)
        self._known: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._before = np.concatenate([np.zeros((1, len(sources)), np.int64), self._counts.cumsum(0)])

    def _plan(self, blocks: int) -> np.ndarray:
        """Return the places of each source in each block (blocks, sources).

        Every block is full, and no source ever lags behind by one place.
        """
        middle = (np.arange(blocks) + 0.5) / blocks
        shares = np.array([[source.share(at) for source in self.sources] for at in middle])
        due = (shares / shares.sum(1, keepdims=True) * BLOCK).cumsum(0)
        counts = np.zeros((blocks, len(self.sources)), np.int64)
        given = np.zeros(len(self.sources), np.int64)
        for block in range(blocks):
            owed = due[block] - given
            counts[block] = np.maximum(np.floor(owed), 0)
            missing = BLOCK - int(counts[block].sum())
            order = np.argsort(counts[block] - owed, kind="stable")  # sources with the largest deficit first
            counts[block, order[: max(missing, 0)]] += 1
            while counts[block].sum() > BLOCK:  # sources that fade out leave deficits of others larger than a block
                most = max(order, key=lambda source: (counts[block, source] - owed[source], counts[block, source]))
                counts[block, most] -= 1
            given += counts[block]
        return counts

    def __len__(self) -> int:
        return self.total

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_known": {}}

    def __getitem__(self, index: int) -> tuple[int, int]:
        """Return (number of the source, number of the sample in it) at a global index from 0."""
        if not 0 <= index < self.total:
            raise IndexError(index)
        sources, numbers = self._block(index // BLOCK)
        return int(sources[index % BLOCK]), int(numbers[index % BLOCK])

    def lookup(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return sources and numbers, as `[]` does, at the global indices first to last - 1."""
        if not 0 <= first <= last <= self.total:
            raise IndexError(f"{first}..{last}")
        if first == last:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        begin = first // BLOCK
        blocks = [self._block(block) for block in range(begin, math.ceil(last / BLOCK))]
        asked = slice(first - begin * BLOCK, last - begin * BLOCK)
        sources, numbers = (np.concatenate(part)[asked] for part in zip(*blocks, strict=True))
        return sources, numbers

    def _block(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Return sources and numbers of all places of a block; the latest blocks are cached."""
        if block not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[block] = self._draw(block)
        return self._known[block]

    def _draw(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        sources = np.repeat(np.arange(len(self.sources)), self._counts[block])
        np.random.default_rng((self.seed, 1, block)).shuffle(sources)
        numbers = np.empty(BLOCK, np.int64)
        for source in np.flatnonzero(self._counts[block]).tolist():
            places, size = np.flatnonzero(sources == source), self.sources[source].size
            epochs, positions = np.divmod(int(self._before[block, source]) + np.arange(len(places)), size)
            for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
                now = epochs == epoch
                numbers[places[now]] = permuted(positions[now], size, (self.seed, 2, source, epoch))
        return sources, numbers


def permuted(positions: np.ndarray, size: int, key: tuple[int, ...], rounds: int = 4) -> np.ndarray:
    """Return where positions go in a shuffle of range(size) that `key` chooses: a Feistel network, without a table."""
    half = np.uint64(max((size - 1).bit_length() + 1, 2) // 2)
    mask = (np.uint64(1) << half) - np.uint64(1)
    keys = np.random.SeedSequence(key).generate_state(rounds, np.uint32).astype(np.uint64)
    out = np.asarray(positions).astype(np.uint64)
    walking = np.ones(out.shape, bool)
    while walking.any():
        left, right = out[walking] >> half, out[walking] & mask
        for secret in keys:
            left, right = right, left ^ (_scramble(right ^ secret) & mask)
        out[walking] = left << half | right
        walking = out >= np.uint64(size)
    return out.astype(np.int64)


def _scramble(numbers: np.ndarray) -> np.ndarray:
    """Return a 32-bit hash (the finaliser of murmur3)."""
    low = np.uint64(0xFFFFFFFF)
    numbers = numbers & low
    numbers = (numbers ^ numbers >> np.uint64(16)) * np.uint64(0x85EBCA6B) & low
    numbers = (numbers ^ numbers >> np.uint64(13)) * np.uint64(0xC2B2AE35) & low
    return numbers ^ numbers >> np.uint64(16)
