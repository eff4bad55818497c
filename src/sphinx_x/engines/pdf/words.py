"""From characters to words to lines: what stands together, in logical order, with accents and splits put right.

Everything here works on upright coordinates: rotated text is first turned back (`upright`), and columns of Chinese or
Japanese that are read downwards become lines.
"""

from __future__ import annotations

import itertools
import re
import statistics
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from sphinx_x.boxes import Box, union
from sphinx_x.engines.pdf.bidi import SPACE, clusters, reading_order
from sphinx_x.engines.pdf.scripts import EAST, is_cjk, is_rtl
from sphinx_x.engines.pdf.text_layer import OBLIQUE, VERTICAL, Characters
from sphinx_x.engines.pdf.tracking import tracked
from sphinx_x.engines.pdf.tuned import (
    CJK_SPLIT,
    LARGE_INITIAL,
    LEAST_SPACE,
    MERGE,
    MONO_OUT_OF_ORDER,
    NARROW_SPACE,
    OUT_OF_ORDER,
    PARTS_BEFORE,
    SAME_LINE,
    SPACES_DIFFER,
    SPLIT,
)
from sphinx_x.engines.pdf.turns import turn_boxes

STOPS = ",.;:!?"
QUOTES = "\"'\xab\u2018\u201c\u201e\u2039"
"""What may stand before an initial and be as large."""
ACCENTS = {
    "\xb4": "\u0301", "`": "\u0300", "\xa8": "\u0308", "\u02c6": "\u0302", "^": "\u0302", "\u02dc": "\u0303",
    "~": "\u0303", "\xaf": "\u0304", "\u02d8": "\u0306", "\u02d9": "\u0307", "\u02da": "\u030a", "\u02dd": "\u030b",
    "\u02c7": "\u030c", "\xb8": "\u0327", "\u02db": "\u0328", "\u0384": "\u0301", "\u1fbd": "\u0313",
}  # fmt: skip
"""Accents that older typesetting has as separate characters, over or under a letter."""
LEADERS = re.compile(r"(?:[.\u00b7\u2026\u2022_]\s?){4,}")


@dataclass(slots=True)
class Word:
    """Text without white space, the box of its ink, and the indices of its characters in logical order."""

    text: str
    box: Box
    chars: list[int]
    place: Box
    """The box in upright coordinates."""
    size: float
    high: tuple[float, float]
    """Top and bottom of its cells: the same for `a` and for `g`."""
    space: bool = True
    """Whether white space separates it from the word before."""
    soft: bool = False
    """Whether it ends in a hyphen that the file says is there only because the line ends."""
    tracking: float = 0.0
    """Em between its letters."""


@dataclass(slots=True)
class Line:
    """Words of one line in logical order.

    Attributes:
        place: Upright box.
        direction: As for characters.
        cells: Of a table's row.
        hyphen: Whether it ends in one that splits a word.
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
    """The marked contents that its characters belong to."""
    _text: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The text as printed, words separated by spaces, dot leaders shortened; words must not change after it."""
        if self._text is None:
            self._text = joined(self.words)
        return self._text


def joined(words: Sequence[Word]) -> str:
    """Return the text of consecutive words."""
    text = "".join([f" {word.text}" if word.space else word.text for word in words])
    if words and words[0].space:
        text = text[1:]
    return LEADERS.sub("... ", text).strip()


def is_initial(text: str) -> bool:
    """Return whether a text may be an initial: a capital letter, or one with a quote before it."""
    letter = text.lstrip(QUOTES)
    return len(letter) == 1 and letter.isalpha() and letter.isupper()


def mark_vertical(chars: Characters) -> None:
    """Give the direction `VERTICAL` to runs of three or more characters that stand one below the other."""
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
    """The characters of one direction, turned upright.

    Attributes:
        box: (N, 4) of every character, upright.
        cell: (N, 4) of every character, upright.
        members: Indices of the visible characters of the direction.
    """

    def __init__(self, chars: Characters, direction: int, width: int, height: int) -> None:
        self.chars, self.direction = chars, direction
        quarters = 1 if direction == VERTICAL else direction
        self.box = turn_boxes(chars.box, quarters, width, height)
        self.cell = turn_boxes(chars.cell, quarters, width, height)
        self.members = np.flatnonzero((chars.direction == direction) & ~chars.hidden)
        self.cjk = np.array([text >= EAST and is_cjk(text) for text in chars.text], bool)
        self.rtl = np.array([text > "\u0590" and is_rtl(text) for text in chars.text], bool)
        self.mostly_rtl = bool(self.rtl.any()) and self._mostly_rtl()

    def _mostly_rtl(self) -> bool:
        """Return whether most letters of the direction run from right to left; then lines with any such letter do."""
        letters = [k for k in self.members if self.chars.text[k][0].isalpha()]
        return 2 * int(self.rtl[letters].sum()) > len(letters)

    def lines(self) -> list[Line]:
        """Return the lines of the direction, in arbitrary order."""
        if self.direction == OBLIQUE or not len(self.members):
            return []
        segments: list[list[Word]] = []
        for word in self._words():
            if segments and self._continues(segments[-1][-1], word, SAME_LINE):
                segments[-1].append(word)
            else:
                segments.append([word])
        lines = [self._line(segment) for segment in self._merged(segments)]
        self._describe(lines)
        return lines

    def _words(self) -> Iterator[Word]:
        chars, members = self.chars, self.members
        starts, spaced, tracking = self._groups()
        places = _hulls(self.box[members], starts)
        seen = places if self.direction == 0 else _hulls(chars.box[members], starts)
        tops = np.minimum.reduceat(self.cell[members, 1], starts).tolist()
        bottoms = np.maximum.reduceat(self.cell[members, 3], starts).tolist()
        sizes = np.maximum.reduceat(chars.size[members], starts).tolist()
        special = np.array([text in ACCENTS for text in chars.text], bool) | np.array(chars.soft, bool)
        specials = np.logical_or.reduceat(special[members], starts).tolist()
        numbers = members.tolist()
        first, *rest = starts.tolist()
        for word, end in enumerate([*rest, len(numbers)]):
            group, first = numbers[first:end], end
            if specials[word]:
                text = self._text(group)
            elif group[-1] - group[0] == len(group) - 1:  # nothing hidden, nor of another direction, between them
                text = _composed("".join(chars.text[group[0] : group[-1] + 1]))
            else:
                text = _composed("".join([chars.text[k] for k in group]))
            high = (tops[word], bottoms[word])
            yield Word(
                text,
                seen[word],
                group,
                places[word],
                sizes[word],
                high,
                spaced[word],
                chars.shy[group[-1]],
                tracking[word],
            )

    def _groups(self) -> tuple[np.ndarray, list[bool], list[float]]:
        """Return where words begin among the members, whether white space is before each, and their tracking in em."""
        members = self.members
        cell, size = self.cell[members], self.chars.size[members]
        a, b = cell[:-1], cell[1:]
        em = np.maximum(np.minimum(size[:-1], size[1:]), 1e-6)
        gap = np.maximum(b[:, 0] - a[:, 2], a[:, 0] - b[:, 2]) / em
        cjk, rtl = self.cjk[members], self.rtl[members]
        together = cjk[:-1] & cjk[1:]
        space = np.array(self.chars.space, np.int8)[members][1:]
        shared = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
        level = shared > 0.35 * np.minimum(a[:, 3] - a[:, 1], b[:, 3] - b[:, 1])
        keys = np.array(self.chars.keys, np.uint64)[members]
        tracking = tracked(self.chars.text, keys, members, gap, space, level, cjk)
        gap = gap - tracking
        spaced = (space == 2) | ((space == 1) & (gap > np.where(together, CJK_SPLIT, MERGE)))
        spaced |= gap > np.where(together, CJK_SPLIT, SPLIT)
        spaced |= self._between_objects(gap, keys)
        back = (b[:, 0] < a[:, 0] - 0.6 * em) & ~rtl[:-1] & ~rtl[1:]
        starts = np.flatnonzero(np.concatenate([[True], spaced | ~level | back | self._beside_initials(em)]))
        return starts, np.concatenate([[True], spaced])[starts].tolist(), np.append(tracking, 0)[starts].tolist()

    def _beside_initials(self, em: np.ndarray) -> np.ndarray:
        """Return whether one of two neighbouring members is set as an initial beside the other, (N - 1,).

        The other belongs to any of the lines beside the initial.

        Args:
            em: (N - 1,) that of the smaller of the two.
        """
        size = self.chars.size[self.members]
        large = size > LARGE_INITIAL * np.median(size)
        if not large.any():
            return np.zeros(len(em), bool)
        large &= [self.chars.text[k].isupper() or self.chars.text[k] in QUOTES for k in self.members]
        return (large[1:] != large[:-1]) & (np.maximum(size[1:], size[:-1]) > LARGE_INITIAL * em)

    def _between_objects(self, gap: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Return whether words that are placed individually end between neighbouring members, (N - 1,).

        Justified lines have narrow spaces, for which pdfium infers none. Letters that are placed individually have gaps
        on
        both sides.
        """
        doubtful = (gap > NARROW_SPACE) & (gap <= SPLIT) & (keys[1:] != keys[:-1])
        if not doubtful.any():
            return doubtful
        size, text, members = self.chars.size[self.members], self.chars.text, self.members
        glued = np.concatenate([[False], np.abs(gap) < MERGE, [False]])
        doubtful &= (np.abs(size[1:] - size[:-1]) < 0.02 * size[1:]) & (glued[:-2] | glued[2:])
        for k in np.flatnonzero(doubtful).tolist():
            before, after = text[members[k]], text[members[k + 1]]
            doubtful[k] = after.isalpha() and (before.isalpha() or before in STOPS)
        return doubtful

    def _text(self, members: list[int]) -> str:
        """Return the letters of a word, with separate accents combined with their letters."""
        chars, pieces = self.chars, []
        pending = ""
        for number, k in enumerate(members):
            text = chars.text[k]
            if chars.soft[k] and number < len(members) - 1 and chars.box[k, 2] - chars.box[k, 0] < 0.05 * chars.size[k]:
                continue  # a soft hyphen that is not printed
            if chars.shy[k] and number < len(members) - 1:
                # one that a program has printed inside a line: page and text are at odds, so nothing is asked of it
                chars.broken[k] = True
                continue
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
        return _composed("".join(pieces) + pending)

    def _over(self, k: int, members: list[int], number: int) -> bool:
        return self._stacked(k, members, number + 1) or self._stacked(k, members, number - 1)

    def _stacked(self, k: int, members: list[int], other: int) -> bool:
        """Return whether the accent with index k stands over or under another letter."""
        if not 0 <= other < len(members) or not self.chars.text[members[other]].isalpha():
            return False
        a, b = self.box[k], self.box[members[other]]
        return min(a[2], b[2]) - max(a[0], b[0]) > 0.6 * min(a[2] - a[0], b[2] - b[0])

    def _continues(self, a: Word, b: Word, limit: float) -> bool:
        """Return whether two words are neighbours in a line, at most `limit` em apart."""
        # called for every word: comparisons are several times as fast as calls of min and max
        p, q = a.place, b.place
        em = a.size if a.size > b.size else b.size
        after, before = q[0] - p[2], p[0] - q[2]
        gap = after if after > before else before
        if gap < -0.7 * em or gap > (limit + 2 * (a.tracking if a.tracking < b.tracking else b.tracking)) * em:
            return False
        if a.size != b.size and _initial_beside(a, b):
            return False
        (top, bottom), (other_top, other_bottom) = a.high, b.high
        shared = (bottom if bottom < other_bottom else other_bottom) - (top if top > other_top else other_top)
        return shared > 0.45 * min(bottom - top, other_bottom - other_top)

    def _merged(self, segments: list[list[Word]]) -> list[list[Word]]:
        """Join parts of one line that are in another order in the file, even if they interleave."""
        found = [(union([word.place for word in segment]), segment) for segment in segments]
        found.sort(key=lambda item: (item[0][1], item[1][0].place[0]))
        out: list[list[Word]] = []
        hulls: list[Box] = []
        for end, segment in found:
            whole, hull = segment, end
            most = MONO_OUT_OF_ORDER if self.chars.font[segment[0].chars[0]].mono else OUT_OF_ORDER
            for number in range(len(out) - 1, max(len(out) - PARTS_BEFORE, -1), -1):
                near = hulls[number]
                if end[1] < near[3] and near[1] < end[3] and _parts_of_line(out[number], near, segment, end, most):
                    whole, hull = out.pop(number) + whole, union((hulls.pop(number), hull))
            out.append(whole)
            hulls.append(hull)
        return out

    def _line(self, words: list[Word]) -> Line:
        rtl = self._is_rtl(words)
        if rtl or any(self.rtl[word.chars].any() for word in words if not word.text.isascii()):
            return self._finished(self._as_read(words, rtl), rtl)
        words = sorted(words, key=lambda word: word.place[0] + word.place[2])
        for a, b in itertools.pairwise(words):
            if b.chars[0] - a.chars[-1] != 1:
                # neighbours on the page but not in the file, whose white space is between others
                b.space = self._gap(a, b) > LEAST_SPACE and not _both_cjk(a, b)
            elif not b.space:
                gap = max(b.place[0] - a.place[2], a.place[0] - b.place[2])
                b.space = gap > SPLIT * a.size and not _both_cjk(a, b)
        return self._finished(words, rtl)

    def _finished(self, words: list[Word], rtl: bool) -> Line:
        line = Line(words, self.direction, rtl)
        last = words[-1].text
        line.hyphen = len(last) > 1 and last.endswith("-") and last[-2].isalnum()
        line.box, line.place = union([word.box for word in words]), union([word.place for word in words])
        return line

    def _as_read(self, words: list[Word], rtl: bool) -> list[Word]:
        """Return the words of a line with right-to-left letters, formed anew from the positions of its characters."""
        texts, tracking = self.chars.text, min(word.tracking for word in words)
        groups = [cluster for word in words for cluster in clusters(self._sorted(word.chars), texts)]
        groups.sort(key=lambda cluster: self.box[cluster[0], 0] + self.box[cluster[0], 2])
        signs, members = [texts[groups[0][0]]], [groups[0]]
        for a, b in itertools.pairwise(groups):
            gap = (self.cell[b[0], 0] - self.cell[a[0], 2]) / max(self.chars.size[b[0]], 1e-6) - tracking
            if gap > LEAST_SPACE:
                signs.append(SPACE)
                members.append([])
            signs.append(texts[b[0]])
            members.append(b)
        order, told = reading_order(signs, rtl)
        for place, bracket in told.items():
            texts[members[place][0]] = bracket
        parts = itertools.groupby(order, lambda place: signs[place] == SPACE)
        return [self._word([k for place in part for k in members[place]]) for space, part in parts if not space]

    def _sorted(self, members: Sequence[int]) -> Sequence[int]:
        """Return characters with each combining mark after its letter; the file may have it before."""
        marks = [k for k in members if unicodedata.combining(self.chars.text[k][0])]
        if not marks:
            return members
        letters = [k for k in members if not unicodedata.combining(self.chars.text[k][0])]
        if not letters:
            return members
        over = {k: [k] for k in letters}
        for mark in marks:
            middle = self.box[mark, 0] + self.box[mark, 2]
            near = min(letters, key=lambda k: abs(self.box[k, 0] + self.box[k, 2] - middle))
            over[near].append(mark)
        return [k for letter in letters for k in over[letter]]

    def _word(self, members: list[int]) -> Word:
        """Return a word of characters in reading order."""
        place, seen = (union([tuple(box) for box in boxes[members].tolist()]) for boxes in (self.box, self.chars.box))
        high = (float(self.cell[members, 1].min()), float(self.cell[members, 3].max()))
        size = float(self.chars.size[members].max())
        return Word(self._text(members), seen, members, place, size, high, soft=self.chars.shy[members[-1]])

    def _gap(self, a: Word, b: Word) -> float:
        """Return the em between the cells of two words."""
        (left, right), (start, end) = ((self.cell[w.chars, 0].min(), self.cell[w.chars, 2].max()) for w in (a, b))
        return max(start - right, left - end) / max(min(a.size, b.size), 1e-6)

    def _is_rtl(self, words: list[Word]) -> bool:
        """Return whether a line runs from right to left.

        It does if most of its letters do, or the words at both ends, or some letters on a page that mostly does.
        """
        if all(word.text.isascii() for word in words):
            return False
        letters = [k for word in words for k in word.chars if self.chars.text[k][0].isalpha()]
        right = self.rtl[letters]
        if not right.any():
            return False
        if self.mostly_rtl or 2 * int(right.sum()) > len(letters):
            return True
        places = (self.box[letters, 0] + self.box[letters, 2]).tolist()
        return bool(right[places.index(min(places))] and right[places.index(max(places))])

    def _describe(self, lines: list[Line]) -> None:
        """Set the attributes of each line to those of most of its characters."""
        if not lines:
            return
        members = [list(itertools.chain.from_iterable([word.chars for word in line.words])) for line in lines]
        starts = np.cumsum([0, *(len(group) for group in members[:-1])])
        every = list(itertools.chain.from_iterable(members))
        fonts = [self.chars.font[start] for start in self.chars.runs]
        facts = np.array([(font.bold, font.mono, font.mark) for font in fonts], int)
        facts = np.repeat(facts, np.diff([*self.chars.runs, len(self.chars)]), axis=0)[every]
        bold, mono = np.add.reduceat(facts[:, :2], starts).T.tolist()
        broken = np.logical_or.reduceat(self.chars.broken[every], starts).tolist()
        sizes, marks = self.chars.size[every].tolist(), facts[:, 2].tolist()
        for number, (line, start) in enumerate(zip(lines, starts.tolist(), strict=True)):
            end = start + len(members[number])
            line.size = statistics.median(sizes[start:end])
            line.bold, line.mono = 2 * bold[number] > end - start, 2 * mono[number] > end - start
            line.clean = not broken[number]
            line.marks = marks[start:end]


def _parts_of_line(a: list[Word], around_a: Box, b: list[Word], around_b: Box, most: float) -> bool:
    """Return whether two groups of words are parts of one line: at one height, and at most `most` em apart."""
    shared = min(around_a[3], around_b[3]) - max(around_a[1], around_b[1])
    if shared <= 0.5 * min(around_a[3] - around_a[1], around_b[3] - around_b[1]) and not _on_one_line(a, b):
        return False
    em = max(a[0].size, b[0].size)
    if _initial_beside(a[0], b[0]):
        return False
    gap = max(around_b[0] - around_a[2], around_a[0] - around_b[2])
    if gap >= -0.3 * em:
        if most * em < gap <= (SAME_LINE + SPACES_DIFFER) * em:
            usual = [space for space in (_usual_space(a, em), _usual_space(b, em)) if space]
            most = max(most, min(usual, default=0.0) + SPACES_DIFFER)
        return gap <= most * em
    most = max(most, min((space for space in (_usual_space(a, em), _usual_space(b, em)) if space), default=0.0))
    gaps = [max(q.place[0] - p.place[2], p.place[0] - q.place[2]) for p in a for q in b]
    return -0.3 * em <= min(gaps) <= most * em


def _usual_space(words: list[Word], em: float) -> float:
    """Return the em between words that are neighbours in the file, wide in justified lines; 0 for one word."""
    gaps = [b.place[0] - a.place[2] for a, b in itertools.pairwise(words) if b.chars[0] - a.chars[-1] == 1]
    return min(statistics.median(gaps) / em, SAME_LINE) if gaps else 0.0


def _initial_beside(a: Word, b: Word) -> bool:
    """Return whether one of two words is an initial beside smaller letters (see `initials`)."""
    small, large = (a, b) if a.size < b.size else (b, a)
    return large.size > LARGE_INITIAL * small.size and is_initial(large.text)


def _on_one_line(a: list[Word], b: list[Word]) -> bool:
    """Return whether letters of one size stand on one line, even without common heights (a comma, a letter)."""
    first, second = a[0], b[0]
    em = max(first.size, second.size)
    return abs(first.size - second.size) < 0.1 * em and abs(first.high[1] - second.high[1]) < 0.12 * em


def _both_cjk(a: Word, b: Word) -> bool:
    return is_cjk(a.text[-1]) and is_cjk(b.text[0])


def _hulls(boxes: np.ndarray, starts: np.ndarray) -> list[Box]:
    """Return the boxes around groups of boxes (N, 4); `starts` is where groups begin."""
    low, high = np.minimum.reduceat(boxes[:, :2], starts), np.maximum.reduceat(boxes[:, 2:], starts)
    return list(zip(*low.T.tolist(), *high.T.tolist(), strict=True))


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)
