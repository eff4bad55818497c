"""Where labels are put: on their region where it is widest, or beside it if they would hide it.

No two labels overlap, and none leaves the image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache

from PIL import ImageFont

from sphinx_x.boxes import Box, BoxOf, encloses, overlaps, sides
from sphinx_x.engines.som.overlaps import Kept

SMALLEST = 10
"""Pixels of the smallest font that is still easy to read."""
GAP = 1
"""Pixels between labels."""
HIDING = 0.5
"""Share of a region that its label may cover; if it would cover more, it stands beside the region."""
NO_ROOM = "no room for its label"


@cache
def font_at(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of labels at a size in pixels."""
    return ImageFont.load_default(size=size)


@cache
def label_size(text: str, font: int) -> tuple[int, int]:
    """Return width and height of a label, including its border, with a text at this font size."""
    left, _, right, _ = font_at(font).getbbox(text)
    return math.ceil(right - left) + max(font // 2, 4), font + max(font // 4, 3)


def font_of(size: tuple[int, int]) -> int:
    """Return the font size of labels for an image of this width and height: 1/32 of the mean side, at least 10."""
    return max(round(math.sqrt(size[0] * size[1]) / 32), SMALLEST)


def place_labels(
    kept: Sequence[Kept],
    boxes: Sequence[Box],
    size: tuple[int, int],
    texts: Sequence[str],
    font: int,
    beside: bool,
    avoid: Sequence[Box] = (),
) -> tuple[list[BoxOf[int] | None], int]:
    """Place the labels; regions with the least depth choose first.

    A label beside its region avoids the boxes of `avoid` if it can.

    Args:
        kept: What each region keeps.
        boxes: Box around each region.
        size: Width and height of the image.
        texts: Texts of the labels, which are all as wide as the widest.
        font: Font size to try first, followed by smaller ones until all labels have room.
        beside: Put labels beside regions less than three labels high, as is always done for those that they would hide.
        avoid: Boxes that labels should not hide.

    Returns:
        The label of each region that has room for one, and the font size.
    """
    best: tuple[int, list[BoxOf[int] | None], int] = (-1, [None] * len(kept), font)
    while True:
        wide = max((label_size(text, font) for text in texts), default=(0, 0))
        found = _place(kept, boxes, size, wide, beside, avoid)
        count = sum(rect is not None for rect in found)
        if count > best[0]:
            best = (count, found, font)
        if count == len(kept) or font <= SMALLEST:
            return best[1], best[2]
        font = max(round(font * 0.8), SMALLEST)


def _place(
    kept: Sequence[Kept],
    boxes: Sequence[Box],
    size: tuple[int, int],
    label: tuple[int, int],
    beside: bool,
    avoid: Sequence[Box],
) -> list[BoxOf[int] | None]:
    found: list[BoxOf[int] | None] = [None] * len(kept)
    if label[0] > size[0] or label[1] > size[1]:
        return found
    placed: list[BoxOf[int]] = []
    order = sorted(range(len(kept)), key=lambda k: (kept[k].distances.max() * kept[k].step ** 2, k))
    for k in order:
        one = kept[k]
        narrow = math.sqrt(one.distances.max()) * one.step < 1.5 * label[1]
        hidden = label[0] * label[1] > HIDING * one.pixels.area * one.scale**2
        inside, around = _inside(one, size, label, placed), _beside(boxes[k], size, label)
        if hidden or (beside and narrow):
            places = list(around)
            hiding = [sum(overlaps(rect, other) for other in avoid) for rect in places]
            ways = ([places[n] for n in sorted(range(len(places)), key=lambda n: hiding[n])], inside)
        else:
            ways = (inside, around)
        rects = (rect for way in ways for rect in way)
        found[k] = next((rect for rect in rects if not any(overlaps(rect, other, GAP) for other in placed)), None)
        if found[k] is not None:
            placed.append(found[k])  # pyright: ignore[reportArgumentType]
    return found


def _inside(
    one: Kept, size: tuple[int, int], label: tuple[int, int], placed: Sequence[BoxOf[int]]
) -> Iterator[BoxOf[int]]:
    """Yield the best place of a region: the deepest block on which a label is free and inside the image."""
    point = _centred_on(one.best(), label)
    if encloses((0, 0, *size), point):
        yield point
    room = one.distances.copy()
    width, height = label
    rows, columns = room.shape

    def first(pixel: float, begin: int, limit: int) -> int:
        """Return the first block whose centre lies at `pixel` or beyond."""
        return min(max(math.ceil((pixel - begin) / one.step - 0.5), 0), limit)

    room[: first(height / 2, one.y, rows)] = 0
    room[first(size[1] - height / 2 + 1e-9, one.y, rows) :] = 0
    room[:, : first(width / 2, one.x, columns)] = 0
    room[:, first(size[0] - width / 2 + 1e-9, one.x, columns) :] = 0
    for left, top, right, bottom in placed:
        across = slice(
            first(left - GAP - width / 2 - 0.5, one.x, columns), first(right + GAP + width / 2 + 0.5, one.x, columns)
        )
        down = slice(
            first(top - GAP - height / 2 - 0.5, one.y, rows), first(bottom + GAP + height / 2 + 0.5, one.y, rows)
        )
        room[down, across] = 0
    if room.max(initial=0) > 0:
        row, column = divmod(int(room.argmax()), columns)
        rect = _centred_on(one.at(row, column), label)
        yield _moved_in(rect, size)


def _beside(box: Box, size: tuple[int, int], label: tuple[int, int]) -> Iterator[BoxOf[int]]:
    """Yield places above, below, left and right of a box, from its upper left corner, then one label further."""
    width, height = label
    left, top, right, bottom = math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3])
    middle, centre = (top + bottom - height) // 2, (left + right - width) // 2
    for far in (1, height, 2 * height):
        for x, y in (
            (left - width - far, middle),
            (right + far, middle),
            (left, top - height - far),
            (left, bottom + far),
            (centre, top - height - far),
            (centre, bottom + far),
            (right - width, top - height - far),
            (right - width, bottom + far),
        ):
            rect = (x, y, x + width, y + height)
            if encloses((0, 0, *size), rect):
                yield rect
            elif far == 1:
                yield _moved_in(rect, size)


def _centred_on(point: tuple[float, float], label: tuple[int, int]) -> BoxOf[int]:
    left, top = round(point[0] - label[0] / 2), round(point[1] - label[1] / 2)
    return left, top, left + label[0], top + label[1]


def _moved_in(rect: BoxOf[int], size: tuple[int, int]) -> BoxOf[int]:
    """Return the nearest place inside the image for a label that is not larger than it."""
    width, height = sides(rect)
    left, top = min(max(rect[0], 0), size[0] - width), min(max(rect[1], 0), size[1] - height)
    return left, top, left + width, top + height
