"""Figures of a page: which lines are inside them, and where they go among the blocks of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sphinx_x.boxes import area, intersection, share_within, sides
from sphinx_x.engines.pdf.blocks import Block
from sphinx_x.engines.pdf.drawings import Shapes
from sphinx_x.engines.pdf.tuned import IN_FIGURE, TEXT_IN_DRAWING
from sphinx_x.engines.pdf.words import Line


def with_lines(shapes: Shapes, lines: Sequence[Line]) -> tuple[list[Block], list[Line]]:
    """Return the figures with the lines inside them, and the lines that are in none."""
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


def taken(figures: Sequence[Block], lines: Sequence[Line]) -> list[Line]:
    """Add lines of other directions to the figures that contain them; return the rest."""
    rest = []
    for line in lines:
        around = next((figure for figure in figures if share_within(line.box, figure.box) > IN_FIGURE), None)
        (rest if around is None else around.lines).append(line)
    return rest


def placed(blocks: list[Block], figures: Sequence[Block]) -> list[Block]:
    """Insert each figure before the block that follows it in its column."""
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
