"""From letters to lines: components next to each other at the same height are chained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphinx_x.boxes import BoxOf, union
from sphinx_x.page_lines.components import Ints, Mask, groups, pairs_to_the_right
from sphinx_x.page_lines.rules import SMALL

GAP = 1.8
"""Largest gap inside a line, in heights of the taller of the two letters."""
OVERLAP = 0.4
"""Smallest share of the shorter letter's height that two letters of a line have in common."""
RATIO = 4.0
"""Largest ratio of the heights of two letters of a line."""


BRIDGE = 2.2
"""Smallest height, in units, of two touching letters of different lines."""
AT_ONCE = 256
"""Number of marks that are compared with all lines at once, which limits memory."""


@dataclass(frozen=True)
class Chain:
    """A piece of a line.

    Attributes:
        members: Numbers of its components.
        box: Box of its letters and marks.
    """

    members: Ints
    box: BoxOf[int]


def chain(boxes: Ints, usable: Mask, walls: Mask, unit: float) -> list[Chain]:
    """Return the pieces of lines on a page.

    Args:
        boxes: (N, 4) of components.
        usable: (N,) which of them may be text.
        walls: (H, W) vertical rules, which no line crosses.
        unit: Height of a typical letter in pixels.

    Returns:
        Pieces in no order. Two letters that touch across lines are a member of both lines.
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
    """Return pairs of letters that are next to each other, the left one first."""
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
    """Return the smaller and the larger size of each pair."""
    return np.minimum(sizes[one], sizes[other]), np.maximum(sizes[one], sizes[other])


def _common(top: Ints, bottom: Ints, one: Ints, other: Ints) -> Ints:
    """Return how many rows each pair shares; negative if there is white between them."""
    return np.minimum(bottom[one], bottom[other]) - np.maximum(top[one], top[other])


def _bridges(boxes: Ints, first: Ints, second: Ints) -> Mask:
    """Return (N,) which components are touching letters of two lines, or a capital that spans several lines.

    Their neighbours on one side lie above each other.
    """
    heights = boxes[:, 3] - boxes[:, 1]
    lowest_top, highest_bottom = np.zeros(len(boxes)), np.full(len(boxes), np.inf)
    for one, other in ((first, second), (second, first)):
        shorter = heights[other] * 1.5 < heights[one]
        np.maximum.at(lowest_top, one[shorter], boxes[other[shorter], 1])
        np.minimum.at(highest_bottom, one[shorter], boxes[other[shorter], 3])
    return lowest_top > highest_bottom


def _joined(pieces: list[Ints], boxes: Ints) -> list[Ints]:
    """Join pieces that lie within each other."""
    around = np.array([union(boxes[piece].tolist()) for piece in pieces]).reshape(-1, 4)
    left, top, right, bottom = around.T
    one, other = pairs_to_the_right(left, right - 1)
    low, high = _both(bottom - top, one, other)
    inside = (right[other] <= right[one]) & (top[other] >= top[one]) & (bottom[other] <= bottom[one])
    # the dot of a large i is as tall as a small letter
    same = (inside | (high < 2.5 * low)) & (_common(top, bottom, one, other) > 0.7 * low)
    return [np.concatenate([pieces[k] for k in group]) for group in groups(len(pieces), one[same], other[same])]


def _nearest(marks: Ints, lines: Ints) -> Ints:
    """Return (M,) the line that each dot, comma or dash belongs to, -1 if none is near."""
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
    """Return the letters spanning several lines that reach into the middle of a line, at it or next to it."""
    left, top, right, bottom = box
    height = bottom - top
    found = boxes[bridges]
    beside = (found[:, 0] < right + height) & (found[:, 2] > left - height)
    inside = np.minimum(found[:, 3], bottom) - np.maximum(found[:, 1], top) > 0.5 * height
    return bridges[beside & inside]
