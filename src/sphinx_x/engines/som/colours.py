"""Colours of marks: seeded, told apart from the picture below, with a text on them that can be read (WCAG 2.2)."""

from __future__ import annotations

import colorsys
import random
from collections.abc import Collection, Sequence

Colour = tuple[int, int, int]
TEXT, SHAPE = 4.5, 3.0
"""Least contrast of a text with what is behind it, and of a shape with what is beside it (WCAG 1.4.3 and 1.4.11)."""
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
HUES = 10
LIGHT, DARK = 0.72, 0.027
"""Luminances of the palette: whatever the picture is, one of both has a contrast of at least `SHAPE` with it."""


def luminance(colour: Sequence[float]) -> float:
    """Relative luminance of an sRGB colour (0..255), 0 to 1."""
    linear = [n / 255 / 12.92 if n / 255 <= 0.04045 else ((n / 255 + 0.055) / 1.055) ** 2.4 for n in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Contrast ratio of two colours, 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def ink_on(colour: Sequence[float]) -> Colour:
    """Black or white, what is read better on a colour; the better of both always has a ratio above 4.5."""
    return max((BLACK, WHITE), key=lambda ink: contrast(ink, colour))


def palette(seed: str) -> list[Colour]:
    """Strong colours of all hues, each once light and once dark, in a seeded order, neighbours unlike each other."""
    rng = random.Random(seed)
    start, step = rng.random(), rng.choice((3, 7))
    hues = [(start + k * step / HUES) % 1 for k in range(HUES)]
    light, dark = [_of_luminance(hue, LIGHT) for hue in hues], [_of_luminance(hue, DARK) for hue in hues]
    return [colour for pair in zip(light, dark[HUES // 2 :] + dark[: HUES // 2], strict=True) for colour in pair]


def _of_luminance(hue: float, wanted: float) -> Colour:
    """The most saturated colour of a hue that has about this luminance."""
    low, high = 0.0, 1.0
    colour = BLACK
    for _ in range(12):
        middle = (low + high) / 2
        red, green, blue = (round(255 * n) for n in colorsys.hls_to_rgb(hue, middle, 0.95))
        colour = (red, green, blue)
        low, high = (middle, high) if luminance(colour) < wanted else (low, middle)
    return colour


def choose(colours: Sequence[Colour], below: Sequence[float], taken: Collection[Colour], number: int) -> Colour:
    """A colour for mark `number` that stands out from the mean colour below, if possible one that is not taken.

    The palette holds light and dark colours, so that some always reach the ratio `SHAPE`.
    """
    turned = [colours[(2 * number + k) % len(colours)] for k in range(len(colours))]
    good = [colour for colour in turned if contrast(colour, below) >= SHAPE]
    free = [colour for colour in good if colour not in taken]
    return (free or good or [max(turned, key=lambda colour: contrast(colour, below))])[0]
