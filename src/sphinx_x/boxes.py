"""The only kind of box in the package, and its geometry.

A box is `(left, top, right, bottom)`, measured from the upper left corner of its picture, in pixels unless stated
otherwise. Right and bottom are edges, not pixels: `(0, 0, 1, 1)` is the first pixel. A box whose right is not right of
its left, or whose bottom is not below its top, is empty.

The type of numbers is kept: integers give integers, except for centres and shares. Arguments may be lists, as in JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

Number = TypeVar("Number", int, float)
BoxOf = tuple[Number, Number, Number, Number]
"""A box of numbers of one type: `BoxOf[int]` has whole pixels."""
Box = BoxOf[float]
"""Left, top, right, bottom."""


def from_xywh(numbers: Sequence[Number]) -> BoxOf[Number]:
    """Return left, top, width and height, as COCO writes boxes, as a box."""
    x, y, width, height = numbers
    return (x, y, x + width, y + height)


def sides(box: Sequence[Number]) -> tuple[Number, Number]:
    """Return width and height, negative if a box is the wrong way round."""
    return (box[2] - box[0], box[3] - box[1])


def area(box: Sequence[Number]) -> Number:
    """Return width times height; 0 for an empty box."""
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def centre(box: Sequence[float]) -> tuple[float, float]:
    """Return the centre, (x, y)."""
    return ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)


def union(boxes: Iterable[Sequence[Number]]) -> BoxOf[Number]:
    """Return the smallest box around all boxes, of which there must be at least one."""
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return (min(x1), min(y1), max(x2), max(y2))


def around(points: Iterable[Sequence[Number]]) -> BoxOf[Number]:
    """Return the smallest box around all points (x, y), of which there must be at least one."""
    x, y = zip(*points, strict=True)
    return (min(x), min(y), max(x), max(y))


def intersection(one: Sequence[Number], other: Sequence[Number]) -> BoxOf[Number]:
    """Return what two boxes have in common; an empty box, whose negative `sides` are the gap, if they are apart."""
    return (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))


def iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the intersection over union of two boxes; 0 for boxes without area."""
    common = area(intersection(one, other))
    whole = area(one) + area(other) - common
    return common / whole if whole > 0 else 0.0


def share_within(box: Sequence[float], other: Sequence[float]) -> float:
    """Return the share of a box's area that lies in another box; 0 for a box without area."""
    return area(intersection(box, other)) / max(area(box), 1e-6)


def overlaps(one: Sequence[float], other: Sequence[float], gap: float = 0) -> bool:
    """Return whether two boxes have area in common, or less than `gap` between them; touching edges do not count."""
    return one[0] < other[2] + gap and other[0] < one[2] + gap and one[1] < other[3] + gap and other[1] < one[3] + gap


def stands_below(one: Sequence[float], other: Sequence[float], slack: float = 2) -> bool:
    """Return whether the other box begins where the first ends, or lower, and some of it is right below the first."""
    return other[1] >= one[3] - slack and other[0] < one[2] and one[0] < other[2]


def encloses(outer: Sequence[float], inner: Sequence[float]) -> bool:
    """Return whether no part of the inner box is outside the outer one; a box encloses itself."""
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


def contains(box: Sequence[float], point: Sequence[float]) -> bool:
    """Return whether a point (x, y) lies in a box or on one of its edges."""
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def nearest(box: Sequence[float], point: Sequence[float]) -> tuple[float, float]:
    """Return the point of a box nearest to a point (x, y), which is that point itself if the box contains it."""
    return (min(max(point[0], box[0]), box[2]), min(max(point[1], box[1]), box[3]))


def clip(box: Sequence[Number], size: Sequence[Number]) -> BoxOf[Number]:
    """Return the part of a box inside a picture of this width and height, or an empty box."""
    x1, y1, x2, y2 = box
    # the zero of a number's own kind: whole pixels stay whole, and JSON has 0.0 among fractions
    return (max(x1, type(x1)(0)), max(y1, type(y1)(0)), min(x2, size[0]), min(y2, size[1]))


def moved(box: Sequence[Number], x: Number, y: Number) -> BoxOf[Number]:
    """Return a box moved to the right by `x` and down by `y`."""
    return (box[0] + x, box[1] + y, box[2] + x, box[3] + y)


def grown(box: Sequence[Number], margin: Number) -> BoxOf[Number]:
    """Return a box with a margin on all sides; a negative one makes it smaller."""
    return (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin)
