"""A sheet that is drawn on, and what stands on it: words with the exact boxes of their ink, lines, and facts.

Ink is a greyscale image, 255 where there is most. Lines are what a text detector finds: words of one row without a wide
gap between them. A fact is something that may be asked for: a name, the value as it is printed, and its words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sphinx_x.boxes import Box, BoxOf, union
from sphinx_x.engines.documents.faces import Face

ORDERS = ("first", "last", "after")
GAP = 1.0
"""Widest gap between two words of a line, in sizes of their font."""
SPELLED = str.maketrans({"ß": "ss", "£": "GBP", "€": "EUR", "–": "-", "’": "'"})


@dataclass(frozen=True)
class Style:
    """How a text looks.

    Attributes:
        size: Size of the font in pixels.
        bold: Whether it is bold.
        wide: How much wider than the font its letters are, as printers print in double width.
        tall: How much taller.
        face: Its typeface, if it is not the sheet's.
    """

    size: float
    bold: bool = False
    wide: int = 1
    tall: int = 1
    face: Face | None = None

    @property
    def height(self) -> float:
        """The height of a line of it."""
        return self.size * self.tall


@dataclass(frozen=True)
class Word:
    """A word with the box of its ink; `row` is the height of its baseline, `size` the size of its font."""

    text: str
    box: Box
    row: float
    size: float


@dataclass(frozen=True)
class Line:
    """Words of one row without a wide gap, by their numbers."""

    text: str
    box: Box
    words: tuple[int, ...]


@dataclass(frozen=True)
class Fact:
    """Something that is printed and may be asked for.

    Attributes:
        name: What it is (`total`).
        value: As it is printed.
        words: The numbers of its words.
        about: What it belongs to, if there are several of the name (the item of a price).
        printed: Whether the value itself is printed; that of a bar may only be measured, and its words are its label.
    """

    name: str
    value: str
    words: tuple[int, ...]
    about: str = ""
    printed: bool = True


@dataclass
class Drawing:
    """A finished sheet: the truth about a document, in pixels of its ink.

    Attributes:
        ink: Where how much ink is.
        words: All words.
        facts: What may be asked for.
        graphics: Boxes of rules, bars and other ink that is not text.
        could: Names of facts that such a document may have, whether this one has them or not.
        things: What facts could be about in such a document, whether it is there or not.
        counts: What can be counted: the value is the number, the words are those of everything counted.
        listed: What is listed, in its order: the value is its name.
        orders: What can be asked about that order: `first`, `last`, `after` (the next one).
        ranked: Whether it can be asked which of them has the highest number: nothing else, as a sum, could be meant.
    """

    ink: Image.Image
    words: list[Word]
    facts: list[Fact]
    graphics: list[Box]
    could: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    counts: tuple[Fact, ...] = ()
    listed: tuple[Fact, ...] = ()
    orders: tuple[str, ...] = ORDERS
    ranked: bool = True
    _lines: list[Line] | None = field(default=None, repr=False)

    def rows_of(self, numbers: Sequence[int]) -> dict[float, list[int]]:
        """Return words by the rows that they stand on."""
        rows: dict[float, list[int]] = {}
        for number in numbers:
            rows.setdefault(self.words[number].row, []).append(number)
        return rows

    @property
    def lines(self) -> list[Line]:
        """The lines, row by row."""
        if self._lines is None:
            self._lines = lines_of(self.words)
        return self._lines

    def moved(self, ink: Image.Image, boxes: Sequence[Box], graphics: Sequence[Box]) -> Drawing:
        """Return the same with other ink and the boxes that its words have there; lines stay those of the sheet."""
        words = [replace(word, box=box) for word, box in zip(self.words, boxes, strict=True)]
        lines = [replace(line, box=union([words[k].box for k in line.words])) for line in self.lines]
        return replace(self, ink=ink, words=words, graphics=list(graphics), _lines=lines)


def lines_of(words: Sequence[Word]) -> list[Line]:
    """Return words as lines: those of one row, from left to right, as far as no gap is wider than `GAP`."""
    order = sorted(range(len(words)), key=lambda k: (words[k].row, words[k].box[0]))
    lines: list[list[int]] = []
    for number in order:
        word = words[number]
        before = words[lines[-1][-1]] if lines else None
        if before and before.row == word.row and word.box[0] - before.box[2] <= GAP * max(word.size, before.size):
            lines[-1].append(number)
        else:
            lines.append([number])
    return [
        Line(" ".join(words[k].text for k in line), union([words[k].box for k in line]), tuple(line)) for line in lines
    ]


class Sheet:
    """A sheet of paper of unknown length; `finish` cuts it below what was drawn.

    Args:
        width: Its width in pixels.
        face: The typeface.
        dots: Whether ink is all or nothing, as printers with dots print.
        longest: Its greatest length.
    """

    def __init__(self, width: int, face: Face, dots: bool = False, longest: int = 6000) -> None:
        self.width, self.face, self.dots = width, face, dots
        self.ink = Image.new("L", (width, longest), 0)
        self.pen = ImageDraw.Draw(self.ink)
        self.pen.fontmode = "1" if dots else "L"
        self.words: list[Word] = []
        self.facts: list[Fact] = []
        self.graphics: list[Box] = []

    def font(self, style: Style) -> ImageFont.FreeTypeFont:
        """Return the font of a style."""
        return (style.face or self.face).font(style.size, style.bold)

    def spell(self, text: str, style: Style | None = None) -> str:
        """Return a text as the face can show it."""
        if ((style and style.face) or self.face).accents:
            return text
        return self.plain(text)

    @staticmethod
    def plain(text: str) -> str:
        """Return a text without accents."""
        plain = unicodedata.normalize("NFKD", text.translate(SPELLED))
        return plain.encode("ascii", "ignore").decode()

    def length(self, text: str, style: Style) -> float:
        """Return how wide a text is."""
        return self.font(style).getlength(self.spell(text, style)) * style.wide

    def write(
        self,
        x: float,
        y: float,
        text: str,
        style: Style,
        anchor: str = "l",
        facts: Mapping[str, str] | None = None,
        about: str = "",
    ) -> list[int]:
        """Write a text on one row.

        Args:
            x: Its left end, centre or right end, as `anchor` says.
            y: Its baseline.
            text: The text.
            style: How it looks.
            anchor: `l`, `m` or `r`.
            facts: What it says, by name: the value, a part of the text.
            about: What these facts are about.

        Returns:
            The numbers of its words.

        Raises:
            ValueError: It does not fit on the sheet, or does not say one of the facts.
        """
        text = self.spell(text, style)
        font = self.font(style)
        x -= self.length(text, style) * {"l": 0, "m": 0.5, "r": 1}[anchor]
        numbers = []
        for match in re.finditer(r"\S+", text):
            left = x + font.getlength(text[: match.start()]) * style.wide
            box = self._draw(left, y, match.group(), style)
            if box is not None:
                numbers.append(len(self.words))
                self.words.append(Word(match.group(), box, y, style.size * style.tall))
        self.find(numbers, facts or {}, about)
        return numbers

    def ornament(self, x: float, y: float, text: str, style: Style) -> None:
        """Draw characters around x that nobody reads, such as a rule of dashes."""
        box = self._draw(x - self.length(text, style) / 2, y, text, style)
        if box is not None:
            self.graphics.append(box)

    def find(self, numbers: Sequence[int], facts: Mapping[str, str], about: str = "") -> None:
        """Add facts that are said in these words, each by the words of its value.

        Raises:
            ValueError: A value is not there.
        """
        for name, value in facts.items():
            value = " ".join(value.split())
            if value not in self.said(numbers):
                value = self.plain(value)
            self.state(name, value, self._part(numbers, value), about)

    def _draw(self, x: float, y: float, word: str, style: Style) -> Box | None:
        font = self.font(style)
        left, top, right, bottom = (round(n) for n in font.getbbox(word, anchor="ls"))
        margin = 2
        mask = Image.new("L", (max(right - left, 1) + 2 * margin, max(bottom - top, 1) + 2 * margin), 0)
        pen = ImageDraw.Draw(mask)
        pen.fontmode = self.pen.fontmode
        pen.text((margin - left, margin - top), word, 255, font, anchor="ls")
        ink = mask.getbbox()
        if ink is None:
            return None
        mask = mask.crop(ink)
        if style.wide > 1 or style.tall > 1:
            how = Image.Resampling.NEAREST  # as printers do it; smoother ways leave edges without ink
            mask = mask.resize((mask.width * style.wide, mask.height * style.tall), how)
        at = (
            round(x + (ink[0] - margin + left) * style.wide),
            round(y + (ink[1] - margin + top) * style.tall),
        )
        if min(at) < 0 or at[0] + mask.width > self.width or at[1] + mask.height > self.ink.height:
            raise ValueError(f"{word!r} does not fit on the sheet")
        self.ink.paste(255, (*at, at[0] + mask.width, at[1] + mask.height), mask)
        return (float(at[0]), float(at[1]), float(at[0] + mask.width), float(at[1] + mask.height))

    def _part(self, numbers: Sequence[int], value: str) -> list[int]:
        """Return the words among these that a value stands in, the last ones if it stands there twice."""
        starts, joined = [], ""
        for number in numbers:
            joined += " " if joined else ""
            starts.append(len(joined))
            joined += self.words[number].text
        at = joined.rfind(value)
        if at < 0 or not value:
            raise ValueError(f"{value!r} is not in {joined!r}")
        end = at + len(value)
        return [
            number
            for number, start in zip(numbers, starts, strict=True)
            if start < end and at < start + len(self.words[number].text)
        ]

    def state(self, name: str, value: str, words: Sequence[int], about: str = "") -> None:
        """Add a fact that these words say."""
        self.facts.append(Fact(name, value, tuple(words), about))

    def said(self, words: Sequence[int]) -> str:
        """Return the text of these words."""
        return " ".join(self.words[k].text for k in words)

    def rule(self, y: float, left: float, right: float, thickness: int = 1) -> None:
        """Draw a horizontal rule."""
        self.bar((left, y, right, y + thickness))

    def bar(self, box: Sequence[float], frame: int = 0) -> None:
        """Fill a box with ink, or draw a frame of it; at least a pixel of it."""
        x1, y1, x2, y2 = map(round, box)
        x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)  # 683.5 and 684.5 are rounded to the same even number
        if frame:
            self.pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=255, width=frame)
        else:
            self.pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=255)
        self.graphics.append((float(x1), float(y1), float(x2), float(y2)))

    def cross(self, box: BoxOf[float], thickness: int) -> None:
        """Draw a cross into a box, as somebody ticks it."""
        x1, y1, x2, y2 = (round(n) for n in box)
        self.pen.line((x1, y1, x2, y2), 255, thickness)
        self.pen.line((x1, y2, x2, y1), 255, thickness)
        self.graphics.append((x1 - thickness, y1 - thickness, x2 + thickness + 1, y2 + thickness + 1))

    def bars(self, box: BoxOf[float], code: Sequence[int]) -> None:
        """Draw a bar code: widths of bars and gaps in turn, fitted into the box."""
        unit = (box[2] - box[0]) / max(sum(code), 1)
        x, black = box[0], True
        for width in code:
            if black:
                self.pen.rectangle(
                    (round(x), round(box[1]), max(round(x + width * unit) - 1, round(x)), round(box[3])), 255
                )
            x, black = x + width * unit, not black
        self.graphics.append(
            (float(round(box[0])), float(round(box[1])), float(round(box[2]) + 1), float(round(box[3]) + 1))
        )

    def squares(self, box: BoxOf[float], cells: np.ndarray) -> None:
        """Draw a square code (cells 0 or 1) into a box."""
        x1, y1, x2, y2 = map(round, box)
        code = Image.fromarray((cells * 255).astype(np.uint8)).resize((x2 - x1, y2 - y1), Image.Resampling.NEAREST)
        self.ink.paste(code, (x1, y1))
        self.graphics.append((float(x1), float(y1), float(x2), float(y2)))

    def finish(self, bottom: float, **more: object) -> Drawing:
        """Return what was drawn, cut at `bottom`; `more` are fields of the drawing."""
        ink = self.ink.crop((0, 0, self.width, min(round(bottom), self.ink.height)))
        return Drawing(ink, self.words, self.facts, self.graphics, **more)  # pyright: ignore[reportArgumentType]
