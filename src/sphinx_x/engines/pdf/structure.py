"""The structure tree of a tagged PDF: which marked content belongs to which kind of element."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from sphinx_x.boxes import union
from sphinx_x.engines.pdf.blocks import Block
from sphinx_x.engines.pdf.tuned import MOST_TAGS, TAG_DEPTH, TAGGED, TAGGED_LINES, TAGS_PER_LINE
from sphinx_x.engines.pdf.words import Line

CLASSES = {
    **dict.fromkeys(("H", "Title", *(f"H{level}" for level in range(1, 10))), "title"),
    **dict.fromkeys(
        ("part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph"), "title"
    ),
    **dict.fromkeys(("P", "BlockQuote", "Note", "FENote", "footnote", "Aside", "Code", "Formula"), "text"),
    **dict.fromkeys(("BibEntry", "Index"), "text"),
    **dict.fromkeys(("L", "LI", "TOC", "TOCI"), "list"),
    "Table": "table",
    "Figure": "figure",
    "Caption": "caption",
}
"""Standard structure types (ISO 32000-1, 14.8.4, and ISO 32000-2) as classes of layout, and the names that LaTeX gives
its headings, whose role pdfium does not look up; any other element belongs to its parent."""
INNER = ("title", "text")
"""Classes that give way to the list that contains them; in a table or figure, all but a caption do."""


Tag = tuple[str, int]
"""A class, and the number of its element."""


def read_tags(page: pdfium.PdfPage) -> dict[int, Tag]:
    """Return the class and element of each marked content of a page; empty if the PDF is not tagged."""
    tree = raw.FPDF_StructTree_GetForPage(page)
    if not tree:
        return {}
    try:
        tags: dict[int, Tag] = {}
        count = raw.FPDF_StructTree_CountChildren(tree)
        tops = (raw.FPDF_StructTree_GetChildAtIndex(tree, k) for k in range(max(count, 0)))
        for number, (mark, tag) in enumerate(_walk(tops, ("", 0), [0], TAG_DEPTH)):
            if number >= MOST_TAGS:
                break
            if tag[0]:
                tags[mark] = tag
        return tags
    finally:
        raw.FPDF_StructTree_Close(tree)


def _walk(elements: Iterator[Any], around: Tag, counter: list[int], depth: int) -> Iterator[tuple[int, Tag]]:
    """Yield marked contents with their tags; `counter` counts the elements visited."""
    for element in elements:
        if not element or depth == 0 or counter[0] > MOST_TAGS:
            continue
        counter[0] += 1
        name = CLASSES.get(_type(element), "")
        tag = around if not name or _gives_way(name, around[0]) else (name, counter[0])
        for k in range(max(raw.FPDF_StructElement_GetMarkedContentIdCount(element), 0)):
            mark = raw.FPDF_StructElement_GetMarkedContentIdAtIndex(element, k)
            if mark >= 0:
                yield mark, tag
        count = raw.FPDF_StructElement_CountChildren(element)
        children = (raw.FPDF_StructElement_GetChildAtIndex(element, k) for k in range(max(count, 0)))
        yield from _walk(children, tag, counter, depth - 1)


def _gives_way(name: str, around: str) -> bool:
    """Return whether an element of one class is only a part of the one that contains it."""
    if around in ("table", "figure"):
        return name != "caption"
    return around == "list" and name in ("list", *INNER)


def tag_of(lines: Sequence[Line], tags: Mapping[int, Tag]) -> Tag | None:
    """Return the class of more than half of the characters of lines, and the element of most of these."""
    marks = [mark for line in lines for mark in line.marks]
    counts = Counter(tags[mark] for mark in marks if mark in tags)
    classes: Counter[str] = Counter()
    for (name, _), count in counts.items():
        classes[name] += count
    name, count = classes.most_common(1)[0] if classes else ("", 0)
    if 2 * count <= len(marks):
        return None
    return max((tag for tag in counts if tag[0] == name), key=lambda tag: counts[tag])


def trusted(tags: Mapping[int, Tag], lines: Sequence[Line]) -> dict[int, Tag]:
    """Return the tags of a page if they tell something, otherwise none.

    They do not if less than a third of the characters are tagged, or if the whole page is one paragraph.
    """
    if not tags:
        return {}
    marks = Counter(mark for line in lines for mark in line.marks)
    known = {mark: tag for mark, tag in tags.items() if mark in marks}
    elements = set(known.values())
    one = len(elements) == 1 and all(name == "text" for name, _ in elements)
    return {} if one or sum(marks[mark] for mark in known) < TAGGED * marks.total() else known


def by_element(blocks: Sequence[Block], tags: Mapping[int, Tag]) -> list[Block]:
    """Return blocks, cut wherever an element ends inside one.

    Listings stay whole, and so does everything on a page that has hardly more elements than lines.
    """
    lines = [line for block in blocks if not block.kind for line in block.lines]
    if len(lines) >= TAGGED_LINES and len(set(tags.values())) > TAGS_PER_LINE * len(lines):
        return list(blocks)
    out: list[Block] = []
    for block in blocks:
        groups: list[list[Line]] = []
        last: Tag | None = None
        for line in block.lines if not block.kind else ():
            tag = tag_of([line], tags)
            listing = bool(groups) and groups[-1][-1].mono and line.mono
            if not groups or (None not in (tag, last) and tag != last and not listing):
                groups.append([line])
            else:
                groups[-1].append(line)
            last = tag or last
        cut = [Block(group, union([line.box for line in group]), block.kind) for group in groups]
        out += cut if len(cut) > 1 else [block]
    return out


def _type(element: Any) -> str:
    size = raw.FPDF_StructElement_GetType(element, None, 0)
    if not 2 < size <= 200:
        return ""
    buffer = ctypes.create_string_buffer(size)
    raw.FPDF_StructElement_GetType(element, buffer, size)
    return buffer.raw[: size - 2].decode("utf-16-le", errors="replace")
