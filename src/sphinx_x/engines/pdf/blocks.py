"""From the lines of a column to blocks: paragraphs, headings, list items, listings, formulas.

A column is read from top to bottom. A block ends at any of these (lengths in em; the usual pitch is that of the closest
quarter of the column's lines):

- more white than usual; after a line that ends short of the column's edge, a little more is enough
- letters of another size, or a change between bold and regular after such a short line
- a bullet or a number like that of a list
- an indent that the next line does not share; a line further left than all before it, or back at the start of an item

A listing (in a monospaced font) continues across blank lines, indents and line numbers. The pieces of a displayed
formula stay together.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from sphinx_x.boxes import Box, union
from sphinx_x.engines.pdf.formulas import formula
from sphinx_x.engines.pdf.hyphens import Ending, ending, no_blank, settled
from sphinx_x.engines.pdf.scripts import is_cjk
from sphinx_x.engines.pdf.tuned import (
    BLANK_LINE,
    CENTRED,
    EVEN_EDGE,
    FULL_LINE,
    INDENT,
    INDEX_LINES,
    LEADING,
    MOST_PITCH,
    PITCHES_NEAR,
    ROW_LINES,
    SHORT_LINE,
    SMALLER,
    SPACED,
    STEADY,
    STEADY_PITCH,
)
from sphinx_x.engines.pdf.words import Line

MARKER = re.compile(
    r"^(?:[\u2022\u2023\u25aa\u25cf\u25cb\u25e6\u2219\u00b7\u2013\u2014\u25a0\u25a1\u25b6\u27a2\ufffd*\u2013-]$"
    r"|(?:\d{1,3}|[a-zA-Z\u0400-\u04ff]|[ivxIVX]{1,5})[.)\]]$"
    r"|[([](?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[)\]]$)"
)
"""The first word of a list item."""
NUMBER = re.compile(r"^\d{1,5}$")
PAGES = re.compile(r"[,.\s\u2026]\s*\d{1,4}(?:[\s,\u2013-]+\d{1,4})*$")
"""Page numbers after an entry of an index or a table of contents."""
CAPTION = re.compile(
    r"^(?:fig(?:ure|ura|\.)|table(?:au)?|tab(?:elle|ela|ella|la|\.)|abb(?:ildung|\.)|bild|cuadro|quadro|rys(?:unek|\.)"
    r"|obr(?:\u00e1zek|\.)|tabulka|\u0440\u0438\u0441(?:\u0443\u043d\u043e\u043a|\.)|\u0442\u0430\u0431\u043b(?:\u0438\u0446\u0430|\.)"
    r"|\u03c3\u03c7\u03ae\u03bc\u03b1|\u03c0\u03af\u03bd\u03b1\u03ba\u03b1\u03c2|\u56f3|\u8868|\u56fe|\uadf8\ub9bc|\ud45c|\u0634\u06a9\u0644|\u062c\u062f\u0648\u0644)"
    r"\s*(?:\d+|[ivxlc]+\b)(?:[.-]\d+)*(?:\s*[.:\u2013\u2014-]|\s+(?P<word>\w)|\s|$)",
    re.IGNORECASE,
)
CONTINUED = re.compile(r"^[\s\d.,\u2013-]+$")
"""The continuation of an entry: page numbers alone."""


@dataclass(slots=True)
class Block:
    """Lines that are read together.

    Attributes:
        lines: The lines in order.
        kind: `figure`, `table` (one with ruled lines), or empty.
        label: The class that `layout` assigns.
    """

    lines: list[Line]
    box: Box
    kind: str = ""
    label: str = ""
    parts: list[Block] = field(default_factory=list)
    """The parts of a figure or list, if known."""
    _text: tuple[int, str] = field(default=(0, ""), init=False, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The text as a reader would type it, with words joined that a line end split.

        Lines may be added to a block only before this is first used.
        """
        if self._text[0] != len(self.lines):
            self._text = (len(self.lines), flowing(self.lines))
        return self._text[1]

    @property
    def clean(self) -> bool:
        """Whether all its characters can be trusted."""
        return all(line.clean for line in self.lines)


def flowing(lines: Sequence[Line]) -> str:
    """Return lines as one text: hyphenation undone, no space between CJK characters, rows and code line by line."""
    joints = _joints(lines)
    text = ""
    for number, line in enumerate(lines):
        new = line.text
        before = lines[number - 1] if number else None
        if before is None or not text or not new:
            text += new
        elif before.mono or line.cells > 1 or before.cells > 1:
            text += "\n" + new
        elif joint := joints.get(number):
            text = (text[:-1] if joint == "join" else text) + (" " if joint == "blank" else "") + new
        elif (is_cjk(text[-1]) and is_cjk(new[0])) or no_blank(before.words[-1].text, line.words[0].text):
            text += new
        else:
            text += " " + new
    return text


def _joints(lines: Sequence[Line]) -> dict[int, Ending]:
    """Return what becomes of each hyphen at the end of a line, by the index of the next line."""
    numbers = [k for k in range(1, len(lines)) if lines[k - 1].hyphen and lines[k].words]
    if not numbers:
        return {}
    found = []
    for k in numbers:
        before = lines[k - 1].words[-1]
        found.append("join" if before.soft else ending(before.text, lines[k].words[0].text))
    ends = [line.place[2] for line in lines[:-1]]
    even = len(ends) > 1 and max(ends) - min(ends) < EVEN_EDGE * lines[0].size
    return dict(zip(numbers, settled(found, even), strict=True))


def entries(lines: Sequence[Line]) -> int:
    """Return how many lines are entries of an index or continue one."""
    first = sum(map(is_entry, lines))
    return first + min(sum(bool(CONTINUED.match(line.text)) for line in lines), 2 * first) if first else 0


def is_caption(text: str) -> bool:
    """Return whether a text begins like the caption of a figure or table, and not like a sentence about one."""
    found = CAPTION.match(text)
    return found is not None and not (found["word"] or "").islower()


def is_entry(line: Line) -> bool:
    """Return whether a line is words followed by page numbers."""
    if not line.words or not line.words[-1].text[-1:].isdigit():
        return False
    text = line.text
    pages = PAGES.search(text)
    return pages is not None and any(char.isalpha() for char in text[: pages.start()])


def level(line: Line) -> float:
    """Return the height at which a line stands, the same for `a` and for `g`."""
    return statistics.median(word.high[1] for word in line.words)


class Column:
    """The lines of a column in order, and what is usual among them."""

    def __init__(self, lines: Sequence[Line], rtl: bool) -> None:
        self.lines = list(lines)
        self.starts = [-line.place[2] if rtl else _start(line) for line in lines]
        self.ends = [-line.place[0] if rtl else line.place[2] for line in lines]
        levels = [level(line) for line in lines]
        self.pitch = [b - a for a, b in itertools.pairwise(levels)]
        size = statistics.median(line.size for line in lines)
        near = sorted(step for step in self.pitch if step > 0.5 * size)
        self.usual = min(near[len(near) // 4], MOST_PITCH * size) if near else 0.0
        self.edge = sorted(self.ends)[(3 * len(lines)) // 4]
        self.formulas = [formula(line) for line in lines]
        self.index = len(lines) >= INDEX_LINES and 5 * entries(lines) > 3 * len(lines)
        self._hanging()
        self._loose()

    def _loose(self) -> None:
        """Unmark as a row any justified line with one wide gap, alone between equally wide lines of one cell."""
        cells = [line.cells for line in self.lines]
        for k, line in enumerate(self.lines[:-1]):
            alone = line.cells == 2 and cells[k + 1] == 1 and (k == 0 or cells[k - 1] == 1)
            full = line.place[2] - line.place[0] >= FULL_LINE * (self.edge - min(self.starts))
            if (
                alone
                and full
                and self.pitch[k] < MOST_PITCH * line.size
                and abs(self.ends[k] - self.ends[k + 1]) < line.size
            ):
                line.cells = 1

    def _hanging(self) -> None:
        """Unmark as rows of a table any term whose description continues below itself."""
        stops = [_second_cell(line) if line.cells == 2 else None for line in self.lines]
        found: list[float] = []
        for (line, stop), start, following in zip(
            zip(self.lines, stops, strict=True), self.starts[1:], self.lines[1:], strict=False
        ):
            if stop is not None and following.cells == 1 and abs(start - stop) < 0.6 * line.size:
                found.append(stop)
        for line, stop in zip(self.lines, stops, strict=True):
            if stop is not None and any(abs(stop - other) < 0.6 * line.size for other in found):
                line.cells = 1

    def blocks(self) -> list[Block]:
        """Cut the column into blocks."""
        groups: list[list[int]] = []
        for k in range(len(self.lines)):
            if groups and not self._parts(groups[-1], k):
                groups[-1].append(k)
            else:
                groups.append([k])
        members = [[self.lines[k] for k in group] for group in groups]
        return [Block(lines, union([line.box for line in lines])) for lines in members]

    def _parts(self, group: Sequence[int], k: int) -> bool:
        """Return whether a new block begins with line k."""
        before, line = self.lines[k - 1], self.lines[k]
        size = max(before.size, line.size)
        white = line.place[1] - before.place[3]
        if (self._listing(k - 1) and self._listing(k) and line.mono + before.mono) or self._counts_on(k):
            return self.pitch[k - 1] > BLANK_LINE * max(self.usual, size) or self.pitch[k - 1] < -size
        if self.formulas[k] and self.formulas[k - 1]:
            return abs(white) > LEADING * size and self.pitch[k - 1] > MOST_PITCH * size
        if (before.cells > 1) != (line.cells > 1):
            return not _table_goes_on([self.lines[n] for n in group], line)
        low = self._steady(k, size)  # lines of low letters alone have more white between them
        if (white > LEADING * size + max(self.usual - 1.25 * size, 0) and not low) or white < -0.6 * (
            line.place[3] - line.place[1]
        ):
            return True
        if min(before.size, line.size) < SMALLER * size:
            return True
        return self._parts_in_text(group, k, size)

    def _parts_in_text(self, group: Sequence[int], k: int, size: float) -> bool:
        """Return whether a new block begins with line k, which is close to the line before and of the same size."""
        before, line = self.lines[k - 1], self.lines[k]
        short = self.ends[k - 1] < self.edge - SHORT_LINE * size
        tops, bottoms = (line.place[n] - before.place[n] for n in (1, 3))
        spaced = min(self.pitch[k - 1], tops, bottoms) > SPACED * self._usual_near(k, size)
        if before.bold != line.bold and (short or spaced):
            return True
        if before.cells > 1:
            return False
        if self.index:
            return len(line.text) == 1 or len(before.text) == 1
        if MARKER.match(line.words[0].text) and len(line.words) > 1:
            return True
        if min(self.ends[k - 1], self.ends[k]) < max(self.starts[k - 1], self.starts[k]):
            return True
        if short and spaced:
            return True
        marked = bool(MARKER.match(self.lines[group[0]].words[0].text))
        if (
            before.mono != line.mono
            and short
            and not marked
            and abs(self.starts[k] - self.starts[k - 1]) > INDENT * size
        ):
            return True
        return self._indented(group, k, size)

    def _indented(self, group: Sequence[int], k: int, size: float) -> bool:
        """Return whether the start of line k shows that something new begins."""
        starts = [self.starts[n] for n in group]
        step = self.starts[k] - starts[-1]
        if self._centred(k - 1, k, size):
            return False
        marked = bool(MARKER.match(self.lines[group[0]].words[0].text))
        if self.starts[k] < min(starts) - INDENT * size and (len(group) > 1 or marked):
            return True
        hangs = len(group) > 1 and min(starts[1:]) > starts[0] + INDENT * size
        if hangs and abs(self.starts[k] - starts[0]) < 0.3 * size:
            return True
        if step > INDENT * size:
            after = k + 1 < len(self.lines) and self.starts[k + 1] < self.starts[k] - INDENT * size
            back = after and abs(self.starts[k + 1] - min(starts)) < 0.3 * size
            return (back and not marked) or (len(group) > 1 and abs(starts[-1] - min(starts)) < 0.3 * size)
        return len(group) == 1 and abs(step) < 0.3 * size and self._both_indented(k, size)

    def _both_indented(self, k: int, size: float) -> bool:
        """Return whether line k begins a paragraph as the line before did: both are indented, and the next is not."""
        if k + 1 >= len(self.lines) or self.ends[k - 1] > self.edge - SHORT_LINE * size:
            return False
        deeper = self.starts[k] - self.starts[k + 1]
        return INDENT * size < deeper < 4 * size and self.pitch[k] < 1.3 * max(self.usual, size)

    def _usual_near(self, k: int, size: float) -> float:
        """Return the usual pitch of the lines around line k."""
        near = sorted(step for step in self.pitch[max(k - PITCHES_NEAR, 0) : k + PITCHES_NEAR] if step > 0.5 * size)
        return near[len(near) // 4] if near else self.usual

    def _steady(self, k: int, size: float) -> bool:
        """Return whether line k follows a full or hyphenated line at the usual pitch, in letters of the same size."""
        before, line = self.lines[k - 1], self.lines[k]
        even = abs(before.size - line.size) < 0.02 * size and before.bold == line.bold
        even &= abs(self.starts[k] - self.starts[k - 1]) < 0.3 * size
        even &= before.hyphen or self.ends[k - 1] >= self.edge - SHORT_LINE * size
        return even and self.pitch[k - 1] < min(STEADY * self._usual_near(k, size), STEADY_PITCH * size)

    def _listing(self, k: int) -> bool:
        """Return whether line k may belong to a listing, even if only its line number does."""
        line, left = self.lines[k], self.starts[max(k - 1, 0)]
        number = len(line.words) == 1 and bool(NUMBER.match(line.words[0].text))
        return line.mono or (number and self.starts[k] - left < MOST_PITCH * line.size)

    def _counts_on(self, k: int) -> bool:
        """Return whether the numbers before two lines are line numbers of a listing: the second is one more."""
        before, line = (self.lines[n].words[0].text for n in (k - 1, k))
        return bool(NUMBER.match(before) and NUMBER.match(line)) and int(line) == int(before) + 1

    def _centred(self, a: int, b: int, size: float) -> bool:
        middles = (self.starts[a] + self.ends[a], self.starts[b] + self.ends[b])
        apart = abs(self.starts[a] - self.starts[b])
        return abs(middles[0] - middles[1]) < 2 * CENTRED * size < 2 * apart


def _start(line: Line) -> float:
    """Return where a line begins, without a small line number in front of it."""
    first = line.words[0]
    counted = len(line.words) > 1 and first.size < SMALLER * line.size and NUMBER.match(first.text)
    return line.words[1].place[0] if counted else line.place[0]


def _second_cell(line: Line) -> float | None:
    """Return where the cell after the widest gap of a row begins; None from right to left."""
    if line.rtl or len(line.words) < 2:
        return None
    gaps = [(b.place[0] - a.place[2], b.place[0]) for a, b in itertools.pairwise(line.words)]
    return max(gaps)[1]


def _table_goes_on(group: Sequence[Line], line: Line) -> bool:
    """Return whether a row of one cell belongs to a table: it lies within the table's width and close to it."""
    rows = [other for other in group if other.cells > 1]
    if len(rows) < ROW_LINES:
        return False
    around = union([other.place for other in rows])
    high = line.place[3] - line.place[1]
    inside = around[0] - 1 <= line.place[0] and line.place[2] <= around[2] + 1
    return (
        inside
        and line.place[1] - group[-1].place[3] < high
        and line.place[2] - line.place[0] < 0.6 * (around[2] - around[0])
    )
