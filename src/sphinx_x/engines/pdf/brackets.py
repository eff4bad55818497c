"""Brackets in lines with Hebrew or Arabic: which way they open, and which word they belong to.

A bracket of a text from right to left is drawn as its mirror image: what opens stands on the right and looks like one
that closes elsewhere. Some files call it by its looks, others by its meaning; what makes pairs tells which.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

OPEN, CLOSE = "([{\xab\u2039", ")]}\xbb\u203a"
MIRROR = {
    **dict(zip(OPEN + CLOSE, CLOSE + OPEN, strict=True)),
    "<": ">",
    ">": "<",
    "\u2264": "\u2265",
    "\u2265": "\u2264",
}
TABLE = str.maketrans(MIRROR)


def mirrored(text: str) -> str:
    """A text with its brackets the other way."""
    return text.translate(TABLE)


def unpaired(text: str) -> list[int]:
    """The places of the brackets that have no other."""
    opened: list[int] = []
    closed: list[int] = []
    for place, char in enumerate(text):
        if char in OPEN:
            opened.append(place)
        elif char in CLOSE:
            if opened and MIRROR[text[opened[-1]]] == char:
                opened.pop()
            else:
                closed.append(place)
    return sorted(opened + closed)


def exchanged(texts: Sequence[str], kinds: Sequence[str], rtl: bool) -> list[str]:
    """The texts of the words of a line in logical order with their brackets as they are read.

    kinds: `R` for words from right to left, `L` for others, as resolved. A run of words against the direction of the
    line has none of the brackets at its ends that it has no other of: they belong to the line, and so to its other end.
    """
    by_looks = _with_ends(
        [mirrored(text) if kind == "R" else text for text, kind in zip(texts, kinds, strict=True)], kinds, rtl
    )
    by_meaning = _with_ends(texts, kinds, rtl)
    return by_looks if len(unpaired("".join(by_looks))) <= len(unpaired("".join(by_meaning))) else by_meaning


def _with_ends(texts: Sequence[str], kinds: Sequence[str], rtl: bool) -> list[str]:
    out: list[str] = []
    for kind, run in itertools.groupby(zip(texts, kinds, strict=True), key=lambda item: item[1]):
        members = [text for text, _ in run]
        out += members if (kind == "R") == rtl else _turned_ends(members)
    return out


def _turned_ends(words: list[str]) -> list[str]:
    """Words of a run without the brackets at its ends that have no other in it, which stand at the other end."""
    text = "".join(words)
    lone = unpaired(text)
    first = 0 in lone and len(words[0]) > 1
    last = len(text) - 1 in lone and len(words[-1]) > 1 + first
    opening = words[-1][-1] if last else ""
    closing = words[0][0] if first else ""
    words[0] = words[0][len(closing) :]
    words[-1] = words[-1][: len(words[-1]) - len(opening)]
    words[0] = (opening if opening in OPEN else mirrored(opening)) + words[0]
    words[-1] += closing if closing in CLOSE else mirrored(closing)
    return words
