"""The structure tree of a tagged PDF: which marked content belongs to which kind of element."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

CLASSES = {
    **dict.fromkeys(("H", "H1", "H2", "H3", "H4", "H5", "H6", "Title"), "title"),
    **dict.fromkeys(("P", "BlockQuote", "Note", "Code", "BibEntry", "Index"), "text"),
    **dict.fromkeys(("L", "TOC"), "list"),
    "Table": "table",
    "Figure": "figure",
    "Caption": "caption",
}
"""Standard structure types (ISO 32000-1, 14.8.4) as classes of layout; what is none of these belongs to its parent."""
INNER = ("title", "text")
"""Classes that give way to the list, table or figure they stand in."""
DEPTH, MOST = 64, 50_000

Tag = tuple[str, int]
"""A class, and the number of the element that it is of."""


def read_tags(page: pdfium.PdfPage) -> dict[int, Tag]:
    """The class and element of every marked content of a page; empty where the PDF is not tagged."""
    tree = raw.FPDF_StructTree_GetForPage(page)
    if not tree:
        return {}
    try:
        tags: dict[int, Tag] = {}
        count = raw.FPDF_StructTree_CountChildren(tree)
        tops = (raw.FPDF_StructTree_GetChildAtIndex(tree, k) for k in range(max(count, 0)))
        for number, (mark, tag) in enumerate(_walk(tops, ("", 0), [0], DEPTH)):
            if number >= MOST:
                break
            if tag[0]:
                tags[mark] = tag
        return tags
    finally:
        raw.FPDF_StructTree_Close(tree)


def _walk(elements: Iterator[Any], around: Tag, counter: list[int], depth: int) -> Iterator[tuple[int, Tag]]:
    """Marked contents with their tag. counter: how many elements were met."""
    for element in elements:
        if not element or depth == 0 or counter[0] > MOST:
            continue
        counter[0] += 1
        name = CLASSES.get(_type(element), "")
        tag = (name, counter[0]) if name and not (name in INNER and around[0] not in ("", *INNER)) else around
        if name == around[0] == "list":  # a list inside a list
            tag = around
        for k in range(max(raw.FPDF_StructElement_GetMarkedContentIdCount(element), 0)):
            mark = raw.FPDF_StructElement_GetMarkedContentIdAtIndex(element, k)
            if mark >= 0:
                yield mark, tag
        count = raw.FPDF_StructElement_CountChildren(element)
        children = (raw.FPDF_StructElement_GetChildAtIndex(element, k) for k in range(max(count, 0)))
        yield from _walk(children, tag, counter, depth - 1)


def _type(element: Any) -> str:
    size = raw.FPDF_StructElement_GetType(element, None, 0)
    if not 2 < size <= 200:
        return ""
    buffer = ctypes.create_string_buffer(size)
    raw.FPDF_StructElement_GetType(element, buffer, size)
    return buffer.raw[: size - 2].decode("utf-16-le", errors="replace")
