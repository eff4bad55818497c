"""A picture of a table of text: ruled cells, a grey heading in bold, long cells wrapped, a caption above."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from sphinx_x.errors import DataError, needs_extra

SIZE, LINE, PADDING = 16, 20, 6
"""Font size, line height, and the space around the text of a cell, in pixels."""
ROOM = 1000
"""Largest width of the text of all columns; a table of 30 rows is then about square, as models see pictures."""
NARROWEST = 32
MAX_HEIGHT = 4096
INK, RULE, HEADING, PAPER = "black", "#a2a9b1", "#eaecf0", "white"


def draw_table(rows: Sequence[Sequence[str]], caption: str = "") -> bytes:
    """Return the PNG of a table whose first row is its heading; short rows are filled with empty cells.

    Raises:
        DataError: It is empty, has so many columns that some would be too narrow, or is too high.
    """
    count = max(map(len, rows), default=0)
    if not count:
        raise DataError("empty table")
    rows = [[*row, *[""] * (count - len(row))] for row in rows]
    widths = _widths([max(_natural(row[k], n == 0) for n, row in enumerate(rows)) for k in range(count)])
    cells = [[_wrapped(cell, widths[k], n == 0) for k, cell in enumerate(row)] for n, row in enumerate(rows)]
    heights = [max(map(len, row)) * LINE + 2 * PADDING for row in cells]
    title = _wrapped(caption, max(sum(widths), 20 * SIZE), False) if caption.strip() else []
    top = PADDING + len(title) * LINE + (PADDING if title else 0)
    left = max([sum(widths) + 2 * PADDING * count, *(_natural(line, False) for line in title)])
    size = (left + 2 * PADDING + 1, top + sum(heights) + PADDING + 1)
    if size[1] > MAX_HEIGHT:
        raise DataError(f"table too large to draw: {len(rows)} rows")
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    _write(draw, title, (PADDING, PADDING), False)
    y = top
    for number, (row, height) in enumerate(zip(cells, heights, strict=True)):
        x = PADDING
        for lines, width in zip(row, widths, strict=True):
            fill = HEADING if number == 0 else PAPER
            draw.rectangle((x, y, x + width + 2 * PADDING, y + height), fill=fill, outline=RULE)
            _write(draw, lines, (x + PADDING, y + PADDING), number == 0)
            x += width + 2 * PADDING
        y += height
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@functools.lru_cache(maxsize=4096)
def drawable(char: str) -> bool:
    """Return whether the font has this character; others are drawn as a box, as in a browser."""
    font = _font(False)
    return char.isspace() or _shape(font, char) != _shape(font, "\uffff")


def _shape(font: ImageFont.FreeTypeFont, char: str) -> tuple:
    mask: Any = font.getmask(char)
    return mask.size, bytes(mask)


@functools.cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans as matplotlib ships it: the same everywhere, and with more letters than Pillow's own font."""
    with needs_extra("data", "drawing tables"):
        from matplotlib import get_data_path  # only those who draw tables wait for it

    path = f"{get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(path, SIZE, layout_engine=ImageFont.Layout.BASIC)


def _natural(text: str, bold: bool) -> int:
    """Return the width of an unwrapped text."""
    return math.ceil(max(_font(bold).getlength(" ".join(line.split())) for line in text.split("\n")))


def _widths(natural: Sequence[int]) -> list[int]:
    """Return the widths of columns: those of their texts or, without enough room, the widest cut to one width."""
    room, widths = ROOM, [0] * len(natural)
    for rank, column in enumerate(sorted(range(len(natural)), key=natural.__getitem__)):
        widths[column] = min(natural[column], room // (len(natural) - rank))
        room -= widths[column]
    if any(width < min(wanted, NARROWEST) for width, wanted in zip(widths, natural, strict=True)):
        raise DataError(f"table too large to draw: {len(natural)} columns")
    return widths


def _wrapped(text: str, width: int, bold: bool) -> list[str]:
    """Return the lines of a cell; a word that is too long for a line is broken."""
    font, lines = _font(bold), []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if font.getlength(longer) <= width:
                line = longer
                continue
            lines += [line] if line else []
            while font.getlength(word) > width and len(word) > 1:
                cut = next((n for n in range(len(word) - 1, 1, -1) if font.getlength(word[:n]) <= width), 1)
                lines.append(word[:cut])
                word = word[cut:]
            line = word
        lines.append(line)
    return lines


def _write(draw: ImageDraw.ImageDraw, lines: Sequence[str], place: tuple[int, int], bold: bool) -> None:
    for number, line in enumerate(lines):
        draw.text((place[0], place[1] + number * LINE), line, fill=INK, font=_font(bold))
