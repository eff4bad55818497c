"""Reading order: lines -> columns -> blocks.

A page is cut into bands by the white between them, and bands that share a white gutter are read column by column, as
often as it takes. Where the parts on the two sides of a gutter are rows of a table (they stand on common lines and do
not fill their columns), they are read row by row instead. Every line comes exactly once.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from sphinx_x.data.ocr.tasks import union
from sphinx_x.data.ocr.words import Line, is_cjk
from sphinx_x.data.sample import Box

GUTTER = 0.8
"""Em; the least width of the white between two columns."""
PROSE_FILL, PROSE_CHARS, PROSE_LINES = 0.6, 12, 3
"""What makes a column one of running text: the median line fills so much of it, with so many characters."""
ALIGNED = 0.7
"""Share of lines with a partner on the same height, from which two columns may be a table's."""
ROW_LINES = 3
"""Rows from which a block of rows may be a table."""
LEADING, SMALLER, INDENT = 0.55, 0.82, 0.8
"""A block ends at white of more than LEADING line heights above the usual, at letters of another size, at an indent."""
MOST_PITCH = 1.7
"""Em; from one line to the next in a text that is set wide."""
DEPTH = 12

Span = tuple[float, float]
MARKER = re.compile(
    r"^(?:[\u2022\u2023\u25aa\u25cf\u25cb\u25e6\u2219\u00b7\u2013\u2014\u25a0\u25a1\u25b6\u27a2*\u2013-]$"
    r"|[([]?(?:\d{1,3}|[a-zA-Z\u0400-\u04ff]|[ivxIVX]{1,5})[.)\]]$"
    r"|[([](?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[)\]]$)"
)
"""The first word of an item of a list."""


@dataclass(slots=True)
class Block:
    """Lines that are read together. kind: a class of `layout`, or empty; inside: whether it lies in a figure."""

    lines: list[Line]
    box: Box
    kind: str = ""
    label: str = ""
    parts: list[Block] = field(default_factory=list)
    """What a figure or list is made of, where that is known."""

    @property
    def text(self) -> str:
        """The text as a reader would type it: words that a line end parted are whole again."""
        return flowing(self.lines)

    @property
    def clean(self) -> bool:
        """Whether all its characters can be trusted."""
        return all(line.clean for line in self.lines)


def flowing(lines: Sequence[Line]) -> str:
    """Lines as one text: hyphenation undone, no space between Chinese or Japanese, rows and code line by line."""
    text = ""
    for before, line in itertools.pairwise([None, *lines]):
        new = line.text if line else ""
        if before is None or not text or not new:
            text += new
        elif before.mono or (line and line.cells > 1) or before.cells > 1:
            text += "\n" + new
        elif before.hyphen and new[0].isalpha() and new[0].islower() == text[-2].islower():
            keep = "-" in text.rsplit(" ", 1)[-1][:-1]  # of a compound the last hyphen is its own
            text = (text if keep else text[:-1]) + new
        elif is_cjk(text[-1]) and is_cjk(new[0]):
            text += new
        else:
            text += " " + new
    return text


def arrange(lines: Sequence[Line], rtl: bool = False) -> list[Block]:
    """The blocks of lines of one direction in reading order. rtl: columns are read from right to left."""
    if not lines:
        return []
    em = statistics.median(line.size for line in lines) or 1.0
    spans = [(line, _seen(line, rtl)) for line in lines]
    streams = _streams(spans, GUTTER * em, DEPTH)
    return [block for stream in streams for block in _blocks(stream, rtl)]


def _seen(line: Line, rtl: bool) -> Box:
    """The place of a line; mirrored where columns run from right to left."""
    x1, y1, x2, y2 = line.place
    return (-x2, y1, -x1, y2) if rtl else (x1, y1, x2, y2)


Item = tuple[Line, Box]


def _streams(items: list[Item], gutter: float, depth: int) -> list[list[Line]]:
    """Lines by column, columns in reading order."""
    if len(items) < 2 or depth == 0:
        return [[line for line, _ in sorted(items, key=_by_place)]]
    streams: list[list[Line]] = []
    for bands, holes in _runs(_bands(items), gutter):
        run = [item for band in bands for item in band]
        columns = _columns(run, holes)
        if len(columns) < 2:
            streams.append([line for line, _ in sorted(run, key=_by_place)])
        elif _tabular(columns):
            streams.append([_row(row) for row in _rows(run)])
        else:
            streams += [stream for column in columns for stream in _streams(column, gutter, depth - 1)]
    return _rejoined(streams)


def _by_place(item: Item) -> tuple[float, float]:
    x1, y1, _, y2 = item[1]
    return ((y1 + y2) / 2, x1)


def _bands(items: Sequence[Item]) -> list[list[Item]]:
    """Items by the horizontal strips that white parts from each other, from top to bottom."""
    bands: list[list[Item]] = []
    bottom = 0.0
    for item in sorted(items, key=lambda item: item[1][1]):
        top, end = _core(item[1])
        if bands and top < bottom:
            bands[-1].append(item)
            bottom = max(bottom, end)
        else:
            bands.append([item])
            bottom = end
    return bands


def _core(box: Box) -> Span:
    """The height of a line without a fifth above and below, where ascenders and descenders of others may reach."""
    high = box[3] - box[1]
    return box[1] + 0.2 * high, box[3] - 0.2 * high


def _runs(bands: Sequence[list[Item]], gutter: float) -> list[tuple[list[list[Item]], list[Span]]]:
    """Bands by runs that share gutters, with these, or that have none."""
    runs: list[tuple[list[list[Item]], list[Span]]] = []
    for band in bands:
        own = _holes(band, gutter)
        if runs:
            members, holes = runs[-1]
            left = _without(holes, band, gutter)
            if (not holes and not own) or (left and not _between(band, holes)):
                runs[-1] = ([*members, band], left)
                continue
        runs.append(([band], own))
    return runs


def _between(items: Sequence[Item], holes: Sequence[Span]) -> bool:
    """Whether an item stands in a gutter, as a page number does below columns."""
    return any(a < (box[0] + box[2]) / 2 < b for _, box in items for a, b in holes)


def _holes(items: Sequence[Item], gutter: float) -> list[Span]:
    """The white between the items, from left to right, that is at least as wide as a gutter."""
    holes: list[Span] = []
    end = None
    for x1, x2 in sorted((box[0], box[2]) for _, box in items):
        if end is not None and x1 - end >= gutter:
            holes.append((end, x1))
        end = x2 if end is None else max(end, x2)
    return holes


def _without(holes: Sequence[Span], items: Sequence[Item], gutter: float) -> list[Span]:
    """What is left of holes when further items cover parts of them."""
    left = []
    for a, b in holes:
        pieces = [(a, b)]
        for _, (x1, _, x2, _) in items:
            pieces = [piece for p, q in pieces for piece in ((p, min(q, x1)), (max(p, x2), q)) if piece[1] > piece[0]]
        left += [(p, q) for p, q in pieces if q - p >= gutter]
    return left


def _columns(items: Sequence[Item], holes: Sequence[Span]) -> list[list[Item]]:
    """Items by the columns that the gutters of their run make, from left to right."""
    edges = [(a + b) / 2 for a, b in holes]
    columns: list[list[Item]] = [[] for _ in range(len(edges) + 1)]
    for item in items:
        middle = (item[1][0] + item[1][2]) / 2
        columns[sum(middle > edge for edge in edges)].append(item)
    return [column for column in columns if column]


def _tabular(columns: Sequence[Sequence[Item]]) -> bool:
    """Whether columns are those of a table: not all of them running text, and their lines on common heights."""
    if all(_prose(column) for column in columns):
        return False
    sizes = sorted(columns, key=len)
    few, many = sizes[0], sizes[-1]
    return _share_aligned(few, many) >= ALIGNED


def _prose(column: Sequence[Item]) -> bool:
    if len(column) < PROSE_LINES:
        return False
    wide = max(box[2] for _, box in column) - min(box[0] for _, box in column)
    fill = statistics.median(box[2] - box[0] for _, box in column) / max(wide, 1e-6)
    chars = statistics.median(sum(len(word.text) for word in line.words) for line, _ in column)
    return fill >= PROSE_FILL and chars >= PROSE_CHARS


def _share_aligned(few: Sequence[Item], many: Sequence[Item]) -> float:
    heights = [_core(box) for _, box in many]
    found = 0
    for _, box in few:
        a, b = _core(box)
        found += any(min(b, q) - max(a, p) > 0.5 * min(b - a, q - p) for p, q in heights)
    return found / len(few)


def _rows(items: Sequence[Item]) -> list[list[Item]]:
    """Items by rows: those whose middle lies in the height of the row's first."""
    rows: list[list[Item]] = []
    for item in sorted(items, key=_by_place):
        middle = (item[1][1] + item[1][3]) / 2
        if rows and middle < rows[-1][0][1][3] - 0.2 * (rows[-1][0][1][3] - rows[-1][0][1][1]):
            rows[-1].append(item)
        else:
            rows.append([item])
    return [sorted(row, key=lambda item: item[1][0]) for row in rows]


def _row(items: Sequence[Item]) -> Line:
    """Cells of a row as one line."""
    lines = [line for line, _ in items]
    if len(lines) == 1:
        return lines[0]
    for line in lines[1:]:
        line.words[0].space = True
    first = lines[0]
    row = Line([word for line in lines for word in line.words], first.direction, first.rtl)
    row.bold = all(line.bold for line in lines)
    row.mono = max(lines, key=lambda line: len(line.marks)).mono
    row.clean = all(line.clean for line in lines)
    row.cells = sum(line.cells for line in lines)
    row.size = statistics.median(line.size for line in lines)
    row.box, row.place = union([line.box for line in lines]), union([line.place for line in lines])
    row.marks = [mark for line in lines for mark in line.marks]
    return row


def _rejoined(streams: list[list[Line]]) -> list[list[Line]]:
    """Neighbouring streams of one column are one, so that a paragraph is not cut by what only looked like a gutter."""
    out: list[list[Line]] = []
    for stream in streams:
        if out and _same_column(out[-1], stream):
            out[-1] = out[-1] + stream
        else:
            out.append(stream)
    return out


def _same_column(a: Sequence[Line], b: Sequence[Line]) -> bool:
    p, q = union([line.place for line in a]), union([line.place for line in b])
    return abs(p[0] - q[0]) < a[-1].size and p[3] <= q[1] + 0.5 * b[0].size and q[1] - p[3] < 2 * a[-1].size


def _blocks(stream: Sequence[Line], rtl: bool) -> list[Block]:
    """Cuts a column into paragraphs, headings and items."""
    gaps = [b.place[1] - a.place[1] for a, b in itertools.pairwise(stream)]
    size = statistics.median(line.size for line in stream)
    usual = min(statistics.median([gap for gap in gaps if gap > 0] or [0.0]), MOST_PITCH * size)
    groups: list[list[Line]] = []
    for before, line in itertools.pairwise([None, *stream]):
        assert line is not None
        if before is None or _parts(groups[-1], before, line, usual, rtl):
            groups.append([line])
        else:
            groups[-1].append(line)
    return [Block(group, union([line.box for line in group])) for group in groups]


def _parts(group: Sequence[Line], before: Line, line: Line, usual: float, rtl: bool) -> bool:
    """Whether a new block begins with `line`."""
    size = max(before.size, line.size)
    high = line.place[3] - line.place[1]
    white = line.place[1] - before.place[3]
    if (before.cells > 1) != (line.cells > 1):
        return not _table_goes_on(group, line)
    if white > LEADING * size + max(usual - 1.25 * size, 0) or white < -0.6 * high:
        return True
    if min(before.size, line.size) < SMALLER * size or (before.bold != line.bold and len(group) < 4):
        return True
    if before.cells > 1:
        return False
    if MARKER.match(line.words[0].text) and len(line.words) > 1:
        return True
    shared = min(before.place[2], line.place[2]) - max(before.place[0], line.place[0])
    if shared < 0:
        return True
    starts = [-other.place[2] if rtl else other.place[0] for other in (*group, line)]
    step = starts[-1] - starts[-2]
    if line.mono and before.mono:
        return False
    hanging = len(group) == 1 or abs(starts[-2] - min(starts[:-1])) < 0.3 * size
    return step > INDENT * size and hanging and len(group) > 1


def _table_goes_on(group: Sequence[Line], line: Line) -> bool:
    """A row of one cell inside a table: it lies within the table's width and close to it."""
    rows = [other for other in group if other.cells > 1]
    if len(rows) < ROW_LINES:
        return False
    around = union([other.place for other in rows])
    high = line.place[3] - line.place[1]
    inside = around[0] - 1 <= line.place[0] and line.place[2] <= around[2] + 1
    return (
        inside
        and line.place[1] - group[-1].place[3] < high
        and line.place[2] - line.place[0] < 0.6 * (around[2] - around[0])
    )
