"""What is behind the things of a scene: plain and drawn grounds, and photographs."""

from __future__ import annotations

import random

import numpy as np
from PIL import Image, ImageFilter

PALE = 0.6
"""Share of the drawn grounds that are pale."""


def colour(rng: random.Random) -> tuple[int, int, int]:
    """Return a colour, pale in most cases."""
    low, high = (150, 255) if rng.random() < PALE else (0, 255)
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def plain(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Return one colour, white in a third of the cases."""
    return Image.new("RGB", size, (255, 255, 255) if rng.random() < 0.33 else colour(rng))


def drawn(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Return a slope of two colours, clouds, stripes, dots, or a floor with a horizon."""
    return rng.choice((_slope, _clouds, _stripes, _checks, _floor))(rng, size)


def _mixed(share: np.ndarray, one: tuple[int, int, int], other: tuple[int, int, int]) -> Image.Image:
    """Return two colours mixed by shares (H, W) from 0 to 1."""
    pixels = np.asarray(one) + share[..., None] * (np.asarray(other) - np.asarray(one, float))
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    return x / max(size), y / max(size)


def _slope(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    x, y = _grid(size)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    return _mixed((along - along.min()) / max(float(np.ptp(along)), 1e-6), colour(rng), colour(rng))


def _clouds(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    """Return noise of several sizes, like a wall, a lawn or the sky."""
    noise = np.random.default_rng(rng.randrange(1 << 32))
    total = np.zeros((size[1], size[0]))
    for cells in (rng.randint(2, 5), rng.randint(8, 20), rng.randint(40, 120)):
        small = Image.fromarray((255 * noise.random((cells, cells))).astype(np.uint8))
        total += np.asarray(small.resize(size, Image.Resampling.BICUBIC), float) / (255 * cells**0.3)
    total -= total.min()
    return _mixed(total / max(float(total.max()), 1e-6), colour(rng), colour(rng))


def _stripes(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    x, y = _grid(size)
    along = x if rng.random() < 0.5 else y
    return _mixed((along * rng.uniform(4, 30) % 1 < 0.5).astype(float), colour(rng), colour(rng))


def _checks(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    x, y = _grid(size)
    cells = rng.uniform(3, 16)
    return _mixed(((x * cells).astype(int) + (y * cells).astype(int)) % 2.0, colour(rng), colour(rng))


def _floor(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    ground = _clouds(rng, size)
    ground.paste(plain(rng, (size[0], round(size[1] * rng.uniform(0.4, 0.75)))), (0, 0))
    return ground


def cropped(
    rng: random.Random, photo: Image.Image, size: tuple[int, int], least: float = 0.4, mirrored: float = 0.5
) -> Image.Image:
    """Return a part of a photo at a size, of its shape: at least a share of what fits, in some cases mirrored."""
    fit = min(photo.width / size[0], photo.height / size[1]) * rng.uniform(least, 1)
    wide, high = (max(min(round(side * fit), limit), 1) for side, limit in zip(size, photo.size, strict=True))
    x, y = rng.randint(0, photo.width - wide), rng.randint(0, photo.height - high)
    part = photo.resize(size, Image.Resampling.BICUBIC, (x, y, x + wide, y + high), reducing_gap=2.0)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < mirrored else part


def behind(rng: random.Random, photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a part of a photo as a background, out of focus in a third of the cases."""
    part = cropped(rng, photo, size)
    return part.filter(ImageFilter.GaussianBlur(rng.uniform(1, 5))) if rng.random() < 0.33 else part
