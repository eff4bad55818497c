"""A part of a page as an image of its own, for models that see little at once: whole lines, and no others in sight."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, PositiveInt

from sphinx_x.boxes import Box, clip, grown, moved, overlaps, sides, union
from sphinx_x.engines.pdf.blocks import Block
from sphinx_x.engines.pdf.page import Page
from sphinx_x.engines.pdf.words import Line
from sphinx_x.sources.base import UnusedError

MARGIN = 2
"""Margin around the ink of a part in pixels, or less at the edge of the page."""
TRIES = 8


class PartSettings(BaseModel):
    """The largest size of a part in pixels, and its largest number of lines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: PositiveInt = 768
    height: PositiveInt = 144
    lines: PositiveInt = 5


def cut_part(page: Page, settings: PartSettings, rng: random.Random) -> Page:
    """Return the page of a few consecutive lines at a random place; its blocks hold those lines, and it has no layout.

    Raises:
        UnusedError: No line fits.
    """
    lines = [(block, line) for block in page.blocks if block.kind != "figure" for line in block.lines]
    upright = [number for number, (_, line) in enumerate(lines) if line.direction == 0]
    others = [block.box for block in page.blocks if block.kind == "figure"]
    others += [line.box for block in page.blocks if block.kind == "figure" for line in block.lines]
    for _ in range(TRIES if upright else 0):
        first = rng.choice(upright)
        wanted = rng.randint(1, settings.lines)
        taken, place = _run([line for _, line in lines], first, wanted, settings, others)
        if taken:
            return _page(page, lines[first : first + taken], _crop(place, page.image.size))
    raise UnusedError("page without a part of this size")


def _run(
    lines: Sequence[Line], first: int, wanted: int, settings: PartSettings, others: Sequence[Box]
) -> tuple[int, Box]:
    """Return how many lines from the first one on can be seen without any other, and the box around them."""
    best, place = 0, lines[first].box
    for count in range(1, min(wanted, len(lines) - first) + 1):
        run = lines[first : first + count]
        around = union([line.box for line in run])
        width, height = (side + 2 * MARGIN for side in sides(around))
        if run[-1].direction != 0 or width > settings.width or height > settings.height:
            break
        wide = grown(grown(around, MARGIN), 1)
        rest = [*(line.box for line in (*lines[:first], *lines[first + count :])), *others]
        if not any(overlaps(wide, box) for box in rest):  # with more lines it may be clear of others again
            best, place = count, around
    return best, place


def _crop(place: Box, size: tuple[int, int]) -> Box:
    """Return the whole pixels of a part with its margin."""
    x1, y1, x2, y2 = map(int, place)
    return clip(grown((x1, y1, x2 + 1, y2 + 1), MARGIN), size)


def _page(page: Page, lines: Sequence[tuple[Block, Line]], crop: Box) -> Page:
    """Return the cut page; its characters stay those of the whole page."""
    blocks: list[Block] = []
    owner: Block | None = None
    for block, line in lines:
        here = _moved_line(line, -crop[0], -crop[1])
        if block is not owner:
            blocks.append(Block([], here.box, block.kind, block.label))
            owner = block
        blocks[-1].lines.append(here)
        blocks[-1].box = union([blocks[-1].box, here.box])
    return replace(page, image=page.image.crop(crop), blocks=blocks, regions=[])


def _moved_line(line: Line, x: float, y: float) -> Line:
    words = [
        replace(
            word, box=moved(word.box, x, y), place=moved(word.place, x, y), high=(word.high[0] + y, word.high[1] + y)
        )
        for word in line.words
    ]
    return replace(line, words=words, box=moved(line.box, x, y), place=moved(line.place, x, y))
