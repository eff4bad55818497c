"""The colour of a part of a picture, in plain words, if most of its pixels agree on one.

Pixels are sorted into eleven classes by hue, saturation and value. Anything between two of them (skin, olive, dark
teal)
is in none, so that a word is only used for what everybody would call by it.
"""

from __future__ import annotations

import numpy as np

NAMES = ("black", "white", "grey", "red", "orange", "brown", "yellow", "green", "blue", "purple", "pink")
MOST, BOTH, EACH = 0.6, 0.8, 0.3
"""Share of the pixels that one colour needs to be named alone, that two need together, and each of these two."""
SAMPLE = 20_000
"""Pixels of a region that are examined, evenly spread."""


def tones(pixels: np.ndarray) -> tuple[str, ...]:
    """Return the one or two colours of most pixels (N, 3; uint8, RGB), the commonest first; empty if there are none."""
    if not len(pixels):
        return ()
    classes = classes_of(pixels[:: max(len(pixels) // SAMPLE, 1)])
    shares = np.bincount(classes + 1, minlength=len(NAMES) + 1)[1:] / len(classes)
    first, second = (int(k) for k in np.argsort(-shares, kind="stable")[:2])
    if shares[first] >= MOST:
        return (NAMES[first],)
    if shares[second] >= EACH and shares[first] + shares[second] >= BOTH:
        return NAMES[first], NAMES[second]
    return ()


def classes_of(pixels: np.ndarray) -> np.ndarray:
    """Return the index in `NAMES` of the colour of each pixel (N, 3; uint8, RGB), -1 for those between two."""
    red, green, blue = (pixels[:, k].astype(np.float32) / 255 for k in range(3))
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    spread = high - low
    saturation = spread / np.maximum(high, 1e-6)
    hue = _hue(red, green, blue, high, spread)
    strong = (saturation >= 0.3) & (high >= 0.25)
    reddish = (hue < 12) | (hue >= 345)
    rules = {
        "black": high < 0.2,
        "white": (saturation < 0.1) & (high >= 0.88),
        "grey": (saturation < 0.12) & (high >= 0.25) & (high < 0.72),
        "red": strong & reddish & (saturation >= 0.55) & (high >= 0.4),
        "orange": strong & (hue >= 16) & (hue < 42) & (saturation >= 0.65) & (high >= 0.8),
        "brown": strong & (hue >= 8) & (hue < 42) & (high < 0.65),
        "yellow": strong & (hue >= 46) & (hue < 66) & (high >= 0.7),
        "green": strong & (hue >= 76) & (hue < 165),
        "blue": strong & (hue >= 190) & (hue < 252),
        "purple": strong & (hue >= 262) & (hue < 305),
        "pink": (hue >= 310) & (saturation >= 0.2) & (saturation < 0.75) & (high >= 0.75),
    }
    return np.select([rules[name] for name in NAMES], np.arange(len(NAMES)), -1)


def _hue(red: np.ndarray, green: np.ndarray, blue: np.ndarray, high: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return degrees, 0 to 360: red 0, green 120, blue 240."""
    width = np.maximum(spread, 1e-6)
    sector = np.where(
        high == red,
        (green - blue) / width % 6,
        np.where(high == green, (blue - red) / width + 2, (red - green) / width + 4),
    )
    return 60 * sector
