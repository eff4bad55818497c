"""Scenes: an image with what is known of its regions, and the sources that they are read from (paper, section 4.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from sphinx_x.engines.som.regions import Region
from sphinx_x.images import check_places, size_and_orientation
from sphinx_x.sources.base import Picture, Raw, Record

Domain = Literal["natural", "gui", "text", "document", "panel"]
DOMAINS: tuple[Domain, ...] = get_args(Domain)


@dataclass(frozen=True)
class Relation:
    """What an annotator said of two regions, given by their indices, for example `man`, `wearing`, `hat`."""

    subject: int
    predicate: str
    object: int


@dataclass(frozen=True)
class Scene:
    """An image and its regions before it is opened.

    Attributes:
        unit: Unit of places: None for pixels, else the length of an image's side (1 or 1000).
        size: Width and height according to the annotations.
        left_out: What was passed over, by reason.
        licence: That of the image, if it differs from its source's.
    """

    id: str
    image: Picture
    regions: tuple[Region, ...]
    domain: Domain
    relations: tuple[Relation, ...] = ()
    unit: float | None = None
    size: tuple[int, int] | None = None
    left_out: Counter[str] = field(default_factory=Counter)
    licence: str = ""

    def in_pixels(self, size: tuple[int, int]) -> Scene:
        """Return the same scene with its places in pixels of an image of this width and height."""
        if self.unit is None:
            return self
        x, y = size[0] / self.unit, size[1] / self.unit
        return replace(self, regions=tuple(scaled(region, x, y) for region in self.regions), unit=None)


def scaled(region: Region, x: float, y: float, left: float = 0, top: float = 0) -> Region:
    """Return a region without a mask in an image that is scaled by x and y and moved to (left, top)."""
    box = region.box
    if box is not None:
        box = (box[0] * x + left, box[1] * y + top, box[2] * x + left, box[3] * y + top)
    polygons = tuple(tuple((a * x + left, b * y + top) for a, b in polygon) for polygon in region.polygons)
    return replace(region, box=box, polygons=polygons)


@dataclass(frozen=True)
class SceneSource:
    """Where scenes come from: `read` gives one record an image, `build` makes a scene of it, in parallel.

    Both are as in `sphinx_x.sources.base.Source`: `build` may raise anything for which a record is set aside.

    Attributes:
        layout: What the reader's layout was taken from.
        facts: What else scenes depend on, as JSON.
        upright: Whether places are in the pixels of upright images, where others may be in those that are stored.
    """

    name: str
    domain: Domain
    licence: str
    layout: str
    read: Callable[[Raw], Iterable[Record]]
    build: Callable[[Record, Raw], Scene]
    facts: Mapping[str, Any] = field(default_factory=dict)
    upright: bool = False


def check_upright(source: SceneSource, scene: Scene, picture: str | Path | bytes) -> None:
    """Raise `DataError` for a picture that its EXIF data turns, unless its places are known to be right."""
    if not source.upright:
        check_places(*size_and_orientation(picture), scene.size)


def under_licence(source: SceneSource, licence: str) -> SceneSource:
    """Return a source all of whose scenes are under one licence, whatever they say of their own."""
    return replace(source, licence=licence, build=partial(_build_under, source.build, licence))


def _build_under(build: Callable[[Record, Raw], Scene], licence: str, record: Record, raw: Raw) -> Scene:
    return replace(build(record, raw), licence=licence)
