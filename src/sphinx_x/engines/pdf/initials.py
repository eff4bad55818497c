"""Initials: large letters at the start of a paragraph, spanning two lines or more, joined to their words."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from sphinx_x.boxes import union
from sphinx_x.engines.pdf.hyphens import common_words
from sphinx_x.engines.pdf.tuned import INITIAL_NEAR, LARGE_INITIAL
from sphinx_x.engines.pdf.words import Line, Word, is_initial

WORDS = frozenset("AIO")
"""Initials that may be words by themselves."""


def with_initials(lines: Sequence[Line]) -> list[Line]:
    """Return lines with initials joined to the words that they begin; the lines beside one begin where it does."""
    usual = statistics.median(line.size for line in lines) if lines else 0.0
    if not any(_initial(word, usual) for line in lines for word in line.words[:1]):
        return list(lines)
    out = list(lines)
    for line in lines:
        first = line.words[0]
        if line.rtl or not _initial(first, usual):
            continue
        rest = _without_first(line) if len(line.words) > 1 else None
        others = [other for other in out if other is not line] + ([rest] if rest else [])
        beside = sorted((other for other in others if _beside(first, other)), key=lambda other: other.place[1])
        if not beside:
            continue
        out = [other for other in others if other is not line]
        _join(first, beside)
    return out


def _initial(word: Word, usual: float) -> bool:
    return is_initial(word.text) and word.size > LARGE_INITIAL * usual


def _without_first(line: Line) -> Line:
    words = line.words[1:]
    count = len(line.words[0].chars)
    out = Line(words, line.direction, line.rtl, line.bold, line.mono, line.clean, line.hyphen, line.cells)
    out.size = statistics.median(word.size for word in words)
    out.box, out.place = union([word.box for word in words]), union([word.place for word in words])
    out.marks = line.marks[count:]
    return out


def _beside(initial: Word, line: Line) -> bool:
    """Return whether a line of smaller letters begins right of an initial, between its top and its bottom."""
    gap = line.place[0] - initial.place[2]
    low, high = line.place[1], line.place[3]
    return (
        LARGE_INITIAL * line.size < initial.size
        and -0.5 * line.size < gap < INITIAL_NEAR * line.size
        and high > initial.place[1]
        and (low + high) / 2 < initial.place[3]
    )


def _join(initial: Word, beside: Sequence[Line]) -> None:
    """Put an initial before the first of the lines beside it."""
    line = beside[0]
    word = line.words[0]
    if _is_word(initial, word, line.size):
        line.words.insert(0, Word(initial.text, initial.box, initial.chars, initial.place, word.size, word.high))
        word.space = True
    else:
        word.text = initial.text + word.text
        word.box, word.place = union([initial.box, word.box]), union([initial.place, word.place])
        word.chars = [*initial.chars, *word.chars]
        word.space = True
    line.marks = [*[line.marks[0] if line.marks else -1] * len(initial.chars), *line.marks]
    line.box = union([initial.box, line.box])
    for other in beside:
        other.place = (initial.place[0], *other.place[1:])


def _is_word(initial: Word, word: Word, em: float) -> bool:
    """Return whether an initial is a word: it can be one, and what follows does not continue it or is further away."""
    known, joined = common_words(), (initial.text + word.text).lower().strip(",.;:")
    if not word.text[0].isalpha():
        return False
    if initial.text not in WORDS:
        return False
    rest = word.text.lower().strip(",.;:")
    return joined not in known and (rest in known or len(rest) < 2 or word.place[0] - initial.place[2] > 0.5 * em)
