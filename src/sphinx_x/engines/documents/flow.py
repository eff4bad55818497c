"""Writing down a sheet: rows, wrapped texts, columns and rules, one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sphinx_x.engines.documents.sheet import Sheet, Style

RULES = "-=*._~"
"""Characters of which printers make rules."""

LEAST = 2
"""Least distance of two texts on a row, in pixels."""


@dataclass(frozen=True)
class Cell:
    """A text in a column.

    Attributes:
        x: Where it stands: its left end, centre or right end, as `anchor` says.
        text: The text.
        anchor: `l`, `m` or `r`.
        facts: What it says, by name.
    """

    x: float
    text: str
    anchor: str = "l"
    facts: Mapping[str, str] = field(default_factory=dict)


class Flow:
    """A place on a sheet that moves down as something is written.

    Args:
        sheet: The sheet.
        left: The left edge of what is written.
        right: The right edge.
        y: Where to begin.
        style: How texts look by default.
        leading: Distance of rows, in heights of the text.
    """

    def __init__(self, sheet: Sheet, left: float, right: float, y: float, style: Style, leading: float = 1.25) -> None:
        self.sheet, self.left, self.right, self.y = sheet, left, right, y
        self.style, self.leading = style, leading

    @property
    def wide(self) -> float:
        """The width that there is."""
        return self.right - self.left

    @property
    def middle(self) -> float:
        """The horizontal middle."""
        return (self.left + self.right) / 2

    def part(self, start: float, end: float) -> Flow:
        """Return a place beside others on the same sheet: from one share of the width to another."""
        left, right = self.left + start * self.wide, self.left + end * self.wide
        return Flow(self.sheet, left, right, self.y, self.style, self.leading)

    def below(self, *parts: Flow) -> None:
        """Move below these parts."""
        self.y = max(part.y for part in parts)

    def big(self, scale: float, bold: bool = False) -> Style:
        """Return the style in another size."""
        return replace(self.style, size=round(self.style.size * scale, 1), bold=bold)

    def down(self, style: Style | None = None) -> float:
        """Move down by a row and return its baseline."""
        self.y += (style or self.style).height * self.leading
        return self.y

    def gap(self, rows: float = 1) -> None:
        """Leave room."""
        self.y += rows * self.style.size * self.leading

    def fits(self, text: str, width: float, style: Style | None = None) -> str:
        """Return as many words of a text as fit into a width, at least a part of the first."""
        style = style or self.style
        while self.sheet.length(text, style) > width and len(text) > 1:
            text = text.rsplit(" ", 1)[0] if " " in text else text[:-1]
        return text

    def fitting(self, text: str, width: float, style: Style) -> Style:
        """Return the style, smaller if a word of the text is wider than a width."""
        words = self.sheet.spell(text, style).split()
        while max((self.sheet.length(word, style) for word in words), default=0) > width:
            style = replace(style, size=round(style.size * 0.95, 1))  # widths are whole pixels: no size is exact
        return style

    def rows(self, text: str, width: float, style: Style) -> list[str]:
        """Return a text in rows that fit into a width; a word that does not is cut (see `fitting`)."""
        rows: list[str] = []
        rest = " ".join(text.split())
        while rest:
            row = self.fits(rest, width, style)
            rows.append(row)
            rest = rest[len(row) :].strip()
        return rows

    def say(
        self,
        text: str,
        align: str = "l",
        style: Style | None = None,
        facts: Mapping[str, str] | None = None,
        about: str = "",
        indent: float = 0,
    ) -> list[int]:
        """Write a text, in several rows if need be, and return the numbers of its words."""
        style = self.fitting(text, self.wide - indent, style or self.style)
        numbers: list[int] = []
        x = {"l": self.left + indent, "m": self.middle, "r": self.right}[align]
        for row in self.rows(self.sheet.spell(text, style), self.wide - indent, style):
            numbers += self.sheet.write(x, self.down(style), row, style, align)
        self.sheet.find(numbers, facts or {}, about)
        return numbers

    def row(self, cells: Sequence[Cell], style: Style | None = None, about: str = "") -> list[int]:
        """Write texts beside each other on one row, from left to right.

        Raises:
            ValueError: One runs into the one before it.
        """
        style = style or self.style
        y = self.down(style)
        numbers: list[int] = []
        for cell in cells:
            edge = self.sheet.words[numbers[-1]].box[2] if numbers else -1.0
            numbers += self.sheet.write(cell.x, y, cell.text, style, cell.anchor, cell.facts, about)
            if numbers and edge >= 0 and self.sheet.words[numbers[-len(cell.text.split())]].box[0] < edge + LEAST:
                raise ValueError(f"{cell.text!r} runs into the text before it")
        return numbers

    def pair(
        self,
        label: str,
        value: str,
        facts: Mapping[str, str] | None = None,
        style: Style | None = None,
        indent: float = 0,
    ) -> list[int]:
        """Write a label at the left end and a value at the right end of a row; on two rows if one is too short."""
        style = style or self.style
        told = facts or {}
        need = self.sheet.length(f"{label}  {value}", style)
        if need > self.wide - indent:
            indent = 0
        if need <= self.wide:
            return self.row([Cell(self.left + indent, label), Cell(self.right, value, "r", told)], style)
        return self.say(label, "l", style) + self.say(value, "r", style, told)

    def rule(self, mark: str = "-") -> None:
        """Draw a rule over the whole width: of a character of `RULES`, or a solid line for any other."""
        y = self.down()
        if mark not in RULES:
            self.sheet.rule(y - self.style.size * 0.3, self.left, self.right, max(round(self.style.size / 14), 1))
            return
        count = int(self.wide / self.sheet.length(mark * 20, self.style) * 20)
        self.sheet.ornament(self.middle, y, mark * max(count, 1), self.style)
