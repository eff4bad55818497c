"""Characters -> words -> lines: what stands together, in logical order, with accents and splits put right.

All of it works on upright coordinates: text that was turned is turned back first (`upright`), and columns of Chinese or
Japanese that are read downwards become lines.
"""

from __future__ import annotations

import itertools
import re
import statistics
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sphinx_x.data.ocr.tasks import union
from sphinx_x.data.ocr.text_layer import OBLIQUE, VERTICAL, Characters
from sphinx_x.data.sample import Box

SPLIT, CJK_SPLIT = 0.28, 0.7
"""Em; a wider gap parts words where the text layer has no space."""
MERGE = 0.08
"""Em; where the reader inferred a space in a narrower gap, there is none."""
SAME_LINE, OUT_OF_ORDER = 1.5, 0.7
"""Em; gaps between neighbours of a line, in the text layer's order and else (narrower than what parts columns)."""
ACCENTS = {
    "\xb4": "\u0301", "`": "\u0300", "\xa8": "\u0308", "\u02c6": "\u0302", "^": "\u0302", "\u02dc": "\u0303",
    "~": "\u0303", "\xaf": "\u0304", "\u02d8": "\u0306", "\u02d9": "\u0307", "\u02da": "\u030a", "\u02dd": "\u030b",
    "\u02c7": "\u030c", "\xb8": "\u0327", "\u02db": "\u0328", "\u0384": "\u0301", "\u1fbd": "\u0313",
}  # fmt: skip
"""Accents that older typesetting sets as characters of their own, over or under a letter."""
EAST = "\u2e80"
"""Characters before this one are none of Chinese or Japanese."""
LEADERS = re.compile(r"(?:[.\u00b7\u2026\u2022_]\s?){4,}")


@dataclass(slots=True)
class Word:
    """Text without white space, the box of its ink, and the numbers of its characters in logical order."""

    text: str
    box: Box
    chars: list[int]
    place: Box
    """The box in upright coordinates."""
    size: float
    high: tuple[float, float]
    """Top and bottom of its cells: the same for `a` and for `g`."""
    space: bool = True
    """Whether white space parts it from the word before."""


@dataclass(slots=True)
class Line:
    """Words of one line in logical order.

    place: upright box; direction: as of characters; cells: of a table's row; hyphen: ends in one that parts a word.
    """

    words: list[Word]
    direction: int = 0
    rtl: bool = False
    bold: bool = False
    mono: bool = False
    clean: bool = True
    hyphen: bool = False
    cells: int = 1
    size: float = 0.0
    box: Box = (0.0, 0.0, 0.0, 0.0)
    place: Box = (0.0, 0.0, 0.0, 0.0)
    marks: list[int] = field(default_factory=list)
    """The marked contents its characters belong to."""

    @property
    def text(self) -> str:
        """As it is printed, words parted by spaces, dot leaders shortened."""
        return joined(self.words)


def joined(words: Sequence[Word]) -> str:
    """The text of words in a row."""
    text = "".join((" " if number and word.space else "") + word.text for number, word in enumerate(words))
    return LEADERS.sub("... ", text).strip()


def turn_boxes(boxes: np.ndarray, quarters: int, width: float, height: float) -> np.ndarray:
    """Boxes (N, 4) in a picture of this size after it is turned by quarters against the clock."""
    for _ in range(quarters % 4):
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack([y1, width - x2, y2, width - x1], 1)
        width, height = height, width
    return boxes


def is_cjk(char: str) -> bool:
    """Whether a character is Chinese, Japanese or their punctuation: written without spaces."""
    code = ord(char[0])
    return code >= 0x2E80 and (
        0x2E80 <= code <= 0x30FF or 0x31F0 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF
        or 0xFE30 <= code <= 0xFE4F or 0xFF00 <= code <= 0xFF9F or 0x20000 <= code <= 0x3FFFF
    )  # fmt: skip


def is_rtl(char: str) -> bool:
    """Whether a character is a letter of a script that runs from right to left."""
    return unicodedata.bidirectional(char[0]) in ("R", "AL")


def mark_vertical(chars: Characters) -> None:
    """Gives the direction `VERTICAL` to runs of three and more characters that stand one below the other."""
    cjk = np.array([text >= EAST and is_cjk(text) for text in chars.text], bool)
    if cjk.sum() < 3:
        return
    middle = (chars.cell[:, 0] + chars.cell[:, 2]) / 2, (chars.cell[:, 1] + chars.cell[:, 3]) / 2
    em = np.maximum(chars.size, 1e-6)
    below = np.diff(middle[1]) / em[1:]
    follows = cjk[:-1] & cjk[1:] & (np.abs(np.diff(middle[0])) < 0.35 * em[1:]) & (below > 0.6) & (below < 1.7)
    start = None
    for k, good in enumerate([*follows, False]):
        if good and start is None:
            start = k
        elif not good and start is not None:
            if k - start >= 2:
                chars.direction[start : k + 1] = VERTICAL
            start = None


class Upright:
    """The characters of one direction, turned upright. box, cell: of every character; seen: its box in the picture."""

    def __init__(self, chars: Characters, direction: int, width: int, height: int) -> None:
        self.chars, self.direction = chars, direction
        quarters = 1 if direction == VERTICAL else direction
        self.box: list[list[float]] = turn_boxes(chars.box, quarters, width, height).tolist()
        self.cells = turn_boxes(chars.cell, quarters, width, height)
        self.cell: list[list[float]] = self.cells.tolist()
        self.seen: list[list[float]] = self.box if quarters == 0 else chars.box.tolist()
        self.size: list[float] = chars.size.tolist()
        self.cjk = [text >= EAST and is_cjk(text) for text in chars.text]
        self.rtl = [text > "\u0590" and is_rtl(text) for text in chars.text]
        self.members = np.flatnonzero((chars.direction == direction) & ~chars.hidden).tolist()

    def lines(self) -> list[Line]:
        """The lines of the direction, in no order that matters."""
        if self.direction == OBLIQUE or not self.members:
            return []
        words = [self._word(*group) for group in self._groups()]
        segments: list[list[Word]] = []
        for word in words:
            if segments and self._continues(segments[-1][-1], word, SAME_LINE):
                segments[-1].append(word)
            else:
                segments.append([word])
        return [self._line(segment) for segment in self._merged(segments)]

    def _groups(self) -> list[tuple[list[int], bool]]:
        """Numbers of characters by word, and whether white space is before it."""
        members = np.array(self.members)
        cell, size = self.cells[members], self.chars.size[members]
        a, b = cell[:-1], cell[1:]
        em = np.maximum(np.minimum(size[:-1], size[1:]), 1e-6)
        gap = np.maximum(b[:, 0] - a[:, 2], a[:, 0] - b[:, 2]) / em
        cjk, rtl = np.array(self.cjk, bool)[members], np.array(self.rtl, bool)[members]
        together = cjk[:-1] & cjk[1:]
        space = np.array(self.chars.space, np.int8)[members][1:]
        spaced = (space == 2) | ((space == 1) & (gap > np.where(together, CJK_SPLIT, MERGE)))
        spaced |= gap > np.where(together, CJK_SPLIT, SPLIT)
        shared = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
        level = shared > 0.35 * np.minimum(a[:, 3] - a[:, 1], b[:, 3] - b[:, 1])
        back = (b[:, 0] < a[:, 0] - 0.6 * em) & ~rtl[:-1] & ~rtl[1:]
        starts = [0, *(np.flatnonzero(spaced | ~level | back) + 1).tolist()]
        before = [True, *spaced.tolist()]
        ends = [*starts[1:], len(members)]
        return [(self.members[k:end], before[k]) for k, end in zip(starts, ends, strict=True)]

    def _word(self, members: list[int], spaced: bool) -> Word:
        members = self._logical(members)
        place = _hull([self.box[k] for k in members])
        seen = place if self.seen is self.box else _hull([self.seen[k] for k in members])
        cells = [self.cell[k] for k in members]
        high = min(cell[1] for cell in cells), max(cell[3] for cell in cells)
        return Word(self._text(members), seen, members, place, max(self.size[k] for k in members), high, spaced)

    def _logical(self, members: list[int]) -> list[int]:
        """Right-to-left letters that the file holds in the order of sight are put into that of reading."""
        letters = [k for k in members if self.rtl[k] and not unicodedata.combining(self.chars.text[k][0])]
        if len(letters) < 2 or 2 * len(letters) < len(members):
            return members
        middles = [self.box[k][0] + self.box[k][2] for k in letters]
        if sum(b > a for a, b in itertools.pairwise(middles)) * 2 <= len(middles) - 1:
            return members
        clusters: list[list[int]] = []
        for k in members:
            if clusters and unicodedata.combining(self.chars.text[k][0]):
                clusters[-1].append(k)
            else:
                clusters.append([k])
        return [k for cluster in reversed(clusters) for k in cluster]

    def _text(self, members: list[int]) -> str:
        """The letters of a word, accents that were set apart put on theirs."""
        chars, pieces = self.chars, []
        pending = ""
        for number, k in enumerate(members):
            text = chars.text[k]
            if chars.soft[k] and number < len(members) - 1 and self.seen[k][2] - self.seen[k][0] < 0.05 * self.size[k]:
                continue  # a soft hyphen that is not printed
            if text in ACCENTS and self._over(k, members, number):
                other = members[number + 1] if self._stacked(k, members, number + 1) else None
                if other is None:
                    pieces.append(ACCENTS[text])
                else:
                    pending += ACCENTS[text]
                continue
            base = {"\u0131": "i", "\u0237": "j"}.get(text, text) if pending else text
            pieces.append(base + pending)
            pending = ""
        return unicodedata.normalize("NFC", "".join(pieces) + pending)

    def _over(self, k: int, members: list[int], number: int) -> bool:
        return self._stacked(k, members, number + 1) or self._stacked(k, members, number - 1)

    def _stacked(self, k: int, members: list[int], other: int) -> bool:
        """Whether the accent number k stands over or under another letter."""
        if not 0 <= other < len(members) or not self.chars.text[members[other]].isalpha():
            return False
        a, b = self.box[k], self.box[members[other]]
        return min(a[2], b[2]) - max(a[0], b[0]) > 0.6 * min(a[2] - a[0], b[2] - b[0])

    def _continues(self, a: Word, b: Word, limit: float) -> bool:
        """Whether two words are neighbours in a line with at most `limit` em between them."""
        p, q = a.place, b.place
        em = max(a.size, b.size)
        gap = max(q[0] - p[2], p[0] - q[2])
        if gap > limit * em or gap < -0.7 * em:
            return False
        first, second = a.high, b.high
        shared = min(first[1], second[1]) - max(first[0], second[0])
        return shared > 0.45 * min(first[1] - first[0], second[1] - second[0])

    def _merged(self, segments: list[list[Word]]) -> list[list[Word]]:
        """Joins parts of one line that the file holds in another order."""
        segments.sort(key=lambda s: (min(w.place[1] for w in s), s[0].place[0]))
        ends = [union([word.place for word in s]) for s in segments]
        out: list[list[Word]] = []
        hulls: list[Box] = []
        for segment, end in zip(segments, ends, strict=True):
            for number in range(len(out) - 1, max(len(out) - 12, -1), -1):
                near, em = hulls[number], max(segment[0].size, out[number][0].size)
                gap = max(end[0] - near[2], near[0] - end[2])
                shared = min(end[3], near[3]) - max(end[1], near[1])
                if -0.3 * em <= gap <= OUT_OF_ORDER * em and shared > 0.5 * min(end[3] - end[1], near[3] - near[1]):
                    out[number] = out[number] + segment
                    hulls[number] = union((near, end))
                    break
            else:
                out.append(segment)
                hulls.append(end)
        return out

    def _line(self, words: list[Word]) -> Line:
        chars = self.chars
        some = any(self.rtl[k] for word in words for k in word.chars)
        letters = [k for word in words for k in word.chars if some and chars.text[k][0].isalpha()]
        rtl = 2 * sum(self.rtl[k] for k in letters) > len(letters)
        words = in_order(words, rtl)
        for a, b in itertools.pairwise(words):
            gap = max(b.place[0] - a.place[2], a.place[0] - b.place[2])
            b.space = b.space or rtl or (gap > SPLIT * a.size and not (is_cjk(a.text[-1]) and is_cjk(b.text[0])))
        members = [k for word in words for k in word.chars]
        line = Line(words, self.direction, rtl)
        line.size = statistics.median([self.size[k] for k in members])
        line.bold = 2 * sum(chars.font[k].bold for k in members) > len(members)
        line.mono = 2 * sum(chars.font[k].mono for k in members) > len(members)
        line.clean = not chars.broken[members].any()
        line.marks = [chars.font[k].mark for k in members]
        last = words[-1].text
        line.hyphen = len(last) > 1 and last.endswith("-") and last[-2].isalpha()
        line.box, line.place = union([word.box for word in words]), union([word.place for word in words])
        return line


def _hull(boxes: Sequence[Sequence[float]]) -> Box:
    if len(boxes) == 1:
        x1, y1, x2, y2 = boxes[0]
        return (x1, y1, x2, y2)
    left, top, right, bottom = zip(*boxes, strict=True)
    return (min(left), min(top), max(right), max(bottom))


def in_order(words: list[Word], rtl: bool) -> list[Word]:
    """Words of a line as they are read; left-to-right words and numbers in right-to-left text keep their order."""
    words = sorted(words, key=lambda word: word.place[0] + word.place[2])
    mixed = rtl or any(is_rtl(char) for word in words if not word.text.isascii() for char in word.text)
    if not mixed:
        return words
    kinds = ["R" if any(map(is_rtl, w.text)) else "L" if any(c.isalnum() for c in w.text) else "" for w in words]
    ahead = "R" if rtl else "L"
    for k, kind in enumerate(kinds):  # what has no direction takes that of both neighbours, or of the line
        if not kind:
            before = kinds[k - 1] if k else ahead
            after = next((other for other in kinds[k + 1 :] if other), ahead)
            kinds[k] = before if before == after else ahead
    runs: list[tuple[str, list[Word]]] = []
    for word, kind in zip(words, kinds, strict=True):
        if runs and runs[-1][0] == kind:
            runs[-1][1].append(word)
        else:
            runs.append((kind, [word]))
    runs = runs[::-1] if rtl else runs
    return [word for kind, run in runs for word in (run[::-1] if kind == "R" else run)]
