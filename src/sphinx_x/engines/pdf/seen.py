"""Which characters nobody sees: invisible ones, those off the page, those without ink, those that are covered."""

from __future__ import annotations

from collections import Counter

import numpy as np
from PIL import Image

from sphinx_x.engines.pdf.text_layer import Characters
from sphinx_x.engines.pdf.tuned import INK_EDGE


def hide(chars: Characters, grey: Image.Image, under: np.ndarray) -> Counter[str]:
    """Marks the characters that nobody sees: invisible ones, those off the page, those without ink in their box, and
    those that are covered or of layers that are off (N, `under`)."""
    counts: Counter[str] = Counter()
    counts["invisible"] = int(chars.hidden.sum())
    width, height = grey.size
    x, y = (chars.box[:, 0] + chars.box[:, 2]) / 2, (chars.box[:, 1] + chars.box[:, 3]) / 2
    off = ~chars.hidden & ((x < 0) | (y < 0) | (x > width) | (y > height))
    counts["off the page"] = int(off.sum())
    chars.hidden |= off
    ink = _ink(grey)
    limits = [ink.shape[1], ink.shape[0]]
    low = np.floor((chars.box[:, :2] - 0.5) / 2).clip(0, limits).astype(int)
    high = np.ceil((chars.box[:, 2:] + 2.5) / 2).clip(0, limits).astype(int)
    bare = ~chars.hidden & ~_holds(ink, low, high)
    counts["without ink"] = int(bare.sum())
    chars.hidden |= bare
    counts["covered"] = int((under & ~chars.hidden).sum())
    chars.hidden |= under
    return counts


def _holds(ink: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(N,) whether there is ink between corners (N, 2); looked for row by row, as most is in the first rows."""
    before = np.zeros((ink.shape[0], ink.shape[1] + 1), np.int32)
    np.cumsum(ink, axis=1, out=before[:, 1:])
    (left, row), (right, end) = low.T.copy(), high.T
    found = np.zeros(len(low), bool)
    left_over = np.flatnonzero(row < end)
    while len(left_over):
        here = row[left_over]
        found[left_over] = before[here, right[left_over]] > before[here, left[left_over]]
        row[left_over] += 1
        left_over = left_over[~found[left_over] & (row[left_over] < end[left_over])]
    return found


def _ink(image: Image.Image) -> np.ndarray:
    """(H / 2, W / 2) whether the mean shade of four pixels differs from that of those on the left or above."""
    shade = np.asarray(image.reduce(2))
    edges = np.zeros(shade.shape, bool)
    edges[:, 1:] = _apart(shade[:, 1:], shade[:, :-1])
    edges[1:] |= _apart(shade[1:], shade[:-1])
    return edges


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(a, b) - np.minimum(a, b) > INK_EDGE
