"""Where the ink of a sheet goes in a picture: bent, turned, seen at an angle, on a margin; boxes go with it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sphinx_x.boxes import Box
from sphinx_x.engines.documents.sheet import Drawing

CELL = 48
"""Side of the squares, in pixels, within which a warp is taken for bilinear."""
ROUNDS = 8
"""Steps to the place that a point goes to; each leaves less than a tenth of the error of the one before."""
ACROSS, DOWN = 7, 3
"""Points on the edges of a box that are followed."""
GLASS = (1240, 1754)
"""Width and height to which the picture of something small may grow: a page at 150 dots per inch."""
Points = np.ndarray
"""Points as an array [..., 2], x before y."""


@dataclass(frozen=True)
class Warp:
    """A way from a sheet to a picture.

    Attributes:
        sheet: Width and height of the sheet.
        size: Width and height of the picture.
        corner: Where the sheet's upper left corner would be without the rest.
        angle: By how much it is turned, in radians.
        tilt: How much nearer its right and its lower edge are than its middle, as shares.
        bend: How far the middle of a wave moves across and down, in pixels.
        waves: Number of half waves along the height and the width.
    """

    sheet: tuple[int, int]
    size: tuple[int, int]
    corner: tuple[float, float]
    angle: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    bend: tuple[float, float] = (0.0, 0.0)
    waves: tuple[float, float] = (1.0, 1.0)

    def back(self, points: Points) -> Points:
        """Return where on the sheet these points of the picture come from."""
        half = np.array(self.sheet) / 2
        x, y = np.moveaxis(points - self.corner - half, -1, 0)
        depth = 1 + self.tilt[0] * x / half[0] + self.tilt[1] * y / half[1]
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x, y = (cos * x + sin * y) / depth + half[0], (cos * y - sin * x) / depth + half[1]
        across = self.bend[0] * np.sin(np.pi * self.waves[0] * y / self.sheet[1])
        down = self.bend[1] * np.sin(np.pi * self.waves[1] * x / self.sheet[0])
        return np.stack([x + across, y + down], axis=-1)

    def forth(self, points: Points) -> Points:
        """Return where in the picture these points of the sheet go."""
        found = points + np.array(self.corner)
        for _ in range(ROUNDS):
            found = found + points - self.back(found)
        return found

    def boxes(self, boxes: list[Box]) -> list[Box]:
        """Return the upright boxes around what boxes of the sheet become, in whole pixels of the picture."""
        if not boxes:
            return []
        array = np.array(boxes, float)
        shares = np.stack(np.meshgrid(np.linspace(0, 1, ACROSS), np.linspace(0, 1, DOWN)), axis=-1).reshape(-1, 2)
        corner, side = array[:, None, :2], array[:, None, 2:] - array[:, None, :2]
        places = self.forth(corner + side * shares)
        low, high = np.floor(places.min(axis=1) + 1e-6), np.ceil(places.max(axis=1) - 1e-6)
        low, high = np.maximum(low, 0), np.minimum(high, self.size)
        return [(x1, y1, x2, y2) for x1, y1, x2, y2 in np.concatenate([low, high], axis=1).tolist()]

    def ink(self, ink: Image.Image) -> Image.Image:
        """Return the picture of a sheet's ink."""
        width, height = self.size
        xs, ys = (np.array([*range(0, side, CELL), side], float) for side in (width, height))
        nodes = self.back(np.stack(np.meshgrid(xs, ys), axis=-1))
        quads = np.concatenate([nodes[:-1, :-1], nodes[1:, :-1], nodes[1:, 1:], nodes[:-1, 1:]], axis=-1)
        mesh = [
            ((int(xs[j]), int(ys[i]), int(xs[j + 1]), int(ys[i + 1])), tuple(quads[i, j].tolist()))
            for i in range(len(ys) - 1)
            for j in range(len(xs) - 1)
        ]
        return ink.transform(self.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)


def warped(drawing: Drawing, warp: Warp) -> Drawing:
    """Return a drawing as it is in a picture."""
    words = warp.boxes([word.box for word in drawing.words])
    return drawing.moved(warp.ink(drawing.ink), words, warp.boxes(drawing.graphics))


def make_warp(rng: random.Random, sheet: tuple[int, int], strength: float) -> Warp:
    """Return a random warp that keeps the whole sheet in the picture.

    Args:
        rng: The source of randomness.
        sheet: Width and height of the sheet.
        strength: 0 for a flat scan, 1 for a photograph of paper that is not flat.
    """
    width, height = sheet
    angle = math.radians(rng.gauss(0, 0.4 + 1.2 * strength))
    angle = max(min(angle, math.radians(4)), -math.radians(4))
    tilt = (rng.uniform(-0.03, 0.03) * strength, rng.uniform(-0.03, 0.03) * strength)
    bend = (rng.uniform(-5, 5) * strength, rng.uniform(-6, 6) * strength)
    waves = (rng.uniform(0.7, 2.5), rng.uniform(0.7, 1.6))
    reach = (
        abs(math.sin(angle)) * height / 2 + abs(tilt[0]) * width + abs(tilt[1]) * width + abs(bend[0]) + 2,
        abs(math.sin(angle)) * width / 2 + abs(tilt[1]) * height + abs(tilt[0]) * height + abs(bend[1]) + 2,
    )
    shares = (0, 0, 0.02, 0.06) if rng.random() < 0.85 else (0.2, 0.5, 1.0)  # the latter: on the glass of a scanner
    free = [
        math.ceil(min(side * rng.choice(shares), max(most - side, 0))) for side, most in zip(sheet, GLASS, strict=True)
    ]
    size = tuple(side + 2 * math.ceil(edge) + more for side, edge, more in zip(sheet, reach, free, strict=True))
    corner = [math.ceil(edge) + rng.uniform(0, more) for edge, more in zip(reach, free, strict=True)]
    return Warp(sheet, (size[0], size[1]), (corner[0], corner[1]), angle, tilt, bend, waves)
