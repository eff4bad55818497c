"""Tables between ruled lines: lines of one width, one below the other, with rows of several cells between them.

What lies between two neighbouring lines is part of a table if at least a third of its rows have several cells, or a
vertical line divides it into cells, and no text crosses the ends of the lines. A single row may have one cell (a
heading
within the table) unless it is a caption. Two columns of running text between the lines of a page's head and foot are
not a table, and neither is a listing in a frame (`listings`), except below the ruled head of a table. The rows of a
table are read from left to right.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sphinx_x.boxes import Box, intersection, sides, union
from sphinx_x.engines.pdf.blocks import Block, is_caption
from sphinx_x.engines.pdf.listings import is_listing
from sphinx_x.engines.pdf.order import joined_row, rows_of, running_text
from sphinx_x.engines.pdf.tuned import (
    CELL_STRIP,
    MOST_RULES,
    RULE_GAP,
    RULE_OF_TABLE,
    SAME_ENDS,
    STRIP_ROWS,
    TABLE_ROWS,
    TABLE_SHARE,
)
from sphinx_x.engines.pdf.words import Line


def ruled_tables(rules: Sequence[Box], lines: Sequence[Line]) -> tuple[list[Block], list[Line]]:
    """Return tables as blocks of kind `table`, and the lines that are in none."""
    tables: list[Block] = []
    rest = list(lines)
    upright = [box for box in rules if box[3] - box[1] > box[2] - box[0]]
    for level in _by_width(_across(rules)):
        for frame in _frames(level, upright, rest):
            inside = [line for line in rest if _within(line.place, frame)]
            rows = [joined_row(row) for row in rows_of([(line, line.place) for line in inside])]
            tables.append(Block(rows, union([frame, *(line.box for line in inside)]), "table"))
            taken = set(map(id, inside))
            rest = [line for line in rest if id(line) not in taken]
    return tables, rest


def _across(rules: Sequence[Box]) -> list[Box]:
    """Return horizontal lines from top to bottom, with pieces of one line joined."""
    out: list[Box] = []
    level = sorted((box for box in rules if box[2] - box[0] > box[3] - box[1]), key=lambda b: (round(b[1]), b[0]))
    for box in level if len(level) <= MOST_RULES else ():
        last = out[-1] if out else None
        if last is not None and abs(last[1] - box[1]) < 2 and box[0] - last[2] < RULE_GAP:
            out[-1] = union([last, box])
        else:
            out.append(box)
    return [box for box in out if box[2] - box[0] >= RULE_OF_TABLE]


def _by_width(rules: Sequence[Box]) -> list[list[Box]]:
    """Return groups of two or more lines that begin and end alike, each from top to bottom."""
    groups: list[list[Box]] = []
    for box in rules:
        for group in groups:
            if abs(group[0][0] - box[0]) < SAME_ENDS and abs(group[0][2] - box[2]) < SAME_ENDS:
                group.append(box)
                break
        else:
            groups.append([box])
    return [group for group in groups if len(group) > 1]


def _frames(rules: Sequence[Box], upright: Sequence[Box], lines: Sequence[Line]) -> list[Box]:
    """Return the boxes of tables between lines of one width."""
    frames: list[tuple[Box, int]] = []
    open_frame = False
    for upper, lower in itertools.pairwise(rules):
        between = union([upper, lower])
        headed = open_frame and frames[-1][1] > 0  # a row of several cells between two lines is the head of a table
        several = _several(between, upright, lines, headed)
        if several is None:
            open_frame = False
        elif open_frame:
            frames[-1] = (union([frames[-1][0], between]), frames[-1][1] + several)
        else:
            frames.append((between, several))
            open_frame = True
    return [frame for frame, count in frames if count >= TABLE_ROWS]


def _several(between: Box, upright: Sequence[Box], lines: Sequence[Line], headed: bool) -> int | None:
    """Return how many rows between two lines have several cells; None if that is not part of a table.

    Args:
        between: The box between the two lines.
        upright: Vertical lines.
        lines: Lines of text.
        headed: Whether the head of a table stands above.
    """
    near = [line for line in lines if between[1] <= (line.place[1] + line.place[3]) / 2 <= between[3]]
    crossing = [line for line in near if line.place[0] < between[2] and line.place[2] > between[0]]
    if any(not _within(line.place, between) for line in crossing):
        return None
    items = [(line, line.place) for line in crossing]
    rows = rows_of(items)
    several = max(sum(len(row) > 1 or row[0][0].cells > 1 for row in rows), _beside_strip(crossing, len(rows)))
    if any(is_caption(row[0][0].text) for row in rows) or (not headed and is_listing(rows)):
        return None
    if rows and any(_parts(box, between) for box in upright):
        return max(several, len(rows))
    if len(rows) > 1 and (several < TABLE_SHARE * len(rows) or running_text(items)):
        return None
    return several


def _parts(upright: Box, between: Box) -> bool:
    """Return whether a vertical line divides the space between two horizontal ones into cells."""
    inside = between[0] + SAME_ENDS < upright[0] < between[2] - SAME_ENDS
    return inside and sides(intersection(upright, between))[1] > 0.8 * sides(between)[1]


def _beside_strip(lines: Sequence[Line], rows: int) -> int:
    """Return how many of three lines or more have words on both sides of a strip of white through all of them."""
    if rows < STRIP_ROWS:
        return 0
    words = sorted((word.place[0], word.place[2]) for line in lines for word in line.words)
    end, strip = words[0][1], None
    for left, right in words:
        if left - end >= CELL_STRIP * lines[0].size:
            strip = (end + left) / 2
            break
        end = max(end, right)
    return 0 if strip is None else sum(line.place[0] < strip < line.place[2] for line in lines)


def _within(box: Box, frame: Box) -> bool:
    middle = (box[1] + box[3]) / 2
    return frame[1] <= middle <= frame[3] and frame[0] - SAME_ENDS <= box[0] and box[2] <= frame[2] + SAME_ENDS
