"""`TextLine`: one line of text in an image, or an object that a detector names; `Reading`: all of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sphinx_x.boxes import BoxOf

SURE = 0.6
"""An object of a lower confidence is said to be perhaps there."""


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
    """

    lines: tuple[TextLine, ...] = ()
    left_out: int = 0
    page: bool = False


def left_out(number: int) -> str | None:
    """Return in words that so many lines of an image were left out, or None where none was."""
    what = "the last line is" if number == 1 else f"the last {number} lines are"
    return f"{what} left out of this very full page: crop it to what is asked about" if number else None


def fitting(lines: Sequence[TextLine], most_bytes: int) -> Reading:
    """Return the first lines, as many as have at most so many bytes together."""
    total = 0
    for number, line in enumerate(lines):
        total += line.bytes
        if total > most_bytes:
            return Reading(tuple(lines[:number]), len(lines) - number)
    return Reading(tuple(lines))
