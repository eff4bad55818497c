"""Random changes of images, for members that are trained from scratch.

The random change of an image's size is drawn first, apart from its pixels: so the size of a changed image, and with it
the number of its views, is known before anything is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sphinx_x.conversation import Message, Numbers


@dataclass(frozen=True)
class Change:
    """A change of one image's size: scaled by `factor`, then margins (left, top, right, bottom) added."""

    factor: float = 1.0
    margins: tuple[int, int, int, int] = (0, 0, 0, 0)

    def scaled(self, width: int, height: int) -> tuple[int, int]:
        """Return the size after scaling, without the margins."""
        return max(1, round(width * self.factor)), max(1, round(height * self.factor))

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of the changed image."""
        width, height = self.scaled(width, height)
        left, top, right, bottom = self.margins
        return left + width + right, top + height + bottom

    def moved(self, message: Message) -> Message:
        """Return a message with its boxes and points moved accordingly."""
        return message.moved(lambda part: part.moved(self.moved_place))

    def moved_place(self, place: Numbers) -> Numbers:
        """Return a point or a box moved accordingly."""
        return tuple(n * self.factor + self.margins[k % 2] for k, n in enumerate(place))


@dataclass(frozen=True)
class Augmentation:
    """Random changes of an image.

    Attributes:
        scale: Range of a uniform resize.
        contrast: Smallest share of the contrast that is kept.
        noise: Largest standard deviation of pixel noise (0 to 255).
        margin: Largest margin in the image's own border colour on each side, in pixels.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    contrast: float = 1.0
    noise: float = 0.0
    margin: int = 0

    @property
    def resizes(self) -> bool:
        """Whether it changes the size of images."""
        return self.scale != (1.0, 1.0) or self.margin > 0

    def draw(self, rng: np.random.Generator) -> Change:
        """Draw the change of one image's size, before `apply`."""
        if not self.resizes:
            return Change()
        left, top, right, bottom = rng.integers(0, self.margin + 1, 4).tolist()
        return Change(rng.uniform(*self.scale), (left, top, right, bottom))

    def apply(self, image: Image.Image, change: Change, rng: np.random.Generator) -> Image.Image:
        """Return an RGB image changed."""
        size, (width, height) = change.scaled(*image.size), change.size(*image.size)
        if size != image.size:
            image = image.resize(size, Image.Resampling.BICUBIC if rng.random() < 0.7 else Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
        corner, (left, top, _, _) = pixels[0, 0], change.margins
        if any(change.margins):
            canvas = np.empty((height, width, 3), np.uint8)
            canvas[:] = corner
            canvas[top : top + size[1], left : left + size[0]] = pixels
            pixels = canvas
        if (self.contrast < 1 or self.noise > 0) and rng.random() < 0.5:
            strength = rng.uniform(self.contrast, 1)
            noisy = corner + (pixels.astype(np.float32) - corner) * strength
            noisy += rng.normal(0, rng.uniform(0, self.noise) + 1e-6, pixels.shape[:2])[..., None]
            pixels = noisy.clip(0, 255).astype(np.uint8)
        return Image.fromarray(pixels)
