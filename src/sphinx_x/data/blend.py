"""The weighted mixture of sources: which sample stands at a global index.

A pure function of (seed, index): no state, no buffer, the same for any number of ranks and workers, resumed by
index in constant time. The order runs in blocks: within a block each source has its exact share of places, shuffled;
within a source every sample comes once before any comes again, in an order of its own for each round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sphinx_x.errors import DataError

BLOCK = 1024
"""Places of a block: shares are exact over this many samples."""


@dataclass(frozen=True)
class Source:
    """A source of `size` samples. weight: its share against the others; `end` its share at the end of the run,
    where that differs (the share then changes evenly over the run)."""

    name: str
    size: int
    weight: float
    end: float | None = None

    def share(self, progress: float) -> float:
        """Weight at `progress` (0 to 1) of the run."""
        end = self.weight if self.end is None else self.end
        return self.weight + (end - self.weight) * min(max(progress, 0.0), 1.0)


class Blend:
    """The mixture of `sources` over a run of `total` samples."""

    def __init__(self, sources: Sequence[Source], total: int, seed: int = 0) -> None:
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
        self._latest: tuple[int, np.ndarray] = (-1, np.empty(0))
        self._before = np.concatenate([np.zeros((1, len(sources)), np.int64), self._counts.cumsum(0)])

    def _plan(self, blocks: int) -> np.ndarray:
        """Places of each source in each block, (blocks, sources): every block is full, no source ever lags by one."""
        middle = (np.arange(blocks) + 0.5) / blocks
        shares = np.array([[source.share(at) for source in self.sources] for at in middle])
        due = (shares / shares.sum(1, keepdims=True) * BLOCK).cumsum(0)
        counts = np.zeros((blocks, len(self.sources)), np.int64)
        given = np.zeros(len(self.sources), np.int64)
        for block in range(blocks):
            owed = due[block] - given
            counts[block] = np.maximum(np.floor(owed), 0)
            missing = BLOCK - int(counts[block].sum())
            counts[block, np.argsort(counts[block] - owed, kind="stable")[:missing]] += 1
            given += counts[block]
        return counts

    def _slots(self, block: int) -> np.ndarray:
        """The source at each place of a block; the latest block is remembered."""
        if self._latest[0] != block:
            slots = np.repeat(np.arange(len(self.sources)), self._counts[block])
            np.random.default_rng((self.seed, 1, block)).shuffle(slots)
            self._latest = (block, slots)
        return self._latest[1]

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: int) -> tuple[int, int]:
        """(number of the source, number of the sample in it) at a global index from 0."""
        if not 0 <= index < self.total:
            raise IndexError(index)
        block, place = divmod(index, BLOCK)
        slots = self._slots(block)
        source = int(slots[place])
        drawn = int(self._before[block, source]) + int((slots[:place] == source).sum())
        epoch, position = divmod(drawn, self.sources[source].size)
        return source, permuted(position, self.sources[source].size, (self.seed, 2, source, epoch))


def permuted(position: int, size: int, key: tuple[int, ...], rounds: int = 4) -> int:
    """Where `position` goes in a shuffle of range(size) that `key` chooses: a Feistel network, no table."""
    half = max((size - 1).bit_length() + 1, 2) // 2
    mask = (1 << half) - 1
    keys = np.random.SeedSequence(key).generate_state(rounds, np.uint32).tolist()
    while True:
        left, right = position >> half, position & mask
        for secret in keys:
            left, right = right, left ^ (_scramble(right ^ secret) & mask)
        position = left << half | right
        if position < size:
            return position


def _scramble(number: int) -> int:
    """A 32 bit hash (finaliser of murmur3)."""
    number &= 0xFFFFFFFF
    number = (number ^ number >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    number = (number ^ number >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return number ^ number >> 16
