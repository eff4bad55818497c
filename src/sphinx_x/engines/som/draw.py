"""Marks on a copy of the image: points, boxes, polygons or masks with their labels, for people and for prompting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sphinx_x.boxes import centre, nearest, overlaps, sides
from sphinx_x.engines.som.labels import font_at, label_size
from sphinx_x.engines.som.marks import Mark, Marked
from sphinx_x.engines.som.regions import Polygon, Region, clamped, cut_out

ALPHA = 0.35
"""Opacity of the colour over a masked region."""
NEAR = 4
"""Largest distance in pixels between a label and its region without a connecting line."""


def draw_marks(image: Image.Image, marked: Marked, regions: Sequence[Region]) -> Image.Image:
    """Draw the marks made of `regions` on a copy of an RGB image.

    Large regions come first and labels last, so that nothing covers a label.
    """
    out = image.convert("RGB")
    marks = sorted(marked.marks, key=lambda mark: -mark.share)
    width = max(round((image.width * image.height) ** 0.5 / 250), 1)
    for mark in marks:
        if mark.kind == "mask":
            _tint(out, mark, regions[mark.region])
    draw = ImageDraw.Draw(out)
    for mark in marks:
        _draw_place(draw, mark, regions[mark.region], width)
    for mark in marks:
        if mark.moved and not overlaps(mark.rect, mark.box, NEAR):
            _draw_leader(draw, mark, width)
    for mark in marks:
        _draw_label(draw, mark)
    return out


def _tint(image: Image.Image, mark: Mark, region: Region) -> None:
    cut = cut_out(region, image.size)
    shade = cut.mask.astype(np.uint8) * round(255 * ALPHA)
    image.paste(mark.colour, (cut.x, cut.y), Image.fromarray(shade))


def _draw_place(draw: ImageDraw.ImageDraw, mark: Mark, region: Region, width: int) -> None:
    """Draw the outline in its colour inside a thin one in the ink's, so that it is visible on any image."""
    left, top, right, bottom = mark.box
    if mark.kind == "point":
        x, y = mark.point
        dot = min(1.5 * width, min(sides(mark.box)) / 8) + 1  # letters below it stay readable
        for radius, colour in ((dot + 1, mark.ink), (dot, mark.colour)):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        return
    pieces = [mark.polygon]
    if mark.kind == "box":
        pieces = [_grown(((left, top), (right - 1, top), (right - 1, bottom - 1), (left, bottom - 1)), width + 1)]
    elif mark.kind == "polygon" and min(sides(mark.box)) < 4 * mark.font:
        pieces = [_grown(mark.polygon, width + 1)]
    elif mark.kind == "mask" and region.mask is None and region.polygons:
        pieces = [clamped(polygon, mark.box) for polygon in region.polygons]
    for colour, wide in ((mark.ink, width + 2), (mark.colour, width)):
        for corners in pieces:
            if len(corners) > 1:
                draw.line([*corners, corners[0], corners[1]], fill=colour, width=wide, joint="curve")


def _grown(polygon: Polygon, pixels: float) -> Polygon:
    """Return a polygon with its corners moved outwards, so that its outline hides nothing of its content."""
    middle = (sum(x for x, _ in polygon) / len(polygon), sum(y for _, y in polygon) / len(polygon))
    return tuple(
        (x + math.copysign(pixels, x - middle[0]), y + math.copysign(pixels, y - middle[1])) for x, y in polygon
    )


def _draw_leader(draw: ImageDraw.ImageDraw, mark: Mark, width: int) -> None:
    """Draw a line from the label to its region, if it is not on it."""
    start = centre(mark.rect)
    end = mark.point if mark.kind in ("point", "mask") else nearest(mark.box, start)
    draw.line([start, end], fill=mark.ink, width=width + 2)
    draw.line([start, end], fill=mark.colour, width=width)


def _draw_label(draw: ImageDraw.ImageDraw, mark: Mark) -> None:
    left, top, right, bottom = mark.rect
    draw.rectangle((left, top, right - 1, bottom - 1), fill=mark.colour, outline=mark.ink)
    draw.text(centre(mark.rect), mark.label, fill=mark.ink, font=font_at(mark.font), anchor="mm")


def fits(mark: Mark) -> bool:
    """Return whether the text of a label is no larger than the label."""
    wide, high = sides(mark.rect)
    width, height = label_size(mark.label, mark.font)
    return width <= wide and height <= high
