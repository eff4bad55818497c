"""Lists without bullets: tables of contents, terms with descriptions; and paragraphs inside list items."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sphinx_x.engines.pdf.blocks import Block
from sphinx_x.engines.pdf.tuned import CLOSE_BELOW, CONTENTS_LINES, CONTENTS_WHITE, DEEP, DEEPEST, ITEMS, SAME_START

PAGE = re.compile(r"[^\W\d_].*\s(\d{1,4})$")


def contents(blocks: Sequence[Block], em: float) -> list[list[int]]:
    """Return runs of block indices that are tables of contents.

    Their lines have two cells or dots, and end in page numbers, which share a right edge and never decrease.
    """
    runs: list[list[int]] = []
    last: tuple[float, int, float] | None = None
    for number, block in enumerate(blocks):
        pages = [_page(block, k) for k in range(len(block.lines))]
        found = [page for page in pages if page is not None]
        good = len(found) == len(pages) > 0 and found == sorted(found)
        if not good or block.kind:
            last = None
            continue
        edge, first = block.lines[0].place[2], found[0]
        if last is None or abs(last[0] - edge) > em or first < last[1] or block.box[1] - last[2] > CONTENTS_WHITE * em:
            runs.append([])
        runs[-1].append(number)
        last = (edge, found[-1], block.box[3])
    return [run for run in runs if sum(len(blocks[number].lines) for number in run) >= CONTENTS_LINES]


def _page(block: Block, k: int) -> int | None:
    """Return the page number at the end of a line of two cells, or after dots."""
    line = block.lines[k]
    match = PAGE.search(line.text) if line.cells == 2 or "... " in line.text else None
    return int(match[1]) if match else None


def descriptions(blocks: Sequence[Block], em: float) -> list[list[int]]:
    """Return runs of block indices that are lists of terms with descriptions, or of hanging items.

    An item begins at the left, and the rest of it is indented; or a short line is a term, and indented lines close
    below
    describe it. Indented blocks after an item belong to it. All items of a list begin at the same place.
    """
    runs: list[list[int]] = []
    number = 0
    while number < len(blocks):
        run, items = _run(blocks, number, em)
        if items >= ITEMS:
            runs.append(run)
            number = run[-1] + 1
        else:
            number += 1
    return runs


def _run(blocks: Sequence[Block], first: int, em: float) -> tuple[list[int], int]:
    """Return the blocks from index `first` that may be one list, and how many items they are."""
    left = _start(blocks[first], 0)
    deep: float | None = None
    run: list[int] = []
    items, number = 0, first
    while number < len(blocks):
        block = blocks[number]
        if block.kind or not block.lines or block.lines[0].rtl:
            break
        start = _start(block, 0)
        white = block.box[1] - blocks[run[-1]].box[3] if run else 0.0
        if run and deep is not None and start >= deep - SAME_START * em and -em < white < CONTENTS_WHITE * em / 2:
            run.append(number)  # goes on with the last description
            number += 1
            continue
        depth = _depth(blocks, number, em)
        same = abs(start - left) < SAME_START * em and (
            deep is None or depth is None or abs(depth - deep) < SAME_START * em
        )
        if depth is None or not same:
            break
        deep, items = depth, items + 1
        run.append(number)
        number += 1
    return run, items


def _depth(blocks: Sequence[Block], number: int, em: float) -> float | None:
    """Return where the description of an item that begins with this block starts; None if it is not an item."""
    block = blocks[number]
    start = _start(block, 0)
    if len(block.lines) > 1:
        rest = [_start(block, k) for k in range(1, len(block.lines))]
        hangs = DEEP * em <= min(rest) - start <= DEEPEST * em and not block.lines[0].mono * block.lines[1].mono
        return min(rest) if hangs and max(rest) - min(rest) < SAME_START * em else None
    following = blocks[number + 1] if number + 1 < len(blocks) else None
    if following is None or following.kind or not following.lines or following.lines[0].mono:
        return None
    indent = _start(following, 0) - start
    white = following.box[1] - block.box[3]
    term = not block.text.endswith((":", ".", "\u3002")) and not block.lines[0].bold and block.lines[0].size < 1.1 * em
    return start + indent if term and DEEP * em <= indent <= DEEPEST * em and -em < white < CLOSE_BELOW * em else None


def inner_paragraphs(blocks: Sequence[Block], em: float) -> list[int]:
    """Return the indices of text blocks between two items of one list that begin where the upper item's text does."""
    found: list[int] = []
    item: Block | None = None
    between: list[int] = []
    for number, block in enumerate(blocks):
        if block.label == "list" and block.lines and not block.lines[0].rtl:
            if item is not None and abs(_start(block, 0) - _start(item, 0)) < SAME_START * em:
                found += between
            item, between = block, []
        elif block.label == "text" and item is not None and len(item.lines[0].words) > 1:
            if abs(_start(block, 0) - item.lines[0].words[1].place[0]) < em:
                between.append(number)
            else:
                item = None
        elif block.label:
            item = None
    return found


def _start(block: Block, k: int) -> float:
    return block.lines[k].place[0] if block.lines else block.box[0]
