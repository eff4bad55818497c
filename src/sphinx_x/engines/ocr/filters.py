"""Which pages are unsuitable for learning, each with one reason.

When in doubt a page is kept. The limits were set on some hundred pages of manuals in 16 languages; every reason is
counted.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict

from sphinx_x.engines.pdf.page import Page


class Limits(BaseModel):
    """Requirements for a page; shares are of its characters.

    Attributes:
        letters: Smallest number of letters and digits.
        broken: Largest share without trusted text (private use, replacement, control, a wrong character map).
        hidden: Largest share that is invisible, off the page, or without ink.
        slanted: Largest share that is neither upright nor rotated by quarters.
        fields: Largest number of form fields.
        size: Smallest median font size (em) in pixels.
        figures: Largest share of the page under images and drawings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    letters: int = 60
    broken: float = 0.05
    hidden: float = 0.2
    slanted: float = 0.1
    fields: int = 2
    size: float = 5.0


def judge(page: Page, limits: Limits) -> str | None:
    """Return the first reason to leave a page out, or None for a page to keep."""
    total = max(len(page.chars), 1)
    hidden = sum(page.left_out[reason] for reason in ("invisible", "off the page", "without ink"))
    seen = ~page.chars.hidden
    if hidden > limits.hidden * total and hidden >= limits.letters:
        return "hidden or off-page text"
    if not seen.any() and is_blank(page.image):
        return "blank page"
    letters = sum(text[0].isalnum() for text, good in zip(page.chars.text, seen, strict=True) if good)
    if letters < limits.letters:
        return "scan without text" if page.shapes.scan else "too little text"
    if page.fields >= limits.fields:
        return "form"
    broken = int((page.chars.broken & seen).sum())
    if broken > limits.broken * seen.sum():
        return "broken Unicode"
    if page.left_out["slanted"] > limits.slanted * total:
        return "slanted text"
    if float(np.median(page.chars.size[seen])) < limits.size:
        return "text too small to read"
    if not page.lines:
        return "text only in figures"
    return None


SHADES = 24


def is_blank(image: Image.Image) -> bool:
    """Return whether an image has only one shade."""
    low, high = image.convert("L").getextrema()
    return high - low < SHADES  # pyright: ignore[reportOperatorIssue] (of one channel these are numbers)
