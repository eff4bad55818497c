"""Tables: columns with heads, rows that wrap, rules, and facts by row and column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sphinx_x.engines.documents.flow import Flow
from sphinx_x.engines.documents.sheet import Fact, Style

Rules = Literal["grid", "rows", "head", "none"]
"""Which rules a table has: all, one below each row, one below the heads, or none."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        head: What stands above it.
        share: Its share of the width.
        anchor: `l`, `m` or `r`.
        fact: The name of the facts in it, about the thing of the row; empty if none is asked for.
    """

    head: str
    share: float
    anchor: str = "l"
    fact: str = ""


class Grid:
    """A table that is drawn row by row.

    Args:
        flow: Where it stands.
        columns: Its columns, whose shares add up to 1.
        rules: Which rules it has.
        key: The column that names the thing of a row.
        pad: Room around the text of a cell, in sizes of the text.
    """

    def __init__(
        self, flow: Flow, columns: Sequence[Column], rules: Rules = "grid", key: int = 0, pad: float = 0.45
    ) -> None:
        self.flow, self.columns, self.rules, self.key = flow, columns, rules, key
        self.pad = pad * flow.style.size
        self.thick = max(round(flow.style.size / 14), 1)
        self.listed: list[Fact] = []
        self.words: list[int] = []
        self.edges = [flow.left]
        for column in columns:
            self.edges.append(self.edges[-1] + column.share * flow.wide)

    def heads(self, style: Style | None = None) -> None:
        """Write the heads."""
        if self.rules == "grid":
            self._rule(self.flow.y + self.pad)
        self._cells([column.head for column in self.columns], style or self.flow.style, self.rules != "none")

    def row(self, texts: Sequence[str], style: Style | None = None, listed: bool = True) -> list[list[int]]:
        """Write a row and return the words of its cells.

        Args:
            texts: What its cells say.
            style: How it looks.
            listed: Whether it is one of the things listed, not a sum or the like.
        """
        cells = self._cells(texts, style or self.flow.style, self.rules in ("grid", "rows"))
        thing = self.flow.sheet.said(cells[self.key])
        if listed:
            self.listed.append(Fact("listed", thing, tuple(cells[self.key])))
            self.words += [number for cell in cells for number in cell]
        for column, cell in zip(self.columns, cells, strict=True):
            if column.fact and cell and listed:
                self.flow.sheet.state(column.fact, self.flow.sheet.said(cell), cell, thing)
        return cells

    def _cells(self, texts: Sequence[str], style: Style, ruled: bool) -> list[list[int]]:
        flow, top = self.flow, self.flow.y + self.pad
        step = style.height * flow.leading
        numbers: list[list[int]] = []
        bottom = top
        for k, (column, text) in enumerate(zip(self.columns, texts, strict=True)):
            left, right = self.edges[k] + self.pad, self.edges[k + 1] - self.pad
            x = {"l": left, "m": (left + right) / 2, "r": right}[column.anchor]
            y = top + self.pad - step * (1 - 1 / flow.leading) * 0.5
            cell: list[int] = []
            small = flow.fitting(text, right - left, style)
            for row in flow.rows(flow.sheet.spell(text, small), right - left, small):
                y += step
                cell += flow.sheet.write(x, y, row, small, column.anchor)
            numbers.append(cell)
            bottom = max(bottom, y)
        bottom += self.pad + style.size * 0.3
        flow.y = bottom - self.pad
        if ruled:
            self._rule(bottom)
        if self.rules == "grid":
            for edge in self.edges:
                flow.sheet.bar((edge, top, edge + self.thick, bottom + self.thick))
        return numbers

    def _rule(self, y: float) -> None:
        self.flow.sheet.rule(y, self.flow.left, self.flow.right + self.thick, self.thick)

    def finish(self) -> None:
        """Move below it."""
        self.flow.y += self.pad

    def count(self, name: str) -> Fact:
        """Return how many things it lists."""
        return Fact(name, str(len(self.listed)), tuple(self.words))
