"""Formulas: which lines are formulas, and joining a line with its pieces above and below it.

Numerators, limits, exponents and labels of arrows arrive as lines of their own. Such a piece is short and has no words,
or its letters are smaller; it belongs to the line whose width contains it and whose height it overlaps.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import replace

from sphinx_x.boxes import union
from sphinx_x.engines.pdf.scripts import is_cjk
from sphinx_x.engines.pdf.tuned import (
    FORMULA_BESIDE,
    FORMULA_HIGHEST,
    FORMULA_LONGEST,
    FORMULA_NEAR,
    FORMULA_PIECE,
    FORMULA_REACH,
    FORMULA_SMALL,
    FORMULA_WINDOW,
)
from sphinx_x.engines.pdf.words import Line, Word

MATHS = re.compile(
    r"[=+\u2212<>\u2264\u2265\u2208\u2211\u222b\u220f\u221a\u2202\u2207\u2192\u21d2\u00b1\u00d7\u22c5^|/()\[\]{}\u221e\u2261\u2248]"
)
WORD = re.compile(r"[^\W\d_]{3,}")
FUNCTIONS = re.compile(
    r"\b(?:sin|cos|tan|log|exp|lim|max|min|sup|inf|det|dim|ker|mod|arg|gcd|and|for|all|with|otherwise)\b"
)


def formula(line: Line) -> bool:
    """Return whether a line is set as a formula: symbols and single letters, hardly a word."""
    if line.mono or len(line.marks) > FORMULA_LONGEST:
        return False
    long = sum(len(word.text) for word in line.words if len(word.text) > 3 and word.text.isalpha())
    if 2 * long > len(line.marks):
        return False
    text = FUNCTIONS.sub("", line.text)
    return 4 * sum(map(len, WORD.findall(text))) <= len(text) and bool(MATHS.search(text))


def gathered(lines: Sequence[Line]) -> list[Line]:
    """Return left-to-right lines, with the pieces of formulas joined to their lines."""
    pieces = [line for line in lines if _piece(line)]
    small = min((line.size for line in lines), default=0.0)
    largest = max((line.size for line in lines), default=0.0)
    if not pieces and small >= FORMULA_SMALL * largest:
        return list(lines)
    order = sorted(lines, key=lambda line: line.place[1])
    tops = [line.place[1] for line in order]
    taken: dict[int, list[Line]] = {}
    inside: set[int] = set()
    short = set(map(id, pieces))
    for line in sorted(lines, key=lambda line: len(line.marks)):
        if len(line.marks) > FORMULA_LONGEST or (id(line) not in short and line.size >= FORMULA_SMALL * largest):
            continue
        host = _host(line, order, tops, id(line) in short, inside)
        if host is not None:
            inside.add(id(line))
            taken.setdefault(id(host), []).extend([line, *taken.pop(id(line), [])])
    return [_with(line, taken[id(line)]) if id(line) in taken else line for line in lines if id(line) not in inside]


def _piece(line: Line) -> bool:
    if len(line.marks) > FORMULA_PIECE:
        return False
    text = line.text
    return (
        len(text) <= FORMULA_PIECE
        and not line.rtl
        and not any(map(is_cjk, text))
        and not WORD.search(FUNCTIONS.sub("", text))
    )


def _host(line: Line, order: Sequence[Line], tops: Sequence[float], short: bool, inside: set[int]) -> Line | None:
    """Return the line that a piece belongs to, which is the one it overlaps most."""
    x = (line.place[0] + line.place[2]) / 2
    aside = FORMULA_BESIDE * line.size if short else 0.0
    best, host = 0.0, None
    end = bisect.bisect_right(tops, line.place[3] + line.size)
    for other in order[max(end - FORMULA_WINDOW, 0) : end]:
        if other is line or id(other) in inside or other.rtl:
            continue
        if line.place[0] > other.place[2] + aside or line.place[2] < other.place[0] - aside:
            continue
        if not other.place[0] <= x <= other.place[2] and not formula(other):
            continue
        if len(other.marks) <= len(line.marks) or other.place[3] - other.place[1] > FORMULA_HIGHEST * other.size:
            continue
        small = (
            line.size < FORMULA_SMALL * other.size and line.place[2] - line.place[0] < other.place[2] - other.place[0]
        )
        shared = min(line.place[3], other.place[3]) - max(line.place[1], other.place[1])
        high = line.place[3] - line.place[1]
        share = (shared + (FORMULA_NEAR * other.size if small else 0)) / max(high, 1e-6)
        if share > best and ((short and share >= FORMULA_REACH) or small):
            best, host = share, other
    return host


def _with(line: Line, pieces: Sequence[Line]) -> Line:
    """Return a line with its pieces, each in one run after the words that it is over; running text keeps its height."""
    whole = formula(line)
    out = replace(line)
    places: dict[int, list[Line]] = {}
    for piece in sorted(pieces, key=lambda piece: piece.place[1]):
        at = sum(word.place[0] < piece.place[2] - 0.1 * piece.size for word in line.words)
        places.setdefault(at, []).append(piece)
    words: list[Word] = []
    for at in range(len(line.words) + 1):
        words += [word for piece in places.get(at, ()) for word in piece.words]
        words += line.words[at : at + 1]
    for piece in pieces:
        piece.words[0].space = True
        out.clean = out.clean and piece.clean
    out.words = words
    out.marks = [*line.marks, *(mark for piece in pieces for mark in piece.marks)]
    out.box = union([line.box, *(piece.box for piece in pieces)])
    out.place = union([line.place, *(piece.place for piece in pieces)]) if whole else line.place
    out.size = max(line.size, *(piece.size for piece in pieces)) if whole else line.size
    return out
