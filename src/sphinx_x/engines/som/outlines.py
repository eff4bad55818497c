"""Outlines: the border of a mask as a polygon, its area, and polygons with fewer corners."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sphinx_x.engines.som.regions import Polygon


def outline(mask: np.ndarray) -> Polygon:
    """Return the outer border of the largest piece of a mask (H, W), along pixel edges, as corners (x, y)."""
    padded = np.pad(np.asarray(mask, bool), 1)
    inner, following = padded[1:-1, 1:-1], {}
    # borders run with the inside on their right: along tops, down right sides, back along bottoms, up left sides
    for other, start, end in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    ):
        rows, columns = np.nonzero(inner & ~other)
        for x, y in zip(columns.tolist(), rows.tolist(), strict=True):
            following.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    best: tuple[float, Polygon] = (0.0, ())
    while following:
        first = place = next(iter(following))
        loop: list[tuple[int, int]] = []
        while place in following:
            ends = following[place]
            loop.append(place)
            previous = loop[-2] if len(loop) > 1 else place
            # where two pieces touch at a corner, turn right and stay with the same piece
            ends.sort(
                key=lambda end, a=previous, b=place: (b[0] - a[0]) * (end[1] - b[1]) - (b[1] - a[1]) * (end[0] - b[0])
            )
            following_place = ends.pop()
            if not ends:
                del following[place]
            place = following_place
            if place == first:
                break
        best = max(best, (area_of(loop), _corners(loop)), key=lambda found: found[0])
    return best[1]


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    """Return a positive number if the path from a over b to c turns right as the image is seen."""
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])


def _corners(loop: Sequence[tuple[int, int]]) -> Polygon:
    """Return the points where a closed line along pixels turns."""
    return tuple(
        (float(b[0]), float(b[1]))
        for a, b, c in zip([loop[-1], *loop[:-1]], loop, [*loop[1:], loop[0]], strict=True)
        if (b[0] - a[0], b[1] - a[1]) != (c[0] - b[0], c[1] - b[1])
    )


def area_of(polygon: Sequence[Sequence[float]]) -> float:
    """Return the area of a polygon, positive if its corners go round clockwise as the image is seen."""
    following = [*polygon[1:], *polygon[:1]]
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, following, strict=True)) / 2


def simplify(polygon: Polygon, most: int) -> Polygon:
    """Return a polygon with at most `most` (3 or more) of its corners, chosen by the Douglas-Peucker rule.

    The tolerated distance grows until few enough corners are left.
    """
    if len(polygon) <= most:
        return polygon
    far = max(range(len(polygon)), key=lambda k: math.dist(polygon[0], polygon[k]))
    weights = [0.0] * len(polygon)
    weights[0] = weights[far] = math.inf
    _weigh(polygon, 0, far, weights, math.inf)
    _weigh(polygon, far, len(polygon), weights, math.inf)
    kept = sorted(sorted(range(len(polygon)), key=lambda k: (-weights[k], k))[:most])
    return tuple(polygon[k] for k in kept)


def _weigh(polygon: Polygon, first: int, last: int, weights: list[float], limit: float) -> None:
    """Give each corner between two the distance at which the rule drops it, never more than that of those above it."""
    waiting = [(first, last, limit)]
    while waiting:
        first, last, limit = waiting.pop()
        if last - first < 2:
            continue
        (ax, ay), (bx, by) = polygon[first], polygon[last % len(polygon)]
        length = math.hypot(bx - ax, by - ay)
        between = np.asarray(polygon[first + 1 : last])
        if length:
            away = np.abs((bx - ax) * (between[:, 1] - ay) - (by - ay) * (between[:, 0] - ax)) / length
        else:
            away = np.hypot(between[:, 0] - ax, between[:, 1] - ay)
        middle = first + 1 + int(away.argmax())
        weights[middle] = min(float(away.max()), limit)
        waiting += [(first, middle, weights[middle]), (middle, last, weights[middle])]
