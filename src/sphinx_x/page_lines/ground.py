"""From a picture of a page to dark ink on white paper: uneven light, dark and coloured grounds and noise taken out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sphinx_x.page_lines.components import find_components

Grey = NDArray[np.float32]

STEP = 3
"""Every pixel in so many tells the ground: it changes slowly, and a median of every pixel would take seconds."""
NEAR, FAR = 9, 25
"""Sides of the windows whose medians are the ground, in steps: within a button or a row of a table, and beyond large
letters."""
PANEL, PANEL_LENGTH = 9, 20
"""Least breadth and length of a ground of its own, in steps. Less is a stroke of a large letter."""
EDGE = 5
"""Side of the window, in steps, in which two grounds that meet are both ground."""
APART = 8
"""How far two grounds differ, of 255."""
REACH = 41
"""Side of the window, in pixels, whose darkest ink becomes black."""
FAINTEST, SIGMAS = 40.0, 14.0
"""Ink below this strength (of 255), or below so many deviations of the noise, is never made black."""
GRAINY, SOFTEN = 6.0, 1.0
"""Deviation of the noise above which a page is softened, and the radius in pixels."""


def flatten(image: Image.Image) -> NDArray[np.uint8]:
    """A page as dark ink on white.

    Args:
        image: A picture of a page, in colours or grey.

    Returns:
        (H, W) 0 where ink is darkest, 255 where there is none. What is lighter than a dark ground is dark here.
    """
    grey = np.asarray(image.convert("L"), np.float32)
    low, high = _ground(grey)
    noise = _noise(grey, low, high)
    if noise > GRAINY:
        grey = np.asarray(image.convert("L").filter(ImageFilter.GaussianBlur(SOFTEN)), np.float32)
        low, high = _ground(grey)
        noise = _noise(grey, low, high)
    strength = np.maximum(np.maximum(low - grey, grey - high), 0)
    strength -= np.minimum(strength, 1.5 * noise)
    strongest = _local_maximum(strength)
    return (255 - 255 * np.minimum(strength / np.maximum(strongest, max(FAINTEST, SIGMAS * noise)), 1)).astype(np.uint8)


def _ground(grey: Grey) -> tuple[Grey, Grey]:
    """Bounds of the ground at each pixel: where two grounds meet, all between them is ground, their edge is no ink."""
    height, width = grey.shape
    few = Image.fromarray(grey[::STEP, ::STEP].astype(np.uint8))
    near = few.filter(ImageFilter.MedianFilter(NEAR))
    half = few.resize((max(few.width // 2, 1), max(few.height // 2, 1)), Image.Resampling.NEAREST)
    far = half.filter(ImageFilter.MedianFilter(FAR)).resize(few.size, Image.Resampling.NEAREST)
    even, close = _even(near), np.asarray(near)
    low = Image.fromarray(np.where(even, close, 255).astype(np.uint8)).filter(ImageFilter.MinFilter(EDGE))
    high = Image.fromarray(np.where(even, close, 0).astype(np.uint8)).filter(ImageFilter.MaxFilter(EDGE))
    bounds = np.asarray(low, np.float32), np.asarray(high, np.float32)
    nothing = bounds[0] > bounds[1]
    distant = np.asarray(far, np.float32)
    low, high = (_enlarged(np.where(nothing, distant, bound), height, width) for bound in bounds)
    return low, high


def _even(near: Image.Image) -> Any:
    """Where the near median is a ground: even, and as large as a button, not the inside of a large letter."""
    steep = np.abs(
        np.asarray(near.filter(ImageFilter.MaxFilter(3)), np.int16)
        - np.asarray(near.filter(ImageFilter.MinFilter(3)), np.int16)
    )
    plains = find_components(steep <= APART)
    kernels = Image.fromarray(plains.labels > 0).convert("L").filter(ImageFilter.MinFilter(PANEL))
    inner = find_components(np.asarray(kernels) > 0)
    # where strokes of a large letter meet, a short kernel is left
    long = inner.mask(np.maximum(inner.widths, inner.heights) > PANEL_LENGTH - PANEL)
    return plains.mask(plains.share_of(long) > 0)


def _enlarged(few: Any, height: int, width: int) -> Grey:
    """Every value STEP x STEP times."""
    return few.repeat(STEP, axis=0).repeat(STEP, axis=1)[:height, :width]


def _noise(grey: Grey, low: Grey, high: Grey) -> float:
    """Standard deviation of the noise on the ground, robust against ink."""
    middle = (low + high) / 2
    flat = high - low <= APART
    return 1.4826 * float(np.median(np.abs(grey - middle)[flat])) if flat.any() else 0.0


def _local_maximum(strength: Grey) -> Grey:
    """The largest value within REACH / 2 pixels, smoothed so that no edge of a window shows."""
    height, width = strength.shape
    rows, columns = -(-height // STEP), -(-width // STEP)
    padded = np.zeros((rows * STEP, columns * STEP), np.float32)
    padded[:height, :width] = strength
    few = padded.reshape(rows, STEP, columns, STEP).max(axis=(1, 3))
    side = REACH // STEP | 1
    most = Image.fromarray(few.round().astype(np.uint8)).filter(ImageFilter.MaxFilter(side))
    soft = most.filter(ImageFilter.BoxBlur(side // 4))
    return _enlarged(np.asarray(soft, np.float32), height, width)
