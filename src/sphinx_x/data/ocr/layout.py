"""The layout classes of a page: title, text, list, table, figure, caption.

Where the PDF is tagged, its structure tree decides. Else these rules, in this order, on the blocks in reading order:

- figure: images, and groups of shapes that are no frames (`drawings`).
- none: a line of its own at the upper or lower edge of the page (running heads, page numbers).
- caption: begins with the word for a figure or a table, and a number.
- list: lines of a table of contents, with dots or white before a page number.
- table: three rows or more with several cells in most of them.
- title: letters at least an eighth larger than most of the page's, or one or two lines that are bold or numbered as a
  heading, without a full stop.
- list: begins with a bullet, or with a number or letter and a bracket or full stop; neighbours are one list.
- text: everything else.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from sphinx_x.data.ocr.order import MARKER, ROW_LINES, Block
from sphinx_x.data.ocr.structure import Tag
from sphinx_x.data.ocr.tasks import union
from sphinx_x.data.ocr.words import Line
from sphinx_x.data.sample import Box

LARGER = 1.125
"""Size of a title's letters over that of most letters."""
SENTENCE = 60
"""Characters from which what ends like a sentence is no title, however large."""
EDGE, NUMBER_EDGE = 0.09, 0.15
"""Shares of the page's height at its upper and lower edge, where running heads and bare page numbers stand."""
PAGE_NUMBER = re.compile(r"^\W{0,3}(?:\d{1,4}|[ivxlc]{1,7})\W{0,3}$")
APART = 1.2
"""Em; the least white between a running head and the rest, and the most between the items of a list."""
CAPTION = re.compile(
    r"^(?:fig(?:ure|ura|\.)|table(?:au)?|tab(?:elle|ela|ella|la|\.)|abb(?:ildung|\.)|bild|cuadro|quadro|rys(?:unek|\.)"
    r"|obr(?:\u00e1zek|\.)|tabulka|\u0440\u0438\u0441(?:\u0443\u043d\u043e\u043a|\.)|\u0442\u0430\u0431\u043b(?:\u0438\u0446\u0430|\.)"
    r"|\u03c3\u03c7\u03ae\u03bc\u03b1|\u03c0\u03af\u03bd\u03b1\u03ba\u03b1\u03c2|\u56f3|\u8868|\u56fe|\uadf8\ub9bc|\ud45c|\u0634\u06a9\u0644|\u062c\u062f\u0648\u0644)"
    r"\s*(?:\d+|[ivxlc]+\b)(?:[.-]\d+)*\s*(?:[.:\u2013\u2014-]|\s|$)",
    re.IGNORECASE,
)
CONTENTS = re.compile(r"\w.*\.\.\.\s*(?:\d{1,4}|[ivxlc]{1,6})$")
CHAPTER = re.compile(r"^(?:\d+|[A-Z]|[IVX]+)?\.?\s*[^\W\d_]{3}.*\s\d{1,4}$")
"""Lines of a table of contents: with dots before the page number; with white, of two cells."""
HEADING = re.compile(
    r"^(?:\d{1,2}(?:\.\d{1,2}){0,4}\.?|[IVX]{1,5}\.|[A-Z]\.|\u7b2c.{1,3}[\u7ae0\u7bc0\u8282])\s+[^\W\d_]"
)
"""The number of a chapter or section, and a letter."""


def classify(blocks: Sequence[Block], tags: Mapping[int, Tag], height: float) -> list[Block]:
    """Gives every block its `label` and returns the regions of the page: blocks, those of one list or table joined."""
    body = body_size(blocks)
    elements: list[Tag | None] = []
    for number, block in enumerate(blocks):
        tag = _tagged(block, tags) if tags else None
        elements.append(tag)
        block.label = "figure" if block.kind == "figure" else tag[0] if tag else _by_rule(blocks, number, body, height)
    return _joined(blocks, elements, body)


def body_size(blocks: Sequence[Block]) -> float:
    """The size that most letters of running text have, in pixels."""
    prose: Counter[float] = Counter()
    code: Counter[float] = Counter()
    for line in (line for block in blocks if block.kind != "figure" for line in block.lines):
        (code if line.mono else prose)[round(line.size, 1)] += len(line.marks)
    sizes = prose if 4 * prose.total() > code.total() else code
    return sizes.most_common(1)[0][0] if sizes else 1.0


def _tagged(block: Block, tags: Mapping[int, Tag]) -> Tag | None:
    """The element that more than half of a block's characters belong to."""
    marks = [mark for line in block.lines for mark in line.marks]
    counts = Counter(tags[mark] for mark in marks if mark in tags)
    if not counts:
        return None
    tag, count = counts.most_common(1)[0]
    return tag if 2 * count > len(marks) else None


def _by_rule(blocks: Sequence[Block], number: int, body: float, height: float) -> str:
    block = blocks[number]
    if _furniture(blocks, number, body, height):
        return ""
    first = block.lines[0].text
    if CAPTION.match(first) and len(block.lines) <= 8:
        return "caption"
    if 2 * sum(_in_contents(line) for line in block.lines) > len(block.lines):
        return "list"
    if is_table(block):
        return "table"
    if _title(block, body):
        return "title"
    words = block.lines[0].words
    if len(words) > 1 and MARKER.match(words[0].text) and not block.lines[0].mono:
        return "list"
    return "text"


def _furniture(blocks: Sequence[Block], number: int, body: float, height: float) -> bool:
    """Whether a block is a running head or a page number: one line at the edge of the page, apart from the rest."""
    block = blocks[number]
    edge = (NUMBER_EDGE if PAGE_NUMBER.match(block.text) else EDGE) * height
    if len(block.lines) > 1 or (edge < block.box[1] and block.box[3] < height - edge):
        return False
    if block.lines[0].size > LARGER * body:
        return False
    others = [other.box for other in blocks if other is not block]
    top = block.box[3] <= 0.5 * height
    if top:
        return all(box[1] >= block.box[3] + APART * body or box[3] <= block.box[3] + body for box in others)
    return all(box[3] <= block.box[1] - APART * body or box[1] >= block.box[1] - body for box in others)


def _in_contents(line: Line) -> bool:
    return bool(CONTENTS.search(line.text)) or (line.cells == 2 and line.bold and bool(CHAPTER.match(line.text)))


def is_table(block: Block) -> bool:
    """Whether most of a block's lines are rows of several cells."""
    rows, mono = sum(line.cells > 1 for line in block.lines), sum(line.mono for line in block.lines)
    return rows >= ROW_LINES and 2 * rows >= len(block.lines) and 2 * mono < len(block.lines)


def _title(block: Block, body: float) -> bool:
    lines = block.lines
    text = block.text
    if len(lines) > 3 or not any(char.isalpha() for char in text) or len(text) > 200:
        return False
    size = statistics.median(line.size for line in lines)
    sentence = text.rstrip()[-1] in ".,;:\u3002"
    if size >= LARGER * body:
        return not (sentence and len(text) > SENTENCE)
    if len(lines) > 2 or sentence or size < 0.95 * body or any(line.mono for line in lines):
        return False
    bold = all(line.bold for line in lines)
    return (bold and (len(text) <= 100)) or (bool(HEADING.match(text)) and len(lines) == 1 and bold)


def _joined(blocks: Sequence[Block], elements: Sequence[Tag | None], body: float) -> list[Block]:
    """Regions: blocks with a label, neighbours of one list or one table together."""
    regions: list[Block] = []
    last: Tag | None = None
    for block, tag in zip(blocks, elements, strict=True):
        if not block.label:
            continue
        before = regions[-1] if regions else None
        if before is not None and before.label == block.label and _together(before, block, last, tag, body):
            regions[-1] = Block(before.lines + block.lines, union([before.box, block.box]), before.kind, before.label)
        else:
            regions.append(Block(block.lines, block.box, block.kind, block.label))
        last = tag
    return regions


def _together(before: Block, block: Block, last: Tag | None, tag: Tag | None, body: float) -> bool:
    if last is not None and tag is not None:
        return last == tag
    if block.label not in ("list", "table"):
        return False
    near = -body < block.box[1] - before.box[3] < 2 * APART * body
    return near and _share_x(before.box, block.box) > 0.3


def _share_x(a: Box, b: Box) -> float:
    shared = min(a[2], b[2]) - max(a[0], b[0])
    return shared / max(min(a[2] - a[0], b[2] - b[0]), 1e-6)
