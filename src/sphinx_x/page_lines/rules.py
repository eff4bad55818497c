"""Ink that is not text: rules, frames and table lines, tick boxes, solid blocks, leaders of dots and dashes."""

from __future__ import annotations

import numpy as np

from sphinx_x.page_lines.components import Components, Ints, Mask, find_components, groups, pairs_to_the_right, runs

LONG = 2.5
"""Smallest length of a rule, in units (heights of a typical letter)."""
SLENDER = 12
"""Smallest ratio of a rule's length to its thickness; strokes of large letters have less."""
MOSTLY = 0.8
"""A component of which more than this share is rules is a frame with its corners, and not text."""
FLAT = 8
"""A component so many times longer than thick is left over from an uneven rule or the edge of a sheet."""
SMALL = 0.45
"""A component smaller than this, in units, in both directions is a dot; in height only, a dash."""
LEADER = 5
"""Number of dots or dashes in a row that make a leader."""


def find_rules(ink: Mask, unit: float) -> tuple[Mask, Mask]:
    """Return horizontal and vertical rules of an upright page, (H, W) each."""
    return _rules(ink, LONG * unit, SLENDER), _rules(ink.T, 2 * LONG * unit, SLENDER).T


def _rules(ink: Mask, least: float, slender: float) -> Mask:
    """Return what lies in horizontal runs of at least `least` pixels that are slender as a whole."""
    rows, starts, ends = runs(ink)
    wide = ends - starts >= least
    marks = np.zeros((ink.shape[0], ink.shape[1] + 1), np.int8)
    np.add.at(marks, (rows[wide], starts[wide]), 1)
    np.add.at(marks, (rows[wide], ends[wide]), -1)
    found = find_components(np.cumsum(marks, axis=1)[:, :-1] > 0)
    if not len(found):
        return np.zeros_like(ink)
    thick = found.areas / found.widths
    slim = (found.widths >= slender * thick) & (found.heights <= np.maximum(3 * thick, 6))
    return found.mask(slim & (_beside(found, ink) < 0.5 * 2 * found.widths))


def _beside(found: Components, ink: Mask) -> Ints:
    """Return (N,) how many pixels above and below a rule are ink: a slice of a thick stroke has ink all along."""
    other = ink & (found.labels == 0)
    above, below = found.labels[1:][other[:-1]], found.labels[:-1][other[1:]]
    return np.bincount(np.concatenate([above, below]), minlength=len(found) + 1)[1:]


def is_no_text(ink: Components, rules: Mask, unit: float) -> Mask:
    """Return (N,) which components are frames, tick boxes, solid blocks or pictures."""
    widths, heights = ink.widths, ink.heights
    least = np.minimum(widths, heights)
    framed = ink.share_of(rules) > MOSTLY
    solid = (ink.areas > 0.92 * widths * heights) & (least >= 0.8 * unit)
    solid[solid] = ~_has_company(ink.boxes[solid], ink.boxes[~solid])
    huge = (heights > 14 * unit) | (widths > 40 * unit) & (heights > 4 * unit)
    ticked = np.zeros(len(ink), bool)
    square = (least >= unit) & (np.maximum(widths, heights) <= 1.35 * least) & (least <= 5 * unit)
    for number in np.flatnonzero(square):
        ticked[number] = _is_box(ink, int(number))
    scraps = (widths > 3 * unit) & (widths > FLAT * heights) | (heights > 3 * unit) & (heights > FLAT * widths)
    return framed | solid | huge | ticked | scraps


def _has_company(boxes: Ints, letters: Ints) -> Mask:
    """Return (N,) whether a solid block is next to a letter that is at least about as tall, as a large i or l is."""
    left, top, right, bottom = letters.T
    heights = bottom - top
    found = np.zeros(len(boxes), bool)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        level = (np.minimum(bottom, y2) > np.maximum(top - 0.4 * heights, y1)) & (heights >= 0.7 * (y2 - y1))
        close = (left < x2 + 0.6 * heights) & (right > x1 - 0.6 * heights) & (heights <= 8 * (y2 - y1))
        found[number] = bool((level & close & (x2 - x1 < heights)).any())
    return found


def _is_box(ink: Components, number: int) -> bool:
    """Return whether ink runs along all four sides of a component."""
    left, top, right, bottom = ink.boxes[number]
    inside = ink.labels[top:bottom, left:right] == number + 1
    edge = max(2, min(inside.shape) // 8)
    sides = (inside[:edge].any(0), inside[-edge:].any(0), inside[:, :edge].any(1), inside[:, -edge:].any(1))
    return all(side.mean() > 0.9 for side in sides)


def is_leader(boxes: Ints, unit: float) -> Mask:
    """Return (N,) which components are one of many dots or dashes in a row, without a letter below as an i has."""
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    small = (heights < SMALL * unit) & (widths < 3 * unit)
    result = np.zeros(len(boxes), bool)
    numbers = np.flatnonzero(small)
    if len(numbers) < LEADER:
        return result
    some = boxes[numbers]
    middle = (some[:, 1] + some[:, 3]) / 2
    one, other = pairs_to_the_right(some[:, 0], some[:, 2] + 1.5 * unit)
    near = (some[other, 0] - some[one, 2] >= -1) & (np.abs(middle[one] - middle[other]) < 0.3 * unit)
    for group in groups(len(numbers), one[near], other[near]):
        if len(group) >= LEADER:
            result[numbers[group]] = True
    others = boxes[~small]
    for number in np.flatnonzero(result):
        left, top, right, bottom = boxes[number]
        beside = (others[:, 0] < right) & (others[:, 2] > left)
        close = (others[:, 1] < bottom + 0.5 * unit) & (others[:, 3] > top - 0.5 * unit)
        result[number] = not (beside & close).any()
    return result
