"""Which pixels each region of an image keeps if several overlap, and how deep inside it they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sphinx_x.engines.som.distance import pooled_distances
from sphinx_x.engines.som.regions import Cut, Region, cut_out, pixels_of
from sphinx_x.errors import DataError

WORK = 1536
"""Longest side, in pixels, of images that are resolved at full size; of larger ones, every second or third pixel is
used."""


@dataclass(frozen=True)
class Kept:
    """What a region keeps.

    Attributes:
        number: Number of the region.
        share: Share of the image's pixels that it has, including those that other regions took.
        pixels: Mask of what is left.
        distances: Squared distance of each block of `step` image pixels to its border.
        x: Where the first block begins.
        y: Likewise.
        scale: Image pixels per pixel of the mask.
    """

    number: int
    share: float
    pixels: Cut
    distances: np.ndarray
    x: int
    y: int
    step: int
    scale: int

    def at(self, row: int, column: int) -> tuple[float, float]:
        """Return the centre of a block in the image."""
        return self.x + (column + 0.5) * self.step, self.y + (row + 0.5) * self.step

    def best(self) -> tuple[float, float]:
        """Return the point of greatest distance; of several, the one nearest to their mean."""
        rows, columns = np.nonzero(self.distances == self.distances.max())
        away = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
        first = int(away.argmin())
        return self.at(int(rows[first]), int(columns[first]))


def resolve(
    regions: Sequence[Region], size: tuple[int, int], least_kept: float, least_area: int
) -> tuple[list[Kept], dict[int, str]]:
    """Return what the regions of an image (width, height) keep, in order, and why the others are left out.

    Smaller regions are in front. One that would keep less than a share `least_kept`, or that has fewer than
    `least_area`
    pixels, takes nothing from others. Of equal regions, the last is in front.
    """
    scale = max(-(-max(size) // WORK), 1)
    small = (-(-size[0] // scale), -(-size[1] // scale))
    cuts: dict[int, Cut] = {}
    left_out: dict[int, str] = {}
    for number, region in enumerate(regions):
        try:
            cut = cut_out(_scaled(region, size, scale), small)
        except DataError as error:
            left_out[number] = str(error).split(": ")[0]
            continue
        if cut.area * scale * scale < least_area:
            left_out[number] = "region too small"
        else:
            cuts[number] = cut
    taken = np.zeros((small[1], small[0]), bool)
    kept = []
    for number in sorted(cuts, key=lambda k: (cuts[k].area, -k)):
        cut = cuts[number]
        rest = cut.mask & ~taken[cut.where]
        if not rest.any() or rest.sum() < least_kept * cut.area:
            left_out[number] = "region hidden by others"
            continue
        taken[cut.where] |= cut.mask
        distances, step = pooled_distances(rest)
        share = cut.area / (small[0] * small[1])
        pixels = Cut(cut.x, cut.y, rest)
        kept.append(Kept(number, share, pixels, distances, cut.x * scale, cut.y * scale, step * scale, scale))
    return sorted(kept, key=lambda one: one.number), left_out


def _scaled(region: Region, size: tuple[int, int], scale: int) -> Region:
    if scale == 1:
        return region
    if region.mask is not None:
        return replace(region, mask=pixels_of(region.mask, size)[::scale, ::scale])
    box = None if region.box is None else tuple(n / scale for n in region.box)
    polygons = tuple(tuple((x / scale, y / scale) for x, y in polygon) for polygon in region.polygons)
    return replace(region, box=box, polygons=polygons)
