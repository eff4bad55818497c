"""Colours of marks: seeded, distinct from the image below, with readable text on them (WCAG 2.2)."""

from __future__ import annotations

import colorsys
import random
from collections.abc import Collection, Sequence

Colour = tuple[int, int, int]
TEXT, SHAPE = 4.5, 3.0
"""Smallest contrast of a text with its background, and of a shape with its surroundings (WCAG 1.4.3 and 1.4.11)."""
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
HUES = 10
LIGHT, DARK = 0.72, 0.027
"""Luminances of the palette: one of the two has a contrast of at least `SHAPE` with any image."""


def luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of an sRGB colour (0..255), 0 to 1."""
    linear = [n / 255 / 12.92 if n / 255 <= 0.04045 else ((n / 255 + 0.055) / 1.055) ** 2.4 for n in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the contrast ratio of two colours, 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def ink_on(colour: Sequence[float]) -> Colour:
    """Return black or white, whichever is more readable on a colour; its ratio is always above 4.5."""
    return max((BLACK, WHITE), key=lambda ink: contrast(ink, colour))


def palette(seed: str) -> list[Colour]:
    """Return strong colours of all hues, each light and dark, in a seeded order with dissimilar neighbours."""
    rng = random.Random(seed)
    start, step = rng.random(), rng.choice((3, 7))
    hues = [(start + k * step / HUES) % 1 for k in range(HUES)]
    light, dark = [_of_luminance(hue, LIGHT) for hue in hues], [_of_luminance(hue, DARK) for hue in hues]
    return [colour for pair in zip(light, dark[HUES // 2 :] + dark[: HUES // 2], strict=True) for colour in pair]


def _of_luminance(hue: float, wanted: float) -> Colour:
    """Return the most saturated colour of a hue with about this luminance."""
    low, high = 0.0, 1.0
    colour = BLACK
    for _ in range(12):
        middle = (low + high) / 2
        red, green, blue = (round(255 * n) for n in colorsys.hls_to_rgb(hue, middle, 0.95))
        colour = (red, green, blue)
        low, high = (middle, high) if luminance(colour) < wanted else (low, middle)
    return colour


def choose(colours: Sequence[Colour], below: Sequence[float], taken: Collection[Colour], number: int) -> Colour:
    """Return a colour for mark `number` that stands out from the mean colour below, if possible an unused one.

    The palette has light and dark colours, so that some always reach the ratio `SHAPE`.
    """
    turned = [colours[(2 * number + k) % len(colours)] for k in range(len(colours))]
    good = [colour for colour in turned if contrast(colour, below) >= SHAPE]
    free = [colour for colour in good if colour not in taken]
    return (free or good or [max(turned, key=lambda colour: contrast(colour, below))])[0]
