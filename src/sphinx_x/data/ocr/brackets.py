"""Brackets in Hebrew and Arabic: which way they open is taken from the page, as files differ in what they call them.

A bracket of a text from right to left is drawn as its mirror image: what opens stands on the right and looks like one
that closes elsewhere. Some files call it by its looks, others by its meaning; the reader passes on either.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from PIL import Image

from sphinx_x.data.ocr.text_layer import Characters

PAIRS = ("()", "[]", "{}", "<>", "\xab\xbb", "\u2039\u203a", "\u2264\u2265", "\u2985\u2986", "\u3008\u3009")
LEFT = frozenset(pair[0] for pair in PAIRS)
"""Those that point to the left: `(` where a text runs to the right."""
MIRROR = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
TABLE = str.maketrans(MIRROR)
SURE = 0.02
"""Share of its width by which the middle of a bracket must differ from its ends, so that it is told."""


def name_by_looks(chars: Characters, image: Image.Image) -> None:
    """Calls the brackets of an upright page what they look like, where there is any text from right to left."""
    places = [k for k, text in enumerate(chars.text) if text in MIRROR and not chars.hidden[k] and not chars.direction[k]]
    if not places or max(chars.text)[0] < "\u0590":
        return
    grey = np.asarray(image.convert("L"), np.float32)
    for k in places:
        x1, y1 = np.floor(chars.box[k, :2]).clip(0).astype(int)
        x2, y2 = np.ceil(chars.box[k, 2:]).astype(int)
        points = _points_left(grey[y1:y2, x1:x2])
        if abs(points) > SURE:
            text = chars.text[k]
            chars.text[k] = text if (points > 0) == (text in LEFT) else MIRROR[text]


def _points_left(grey: np.ndarray) -> float:
    """By how much of its width the ink of a picture (H, W) is further left in the middle than above and below."""
    if min(grey.shape) < 2 or len(grey) < 4:
        return 0.0
    ink = np.abs(grey - np.median(np.concatenate([grey[:, 0], grey[:, -1]])))
    middle, third = np.arange(grey.shape[1]), len(grey) / 3
    rows = np.arange(len(grey)) + 0.5
    inner = (rows > third) & (rows < 2 * third)
    sides = [(ink[part].sum(0) @ middle) / max(float(ink[part].sum()), 1e-3) for part in (~inner, inner)]
    return float(sides[0] - sides[1]) / grey.shape[1]


def mirrored(text: str) -> str:
    """A text with its brackets the other way."""
    return text.translate(TABLE)


def exchanged(texts: Sequence[str], kinds: Sequence[str], rtl: bool) -> list[str]:
    """The texts of the words of a line in logical order with their brackets as they are read.

    kinds: `R` for words from right to left, `L` for others, as resolved; brackets are called what they look like. In
    runs that run against the line, a bracket at an end that has no other in the run belongs to the line, and changes
    its end.
    """
    out = []
    for kind, run in itertools.groupby(zip(texts, kinds, strict=True), key=lambda item: item[1]):
        words = [mirrored(text) if kind == "R" else text for text, _ in run]
        if (kind == "R") != rtl:
            _turn_ends(words)
        out += words
    return out


def _turn_ends(words: list[str]) -> None:
    """Brackets at the ends of a run, which the run has no other of, at its other end and the other way."""
    text = "".join(words)
    opened, closed = [], []
    for char in text:
        if char in LEFT:
            opened.append(char)
        elif char in MIRROR:
            if opened and MIRROR[opened[-1]] == char:
                opened.pop()
            else:
                closed.append(char)
    first = words[0][0] if words[0][0] in opened and len(words[0]) > 1 else ""
    last = words[-1][-1] if words[-1][-1] in closed and len(words[-1]) > 1 else ""
    words[0] = words[0][len(first) :]
    words[-1] = words[-1][: len(words[-1]) - len(last)]
    words[0] = mirrored(last) + words[0]
    words[-1] += mirrored(first)
