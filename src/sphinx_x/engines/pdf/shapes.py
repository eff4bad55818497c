"""Whether the letters that the text layer claims look like the letters on the page.

The picture of each letter is scaled to a small square and compared with average letters of open fonts, upright and
slanted (`letters.npz`, made by `benchmarks/make_letter_shapes.py`, which names the fonts and their licences). A single
letter proves little at the size of a page; if most letters of a font fit better than any others, its map is right.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from sphinx_x.engines.pdf.tuned import ASPECT_FINE, ODDEST_ASPECT

SIDE = 8
"""Shapes are squares of this many cells a side."""


@dataclass(frozen=True)
class Letters:
    """Average letters, F styles of N letters each.

    Attributes:
        places: Index of each letter in the arrays.
        other_case: Index of the letter in the other case, or its own.
        shapes: (F * N, SIDE * SIDE) of mean 0 and length 1.
        aspects: (F * N,) logarithms of width over height.
    """

    places: dict[str, int]
    other_case: np.ndarray
    shapes: np.ndarray
    aspects: np.ndarray


@functools.cache
def known_letters() -> Letters:
    """Return the letters in the package: Latin, Greek, Cyrillic and digits."""
    with (resources.files("sphinx_x.engines.pdf") / "letters.npz").open("rb") as file, np.load(file) as table:
        letters, shapes, aspects = str(table["letters"]), table["shapes"].astype(np.float32), table["aspects"]
    places = {letter: k for k, letter in enumerate(letters)}
    other = np.array([places.get(letter.swapcase(), k) for k, letter in enumerate(letters)])
    shapes = shapes.reshape(-1, SIDE * SIDE)
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    return Letters(places, other, shapes, aspects.astype(np.float32).ravel())


def sampled(grey: np.ndarray, boxes: np.ndarray, both: bool = False) -> np.ndarray:
    """Return what is in boxes of a picture, scaled to squares of mean 0 and length 1, as (N, SIDE * SIDE).

    Interpolation is linear. Pictures without contrast are all 0.

    Args:
        grey: The picture (H, W).
        boxes: (N, 4).
        both: Whether light counts as ink if the corners around a box are darker than its contents; otherwise dark does.
    """
    height, width = grey.shape
    steps = (np.arange(SIDE) + 0.5) / SIDE
    x = (boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * steps - 0.5).clip(0, width - 1.001)
    y = (boxes[:, 1:2] + (boxes[:, 3:] - boxes[:, 1:2]) * steps - 0.5).clip(0, height - 1.001)
    left, top = x.astype(np.intp), y.astype(np.intp)
    u, v = (x - left).astype(np.float32)[:, None, :], (y - top).astype(np.float32)[:, :, None]
    place = top[:, :, None] * width + left[:, None, :]
    flat = grey.ravel()
    upper = flat[place] * (1 - u) + flat[place + 1] * u
    lower = flat[place + width] * (1 - u) + flat[place + width + 1] * u
    out = (upper * (1 - v) + lower * v).reshape(len(boxes), SIDE * SIDE)
    mean = out.mean(1, keepdims=True)
    out = mean - out
    if both:
        paper = np.median(flat[_corners(boxes, width, height)], axis=1, keepdims=True)
        out = np.where(paper >= mean, out, -out)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-3)


def _corners(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the pixels diagonally outside the corners of boxes, (N, 4), as indices into the flat picture."""
    low = np.floor(boxes[:, :2] - 1).clip(0, [width - 1, height - 1]).astype(np.intp)
    high = np.ceil(boxes[:, 2:]).clip(0, [width - 1, height - 1]).astype(np.intp)
    (left, top), (right, bottom) = low.T, high.T
    return np.stack([top * width + left, top * width + right, bottom * width + left, bottom * width + right], 1)


def misfit(
    grey: np.ndarray, claimed: Sequence[str], boxes: Sequence[np.ndarray], both: bool = False
) -> tuple[float, float]:
    """Return how well a font's pictures fit any letters, and by how much less they fit the letters that they should be.

    Fit is the correlation of pictures minus a penalty for a different aspect ratio, at most 1; both values are means
    over
    the letters. Either case of the claimed letter counts, since small capitals have the shape of large ones. For a
    random
    map, the second value is about 0.5.

    Args:
        grey: (H, W) of an upright page.
        claimed: Distinct known letters.
        boxes: (K, 4) for each letter, some of the places where it stands.
        both: See `sampled`.
    """
    known = known_letters()
    count = np.array([len(places) for places in boxes])
    every = np.concatenate(list(boxes)).astype(np.float64)
    starts = np.cumsum(count) - count
    shapes = np.add.reduceat(sampled(grey, every, both), starts, axis=0)
    shapes /= np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-3)
    sides = np.maximum(every[:, 2:] - every[:, :2], 0.3)
    aspects = np.add.reduceat(np.log(sides[:, 0] / sides[:, 1]), starts) / count
    alike = shapes @ known.shapes.T
    off = ASPECT_FINE * np.minimum(np.abs(aspects[:, None].astype(np.float32) - known.aspects), ODDEST_ASPECT)
    own = np.array([known.places[letter] for letter in claimed])
    fit = (alike - off).reshape(len(own), -1, len(known.places)).max(1)
    rows = np.arange(len(own))
    claimed_fit = np.maximum(fit[rows, own], fit[rows, known.other_case[own]])
    best = fit.max(1)
    return float(best.mean()), float((best - claimed_fit).mean())
