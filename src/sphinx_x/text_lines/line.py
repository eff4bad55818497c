"""`TextLine`: one line of text in an image, or an object that a detector names; `Reading`: all of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sphinx_x.boxes import BoxOf

SURE = 0.6
"""An object of a lower confidence is said to be perhaps there."""
BOX_BYTES = 9
"""Number of bytes of a box in digits, with the blank behind it."""


@dataclass(frozen=True)
class TextLine:
    """A line of text, or an object.

    Attributes:
        box: Upright box (left, top, right, bottom) around it, in pixels of the image.
        text: What it says, never empty, without blanks at its ends; the name of an object.
        confidence: The mean probability of its letters, or that of the object.
        is_object: Whether it is an object, and not written.
    """

    box: BoxOf[float]
    text: str
    confidence: float = 1.0
    is_object: bool = False

    @property
    def said(self) -> str:
        """What the language model reads: `picture: cat` of a cat, so that it is not taken for the word."""
        if not self.is_object:
            return self.text
        return f"picture: {self.text}" if self.confidence >= SURE else f"picture: perhaps {self.text}"

    @property
    def bytes(self) -> int:
        """Number of bytes of its words, and one for the line itself: no tokenizer makes more tokens of it."""
        return len(self.said.encode()) + 1


@dataclass(frozen=True)
class Reading:
    """What a member takes of the lines of an image.

    Attributes:
        lines: Objects, the largest first, and lines in reading order.
        left_out: Number of further lines, behind these, for which there is no room.
        page: Whether there are so many that the image is a page of text.
        boxes_as_text: Whether the language model reads each line's box in digits in front of its words.
    """

    lines: tuple[TextLine, ...] = ()
    left_out: int = 0
    page: bool = False
    boxes_as_text: bool = False


def left_out(number: int) -> str | None:
    """Return in words that so many lines of an image were left out, or None where none was."""
    what = "the last line is" if number == 1 else f"the last {number} lines are"
    return f"{what} left out of this very full page: crop it to what is asked about" if number else None


def fitting(lines: Sequence[TextLine], most_bytes: int, more_bytes: int = 0) -> Reading:
    """Return the first lines, as many as have at most so many bytes together, each with so many more than its own."""
    total = 0
    for number, line in enumerate(lines):
        total += line.bytes + more_bytes
        if total > most_bytes:
            return Reading(tuple(lines[:number]), len(lines) - number)
    return Reading(tuple(lines))


def box_in_digits(box: Sequence[float]) -> str:
    """Return a box relative to the padded square as eight digits, two for each edge: hundredths of the side, up to 99.

    `[0.12, 0.30, 0.80, 0.44]`, as answers have it, is `12308044`.
    """
    return "".join(f"{min(max(round(100 * edge), 0), 99):02d}" for edge in box)
