"""Reading order: from lines to columns to blocks.

A page is cut into bands by the white between them, and bands that share a white gutter are read column by column,
recursively. If the parts on the two sides of a gutter are rows of a table (they stand on common lines and do not fill
their columns), they are read row by row instead. Columns of an index, line numbers and margin notes are not such rows,
and the pieces of a formula are not columns. Every line appears exactly once.
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence

from sphinx_x.boxes import Box, union
from sphinx_x.engines.pdf.blocks import MARKER, NUMBER, Block, Column, entries
from sphinx_x.engines.pdf.formulas import formula, gathered
from sphinx_x.engines.pdf.tuned import (
    ALIGNED,
    COLUMN_DEPTH,
    GUTTER,
    HEAD_WHITE,
    IN_MARGIN,
    INDEX_LINES,
    MAIN_EDGE,
    NOTE_WHITE,
    NOTES_TO_LINES,
    PAGE_EDGE,
    PROSE_CHARS,
    PROSE_FILL,
    PROSE_LINES,
)
from sphinx_x.engines.pdf.words import Line

Span = tuple[float, float]


def arrange(lines: Sequence[Line], rtl: bool = False, tables: Sequence[Block] = ()) -> list[Block]:
    """Return the blocks of lines of one direction in reading order, with tables found earlier among them.

    Args:
        lines: Lines of one direction.
        rtl: Whether columns are read from right to left.
        tables: The tables.
    """
    if not lines:
        return list(tables)
    em = statistics.median(line.size for line in lines) or 1.0
    text, notes = (lines, []) if rtl else _beside(lines, em)
    spans = [(line, _seen(line, rtl)) for line in (text if rtl else gathered(text))]
    lefts = sorted(box[0] for _, box in spans)
    whole: dict[int, Block] = {}
    for table in tables:
        place = Line([], size=em, box=table.box, place=table.box)
        whole[id(place)] = table
        spans.append((place, _tall(table.box)))
    streams = _streams(spans, GUTTER * em, lefts[int(IN_MARGIN * len(lefts))], COLUMN_DEPTH)
    blocks: list[Block] = []
    for stream in streams:
        for table, run in itertools.groupby(stream, key=lambda line: whole.get(id(line))):
            blocks += Column(list(run), rtl).blocks() if table is None else [table]
    return _with_notes(blocks, notes)


def _tall(box: Box) -> Box:
    """Return a box whose core (see `_core`) is all of a table."""
    more = (box[3] - box[1]) / 3
    return (box[0], box[1] - more, box[2], box[3] + more)


def _with_notes(blocks: list[Block], notes: Sequence[Line]) -> list[Block]:
    """Insert each margin note before the block that it stands beside."""
    out = list(blocks)
    for note in Column(sorted(notes, key=lambda line: line.place[1]), False).blocks() if notes else ():
        middle = (note.lines[0].place[1] + note.lines[0].place[3]) / 2
        place = next((k for k, block in enumerate(out) if block.box[1] <= middle <= block.box[3]), len(out))
        out.insert(place, note)
    return out


def _beside(lines: Sequence[Line], em: float) -> tuple[list[Line], list[Line]]:
    """Return the lines of the text, and notes in the margin left of it.

    A line that begins left of a place where many begin, and has a word there, is split. What ends left of where most
    lines
    begin is a note, unless it is a bullet.
    """
    counts = Counter(round(line.place[0]) for line in lines)
    left, _ = counts.most_common(1)[0]
    there = sum(abs(line.place[0] - left) < 2 for line in lines)
    if there < MAIN_EDGE * len(lines):
        return list(lines), []
    out: list[Line] = []
    for line in lines:
        at = next((k for k, word in enumerate(line.words) if abs(word.place[0] - left) < 0.3 * em), 0)
        item = at == 1 and MARKER.match(line.words[0].text)
        if at and not item and left - line.words[at - 1].place[2] > NOTE_WHITE * em:
            out += parted(line, at)
        else:
            out.append(line)
    if there < PAGE_EDGE * len(lines):
        return out, []
    notes = [line for line in out if line.place[2] < left and not MARKER.match(line.words[0].text)]
    if len(notes) > NOTES_TO_LINES * (len(out) - len(notes)) or _prose([(line, line.place) for line in notes]):
        return out, []
    aside = set(map(id, notes))
    return [line for line in out if id(line) not in aside], notes


def _seen(line: Line, rtl: bool) -> Box:
    """Return the place of a line, mirrored if columns run from right to left."""
    x1, y1, x2, y2 = line.place
    return (-x2, y1, -x1, y2) if rtl else (x1, y1, x2, y2)


Item = tuple[Line, Box]


def _streams(items: list[Item], gutter: float, margin: float, depth: int) -> list[list[Line]]:
    """Return lines by column, columns in reading order; `margin` is where notes beside the text end, if any."""
    if len(items) < 2 or depth == 0:
        return [[line for line, _ in sorted(items, key=_by_place)]]
    streams: list[list[Line]] = []
    all_bands = _bands(items)
    head = 1 if depth == COLUMN_DEPTH and _apart(all_bands, gutter) else 0
    for bands, holes in [*_runs(all_bands[:head], gutter), *_runs(all_bands[head:], gutter)]:
        run = [item for band in bands for item in band]
        columns = _columns(run, holes)
        if len(columns) < 2:
            streams.append([line for line, _ in sorted(run, key=_by_place)])
        elif 2 * sum(formula(line) for line, _ in run) > len(run):
            streams.append([line for row in rows_of(run) for line, _ in row])
        elif _tabular(columns, margin):
            streams.append([joined_row(row) for row in rows_of(run)])
        else:
            streams += [stream for column in columns for stream in _streams(column, gutter, margin, depth - 1)]
    return _rejoined(streams)


def _by_place(item: Item) -> tuple[float, float]:
    x1, y1, _, y2 = item[1]
    return ((y1 + y2) / 2, x1)


def _bands(items: Sequence[Item]) -> list[list[Item]]:
    """Return items by the horizontal strips that white separates, from top to bottom."""
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


def _apart(bands: Sequence[list[Item]], gutter: float) -> bool:
    """Return whether the first band is separate from the second, as a running head's parts are from columns."""
    if len(bands) < 2:
        return False
    bottom, top = max(box[3] for _, box in bands[0]), min(box[1] for _, box in bands[1])
    return top - bottom > HEAD_WHITE * gutter and len(bands[0]) < 4


def _core(box: Box) -> Span:
    """Return the height of a line without a fifth above and below, where other lines' letters may reach."""
    high = box[3] - box[1]
    return box[1] + 0.2 * high, box[3] - 0.2 * high


def _runs(bands: Sequence[list[Item]], gutter: float) -> list[tuple[list[list[Item]], list[Span]]]:
    """Return runs of bands that share gutters, with these gutters, or that have none."""
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
    """Return whether an item stands in a gutter, as a page number does below columns."""
    return any(a < box[0] and box[2] < b for _, box in items for a, b in holes)


def _holes(items: Sequence[Item], gutter: float) -> list[Span]:
    """Return the white spaces between the items that are at least as wide as a gutter, from left to right."""
    holes: list[Span] = []
    end = None
    for x1, x2 in sorted((box[0], box[2]) for _, box in items):
        if end is not None and x1 - end >= gutter:
            holes.append((end, x1))
        end = x2 if end is None else max(end, x2)
    return holes


def _without(holes: Sequence[Span], items: Sequence[Item], gutter: float) -> list[Span]:
    """Return what is left of gutters when further items cover parts of them."""
    left = []
    for a, b in holes:
        pieces = [(a, b)]
        for _, (x1, _, x2, _) in items:
            pieces = [piece for p, q in pieces for piece in ((p, min(q, x1)), (max(p, x2), q)) if piece[1] > piece[0]]
        left += [(p, q) for p, q in pieces if q - p >= gutter]
    return left


def _columns(items: Sequence[Item], holes: Sequence[Span]) -> list[list[Item]]:
    """Return items by the columns that the gutters of their run form, from left to right."""
    edges = [(a + b) / 2 for a, b in holes]
    columns: list[list[Item]] = [[] for _ in range(len(edges) + 1)]
    for item in items:
        middle = (item[1][0] + item[1][2]) / 2
        columns[sum(middle > edge for edge in edges)].append(item)
    return [column for column in columns if column]


def _tabular(columns: Sequence[Sequence[Item]], margin: float) -> bool:
    """Return whether columns are those of a table: not all are running text, and their lines share heights."""
    if any(not line.words for column in columns for line, _ in column):
        return False  # a table is read whole
    if all(_prose(column) or _index(column) for column in columns):
        return False
    sizes = sorted(columns, key=len)
    few, many = sizes[0], sizes[-1]
    if len(columns) == 2 and (_numbers(few) and _prose(many) and not _listing(many)):
        return False
    if len(columns) == 2 and len(few) <= NOTES_TO_LINES * len(many) and max(box[2] for _, box in few) < margin:
        return False
    return _share_aligned(few, many) >= ALIGNED


def _prose(column: Sequence[Item]) -> bool:
    if len(column) < PROSE_LINES:
        return False
    wide = max(box[2] for _, box in column) - min(box[0] for _, box in column)
    fill = statistics.median(box[2] - box[0] for _, box in column) / max(wide, 1e-6)
    chars = statistics.median(sum(len(word.text) for word in line.words) for line, _ in column)
    return fill >= PROSE_FILL and chars >= PROSE_CHARS


def running_text(items: Sequence[Item]) -> bool:
    """Return whether lines stand in columns of running text or of an index, side by side."""
    em = statistics.median(line.size for line, _ in items)
    columns = _columns(items, _holes(items, GUTTER * em))
    return len(columns) > 1 and all(_prose(column) or _index(column) for column in columns)


def _index(column: Sequence[Item]) -> bool:
    """Return whether most lines are words followed by page numbers."""
    return len(column) >= INDEX_LINES and 5 * entries([line for line, _ in column]) > 3 * len(column)


def _numbers(column: Sequence[Item]) -> bool:
    """Return whether a column holds only line numbers."""
    return all(len(line.words) == 1 and NUMBER.match(line.words[0].text) for line, _ in column)


def _listing(column: Sequence[Item]) -> bool:
    return 2 * sum(line.mono for line, _ in column) > len(column)


def _share_aligned(few: Sequence[Item], many: Sequence[Item]) -> float:
    heights = [_core(box) for _, box in many]
    found = 0
    for _, box in few:
        a, b = _core(box)
        found += any(min(b, q) - max(a, p) > 0.5 * min(b - a, q - p) for p, q in heights)
    return found / len(few)


def rows_of(items: Sequence[Item]) -> list[list[Item]]:
    """Return items by row: those whose centre lies within the height of the row's first item."""
    rows: list[list[Item]] = []
    for item in sorted(items, key=_by_place):
        middle = (item[1][1] + item[1][3]) / 2
        if rows and middle < rows[-1][0][1][3] - 0.2 * (rows[-1][0][1][3] - rows[-1][0][1][1]):
            rows[-1].append(item)
        else:
            rows.append([item])
    return [sorted(row, key=lambda item: item[1][0]) for row in rows]


def joined_row(items: Sequence[Item]) -> Line:
    """Return the cells of a row as one line."""
    lines = [line for line, _ in items]
    if len(lines) == 1:
        return lines[0]
    for line in lines[1:]:
        line.words[0].space = True
    first = lines[0]
    row = Line([word for line in lines for word in line.words], first.direction, first.rtl)
    row.bold = all(line.bold for line in lines)
    row.mono = max((line for line in lines if not NUMBER.match(line.text)), key=_length, default=first).mono
    row.clean = all(line.clean for line in lines)
    row.cells = sum(line.cells for line in lines)
    row.size = statistics.median(line.size for line in lines)
    row.box, row.place = union([line.box for line in lines]), union([line.place for line in lines])
    row.marks = [mark for line in lines for mark in line.marks]
    return row


def parted(line: Line, at: int) -> list[Line]:
    """Split a line before the word with index `at`."""
    out = []
    count = sum(len(word.chars) for word in line.words[:at])
    for words, marks in ((line.words[:at], line.marks[:count]), (line.words[at:], line.marks[count:])):
        part = Line(words, line.direction, line.rtl, line.bold, line.mono, line.clean, size=line.size, marks=marks)
        part.size = statistics.median(word.size for word in words)
        part.box, part.place = union([word.box for word in words]), union([word.place for word in words])
        out.append(part)
    out[1].hyphen = line.hyphen
    return out


def _length(line: Line) -> int:
    return len(line.marks)


def _rejoined(streams: list[list[Line]]) -> list[list[Line]]:
    """Join neighbouring streams of one column, lest a gap that only looked like a gutter cut a paragraph."""
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
