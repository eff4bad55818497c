"""From an image of a page to dark ink on white paper.

Uneven light, dark and coloured backgrounds, and noise are removed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sphinx_x.page_lines.components import find_components

Grey = NDArray[np.float32]

STEP = 3
"""Sampling step in pixels for the background: it changes slowly, and a median of every pixel would take seconds."""
NEAR, FAR = 9, 25
"""Sides of the windows whose medians are the background, in steps: within a button or a table row, and beyond large
letters."""
PANEL, PANEL_LENGTH = 9, 20
"""Smallest width and length of a separate background, in steps. Anything smaller is a stroke of a large letter."""
EDGE = 5
"""Side of the window, in steps, in which two adjacent backgrounds both count as background."""
APART = 8
"""Difference between two backgrounds, of 255."""
REACH = 41
"""Side of the window, in pixels, whose darkest ink becomes black."""
FAINTEST, SIGMAS = 40.0, 14.0
"""Ink below this strength (of 255), or below so many standard deviations of the noise, is never made black."""
GRAINY, SOFTEN = 6.0, 1.0
"""Standard deviation of the noise above which a page is blurred, and the radius in pixels."""


def flatten(image: Image.Image) -> NDArray[np.uint8]:
    """Convert a page to dark ink on white.

    Args:
        image: An image of a page, in colour or grey.

    Returns:
        (H, W), 0 where ink is darkest, 255 where there is none. Light text on a dark background is dark here.
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
    """Return bounds of the background at each pixel: between two adjacent backgrounds, everything is background."""
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
    """Return where the near median is a background: even, as large as a button, and not inside a large letter."""
    steep = np.abs(
        np.asarray(near.filter(ImageFilter.MaxFilter(3)), np.int16)
        - np.asarray(near.filter(ImageFilter.MinFilter(3)), np.int16)
    )
    plains = find_components(steep <= APART)
    kernels = Image.fromarray(plains.labels > 0).convert("L").filter(ImageFilter.MinFilter(PANEL))
    inner = find_components(np.asarray(kernels) > 0)
    # where strokes of a large letter meet, a short core is left
    long = inner.mask(np.maximum(inner.widths, inner.heights) > PANEL_LENGTH - PANEL)
    return plains.mask(plains.share_of(long) > 0)


def _enlarged(few: Any, height: int, width: int) -> Grey:
    """Repeat every value STEP x STEP times."""
    return few.repeat(STEP, axis=0).repeat(STEP, axis=1)[:height, :width]


def _noise(grey: Grey, low: Grey, high: Grey) -> float:
    """Return the standard deviation of the noise on the background, robust against ink."""
    middle = (low + high) / 2
    flat = high - low <= APART
    return 1.4826 * float(np.median(np.abs(grey - middle)[flat])) if flat.any() else 0.0


def _local_maximum(strength: Grey) -> Grey:
    """Return the largest value within REACH / 2 pixels, smoothed so that no window edges show."""
    height, width = strength.shape
    rows, columns = -(-height // STEP), -(-width // STEP)
    padded = np.zeros((rows * STEP, columns * STEP), np.float32)
    padded[:height, :width] = strength
    few = padded.reshape(rows, STEP, columns, STEP).max(axis=(1, 3))
    side = REACH // STEP | 1
    most = Image.fromarray(few.round().astype(np.uint8)).filter(ImageFilter.MaxFilter(side))
    soft = most.filter(ImageFilter.BoxBlur(side // 4))
    return _enlarged(np.asarray(soft, np.float32), height, width)
