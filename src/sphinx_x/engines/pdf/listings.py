"""Listings between ruled lines or in a frame: code, a terminal session, a file. They are not tables.

A listing is set in a monospaced font, or its lines read like code. Its columns, if any, are not those of a table, which
has rows of the same number of cells that begin one below the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sphinx_x.boxes import Box
from sphinx_x.engines.pdf.tuned import CODE_ALIGNED, CODE_CELL, LISTING_ROWS, LISTING_SHARE, REGULAR_ROWS
from sphinx_x.engines.pdf.words import Line, Word

KEYWORDS = (
    "if|elif|else|for|while|do|def|class|import|from|return|raise|try|except|finally|with|switch|case|break|continue|"
    "function|local|var|let|const|static|public|private|protected|void|int|char|float|double|struct|enum|typedef|"
    "using|namespace|package|begin|end|then|fi|done|esac|elsif|unless|echo|print|printf|puts|select|insert|update|"
    "create|export|sudo|module|require"
)
CODE = re.compile(
    r"^(?:[$#>%]\s|>>>|\.\.\.\s|#!|#include\b|#define\b|//|/\*|\*/|--\s|@\w+|<[/!?]?\w[^>]*>|\\\w+[\[{]|[\w./~-]*[$#]\s"
    r"|[-dl](?:[r-][w-][xsStT-]){3}(?=\s|$)|[-+]{3}\s|[{}()\[\]]+[;,]?$"
    rf"|(?:{KEYWORDS})\b(?!\s+[a-z]+\s+[a-z]+\s+[a-z]+\s+[a-z]+))"
    r"|[;{]\s*(?:(?:#|//|/\*|%|--).*)?$|^[\w.\[\]'\"]+\s*(?:[-+*/|&:]?=|:=|<-)\s*\S|^[\w.>:-]+\([^)]*\)\s*(?:[;:{#]|//|$)"
)
"""How lines of code, of a terminal, of markup and of data begin and end."""
COMMENT = re.compile(r"^(?:#|//|/\*|%|--|;|\(\*|<!--|\u2190|<-)")
NUMBER = re.compile(r"^\d{1,5}[:.]?$")

Cell = tuple[float, str]
"""Where it begins, and its text."""


def is_listing(rows: Sequence[Sequence[tuple[Line, Box]]]) -> bool:
    """Return whether rows of lines between two ruled lines are a listing: most are set or written like code."""
    plain = [row for row in map(_without_number, rows) if row]
    if len(plain) < LISTING_ROWS:
        return False
    cells = [_cells(row) for row in plain]
    em = max(word.size for row in plain for word, _ in row)
    mono = sum(len(row) for row in plain if _mono(row)) >= LISTING_SHARE * sum(map(len, plain))
    written = sum(bool(CODE.search(row[0][1])) for row in cells) >= LISTING_SHARE * len(cells)
    return (mono or written) and not _regular(cells, em)


def _without_number(row: Sequence[tuple[Line, Box]]) -> list[tuple[Word, bool]]:
    """Return the words of a row without its line number, each with whether its line is monospaced."""
    words = [(word, line.mono) for line, _ in row for word in line.words]
    return words[1:] if len(words) > 1 and NUMBER.match(words[0][0].text) else words


def _mono(row: Sequence[tuple[Word, bool]]) -> bool:
    return 2 * sum(mono for _, mono in row) > len(row)


def _cells(row: Sequence[tuple[Word, bool]]) -> list[Cell]:
    """Split the words of a row at the white between them."""
    cells: list[list[Word]] = []
    for word, _ in row:
        if cells and word.place[0] - cells[-1][-1].place[2] < CODE_CELL * word.size:
            cells[-1].append(word)
        else:
            cells.append([word])
    return [(cell[0].place[0], " ".join(word.text for word in cell)) for cell in cells]


def _regular(rows: Sequence[Sequence[Cell]], em: float) -> bool:
    """Return whether most rows have the cells of the commonest kind of row: two or more, and none of them a comment."""
    best = 0
    for row in rows:
        if len(row) < 2:
            continue
        alike = [other for other in rows if len(other) == len(row) and _aligned(row, other, em)]
        comments = sum(bool(COMMENT.match(other[-1][1])) for other in alike)
        best = max(best, len(alike) if 2 * comments < len(alike) else 0)
    return best >= REGULAR_ROWS * len(rows)


def _aligned(one: Sequence[Cell], other: Sequence[Cell], em: float) -> bool:
    return all(abs(a - b) < CODE_ALIGNED * em for (a, _), (b, _) in zip(one, other, strict=True))
