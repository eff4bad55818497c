"""Reading order of pieces of lines: cells of a row one after another, columns of prose as wholes."""

from __future__ import annotations

import numpy as np

from sphinx_x.boxes import union
from sphinx_x.page_lines.components import Ints, groups

Row = list[int]
"""Numbers of pieces that are read as one line, from left to right."""
NARROW, NARROW_RIGHT = 6, 10
"""A column narrower than this, in units, holds numbers or marks and belongs to its neighbour. The second value is for
columns that are flush right and ragged left, such as prices, dates and times."""
PROSE_WIDTH, PROSE_FILL = 15, 0.7
"""Smallest width of a column of prose in units, and the mean share of it that its lines fill."""
ALIGNED = 0.8
"""Share of the shorter column's rows that have a partner, if two columns are a table."""


def reading_order(boxes: Ints, unit: float) -> list[Row]:
    """Return rows of pieces in reading order.

    Args:
        boxes: (N, 4) of pieces of lines, upright.
        unit: Height of a typical letter in pixels.
    """
    rows: list[Row] = [[number] for number in range(len(boxes))]
    while True:
        joined = _join_once(rows, boxes, unit)
        if joined is None:
            break
        rows = joined
    around = np.array([union(boxes[row].tolist()) for row in rows]).reshape(-1, 4)
    return [rows[k] for k in _sorted(around, _blocks(around, _partners(around), unit))]


def _join_once(rows: list[Row], boxes: Ints, unit: float) -> list[Row] | None:
    """Join the two closest columns that are a table; None if there are none."""
    around = np.array([union(boxes[row].tolist()) for row in rows]).reshape(-1, 4)
    partners = _partners(around)
    if not len(partners):
        return None
    block = _blocks(around, partners, unit)
    best: tuple[float, Ints] | None = None
    for one, other in sorted({(int(block[a]), int(block[b])) for a, b in partners}):
        pairs = partners[(block[partners[:, 0]] == one) & (block[partners[:, 1]] == other)]
        gap = float(np.median(around[pairs[:, 1], 0] - around[pairs[:, 0], 2]))
        if (best is None or gap < best[0]) and _is_table(
            around[block == one], around[block == other], len(pairs), unit
        ):
            best = gap, pairs
    if best is None:
        return None
    taken = {int(b): int(a) for a, b in best[1]}
    follow = {a: b for b, a in taken.items()}
    return [row + (rows[follow[k]] if k in follow else []) for k, row in enumerate(rows) if k not in taken]


def _partners(around: Ints) -> Ints:
    """Return (P, 2) rows on one line with nothing between them, the left one first, one partner on each side."""
    left, top, right, bottom = around.T
    heights = bottom - top
    common = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    level = common > 0.6 * np.minimum(heights[:, None], heights)
    gap = np.where(level & (left[None] >= right[:, None]), left[None] - right[:, None], np.inf)
    if not gap.size:
        return np.zeros((0, 2), np.int64)
    following, leading = gap.argmin(1), gap.argmin(0)
    ones = np.flatnonzero(np.isfinite(gap.min(1)))
    return np.array([(a, following[a]) for a in ones if leading[following[a]] == a], np.int64).reshape(-1, 2)


def _blocks(around: Ints, partners: Ints, unit: float) -> Ints:
    """Return (N,) the number of each row's column: rows below each other, close, with a common edge.

    A row that spans two cells, such as the line below a table, is in no column with either.
    """
    left, top, right, bottom = around.T
    widths, heights = right - left, bottom - top
    common = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    below = top[None] - bottom[:, None]
    highest = np.maximum(heights[:, None], heights)
    alike = highest < 1.8 * np.minimum(heights[:, None], heights)
    edges = np.minimum(np.abs(left[:, None] - left), np.abs(right[:, None] - right)) < 1.5 * unit
    overlaps = common > 0.5 * np.minimum(widths[:, None], widths)
    near = (below > -0.5 * highest) & (below < 3.5 * highest) & (top[None] > top[:, None])
    across = np.zeros_like(near)
    across[:, partners[:, 0]] |= (common[:, partners] > 0).all(-1)
    across[:, partners[:, 1]] |= (common[:, partners] > 0).all(-1)
    near &= ~(across | across.T)
    block = np.empty(len(around), np.int64)
    for number, group in enumerate(groups(len(around), *np.nonzero(alike & edges & overlaps & near))):
        block[group] = number
    return block


def _is_table(one: Ints, other: Ints, pairs: int, unit: float) -> bool:
    """Return whether two columns, the left one first, are read row by row."""
    fewer, more = sorted((len(one), len(other)))
    if pairs < ALIGNED * fewer:
        return False
    if _is_narrow(one, unit) or _is_narrow(other, unit):
        return True
    if _is_prose(one, unit) and _is_prose(other, unit):
        return False
    return pairs == fewer == more


def _is_narrow(column: Ints, unit: float) -> bool:
    """Return whether a column holds numbers or marks."""
    left, right = column[:, 0], column[:, 2]
    flush_right = np.ptp(right) < 0.4 * unit and np.ptp(left) > unit
    return float(right.max() - left.min()) < (NARROW_RIGHT if flush_right else NARROW) * unit


def _is_prose(column: Ints, unit: float) -> bool:
    """Return whether the lines of a column are long and fill it, except for the last one."""
    widths = np.sort(column[:, 2] - column[:, 0])[::-1]
    whole = widths[: max(len(widths) - 1, 1)]
    return len(column) >= 3 and widths[0] >= PROSE_WIDTH * unit and float(whole.mean()) >= PROSE_FILL * widths[0]


def _sorted(around: Ints, block: Ints) -> list[int]:
    """Return the order: top to bottom and, for columns side by side that nothing spans, left to right (Breuel 2003).

    An address at the upper right is not beside the text below it on the left.
    """
    left, top, right, bottom = around.T
    middle = (top + bottom) / 2
    over = (np.minimum(right[:, None], right) - np.maximum(left[:, None], left)) > 0
    before = over & (middle[:, None] < middle[None])
    first = np.array([top[block == number].min() for number in block])
    last = np.array([bottom[block == number].max() for number in block])
    beside = (first[:, None] < last) & (first < last[:, None]) & (right[:, None] <= left)
    for one, other in zip(*np.nonzero(beside & ~before.T), strict=True):
        low, high = sorted((middle[one], middle[other]))
        between = (middle > low) & (middle < high) & over[one] & over[other]
        before[one, other] = not between.any()
    waiting = before.sum(axis=0)
    rank = np.lexsort((left, middle))
    order: list[int] = []
    left_over = np.ones(len(around), bool)
    while left_over.any():
        ready = rank[left_over[rank] & (waiting[rank] == 0)]
        chosen = ready[0] if len(ready) else rank[left_over[rank]][0]
        if order:  # continue in the same column if that is allowed
            here = ready[over[order[-1], ready]]
            chosen = here[0] if len(here) else chosen
        order.append(int(chosen))
        left_over[chosen] = False
        waiting = waiting - before[chosen]
    return order
