"""A part of a page as an image of its own, for models that see little at once: whole lines, and no others in sight."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, PositiveInt

from sphinx_x.data.sample import Box
from sphinx_x.engines.nano.tasks import union
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
        size = around[2] - around[0] + 2 * MARGIN, around[3] - around[1] + 2 * MARGIN
        if run[-1].direction != 0 or size[0] > settings.width or size[1] > settings.height:
            break
        wide = (around[0] - MARGIN - 1, around[1] - MARGIN - 1, around[2] + MARGIN + 1, around[3] + MARGIN + 1)
        rest = [*(line.box for line in (*lines[:first], *lines[first + count :])), *others]
        if not any(_meet(wide, box) for box in rest):  # with more lines it may be clear of others again
            best, place = count, around
    return best, place


def _meet(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _crop(place: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    return (
        max(int(place[0]) - MARGIN, 0),
        max(int(place[1]) - MARGIN, 0),
        min(int(place[2]) + 1 + MARGIN, size[0]),
        min(int(place[3]) + 1 + MARGIN, size[1]),
    )


def _page(page: Page, lines: Sequence[tuple[Block, Line]], crop: tuple[int, int, int, int]) -> Page:
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


def moved(box: Box, x: float, y: float) -> Box:
    """Return a box moved to the right and down."""
    return (box[0] + x, box[1] + y, box[2] + x, box[3] + y)
