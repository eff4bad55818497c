"""Letters that are spaced out on purpose: words, or words of one letter?

If a text object states its letter spacing, they are words. If each letter is placed individually, the text layer has
white space between all of them: they are one tracked text if their gaps are about equal, wider gaps separate them, and
what is between those looks like words.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from sphinx_x.engines.pdf.hyphens import common_words
from sphinx_x.engines.pdf.tuned import (
    LONG_WORD,
    SHORT_WORD,
    TRACKED,
    TRACKING_EVEN,
    TRACKING_PLACED,
    TRACKING_SAID,
    WORDS_WIDER,
)

VOWELS = frozenset(
    "aeiouy\xe6\xf8\u0153\u0131\u0430\u0435\u0438\u043e\u0443\u044b\u044d\u044e\u044f\u0454\u0456\u03b1\u03b5\u03b7\u03b9\u03bf\u03c5\u03c9"
)


def tracked(
    texts: list[str],
    keys: np.ndarray,
    members: np.ndarray,
    gap: np.ndarray,
    space: np.ndarray,
    level: np.ndarray,
    cjk: np.ndarray,
) -> np.ndarray:
    """Return the intended letter spacing in em, (N - 1,), to be subtracted from the gaps between members.

    pdfium infers no space if a text object states its letter spacing, but does if every letter is placed individually.
    Gaps of other widths among them separate words, and so do those with a space in the file.

    Args:
        texts: Of all characters.
        keys: The members' text objects.
        members: Indices of the members among the characters.
        gap: (N - 1,) gaps between members, in em.
        space: White space before each member but the first, as in `Characters`.
        level: Whether neighbours stand at one height.
        cjk: Whether each member is Chinese or Japanese.
    """
    out = np.zeros(len(gap))
    wide = (gap > TRACKED[0]) & (gap < TRACKED[1]) & (space != 2) & level
    if not (wide[1:] & wide[:-1]).any():
        return out
    said = wide & (space == 0) & (keys[1:] == keys[:-1]) & ~cjk[1:]
    between = level & (space > 0) & (gap < 3 * TRACKED[1])
    glued = np.concatenate([[False], level & (gap <= TRACKED[0]), [False]])
    for start, end in _runs(said | (between & ~said), said, 2):
        free = gap[start:end][said[start:end]]
        usual = _at(free, 0.4)
        if not glued[start] and not glued[end + 1] and (np.abs(free - usual) < TRACKING_EVEN).mean() > TRACKING_SAID:
            out[start:end] = usual
    placed = between & (out == 0) & (gap > TRACKED[0])
    for start, end in _runs(placed, placed & wide, 2):
        letters = [str(texts[k]) for k in members[start : end + 1].tolist()]
        found = placed_tracking(letters, gap[start:end], space[start:end] == 2, glued[start], glued[end + 1])
        if found is not None:
            first, last = found[1]
            out[start + first : start + last] = found[0]
    return out


def _at(values: np.ndarray, share: float) -> float:
    """Return the value that this share of the values does not exceed; for few values, `np.quantile` is much slower."""
    return float(np.sort(values)[int(share * (len(values) - 1) + 0.5)])


def _runs(members: np.ndarray, counted: np.ndarray, least: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of runs of members that contain at least `least` counted ones."""
    sides = np.flatnonzero(np.diff(np.concatenate([[0], members.astype(np.int8), [0]])))
    sums = np.concatenate([[0], np.cumsum(counted)])
    runs = sides.reshape(-1, 2)
    yield from map(tuple, runs[sums[runs[:, 1]] - sums[runs[:, 0]] >= least].tolist())


def placed_tracking(
    letters: Sequence[str], gaps: np.ndarray, spaced: np.ndarray, glued_before: bool, glued_after: bool
) -> tuple[float, tuple[int, int]] | None:
    """Return the tracking in em, and the range of the gaps that have it; None for words of one letter.

    Args:
        letters: N + 1 neighbours on one line.
        gaps: (N,) em between them.
        spaced: (N,) whether the file has white space there.
        glued_before: Whether the first has a close neighbour before it, and so ends an ordinary word.
        glued_after: The same for the last, which begins one.
    """
    free = gaps[~spaced]
    if len(free) < 2:
        return None
    usual = _at(free, 0.3)
    parts = spaced | (gaps > usual + WORDS_WIDER)
    low, high = 0, len(gaps)
    if glued_before:  # the first letter is the last one of another word
        if not parts[0]:
            return None
        low = 1
    if glued_after:
        if not parts[-1]:
            return None
        high -= 1
    inner = ~parts[low:high]
    if inner.sum() < 2 or (np.abs(gaps[low:high][inner] - usual) < TRACKING_EVEN).mean() < TRACKING_PLACED:
        return None
    words = list(_words(letters[low : high + 1], parts[low:high]))
    many = sum(map(len, words))
    strong = sum(len(word) for word in words if looks_like_word(word))
    return (usual, (low, high)) if 2 * strong > many else None


def _words(letters: Sequence[str], parts: np.ndarray) -> Iterator[str]:
    """Yield the letters of each word, without anything else in it."""
    starts = [0, *(np.flatnonzero(parts) + 1).tolist(), len(letters)]
    for start, end in itertools.pairwise(starts):
        yield "".join(letter for letter in letters[start:end] if letter.isalpha())


def looks_like_word(text: str) -> bool:
    """Return whether letters may be a word: not in alphabetical order, in one case, with a vowel."""
    if len(text) < SHORT_WORD or not (text[1:].islower() or text.isupper() or text.lower() == text.upper()):
        return False
    low = text.lower()
    if VOWELS.isdisjoint(unicodedata.normalize("NFD", low)):
        return False
    if low in common_words():
        return any(ord(b) - ord(a) != 1 for a, b in itertools.pairwise(low))  # xyz and the like
    return len(text) >= LONG_WORD and list(low) != sorted(low)
