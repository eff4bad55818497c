"""Connected components of ink, with numpy alone: runs of pixels in rows, joined where they touch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Components:
    """Components of a mask; component `k` has label `k + 1`.

    Attributes:
        labels: (H, W), 0 where there is no ink, otherwise 1 and up.
        boxes: (N, 4) left, top, right, bottom, the last two exclusive.
        areas: (N,) pixels of ink.
    """

    labels: NDArray[np.int32]
    boxes: Ints
    areas: Ints

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def widths(self) -> Ints:
        """Widths (N,) in pixels."""
        return self.boxes[:, 2] - self.boxes[:, 0]

    @property
    def heights(self) -> Ints:
        """Heights (N,) in pixels."""
        return self.boxes[:, 3] - self.boxes[:, 1]

    def mask(self, chosen: Mask) -> Mask:
        """Return the ink (H, W) of the components selected by `chosen` (N,)."""
        return np.concatenate([[False], chosen])[self.labels]

    def share_of(self, mask: Mask) -> NDArray[np.float64]:
        """Return (N,) the share of each component's ink that `mask` (H, W) covers."""
        counts = np.bincount(self.labels[mask], minlength=len(self) + 1)[1:]
        return counts / np.maximum(self.areas, 1)


def runs(mask: Mask) -> tuple[Ints, Ints, Ints]:
    """Return runs of ink in the rows of a mask: row, first column, column after the last, in this order."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    return rows, starts, np.nonzero(change == -1)[1]


def find_components(mask: Mask) -> Components:
    """Return the components of a mask (H, W); pixels that touch at a corner are connected."""
    rows, starts, ends = runs(mask)
    if not len(rows):
        return Components(np.zeros(mask.shape, np.int32), np.zeros((0, 4), np.int64), np.zeros(0, np.int64))
    roots = _join(len(rows), *_touching(rows, starts, ends, mask.shape[1] + 2))
    numbers = np.unique(roots, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = max(mask.shape), 0
    np.minimum.at(boxes[:, 0], numbers, starts)
    np.minimum.at(boxes[:, 1], numbers, rows)
    np.maximum.at(boxes[:, 2], numbers, ends)
    np.maximum.at(boxes[:, 3], numbers, rows + 1)
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(numbers + 1, ends - starts)
    return Components(labels, boxes, np.bincount(numbers, ends - starts, count).astype(np.int64))


def _touching(rows: Ints, starts: Ints, ends: Ints, stride: int) -> tuple[Ints, Ints]:
    """Return pairs of runs in adjacent rows that touch."""
    below = (rows + 1) * stride
    first = np.searchsorted(rows * stride + ends, below + starts, "left")
    last = np.searchsorted(rows * stride + starts, below + ends, "right")
    count = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(rows)), count)
    lower = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    return upper, lower


def _join(count: int, first: Ints, second: Ints) -> Ints:
    """Return (count,) the smallest member of each element's group, where pairs connect elements."""
    roots = np.arange(count)
    while True:
        one, other = roots[first], roots[second]
        apart = one != other
        if not apart.any():
            return roots
        np.minimum.at(roots, np.maximum(one, other)[apart], np.minimum(one, other)[apart])
        while (roots[roots] != roots).any():
            roots = roots[roots]


def groups(count: int, first: Ints, second: Ints) -> list[Ints]:
    """Return groups of the numbers 0 to `count` - 1 that pairs connect, each in ascending order."""
    roots = _join(count, first, second)
    order = np.argsort(roots, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(roots[order])) + 1) if count else []


def pairs_to_the_right(left: Ints, reach: NDArray) -> tuple[Ints, Ints]:
    """Return pairs in which the second begins between the start of the first and its reach: (P,) and (P,) numbers."""
    order = np.argsort(left, kind="stable")
    last = np.searchsorted(left[order], reach[order], "right")
    count = np.maximum(last - np.arange(len(order)) - 1, 0)
    one = np.repeat(np.arange(len(order)), count)
    other = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + one + 1
    return order[one], order[other]
