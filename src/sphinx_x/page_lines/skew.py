"""The rotation of a page's lines: the angle at which ink falls into the sharpest rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEEPEST = 15.0
"""Largest angle that is tried, in degrees."""
LEAST = 0.12
"""Below this angle a page is left as it is: a line of 1,000 pixels rises by two."""
GAIN = 1.05
"""Smallest improvement in the sharpness of the rows over that at 0."""
WIDEST_POINTS = 60_000
NARROWEST = 200
"""Ink narrower than this, in pixels, has no measurable angle."""


def find_angle(ink: NDArray[np.bool_]) -> float:
    """Return the angle in degrees, counter-clockwise, by which the lines of a page rise; 0 if it is unclear.

    Args:
        ink: (H, W) where ink is.
    """
    y, x = np.nonzero(ink)
    if len(x) < 50 or x.max() - x.min() < NARROWEST:
        return 0.0
    if len(x) > WIDEST_POINTS:
        chosen = np.random.default_rng(0).choice(len(x), WIDEST_POINTS, replace=False)
        y, x = y[chosen], x[chosen]
    x, y = x - x.mean(), y - y.mean()
    best = _sharpest(x, y, np.arange(-STEEPEST, STEEPEST + 0.25, 0.25), bin_size=2.0)
    best = _sharpest(x, y, best + np.arange(-0.3, 0.31, 0.05), bin_size=1.0)
    if abs(best) < LEAST or _sharpness(x, y, best, 1.0) < GAIN * _sharpness(x, y, 0.0, 1.0):
        return 0.0
    return float(best)


def _sharpest(x: NDArray, y: NDArray, angles: NDArray, bin_size: float) -> float:
    return float(max(angles, key=lambda angle: _sharpness(x, y, angle, bin_size)))


def _sharpness(x: NDArray, y: NDArray, angle: float, bin_size: float) -> float:
    """Return the sum of the squared differences between adjacent rows, for lines that rise by `angle`."""
    turn = np.radians(angle)
    rows = y * np.cos(turn) + x * np.sin(turn)
    counts = np.bincount(((rows - rows.min()) / bin_size).astype(np.int64))
    return float((np.diff(counts, prepend=0, append=0).astype(np.float64) ** 2).sum())
