"""What finds lines of text or objects in an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from sphinx_x.text_lines.line import TextLine

Engine = Callable[[Image.Image], list[TextLine]]
"""Finds them in an RGB image; the order does not matter yet."""


@dataclass(frozen=True)
class EngineKind:
    """An engine.

    Attributes:
        version: Returns what identifies it, with its version; that it is not installed is a `MissingToolError`.
        start: Returns the engine.
        fetch: Fetches what the engine needs, so that it needs no network later.
        doubtful: Where the mean confidence of the letters is below it, the image is read upside down as well, and the
            surer reading is taken.
    """

    version: Callable[[], str]
    start: Callable[[], Engine]
    fetch: Callable[[], object] = lambda: None
    doubtful: float = 0.0
