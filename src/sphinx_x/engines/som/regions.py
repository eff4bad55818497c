"""Regions of an image: boxes, polygons or exact masks, with what is known to be there; and their pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from sphinx_x.boxes import Box, around, clip, nearest
from sphinx_x.errors import DataError

Point = tuple[float, float]
Polygon = tuple[Point, ...]


@dataclass(frozen=True)
class Rle:
    """A mask as lengths of runs of pixels, down the columns, the first run outside (COCO's run-length encoding)."""

    height: int
    width: int
    counts: tuple[int, ...]

    @classmethod
    def of(cls, mask: np.ndarray) -> Rle:
        """Return the runs of a mask (H, W)."""
        flat = np.asarray(mask, bool).T.ravel()
        ends = np.flatnonzero(np.diff(flat)) + 1
        bounds = [0, *([0] if flat.size and flat[0] else []), *ends.tolist(), flat.size]
        return cls(mask.shape[0], mask.shape[1], tuple(int(n) for n in np.diff(bounds)))

    @classmethod
    def from_coco(cls, data: Mapping[str, Any]) -> Rle:
        """Read `{"size": [height, width], "counts": list or text}`, like common/maskApi.c of cocodataset/cocoapi."""
        height, width = map(int, data["size"])
        counts = data["counts"]
        runs = _runs_of(counts) if isinstance(counts, str | bytes) else [int(n) for n in counts]
        if min(height, width) < 0 or min(runs, default=0) < 0 or sum(runs) != height * width:
            raise DataError("run lengths do not fill the mask")
        return cls(height, width, tuple(runs))

    def mask(self) -> np.ndarray:
        """Return the mask (H, W) as bool."""
        values = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(values, self.counts).reshape(self.width, self.height).T


def _runs_of(text: str | bytes) -> list[int]:
    """Decode run lengths from printable characters.

    Each has five bits, and a sixth bit that says whether more follow; from the third run on, the value is the
    difference to the run before the last.
    """
    codes = iter(text.encode() if isinstance(text, str) else text)
    runs: list[int] = []
    for code in codes:
        value = shift = 0
        while True:
            value |= ((code - 48) & 31) << shift
            shift += 5
            if not (code - 48) & 32:
                break
            code = next(codes, 48)
        if (code - 48) & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs


@dataclass(frozen=True)
class Region:
    """A part of an image in pixels: a mask (H, W) of the whole image, or polygons (its pieces), or a box.

    Of these, the first one given counts.

    Attributes:
        name: Class of the object, empty if unknown.
        text: Text that is written there, empty if unknown.
    """

    name: str = ""
    text: str = ""
    box: Box | None = None
    polygons: tuple[Polygon, ...] = ()
    mask: np.ndarray | Rle | None = None

    def bounds(self) -> Box:
        """Return the box around it.

        Raises:
            DataError: It has no place at all.
        """
        if self.mask is not None:
            mask = pixels_of(self.mask)
            across, down = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
            if not len(across):
                raise DataError("mask is empty")
            return float(across[0]), float(down[0]), float(across[-1] + 1), float(down[-1] + 1)
        if any(self.polygons):
            return around(corner for polygon in self.polygons for corner in polygon)
        if self.box is None:
            raise DataError("region has no place")
        return self.box


def pixels_of(mask: np.ndarray | Rle, size: tuple[int, int] | None = None) -> np.ndarray:
    """Return a mask as bool (H, W).

    Runs are checked before they are expanded: a few numbers in a file may stand for any number of pixels.

    Raises:
        DataError: The mask does not have the size (width, height) of its image.
    """
    height, width = (mask.height, mask.width) if isinstance(mask, Rle) else mask.shape
    if size is not None and size != (width, height):
        raise DataError(f"mask is not of the image's size: {width} x {height}")
    return mask.mask() if isinstance(mask, Rle) else np.asarray(mask, bool)


def clamped(polygon: Polygon, box: Box) -> Polygon:
    """Return a polygon whose corners outside a box are moved to its border."""
    return tuple(nearest(box, corner) for corner in polygon)


@dataclass(frozen=True)
class Cut:
    """The pixels of a region: a mask of the part of the image whose upper left pixel is (x, y)."""

    x: int
    y: int
    mask: np.ndarray

    @property
    def area(self) -> int:
        """The number of pixels."""
        return int(self.mask.sum())

    @property
    def where(self) -> tuple[slice, slice]:
        """The part of the image, to index an array (H, W)."""
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


def cut_out(region: Region, size: tuple[int, int]) -> Cut:
    """Return the pixels of a region inside an image of this size; every pixel that a box or polygon touches.

    Raises:
        DataError: Nothing of it is inside, or the mask has another size.
    """
    if region.mask is not None:
        mask = pixels_of(region.mask, size)
        left, top, right, bottom = (int(n) for n in Region(mask=mask).bounds())
        return Cut(left, top, mask[top:bottom, left:right])
    bounds = region.bounds()
    # every corner is looked at: what is no number is neither least nor greatest
    if not all(math.isfinite(n) for n in (*bounds, *(n for polygon in region.polygons for xy in polygon for n in xy))):
        raise DataError("region outside its image")
    touched = (math.floor(bounds[0]), math.floor(bounds[1]), math.ceil(bounds[2]), math.ceil(bounds[3]))
    left, top, right, bottom = clip(touched, size)
    if right <= left or bottom <= top:
        raise DataError("region outside its image")
    if not region.polygons:
        return Cut(left, top, np.ones((bottom - top, right - left), bool))
    picture = Image.new("1", (right - left, bottom - top))
    draw = ImageDraw.Draw(picture)
    for polygon in region.polygons:
        if len(polygon) > 2:
            # corners lie between pixels, the library counts the middles of pixels
            draw.polygon([(x - left - 0.5, y - top - 0.5) for x, y in polygon], fill=1)
    mask = np.array(picture)
    if not mask.any():
        raise DataError("region outside its image")
    return Cut(left, top, mask)
