"""Letters to lines: components that stand beside each other at the same height are chained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphinx_x.boxes import BoxOf, union
from sphinx_x.page_lines.components import Ints, Mask, groups, pairs_to_the_right
from sphinx_x.page_lines.rules import SMALL

GAP = 1.8
"""Largest gap inside a line, in heights of the higher of both letters."""
OVERLAP = 0.4
"""Least share of the lower letter's height that two letters of a line have in common."""
RATIO = 4.0
"""How much higher one letter of a line may be than another."""


BRIDGE = 2.2
"""Least height, in units, of two letters of different lines that touch."""
AT_ONCE = 256
"""Marks that are compared with all lines at once: memory."""


@dataclass(frozen=True)
class Chain:
    """A piece of a line. members: numbers of its components; box: of its letters and marks."""

    members: Ints
    box: BoxOf[int]


def chain(boxes: Ints, usable: Mask, walls: Mask, unit: float) -> list[Chain]:
    """The pieces of lines on a page.

    Args:
        boxes: (N, 4) of components.
        usable: (N,) which of them may be text.
        walls: (H, W) vertical rules, over which no line goes.
        unit: Height of a usual letter in pixels.

    Returns:
        Pieces in no order. Two letters that touch from line to line are a member of both.
    """
    heights, widths = boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]
    letters = np.flatnonzero(usable & (heights >= SMALL * unit) & ((widths > 1) | (heights > unit)))
    if not len(letters):
        return []
    some = boxes[letters]
    first, second = _neighbours(some, walls)
    bridges = _bridges(some, first, second) & (heights[letters] > BRIDGE * unit)
    kept = ~(bridges[first] | bridges[second])
    pieces = [group for group in groups(len(letters), first[kept], second[kept]) if not bridges[group].all()]
    pieces = _joined([letters[piece] for piece in pieces], boxes)
    if not pieces:
        return []
    around = np.array([union(boxes[piece].tolist()) for piece in pieces])
    marks = np.flatnonzero(usable & ~np.isin(np.arange(len(boxes)), letters))
    owner = _nearest(boxes[marks], around)
    chains = []
    for number, piece in enumerate(pieces):
        own = marks[owner == number]
        members = np.sort(np.concatenate([piece, own]))
        box = union(boxes[members].tolist())
        chains.append(Chain(np.concatenate([members, _crossing(boxes, letters[bridges], box)]), box))
    return chains


def _neighbours(boxes: Ints, walls: Mask) -> tuple[Ints, Ints]:
    """Pairs of letters that stand beside each other, the left one first."""
    left, top, right, bottom = boxes.T
    heights = bottom - top
    one, other = pairs_to_the_right(left, right + GAP * np.minimum(heights * RATIO, heights.max()))
    low, high = _both(heights, one, other)
    common = _common(top, bottom, one, other)
    beside = (common >= OVERLAP * low) & (left[other] - right[one] <= GAP * high) & (high <= RATIO * low)
    one, other = one[beside], other[beside]
    crossed = np.cumsum(walls, axis=1, dtype=np.int32)
    row = (np.maximum(top[one], top[other]) + np.minimum(bottom[one], bottom[other])) // 2
    start = np.minimum(right[one], left[other]) - 1
    free = crossed[row, left[other]] == crossed[row, np.maximum(start, 0)]
    return one[free], other[free]


def _both(sizes: Ints, one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """The lesser and the greater size of each pair."""
    return np.minimum(sizes[one], sizes[other]), np.maximum(sizes[one], sizes[other])


def _common(top: Ints, bottom: Ints, one: Ints, other: Ints) -> Ints:
    """How many rows both of each pair have, below 0 where there is white between them."""
    return np.minimum(bottom[one], bottom[other]) - np.maximum(top[one], top[other])


def _bridges(boxes: Ints, first: Ints, second: Ints) -> Mask:
    """(N,) which letters are two of different lines that touch, or a capital over several lines: what stands beside
    them stands above each other."""
    heights = boxes[:, 3] - boxes[:, 1]
    lowest_top, highest_bottom = np.zeros(len(boxes)), np.full(len(boxes), np.inf)
    for one, other in ((first, second), (second, first)):
        shorter = heights[other] * 1.5 < heights[one]
        np.maximum.at(lowest_top, one[shorter], boxes[other[shorter], 1])
        np.minimum.at(highest_bottom, one[shorter], boxes[other[shorter], 3])
    return lowest_top > highest_bottom


def _joined(pieces: list[Ints], boxes: Ints) -> list[Ints]:
    """Pieces that lie in each other are one."""
    around = np.array([union(boxes[piece].tolist()) for piece in pieces]).reshape(-1, 4)
    left, top, right, bottom = around.T
    one, other = pairs_to_the_right(left, right - 1)
    low, high = _both(bottom - top, one, other)
    inside = (right[other] <= right[one]) & (top[other] >= top[one]) & (bottom[other] <= bottom[one])
    # the dot of a large i is as high as a small letter
    same = (inside | (high < 2.5 * low)) & (_common(top, bottom, one, other) > 0.7 * low)
    return [np.concatenate([pieces[k] for k in group]) for group in groups(len(pieces), one[same], other[same])]


def _nearest(marks: Ints, lines: Ints) -> Ints:
    """(M,) the line that each dot, comma or dash belongs to, -1 where none is near."""
    if not len(marks):
        return np.zeros(0, np.int64)
    x, y = (marks[:, 0] + marks[:, 2]) / 2, (marks[:, 1] + marks[:, 3]) / 2
    left, top, right, bottom = lines.T
    heights = bottom - top
    owners = []
    for first in range(0, len(marks), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        aside = np.maximum(np.maximum(left - x[some, None], x[some, None] - right), 0)
        above = np.maximum(np.maximum(top - y[some, None], y[some, None] - bottom), 0)
        far = (aside > 0.8 * heights) | (above > 0.35 * heights)
        off = np.abs((top + bottom) / 2 - y[some, None])
        distance = np.where(far, np.inf, above + 0.5 * aside + 0.1 * off)
        owners.append(np.where(np.isfinite(distance.min(1)), distance.argmin(1), -1))
    return np.concatenate(owners)


def _crossing(boxes: Ints, bridges: Ints, box: BoxOf[int]) -> Ints:
    """Those letters over several lines that reach into the middle of a line, at it or beside it."""
    left, top, right, bottom = box
    height = bottom - top
    found = boxes[bridges]
    beside = (found[:, 0] < right + height) & (found[:, 2] > left - height)
    inside = np.minimum(found[:, 3], bottom) - np.maximum(found[:, 1], top) > 0.5 * height
    return bridges[beside & inside]
