"""A page laid flat: upright dark ink on white, its lines, and the mapping back to the pixels of its image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sphinx_x.boxes import BoxOf, clip, grown
from sphinx_x.page_lines.chains import Chain, chain
from sphinx_x.page_lines.components import Components, Ints, Mask, find_components
from sphinx_x.page_lines.ground import flatten
from sphinx_x.page_lines.order import reading_order
from sphinx_x.page_lines.rules import find_rules, is_leader, is_no_text
from sphinx_x.page_lines.skew import find_angle

MARGIN = 3
"""White pixels left around a line, as in training."""
INK = 80
"""How far a pixel differs from white (0 to 255), after `flatten`, to count as ink."""
UNIT = 12.0
"""Height of a typical letter at 150 dots per inch, in pixels."""
SMALL, LARGE = 0.75, 1.9
"""A page whose letters are smaller or larger than these multiples of UNIT is scaled before it is cut."""
WORD_GAP = 0.2
"""Smallest gap between words, in heights of the line."""
SPECK = 0.012
"""A component of at most this area, in squares of a typical letter's height, is dust: full stops are larger."""
LOW, FEW = 0.7, 3
"""A line that is shorter than this, in heights of a typical letter, and has at most so many components is not a
line."""
MANY = 12_000
"""No page has so many letters; anything that has is a picture, or noise."""
EDGE = 1
"""Width in pixels of the soft edge around ink."""


@dataclass(frozen=True)
class Line:
    """A piece of a line.

    Attributes:
        box: In pixels of the flat page, without margin.
        members: Its components.
        row: Pieces with the same row are one line of text.
    """

    box: BoxOf[int]
    members: Ints
    row: int


@dataclass(frozen=True)
class FlatPage:
    """A page after rotation, scaling and flattening.

    Attributes:
        grey: (H, W), 0 for ink, 255 for paper.
        ink: Its components.
        unit: Height of a typical letter in pixels.
        lines: In reading order.
        angle: Degrees by which the image's lines rise.
        scale: Pixels of the flat page per pixel of the image.
        size: Width and height of the image.
    """

    grey: NDArray[np.uint8]
    ink: Components
    unit: float
    lines: tuple[Line, ...]
    angle: float
    scale: float
    size: tuple[int, int]

    def to_picture(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Map points (N, 2), x and y, from the flat page to the image."""
        u = points - np.array([self.grey.shape[1], self.grey.shape[0]]) / 2
        sin, cos = math.sin(math.radians(self.angle)), math.cos(math.radians(self.angle))
        back = u @ np.array([[cos, -sin], [sin, cos]])
        return back / self.scale + np.array(self.size) / 2

    def box_of(self, members: Ints, within: BoxOf[int]) -> BoxOf[int]:
        """Return the box, in pixels of the image, of some components' ink within a box of the flat page."""
        left, top, right, bottom = within
        y, x = np.nonzero(np.isin(self.ink.labels[top:bottom, left:right], members + 1))
        if self.angle == 0 and self.scale == 1:
            return int(x.min()) + left, int(y.min()) + top, int(x.max()) + 1 + left, int(y.max()) + 1 + top
        points = np.stack([x + left + 0.5, y + top + 0.5], axis=1)
        found = self.to_picture(points)
        low = np.floor(found.min(0) - 0.5 / self.scale).clip(0).astype(int)
        high = np.minimum(np.ceil(found.max(0) + 0.5 / self.scale), self.size).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def line_box(self, line: Line) -> BoxOf[int]:
        """Return the box of a line in pixels of the image."""
        return self.box_of(line.members, line.box)

    def within(self, box: Sequence[float]) -> tuple[Line, ...]:
        """Return the lines, or parts of lines, in a box of the image.

        A letter belongs to it if the point at the letter's middle and the line's middle does.
        """
        x1, y1, x2, y2 = box
        found = []
        for line in self.lines:
            boxes = self.ink.boxes[line.members]
            x = (boxes[:, 0] + boxes[:, 2]) / 2
            points = self.to_picture(np.stack([x, np.full(len(x), (line.box[1] + line.box[3]) / 2)], axis=1))
            inside = (points[:, 0] >= x1) & (points[:, 0] < x2) & (points[:, 1] >= y1) & (points[:, 1] < y2)
            if inside.all():
                found.append(line)
            elif inside.any():
                found.append(self._part(line, line.members[inside]))
        return tuple(found)

    def _part(self, line: Line, members: Ints) -> Line:
        """Return some components of a line as a line."""
        boxes = self.ink.boxes[members]
        top, bottom = max(int(boxes[:, 1].min()), line.box[1]), min(int(boxes[:, 3].max()), line.box[3])
        return Line((int(boxes[:, 0].min()), top, int(boxes[:, 2].max()), bottom), members, line.row)

    def words(self, line: Line) -> list[Line]:
        """Split a line into words, at gaps of about a fifth of the line's height."""
        boxes = self.ink.boxes[line.members]
        order = np.argsort(boxes[:, 0], kind="stable")
        least = max(3, round((line.box[3] - line.box[1]) * WORD_GAP))
        reached = np.maximum.accumulate(boxes[order, 2])
        breaks = np.flatnonzero(boxes[order[1:], 0] - reached[:-1] > least) + 1
        return [self._part(line, line.members[np.sort(part)]) for part in np.split(order, breaks)]

    def pieces(self, line: Line, widest: float) -> list[Line]:
        """Cut a line between words, as rarely as possible so that no piece is wider than `widest`; no word is cut."""
        if line.box[2] - line.box[0] <= widest:
            return [line]
        found: list[Line] = []
        for word in self.words(line):
            if found and word.box[2] - found[-1].box[0] <= widest:
                found[-1] = self._part(line, np.concatenate([found[-1].members, word.members]))
            else:
                found.append(word)
        return found

    def picture(self, line: Line, scale: float = 1.0) -> Image.Image:
        """Return an image of a line alone on white, scaled, with margins as in training."""
        around = 2 * EDGE
        x1, y1, x2, y2 = clip(grown(line.box, around), self.grey.shape[::-1])
        labels = self.ink.labels[y1:y2, x1:x2]
        own = np.isin(labels, line.members + 1)
        others = (labels > 0) & ~own
        seen = _grown(own, around) & ~(_grown(others, EDGE) & ~_grown(own, EDGE)) & ~others
        shown = Image.fromarray(np.where(seen, self.grey[y1:y2, x1:x2], 255).astype(np.uint8))
        if scale != 1:
            size = max(1, round(shown.width * scale)), max(1, round(shown.height * scale))
            shown = shown.resize(size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS)
        margin = max(MARGIN - around, 0)
        sheet = Image.new("RGB", (shown.width + 2 * margin, shown.height + 2 * margin), "white")
        sheet.paste(shown.convert("RGB"), (margin, margin))
        return sheet

    def best_scale(self, line: Line) -> float:
        """Return the scale at which a line's letters are as tall as in the training data; 1 if they nearly are."""
        heights = self.ink.heights[line.members]
        letters = heights[heights > 0.35 * heights.max()]
        high, usual = float(line.box[3] - line.box[1]), float(np.median(letters))
        wanted = min(UNIT / usual if usual < 0.72 * high else 15.0 / usual, 26.0 / high)
        return 1.0 if 0.85 <= wanted <= 1.2 else wanted


def _grown(mask: Mask, by: int) -> Mask:
    """Return a mask with everything within `by` pixels of it."""
    padded = np.pad(mask, by)
    for axis in (0, 1):
        padded = np.logical_or.reduce([np.roll(padded, shift, axis) for shift in range(-by, by + 1)])
    return padded[by:-by, by:-by]


def lay_flat(image: Image.Image) -> FlatPage:
    """Find the lines of an image of a page: upright, dark on white and with letters of typical size."""
    page = _lay(image, 1.0)
    if page.lines and not SMALL * UNIT <= page.unit <= LARGE * UNIT:
        scale = float(np.clip(1.15 * UNIT / page.unit, 0.1, 3.0))
        scale = min(scale, math.sqrt(12e6 / (image.width * image.height)))
        page = _lay(image, scale)
    return page


def _lay(image: Image.Image, scale: float) -> FlatPage:
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    grey = flatten(image if scale == 1 else image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0))
    angle = find_angle(255 - grey > INK)
    if angle:
        grey = _upright(grey, angle)
    found = find_components(255 - grey > INK)
    unit = _usual_height(found)
    if unit == 0:
        return FlatPage(grey, found, 0.0, (), angle, scale, image.size)
    text, walls = _text(found, unit)
    lines = _lines(text, walls, unit) if len(text) <= MANY else ()
    return FlatPage(grey, text, unit, lines, angle, scale, image.size)


def _upright(grey: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    """Rotate clockwise by `angle` about the middle, on a sheet that is large enough."""
    height, width = grey.shape
    sin, cos = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    wide = math.ceil(width * cos + height * abs(sin))
    high = math.ceil(height * cos + width * abs(sin))
    x, y = width / 2 - (wide * cos + high * sin) / 2, height / 2 - (high * cos - wide * sin) / 2
    data = (cos, sin, x, -sin, cos, y)
    turned = Image.fromarray(grey).transform(
        (wide, high), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC, fillcolor=255
    )
    return np.asarray(turned)


def _usual_height(found: Components) -> float:
    """Return the median height of possible letters; 0 if there are none."""
    widths, heights = found.widths, found.heights
    letters = (heights >= 4) & (widths >= 2) & (found.areas >= 8) & (widths < 8 * heights) & (heights < 12 * widths)
    return float(np.median(heights[letters])) if letters.any() else 0.0


def _text(found: Components, unit: float) -> tuple[Components, Mask]:
    """Return the components without rules, frames and other non-text, and the vertical rules."""
    across, down = find_rules(found.labels > 0, unit)
    rules = across | down
    left_out = is_no_text(found, rules, unit)
    specks = found.areas <= max(2.0, SPECK * unit * unit)
    kept = found.mask(~left_out & ~specks) & ~rules
    return find_components(kept), down


def _lines(text: Components, walls: Mask, unit: float) -> tuple[Line, ...]:
    usable = ~is_leader(text.boxes, unit) & ~is_no_text(text, np.zeros_like(walls), unit)
    chains = chain(text.boxes, usable, walls, unit)
    if not chains:
        return ()
    rows = reading_order(np.array([piece.box for piece in chains]), unit)
    return tuple(_numbered(chains, [row for row in rows if not all(_low(chains[k], unit) for k in row)]))


def _low(piece: Chain, unit: float) -> bool:
    """Return whether a piece of a line is so low and short that, by itself, it is dust or a dash."""
    return piece.box[3] - piece.box[1] < LOW * unit and len(piece.members) <= FEW


def _numbered(chains: Sequence, rows: Sequence[Sequence[int]]) -> Iterator[Line]:
    for number, row in enumerate(rows):
        for k in row:
            yield Line(chains[k].box, chains[k].members, number)
