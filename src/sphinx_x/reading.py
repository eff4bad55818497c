"""Reading parts of a page with a member that reads lines: white space cuts the page, the model reads and points.

SPHINX-Nano sees one line at a time. Here a region of a page is cut into its lines along rows and columns without ink
(a recursive X-Y cut, no learning), the lines are read as one batch, and what is found is put back on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from PIL import Image

from sphinx_x.errors import ImageError
from sphinx_x.inference import SphinxX

Box = tuple[int, int, int, int]
READ = "Read the text."
MARGIN = 3
"""White pixels left around a line, as in training."""
INK = 48
"""How far a pixel differs from the background (0 to 255) to count as ink."""
ROW_GAP, COLUMN_GAP = 2, 28
"""Least height of the white between two lines, and width of the white between two columns, in pixels at 150 dpi."""


@dataclass(frozen=True)
class Found:
    """A text found on a page. box: where, in pixels of the page; line: the box of its line; read: what the model read
    there; likeness: share of the text that it matches, 0 to 1."""

    box: Box
    line: Box
    read: str
    likeness: float


def find_lines(image: Image.Image) -> list[Box]:
    """Boxes of the text lines of an image in reading order, in its pixels: (left, top, right, bottom)."""
    boxes = _cut(_ink(image), 0, 0, by_rows=False, may_stop=False)
    return [
        (max(x1 - MARGIN, 0), max(y1 - MARGIN, 0), min(x2 + MARGIN, image.width), min(y2 + MARGIN, image.height))
        for x1, y1, x2, y2 in boxes
    ]


def _cut(ink: Any, left: int, top: int, by_rows: bool, may_stop: bool) -> list[Box]:
    """Cuts along rows and columns in turn, until neither cuts any more."""
    pieces = _runs(ink.any(axis=1 if by_rows else 0), ROW_GAP if by_rows else COLUMN_GAP)
    if len(pieces) == 1 and may_stop:
        start, end = pieces[0]
        inner = ink[start:end] if by_rows else ink[:, start:end]
        rows, columns = np.flatnonzero(inner.any(axis=1)), np.flatnonzero(inner.any(axis=0))
        x, y = (left, top + start) if by_rows else (left + start, top)
        return [(x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1)]
    boxes = []
    for start, end in pieces:
        part = ink[start:end] if by_rows else ink[:, start:end]
        where = (left, top + start) if by_rows else (left + start, top)
        boxes += _cut(part, *where, by_rows=not by_rows, may_stop=len(pieces) == 1)
    return boxes


def _runs(marked: Any, gap: int) -> list[tuple[int, int]]:
    """Stretches of marked places, (start, end); stretches less than `gap` apart are one."""
    places = np.flatnonzero(marked)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > gap)
    starts, ends = [places[0], *places[breaks + 1]], [*places[breaks], places[-1]]
    return [(int(a), int(b) + 1) for a, b in zip(starts, ends, strict=True)]


def read_region(sphinx: SphinxX, image: Image.Image, box: Sequence[float]) -> str:
    """The text in a box (left, top, right, bottom, pixels of the image), line by line.

    Raises `ImageError` where the box has no area inside the image or holds nothing.
    """
    x1, y1, x2, y2 = (round(n) for n in box)
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, image.width), min(y2, image.height)
    if x2 <= x1 or y2 <= y1:
        raise ImageError(f"the box {[round(n) for n in box]} has no area in an image of {image.width} x {image.height}")
    crop = image.crop((x1, y1, x2, y2))
    lines = _whole(find_lines(crop), crop.height)
    if not lines:
        raise ImageError(f"the box {[round(n) for n in box]} holds nothing to read")
    return "\n".join(_read(sphinx, crop, lines))


def _read(sphinx: SphinxX, image: Image.Image, lines: Sequence[Box]) -> list[str]:
    """What stands in each line. One that is wider than the model sees without making it smaller is read in pieces."""
    grid = sphinx.processor.image_processor.grid()
    cut = [_pieces(image, line, grid.columns * grid.view_width) for line in lines]
    said = iter(sphinx.chat_batch([(READ, image.crop(piece)) for pieces in cut for piece in pieces]))
    return [" ".join(next(said) for _ in pieces) for pieces in cut]


def _pieces(image: Image.Image, line: Box, widest: int) -> list[Box]:
    """A line cut between words, as few times as its pieces are no wider than `widest`; no word is cut."""
    if line[2] - line[0] <= widest:
        return [line]
    pieces: list[Box] = []
    for left, _, right, _ in _words(image, line):
        if pieces and right - pieces[-1][0] <= widest:
            pieces[-1] = (pieces[-1][0], line[1], right, line[3])
        else:
            pieces.append((left, line[1], right, line[3]))
    return pieces


def _whole(lines: list[Box], height: int) -> list[Box]:
    """The lines without slivers of neighbours: what touches the upper or lower edge of the region and is less than half
    as high as its highest line."""
    highest = max((y2 - y1 for _, y1, _, y2 in lines), default=0)
    return [box for box in lines if (box[1] > 0 and box[3] < height) or 2 * (box[3] - box[1]) >= highest]


def find_text(sphinx: SphinxX, image: Image.Image, text: str, least: float = 0.7) -> Found | None:
    """Where a text of at most one line stands on a page; None where no line matches a share of `least` of it.

    Reads all lines and takes the one most like `text`; then reads the words of that line one by one and takes the run
    of words most like it. (SPHINX-Nano's own answers to 'Where is "..."?' are not good enough yet to point with.)
    """
    lines = find_lines(image)
    if not lines:
        return None
    read = _read(sphinx, image, lines)
    likeness = [_likeness(text, words) for words in read]
    best = max(range(len(lines)), key=likeness.__getitem__)
    if likeness[best] < least:
        return None
    words = _words(image, lines[best])
    said = [answer.replace(" ", "") for answer in sphinx.chat_batch([(READ, image.crop(word)) for word in words])]
    wanted = SequenceMatcher(None, b=text.replace(" ", ""), autojunk=False)

    def score(run: tuple[int, int]) -> float:
        wanted.set_seq1("".join(said[slice(*run)]))
        return wanted.ratio()

    first, end = max(((a, b + 1) for a in range(len(words)) for b in range(a, len(words))), key=score)
    chosen = words[first:end]
    box = (
        chosen[0][0] + MARGIN,
        min(word[1] for word in chosen) + MARGIN,
        chosen[-1][2] - MARGIN,
        max(word[3] for word in chosen) - MARGIN,
    )
    return Found(box, lines[best], read[best], likeness[best])


def _words(image: Image.Image, line: Box) -> list[Box]:
    """Boxes of the words of a line, with margins: cut where the white is about a fifth as wide as the line is high."""
    crop = image.crop(line)
    ink = _ink(crop)
    height = line[3] - line[1] - 2 * MARGIN
    boxes = []
    for start, end in _runs(ink.any(axis=0), max(3, round(height / 5))):
        rows = np.flatnonzero(ink[:, start:end].any(axis=1))
        box = (line[0] + start, line[1] + int(rows[0]), line[0] + end, line[1] + int(rows[-1]) + 1)
        boxes.append((box[0] - MARGIN, box[1] - MARGIN, box[2] + MARGIN, box[3] + MARGIN))
    return boxes


def _ink(image: Image.Image) -> Any:
    """Which pixels differ from the background: (height, width) of bool."""
    gray = np.asarray(image.convert("L")).astype(np.int16)
    return np.abs(gray - int(np.median(gray))) > INK


def _likeness(text: str, line: str) -> float:
    """Share of the letters of `text` that stand in `line` in order, counting runs of three and more."""
    blocks = SequenceMatcher(None, text, line, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= min(3, len(text))) / max(len(text), 1)
