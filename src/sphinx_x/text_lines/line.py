"""`TextLine`: one line of text in an image."""

from __future__ import annotations

from dataclasses import dataclass

from sphinx_x.boxes import BoxOf


@dataclass(frozen=True)
class TextLine:
    """A line of text.

    Attributes:
        box: Upright box (left, top, right, bottom) around it, in pixels of the image.
        text: What it says, never empty, without blanks at its ends.
        confidence: The mean probability of its letters.
    """

    box: BoxOf[float]
    text: str
    confidence: float = 1.0
