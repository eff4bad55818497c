"""The layout classes of a page: title, text, list, table, figure, caption.

If the PDF is tagged, its structure tree decides, untagged blocks at the page's edge are furniture, and the rules cover
the rest. A tree that tells nothing is ignored: one that leaves out two thirds of the page, or has all of it in one
paragraph (`structure.trusted`). A tree of nothing but paragraphs decides where these end, and the rules their class.
Otherwise these rules are applied, in this order, to the blocks in reading order:

- figure: images, and groups of shapes other than frames (`drawings`).
- table: rows of cells between ruled lines (`tables`), unless they are a listing in a frame (`listings`).
- none: a line by itself at the upper or lower edge of the page (running heads, page numbers), the more readily if it
  has a page number or a ruled line separates it; line numbers in the margin; a lone bullet.
- caption: begins with the word for a figure or table and a number, and is not a sentence about one.
- list: lines of a table of contents, with dots or white before a page number; entries of an index.
- table: three rows or more, most of them with several cells.
- title: letters at least an eighth larger than most of the page's, or one or two lines that are bold or numbered like
  a heading, without a full stop.
- list: begins with a bullet, or with a number or letter and a bracket or full stop; terms with their descriptions
  indented (`listed`). Neighbouring lists are one list.
- text: everything else.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from sphinx_x.boxes import Box, intersection, sides, union
from sphinx_x.engines.pdf.blocks import MARKER, NUMBER, Block, entries, is_caption, is_entry
from sphinx_x.engines.pdf.listed import contents, descriptions, inner_paragraphs
from sphinx_x.engines.pdf.listings import is_listing
from sphinx_x.engines.pdf.structure import Tag, tag_of
from sphinx_x.engines.pdf.tuned import (
    APART,
    EDGE,
    HEAD_EDGE,
    INDEX_LINES,
    LARGER_TITLE,
    NUMBER_EDGE,
    ROW_LINES,
    SENTENCE,
)
from sphinx_x.engines.pdf.words import Line

PAGE_NUMBER = re.compile(r"^\W{0,3}(?:\d{1,4}|[ivxlc]{1,7})\W{0,3}$")
HEAD_NUMBER = re.compile(r"^\d{1,4}\s|\s\d{1,4}$")
CONTENTS = re.compile(r"\w.*\.\.\.\s*(?:\d{1,4}|[ivxlc]{1,6})$")
NUMERALS = frozenset("0123456789ivxlc")
CHAPTER = re.compile(r"^(?:\d+|[A-Z]|[IVX]+)?\.?\s*[^\W\d_]{2}.*\s\d{1,4}$")
"""Lines of a table of contents: with dots before the page number; with white, as two cells."""
HEADING = re.compile(
    r"^(?:\d{1,2}(?:\.\d{1,2}){0,4}\.?|[IVX]{1,5}\.|[A-Z]\.|\u7b2c.{1,3}[\u7ae0\u7bc0\u8282])\s+[^\W\d_]"
)
"""The number of a chapter or section, and a letter."""
SECTION = re.compile(r"^\d{1,2}(?:\.\d{1,2}){1,4}\.?\s+\S")
"""The number of a section, whatever follows it: a year, a command."""


def classify(blocks: Sequence[Block], tags: Mapping[int, Tag], height: float, rules: Sequence[Box] = ()) -> list[Block]:
    """Give each block its `label`, and return the regions of the page.

    Args:
        blocks: The blocks in reading order.
        tags: The tags of a tagged page.
        height: Height of the page.
        rules: Its ruled lines.

    Returns:
        The blocks, those of one list or table joined.
    """
    body = body_size(blocks)
    elements: list[Tag | None] = []
    classes = {name for name, _ in tags.values()} - {"text"}
    lists = [*contents(blocks, body), *descriptions(blocks, body)] if not classes else []
    all_index = _index_page(blocks)
    listed = {number for run in lists for number in run}
    for number, block in enumerate(blocks):
        tag = tag_of(block.lines, tags) if tags else None
        elements.append(tag)
        if block.kind:
            block.label = "table" if tag and tag[0] == "table" else block.kind
        elif tag and classes:
            block.label = "caption" if tag[0] == "text" and _caption(block) else tag[0]
        elif number in listed:
            block.label = "list"
        else:
            artifact = bool(classes) and len(block.lines) == 1 and _at_edge(block, HEAD_EDGE, height)
            furniture = artifact or _furniture(blocks, number, body, height, rules) or _mark(block)
            block.label = "" if furniture else _by_rule(block, body, all_index)
    for number in inner_paragraphs(blocks, body) if not classes else ():
        blocks[number].label = "list"
    return _joined(blocks, elements, body, lists)


def body_size(blocks: Sequence[Block]) -> float:
    """Return the font size of most letters of running text, in pixels."""
    prose: Counter[float] = Counter()
    code: Counter[float] = Counter()
    for line in (line for block in blocks if block.kind != "figure" for line in block.lines):
        (code if line.mono else prose)[round(line.size, 1)] += len(line.marks)
    sizes = prose if 10 * prose.total() > code.total() else code
    return sizes.most_common(1)[0][0] if sizes else 1.0


def _by_rule(block: Block, body: float, all_index: bool) -> str:
    if _caption(block):
        return "caption"
    if 2 * sum(_in_contents(line) for line in block.lines) > len(block.lines) or _index(block, all_index):
        return "list"
    if is_table(block):
        return "table"
    if _title(block, body):
        return "title"
    words = block.lines[0].words
    if len(words) > 1 and MARKER.match(words[0].text) and not all(line.mono for line in block.lines):
        return "list"
    return "text"


def _furniture(blocks: Sequence[Block], number: int, body: float, height: float, rules: Sequence[Box]) -> bool:
    """Return whether a block is a running head or page number: one line at the page's edge, apart from the rest."""
    block = blocks[number]
    box, text = block.box, block.text
    bare = bool(PAGE_NUMBER.match(text))
    if len(block.lines) > 1 or (block.lines[0].size > LARGER_TITLE * body and not bare):
        return False
    top = box[3] <= 0.5 * height
    if bare:
        edge = NUMBER_EDGE
    elif HEAD_NUMBER.search(text) or any(_keeps_apart(rule, box, top, body) for rule in rules):
        edge = HEAD_EDGE
    else:
        edge = EDGE
    if not _at_edge(block, edge, height):
        return False
    others = [other.box for other in blocks if other is not block]
    beside = [other for other in others if other[1] >= box[1] - body and other[3] <= box[3] + body]
    if top:
        return all(other in beside or other[1] >= box[3] + APART * body for other in others)
    return all(other in beside or other[3] <= box[1] - APART * body for other in others)


def _at_edge(block: Block, edge: float, height: float) -> bool:
    return block.box[1] <= edge * height or block.box[3] >= (1 - edge) * height


def _keeps_apart(rule: Box, box: Box, top: bool, body: float) -> bool:
    """Return whether a ruled line as wide as a running head is close below one at the top, or above one at the foot."""
    if rule[0] > box[0] + body or rule[2] < box[2] - body or rule[2] - rule[0] < 20 * body:
        return False
    white = rule[1] - box[3] if top else box[1] - rule[3]
    return -0.3 * body <= white <= body


def _mark(block: Block) -> bool:
    """Return whether a block is line numbers or a lone bullet."""
    if len(block.lines) == 1:
        words = block.lines[0].words
        return len(words) == 1 and not words[0].text.isalnum() and bool(MARKER.match(words[0].text))
    return len(block.lines) > 1 and all(len(ln.words) == 1 and NUMBER.match(ln.words[0].text) for ln in block.lines)


def _caption(block: Block) -> bool:
    return 0 < len(block.lines) <= 8 and is_caption(block.lines[0].text)


def _in_contents(line: Line) -> bool:
    if line.words[-1].text[-1:] not in NUMERALS:
        return False
    return bool(CONTENTS.search(line.text)) or (line.cells == 2 and line.bold and bool(CHAPTER.match(line.text)))


def _index_page(blocks: Sequence[Block]) -> bool:
    """Return whether most lines of a page are entries of an index."""
    lines = [line for block in blocks if not block.kind for line in block.lines if line.cells == 1]
    return len(lines) >= 2 * INDEX_LINES and 2 * entries(lines) > len(lines)


def _index(block: Block, all_index: bool) -> bool:
    found = entries(block.lines)
    good = 5 * found > 3 * len(block.lines) and max(line.cells for line in block.lines) == 1
    return good and (found >= ROW_LINES or (all_index and bool(is_entry(block.lines[0]))))


def is_table(block: Block) -> bool:
    """Return whether most of a block's lines are rows of several cells, and not numbered lines of a listing."""
    rows, mono = sum(line.cells > 1 for line in block.lines), sum(line.mono for line in block.lines)
    good = rows >= ROW_LINES and 2 * rows >= len(block.lines) and 2 * mono < len(block.lines)
    return good and not is_listing([[(line, line.place)] for line in block.lines])


def _title(block: Block, body: float) -> bool:
    lines = block.lines
    text = block.text
    if len(lines) == 1 and lines[0].bold and len(text) <= 100 and SECTION.match(text):
        return True
    if len(lines) > 3 or not any(char.isalpha() for char in text) or len(text) > 200:
        return False
    size = statistics.median(line.size for line in lines)
    sentence = text.rstrip()[-1] in ".,;:\u3002"
    if size >= LARGER_TITLE * body:
        return not (sentence and len(text) > SENTENCE)
    numbered = bool(HEADING.match(text))
    if len(lines) > 2 or sentence or size < 0.85 * body or any(line.mono for line in lines):
        return False
    bold = all(line.bold for line in lines) and max(line.cells for line in lines) == 1
    return (bold and len(text) <= 100) or (numbered and len(lines) == 1 and text.isupper())


def _joined(
    blocks: Sequence[Block], elements: Sequence[Tag | None], body: float, lists: Sequence[Sequence[int]]
) -> list[Block]:
    """Return regions: labelled blocks, with neighbours of one list or table joined."""
    regions: list[Block] = []
    seen: list[Tag | None] = []
    last: Tag | None = None
    run_of = {number: run[0] for run in lists for number in run}
    run: int | None = None
    for number, (block, tag) in enumerate(zip(blocks, elements, strict=True)):
        if not block.label:
            continue
        before = regions[-1] if regions else None
        same_run = run is not None and run_of.get(number) == run
        together = before is not None and before.label == block.label and not (before.kind or block.kind)
        whole = _of_element(regions, seen, block, tag)
        if whole is not None:
            regions[whole] = _union(regions[whole], block)
        elif before is not None and together and (same_run or _together(before, block, last, tag, body)):
            regions[-1] = _union(before, block)
        else:
            regions.append(Block(block.lines, block.box, block.kind, block.label))
            seen.append(tag)
        last, run = tag, run_of.get(number)
    return regions


def _of_element(regions: Sequence[Block], seen: Sequence[Tag | None], block: Block, tag: Tag | None) -> int | None:
    """Return the region of the same tagged table or figure, wherever its parts lie."""
    if tag is None or tag[0] not in ("table", "figure") or block.label != tag[0]:
        return None
    return next((k for k, other in enumerate(seen) if other == tag and regions[k].label == tag[0]), None)


def _union(a: Block, b: Block) -> Block:
    return Block(a.lines + b.lines, union([a.box, b.box]), a.kind, a.label)


def _together(before: Block, block: Block, last: Tag | None, tag: Tag | None, body: float) -> bool:
    if last is not None and tag is not None and last != tag:
        return False
    if block.label not in ("list", "table") and (last is None or tag is None):
        return False
    near = -body < block.box[1] - before.box[3] < 2 * APART * body
    return near and _share_x(before.box, block.box) > 0.3


def _share_x(a: Box, b: Box) -> float:
    return sides(intersection(a, b))[0] / max(min(sides(a)[0], sides(b)[0]), 1e-6)
