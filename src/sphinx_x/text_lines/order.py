"""Reading order of lines: prose column by column, anything else row by row."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sphinx_x.page_lines.order import reading_order
from sphinx_x.text_lines.line import TextLine

PROSE = 12.0
"""Median width of the lines of a page of prose, in heights of a line. Of receipts, forms and tables it is about 5:
there, a label and its value belong together however far apart, and what is in one column does not."""
SAME_ROW = 0.5
"""How far the middles of two lines of a row may differ, in heights of a line."""


def in_reading_order(lines: Iterable[TextLine]) -> tuple[TextLine, ...]:
    """Return lines in reading order, which does not depend on the order that they are given in."""
    lines = sorted(lines, key=lambda line: (line.box[1] + line.box[3], line.box, line.text, line.confidence))
    if not lines:
        return ()
    boxes = np.array([line.box for line in lines])
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    if np.median(widths / heights) >= PROSE:
        rows = reading_order(boxes, float(np.median(heights)))
    else:
        rows = _rows(boxes)
    return tuple(lines[number] for row in rows for number in row)


def _rows(boxes: np.ndarray) -> list[list[int]]:
    """Return the numbers of boxes (N, 4), sorted by their middles, in rows from left to right."""
    middles, heights = (boxes[:, 1] + boxes[:, 3]) / 2, boxes[:, 3] - boxes[:, 1]
    rows: list[list[int]] = []
    for number in range(len(boxes)):
        row = rows[-1] if rows else []
        near = row and middles[number] - middles[row].mean() <= SAME_ROW * min(heights[number], np.median(heights[row]))
        if near:
            row.append(number)
        else:
            rows.append([number])
    return [sorted(row, key=lambda number: (boxes[number, 0], number)) for row in rows]
