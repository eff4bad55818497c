"""Which characters nobody sees: invisible, off the page, without ink, or covered."""

from __future__ import annotations

from collections import Counter

import numpy as np
from PIL import Image

from sphinx_x.engines.pdf.text_layer import Characters
from sphinx_x.engines.pdf.tuned import INK_EDGE


def hide(chars: Characters, grey: Image.Image, under: np.ndarray) -> Counter[str]:
    """Mark the characters that nobody sees, and count them by reason.

    These are invisible ones, those off the page, and those without ink in their box.

    Args:
        chars: The characters, changed in place.
        grey: The picture of the page.
        under: (N,) whether each is covered or on a layer that is off.
    """
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
    """Return whether there is ink between corners (N, 2), as (N,), row by row because most is in the first rows."""
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
    """Return whether the mean of four pixels differs from that of those left or above, as (H / 2, W / 2)."""
    shade = np.asarray(image.reduce(2))
    edges = np.zeros(shade.shape, bool)
    edges[:, 1:] = _apart(shade[:, 1:], shade[:, :-1])
    edges[1:] |= _apart(shade[1:], shade[:-1])
    return edges


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(a, b) - np.minimum(a, b) > INK_EDGE
