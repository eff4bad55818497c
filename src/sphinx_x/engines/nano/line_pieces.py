"""From lines of the PDF reader to pieces on one baseline, from which samples are cut."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sphinx_x.engines.pdf.text_layer import Characters
from sphinx_x.engines.pdf.words import LEADERS, Line

LEVEL = (0.06, 0.3)
"""Em, and additional pixels, by which characters on one baseline may differ."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of one line that stand on one baseline.

    Attributes:
        chars: Indices of each word's characters in the page.
        leaders: Whether leaders were shortened.
    """

    line: Line
    texts: Sequence[str]
    chars: Sequence[Sequence[int]]
    leaders: bool = False

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(self.texts)

    @property
    def members(self) -> list[int]:
        """The indices of all characters."""
        return [k for word in self.chars for k in word]

    def part(self, start: int, length: int) -> Piece:
        """Return `length` of its words from index `start`."""
        end = start + length
        return Piece(self.line, self.texts[start:end], self.chars[start:end], self.leaders)


def clean(text: str) -> str:
    """Normalise a text to NFKC with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def pieces_of(line: Line, chars: Characters) -> Iterator[Piece]:
    """Yield a line in pieces, cut where its baseline changes, as at a footnote mark.

    A word on several baselines is a piece by itself. Lines that do not run from left to right stay whole.
    """
    words: list[tuple[str, list[int]]] = []
    for word in line.words:
        if words and not word.space:
            words[-1] = (words[-1][0] + word.text, words[-1][1] + word.chars)
        else:
            words.append((word.text, list(word.chars)))
    started: list[tuple[str, list[int]]] = []
    for text, members in words:
        if started and line.direction == 0 and not on_one_baseline(chars, [*started[-1][1], *members]):
            yield _piece(line, started)
            started = []
        started.append((clean(text), members))
    yield _piece(line, started)


def on_one_baseline(chars: Characters, members: Sequence[int]) -> bool:
    """Return whether neighbouring characters among some stand on one baseline."""
    levels, share, more = chars.origin[members, 1], *LEVEL
    return bool((np.abs(np.diff(levels)) <= share * chars.size[members][1:] + more).all())


def _piece(line: Line, words: Sequence[tuple[str, list[int]]]) -> Piece:
    """Return a piece of words, with leaders shortened as in the PDF reader."""
    text = " ".join(text for text, _ in words)
    if not LEADERS.search(text):
        return Piece(line, [text for text, _ in words], [members for _, members in words])
    owner = [number for number, (word, _) in enumerate(words) for _ in range(len(word) + 1)]
    new, owners, end = "", [], 0
    for found in LEADERS.finditer(text):
        new += text[end : found.start()] + "... "
        owners += [{number} for number in owner[end : found.start()]]
        owners += [set(owner[found.start() : found.end()])] * len("... ")
        end = found.end()
    new += text[end:]
    owners += [{number} for number in owner[end:]]
    tokens: list[tuple[str, set[int]]] = []
    for found in re.finditer(r"\S+", new):
        taken = set().union(*owners[found.start() : found.end()])
        if tokens and tokens[-1][1] & taken:  # dots and what they lead to are one word of the reader
            token, before = tokens.pop()
            tokens.append((f"{token} {found[0]}", before | taken))
        else:
            tokens.append((found[0], taken))
    chars = [[k for number in sorted(taken) for k in words[number][1]] for _, taken in tokens]
    return Piece(line, [token for token, _ in tokens], chars, leaders=True)
