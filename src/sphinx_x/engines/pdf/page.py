"""A PDF page -> its picture at a chosen long edge, and its text with boxes in reading order, figures among it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pypdfium2 as pdfium
from PIL import Image

from sphinx_x.boxes import Box, area, intersection, share_within, sides
from sphinx_x.engines.pdf.annotations import flattened, read_annotations
from sphinx_x.engines.pdf.blocks import Block
from sphinx_x.engines.pdf.covers import covered
from sphinx_x.engines.pdf.drawings import Shapes, read_painted, read_shapes
from sphinx_x.engines.pdf.initials import with_initials
from sphinx_x.engines.pdf.layout import classify
from sphinx_x.engines.pdf.order import arrange
from sphinx_x.engines.pdf.structure import by_element, read_tags, trusted
from sphinx_x.engines.pdf.tables import ruled_tables
from sphinx_x.engines.pdf.text_layer import OBLIQUE, VERTICAL, Characters, Frame, read_characters
from sphinx_x.engines.pdf.trust import distrusted
from sphinx_x.engines.pdf.words import Line, Upright, mark_vertical, turn_boxes
from sphinx_x.sources.base import UnusedError

TURNED = 0.8
"""Share of the characters that run in one other direction, from which the whole page is turned."""
EDGE = 6
"""Steps of grey between neighbours, in a picture of half the size, that are ink and not noise."""
COLOUR = 24
"""Difference between the channels from which a page is kept in colour."""
STRIP = 64
"""Rows that are looked at together: few enough to stay in the processor's cache."""
QUARTERS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
"""Turns against the clock."""
IN_FIGURE = 0.5
"""Share of a line's box inside a figure, from which the line belongs to it."""
TEXT_IN_DRAWING = 0.35
"""Share of a drawing that text may cover; beyond it, it is a decoration of the text."""
SIDES = (20.0, 14_400.0)
"""Points; what a page's sides may measure."""


@dataclass
class Page:
    """A page as it is seen and read. blocks: in reading order, of text and of kind `figure`; shapes: what is drawn."""

    image: Image.Image
    chars: Characters
    blocks: list[Block]
    shapes: Shapes
    regions: list[Block] = field(default_factory=list)
    """Regions of the layout, each with its `label`."""
    turned: int = 0
    fields: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Characters that are in no block, by reason."""

    @property
    def lines(self) -> list[Line]:
        """All lines in reading order, without those inside figures."""
        return [line for block in self.blocks if block.kind != "figure" for line in block.lines]

    @property
    def text(self) -> str:
        """The whole text, one block a line."""
        return "\n".join(block.text for block in self.blocks if block.kind != "figure" and block.lines)

    @property
    def all_text(self) -> str:
        """Every line with those inside figures, or where there is none the characters as the file has them."""
        lines = [line.text for block in self.blocks for line in block.lines]
        return "\n".join(lines) or "".join(
            f" {text}" if space else text for text, space in zip(self.chars.text, self.chars.space, strict=True)
        )


def read_page(document: pdfium.PdfDocument, number: int, long_edge: int) -> Page:
    """Page `number` (from 0) with its long side of `long_edge` pixels; text that stands on its side is turned upright.

    Raises `UnusedError` for a page of an odd size and `PdfiumError` for a page that cannot be read.
    """
    page = document[number]
    try:
        image, frame, scale = render(page, long_edge)
        annotations = read_annotations(page)
        if annotations.text:
            page = flattened(document, number, page)
            image, frame, scale = render(page, long_edge)
        chars = read_characters(page, frame)
        painted = read_painted(page, () if annotations.text else annotations.places)
        shapes = read_shapes(painted, frame)
        under = covered(page, frame, painted, chars.keys, chars.box, scale, image)
        tags = read_tags(page)
    finally:
        page.close()
    left_out = hide(chars, image.convert("L"), under)
    mark_vertical(chars)
    turned = _turn_of(chars)
    if turned:
        image = image.transpose(QUARTERS[turned - 1])
        _turn(chars, shapes, turned, frame.width, frame.height)
    chars.broken |= distrusted(chars, image)
    blocks = _arranged(chars, shapes, image.size)
    tags = trusted(tags, [line for block in blocks for line in block.lines])
    blocks = by_element(blocks, tags) if tags else blocks
    left_out["slanted"] += int(((chars.direction == OBLIQUE) & ~chars.hidden).sum())
    regions = classify(blocks, tags, image.height, shapes.rules)
    return Page(image, chars, blocks, shapes, regions, turned, annotations.fields, +left_out)


def render(page: pdfium.PdfPage, long_edge: int) -> tuple[Image.Image, Frame, float]:
    """The picture of a page, grey where it has no colour; the way from its points to pixels; and its scale."""
    width, height = page.get_size()
    if not all(SIDES[0] <= side <= SIDES[1] for side in (width, height)):
        raise UnusedError(f"page of an odd size: {width:.0f} x {height:.0f} points")
    scale = (long_edge - 1e-3) / max(width, height)
    if min(width, height) * scale < 16:
        raise UnusedError(f"page of an odd size: {width:.0f} x {height:.0f} points")
    bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=True)  # pyright: ignore[reportArgumentType]
    image = _greyed(bitmap)
    bitmap.close()
    left, bottom, right, top = page.get_bbox()
    return image, Frame((left, bottom, right, top), page.get_rotation() // 90, *image.size), scale


def _greyed(bitmap: pdfium.PdfBitmap) -> Image.Image:
    """A picture of red, green, blue and nothing -> a copy: one channel where no colour can be seen, else three.

    Most pages are exactly grey, which is seen fastest by comparing the bytes of whole pixels.
    """
    image, pixels = bitmap.to_pil(), bitmap.to_numpy()
    whole = pixels.view("<u4")[..., 0]
    for top in range(0, len(whole), STRIP):
        strip = whole[top : top + STRIP]
        odd = ((strip >> 8) ^ strip) & 0xFFFF != 0
        if odd.any():
            channels = pixels[top : top + STRIP][odd].astype(np.int16)
            if np.abs(channels[:, 1:3] - channels[:, :1]).max() > COLOUR:
                return image.convert("RGB")
    return image.getchannel(0)


def hide(chars: Characters, grey: Image.Image, under: np.ndarray) -> Counter[str]:
    """Marks the characters that nobody sees: invisible ones, those off the page, those without ink in their box, and
    those that are covered or of layers that are off (N, `under`)."""
    counts: Counter[str] = Counter()
    counts["invisible"] = int(chars.hidden.sum())
    width, height = grey.size
    x, y = (chars.box[:, 0] + chars.box[:, 2]) / 2, (chars.box[:, 1] + chars.box[:, 3]) / 2
    off = ~chars.hidden & ((x < 0) | (y < 0) | (x > width) | (y > height))
    counts["off the page"] = int(off.sum())
    chars.hidden |= off
    ink = _ink(grey)
    limits = [ink.shape[1], ink.shape[0]]
    low = np.floor((chars.box[:, :2] - 0.5) / 2).clip(0, limits).astype(int)
    high = np.ceil((chars.box[:, 2:] + 2.5) / 2).clip(0, limits).astype(int)
    bare = ~chars.hidden & ~_holds(ink, low, high)
    counts["without ink"] = int(bare.sum())
    chars.hidden |= bare
    counts["covered"] = int((under & ~chars.hidden).sum())
    chars.hidden |= under
    return counts


def _holds(ink: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(N,) whether there is ink between corners (N, 2); looked for row by row, as most is in the first rows."""
    before = np.zeros((ink.shape[0], ink.shape[1] + 1), np.int32)
    np.cumsum(ink, axis=1, out=before[:, 1:])
    (left, row), (right, end) = low.T.copy(), high.T
    found = np.zeros(len(low), bool)
    left_over = np.flatnonzero(row < end)
    while len(left_over):
        here = row[left_over]
        found[left_over] = before[here, right[left_over]] > before[here, left[left_over]]
        row[left_over] += 1
        left_over = left_over[~found[left_over] & (row[left_over] < end[left_over])]
    return found


def _ink(image: Image.Image) -> np.ndarray:
    """(H / 2, W / 2) whether the mean shade of four pixels differs from that of those on the left or above."""
    shade = np.asarray(image.reduce(2))
    edges = np.zeros(shade.shape, bool)
    edges[:, 1:] = _apart(shade[:, 1:], shade[:, :-1])
    edges[1:] |= _apart(shade[1:], shade[:-1])
    return edges


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(a, b) - np.minimum(a, b) > EDGE


def _turn_of(chars: Characters) -> int:
    """By how many quarters against the clock a page is turned, so that its text stands upright."""
    seen = chars.direction[~chars.hidden]
    if not len(seen):
        return 0
    counts = np.bincount(seen, minlength=6)
    best = int(counts[:4].argmax())
    return best if counts[best] > TURNED * len(seen) else 0


def _turn(chars: Characters, shapes: Shapes, quarters: int, width: int, height: int) -> None:
    chars.box, chars.cell = (turn_boxes(boxes, quarters, width, height) for boxes in (chars.box, chars.cell))
    straight = chars.direction < 4
    chars.direction[straight] = (chars.direction[straight] - quarters) % 4
    turned = _turned_boxes([box for box, _ in shapes.figures], quarters, width, height)
    shapes.figures = [(box, count) for box, (_, count) in zip(turned, shapes.figures, strict=True)]
    shapes.rules = _turned_boxes(shapes.rules, quarters, width, height)


def _turned_boxes(boxes: Sequence[Box], quarters: int, width: int, height: int) -> list[Box]:
    array = np.array(boxes, np.float64).reshape(-1, 4)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in turn_boxes(array, quarters, width, height).tolist()]


def _arranged(chars: Characters, shapes: Shapes, size: tuple[int, int]) -> list[Block]:
    """Blocks of the direction that most characters have, with the figures; then what stands on its side."""
    counts = np.bincount(chars.direction[~chars.hidden], minlength=6)
    order = sorted((d for d in range(6) if counts[d] and d != OBLIQUE), key=lambda d: -counts[d])
    blocks: list[Block] = []
    figures: list[Block] = []
    for rank, direction in enumerate(order):
        lines = with_initials(Upright(chars, direction, *size).lines())
        if rank == 0:
            figures, lines = _figures(shapes, lines)
            rtl = 2 * sum(line.rtl for line in lines) > len(lines)
            tables, lines = ruled_tables(shapes.rules, lines) if direction != VERTICAL and not rtl else ([], lines)
            blocks = arrange(lines, rtl, tables)
            blocks = _with_figures(blocks, figures) if direction != VERTICAL else blocks + figures
        else:
            blocks += arrange(_taken(figures, lines))
    if not order:
        blocks = _figures(shapes, [])[0]
    return blocks


def _figures(shapes: Shapes, lines: Sequence[Line]) -> tuple[list[Block], list[Line]]:
    """Figures with the lines inside them, and the lines that are in none."""
    figures = []
    rest = list(lines)
    for box, count in shapes.figures:
        inside = [line for line in rest if share_within(line.box, box) > IN_FIGURE]
        covered = sum(area(line.box) for line in inside)
        if covered > TEXT_IN_DRAWING * area(box) or 2 * sum(len(line.words) for line in inside) > count:
            continue  # framed text
        figures.append(Block(inside, box, "figure"))
        taken = set(map(id, inside))
        rest = [line for line in rest if id(line) not in taken]
    return figures, rest


def _taken(figures: Sequence[Block], lines: Sequence[Line]) -> list[Line]:
    """Gives lines of other directions to the figures they are in; returns the others."""
    rest = []
    for line in lines:
        around = next((figure for figure in figures if share_within(line.box, figure.box) > IN_FIGURE), None)
        (rest if around is None else around.lines).append(line)
    return rest


def _with_figures(blocks: list[Block], figures: Sequence[Block]) -> list[Block]:
    """Puts every figure before the block that follows it in its column."""
    out = list(blocks)
    for figure in figures:
        best, place = math.inf, len(out)
        for number, block in enumerate(out):
            across, _ = sides(intersection(block.box, figure.box))
            below = block.box[1] - figure.box[3]
            if across > 0 and -0.3 * sides(figure.box)[1] <= below < best:
                best, place = below, number
        if place == len(out) and out:  # nothing below it: after the last block above
            above = [n for n, block in enumerate(out) if sides(intersection(block.box, figure.box))[0] > 0]
            place = max(above, default=len(out) - 1) + 1
        out.insert(place, figure)
    return out
