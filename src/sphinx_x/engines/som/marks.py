"""Set-of-Marks: which regions of an image get a mark, where its label stands, and in what colour (paper, section 4.2).

Smaller regions lie in front and take their pixels from larger ones. A label stands at the maximum of the distance
transform of what a region keeps. If another label is there already, or if it would leave the image, it goes to the next
best place of the region, then beside it; it goes beside it at once if it would hide most of it. Whatever gets no mark
is
left out with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from sphinx_x.boxes import Box, BoxOf, contains, intersection, overlaps
from sphinx_x.engines.som.colours import Colour, choose, ink_on, palette
from sphinx_x.engines.som.labels import NO_ROOM, font_of, place_labels
from sphinx_x.engines.som.outlines import area_of, outline, simplify
from sphinx_x.engines.som.overlaps import Kept, resolve
from sphinx_x.engines.som.regions import Polygon, Region, clamped
from sphinx_x.errors import DataError
from sphinx_x.images import Source, open_image

Kind = Literal["point", "box", "polygon", "mask"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ALPHABETS = ("numbers", "letters")


@dataclass(frozen=True)
class MarkSettings:
    """How marks look and which regions get one.

    Attributes:
        kind: What is drawn and written of a region.
        alphabet: `numbers` (1, 2, ...) or `letters` (A, B, ..., AA).
        seed: Seed of the colours.
        least_kept: Share of its pixels that a region must keep.
        least_area: Smallest number of pixels of a region.
        corners: Largest number of corners of a polygon.
        beside: Labels of small regions stand beside them, so that their text can be read.
        font: Font size of the labels, by default according to the image's size; smaller if there is no room.
    """

    kind: Kind = "box"
    alphabet: str = "numbers"
    seed: str = "0"
    least_kept: float = 0.3
    least_area: int = 10
    corners: int = 16
    beside: bool = False
    font: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"the kind of marks must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.alphabet not in ALPHABETS:
            raise DataError(f"the alphabet of marks must be one of {', '.join(ALPHABETS)}, not {self.alphabet!r}")
        if self.corners < 3 or not 0 <= self.least_kept <= 1 or (self.font is not None and not 1 <= self.font <= 1000):
            raise DataError("marks: 3 corners or more, a share between 0 and 1, a font between 1 and 1000")


@dataclass(frozen=True)
class Mark:
    """A mark and its place in pixels of the image.

    Attributes:
        label: The text on it.
        region: Index of its region in the given list.
        point: Where the region is deepest.
        box: Around the whole region.
        polygon: Outline of the region.
        share: Share of the image's pixels that the region has, including those that others took.
        rect: Of the label.
        colour: Of the label.
        ink: Of the label's text.
        font: Font size.
        moved: Whether the label does not stand on `point`.
    """

    label: str
    kind: Kind
    region: int
    point: tuple[float, float]
    box: Box
    polygon: Polygon
    share: float
    rect: BoxOf[int]
    colour: Colour
    ink: Colour
    font: int
    moved: bool


@dataclass(frozen=True)
class Marked:
    """The marks of an image of this size, and the regions without one: their index and the reason."""

    size: tuple[int, int]
    marks: tuple[Mark, ...]
    left_out: tuple[tuple[int, str], ...]


def label_of(number: int, alphabet: str = "numbers") -> str:
    """Return the label of mark `number`, from 0: 1, 2, 3, ... or A, B, ..., Z, AA, AB, ..."""
    if alphabet == "numbers":
        return str(number + 1)
    text, number = "", number + 1
    while number:
        number, letter = divmod(number - 1, 26)
        text = chr(ord("A") + letter) + text
    return text


def place_marks(
    image: Image.Image, regions: Sequence[Region], settings: MarkSettings | None = None, avoid: Sequence[Box] = ()
) -> Marked:
    """Place the marks of an RGB image, in the order of its regions; the same input always gives the same marks.

    Args:
        image: The image.
        regions: Its regions.
        settings: How marks look.
        avoid: Boxes that a label beside its region should not hide if possible.
    """
    settings = settings or MarkSettings()
    kept, left_out = resolve(regions, image.size, settings.least_kept, settings.least_area)
    boxes = [_inner_box(regions[one.number], image.size) for one in kept]
    texts = [label_of(k, settings.alphabet) for k in range(len(kept))]
    font = settings.font or font_of(image.size)
    rects, font = place_labels(kept, boxes, image.size, texts, font, settings.beside, avoid)
    colours = palette(settings.seed)
    marks: list[Mark] = []
    for one, box, rect in zip(kept, boxes, rects, strict=True):
        if rect is None:
            left_out[one.number] = NO_ROOM
            continue
        taken = {mark.colour for mark in marks if overlaps(mark.box, box, 3 * font)}
        colour = choose(colours, _mean_colour(image, rect), taken, len(marks))
        point = one.best()
        marks.append(
            Mark(
                label=label_of(len(marks), settings.alphabet),
                kind=settings.kind,
                region=one.number,
                point=point,
                box=box,
                polygon=_polygon(regions[one.number], one, box, settings.corners),
                share=one.share,
                rect=rect,
                colour=colour,
                ink=ink_on(colour),
                font=font,
                moved=not contains(rect, point),
            )
        )
    return Marked(image.size, tuple(marks), tuple(sorted(left_out.items())))


def _inner_box(region: Region, size: tuple[int, int]) -> Box:
    width, height = map(float, size)
    return intersection(region.bounds(), (0.0, 0.0, width, height))


def _mean_colour(image: Image.Image, rect: BoxOf[int]) -> tuple[float, float, float]:
    red, green, blue = np.asarray(image.crop(rect)).reshape(-1, 3).mean(0).tolist()
    return red, green, blue


def _polygon(region: Region, one: Kept, box: Box, corners: int) -> Polygon:
    """Return the outline of the largest piece of a region, with few corners and inside the image."""
    largest = max(region.polygons, key=lambda piece: abs(area_of(piece)), default=())
    if region.mask is not None or len(largest) > corners:
        # also of polygons: their lines may cross where pieces are joined to one, those of an outline never do
        around = outline(one.pixels.mask)
        polygon = tuple(((x + one.pixels.x) * one.scale, (y + one.pixels.y) * one.scale) for x, y in around)
    elif largest:
        polygon = largest
    else:
        left, top, right, bottom = box
        polygon = ((left, top), (right, top), (right, bottom), (left, bottom))
    if len(polygon) > 3 and polygon[0] == polygon[-1]:
        polygon = polygon[:-1]
    return clamped(simplify(polygon, corners), box)


def as_regions(places: Sequence[Region | Sequence[float] | np.ndarray]) -> list[Region]:
    """Return a user's regions, boxes (x1, y1, x2, y2) and bool masks (H, W) as regions."""
    found = []
    for number, place in enumerate(places, 1):
        if isinstance(place, Region):
            found.append(place)
        elif isinstance(place, np.ndarray) and place.ndim == 2:
            found.append(Region(mask=place.astype(bool)))
        else:
            numbers = [float(n) for n in place]
            if len(numbers) != 4 or numbers[2] <= numbers[0] or numbers[3] <= numbers[1]:
                raise DataError(f"region {number}: must be a box (x1, y1, x2, y2) with a width and a height, or a mask")
            found.append(Region(box=(numbers[0], numbers[1], numbers[2], numbers[3])))
    return found


def mark_image(
    source: Source, places: Sequence[Region | Sequence[float] | np.ndarray], settings: MarkSettings | None = None
) -> tuple[Image.Image, Marked]:
    """Return a copy of an image with marks on it, for prompting, and the marks.

    Args:
        source: Anything that `open_image` accepts.
        places: Regions, boxes (x1, y1, x2, y2) in pixels or bool masks (H, W).
        settings: How marks look.
    """
    from sphinx_x.engines.som.draw import draw_marks

    image, regions = open_image(source), as_regions(places)
    marked = place_marks(image, regions, settings)
    return draw_marks(image, marked, regions), marked
