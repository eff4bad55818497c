"""Scenes composed of cut-outs, so that every thing, box and outline is known."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from sphinx_x.boxes import Box, BoxOf, area, intersection
from sphinx_x.engines.pictures.library import Library, Picture
from sphinx_x.engines.pictures.words import Word
from sphinx_x.engines.som.facts import PEOPLE
from sphinx_x.engines.som.outlines import outline, simplify
from sphinx_x.engines.som.regions import Polygon, Region, clamped
from sphinx_x.engines.som.tones import tones
from sphinx_x.errors import DataError

SHAPES = ((4, 3), (4, 3), (3, 4), (1, 1), (3, 2), (16, 9), (2, 3))
LEAST_SIDE = 384
"""Shortest longer side of a scene in pixels."""
ALONE = 0.35
"""Share of the scenes with one thing."""
MOST_THINGS = 7
REPEATED = 0.4
"""Share of the scenes with several things in which one of them is there several times."""
TOGETHER = 0.5
"""How often the next thing is of the same sort as the first."""
LARGE, SMALL = (0.5, 0.92), (0.16, 0.5)
"""Longer side of a thing that is alone, and of one of several, relative to the shorter side of its scene."""
ENLARGED = 2.5
"""Largest enlargement of a cut-out."""
COVERED = 0.15
"""Share of a thing's box that the box of another may cover."""
TRIES = 24
"""Places that are tried for a thing before it is made smaller, and then left out."""
LEAST_PIXELS = 200
"""Fewest visible pixels of a thing."""
SIDED = frozenset(
    "flag book sign map clock watch newspaper keyboard calendar letter number".split()  # noqa: SIM905
)
"""Things that look wrong in a mirror."""
CORNERS = 24
"""Most corners of an outline."""


@dataclass(frozen=True)
class Thing:
    """A thing in a picture.

    Attributes:
        word: What it is.
        box: Around its visible pixels.
        outline: Around the largest piece of these.
        area: Their number.
        colours: The colours that it is called by; none if people would not agree, and none for people.
    """

    word: Word
    box: Box
    outline: Polygon
    area: int
    colours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Composed:
    """A scene: its picture, the things from back to front, and the licences of its parts."""

    image: Image.Image
    things: tuple[Thing, ...]
    licences: frozenset[str]


Backdrop = Callable[[random.Random, tuple[int, int]], tuple[Image.Image, frozenset[str]]]
"""Makes a background of a size, with the licences of its parts."""


def size_of(rng: random.Random, most: int) -> tuple[int, int]:
    """Return the size of a scene whose longer side is at most `most`."""
    wide, high = rng.choice(SHAPES)
    long = rng.randint(min(LEAST_SIDE, most), most)
    return max(round(long * min(1, wide / high)), 1), max(round(long * min(1, high / wide)), 1)


def choose_pictures(rng: random.Random, library: Library, most: int = MOST_THINGS) -> list[Picture]:
    """Return the cut-outs of a scene; words with few pictures are drawn nearly as often as those with many.

    Raises:
        DataError: There are no cut-outs.
    """
    stock = library.cutouts
    if not stock:
        raise DataError("no cut-out among the pictures")
    words = list(stock)
    weights = [len(stock[word]) ** 0.5 for word in words]
    first = rng.choices(words, weights)[0]
    chosen = [rng.choice(stock[first])]
    if rng.random() < ALONE or most < 2:
        return chosen
    group = chosen[0].word.group if chosen[0].word else ""
    alike = [word for word in words if group and stock[word][0].word.group == group]  # pyright: ignore
    count = rng.randint(2, most)
    if rng.random() < REPEATED:
        copies = rng.randint(1, min(count - 1, 4))
        same = rng.random() < 0.5
        chosen += [chosen[0] if same else rng.choice(stock[first]) for _ in range(copies)]
    while len(chosen) < count:
        among = alike if alike and rng.random() < TOGETHER else words
        word = rng.choices(among, [len(stock[one]) ** 0.5 for one in among])[0]
        chosen.append(rng.choice(stock[word]))
    return chosen


def compose(rng: random.Random, pictures: Sequence[Picture], size: tuple[int, int], backdrop: Backdrop) -> Composed:
    """Return a scene of cut-outs on a background; one for which there is no place is left out.

    Raises:
        DataError: There is no place for any of them.
    """
    background, licences = backdrop(rng, size)
    placed: list[tuple[Picture, Image.Image, BoxOf[int]]] = []
    for picture in pictures:
        stamp = _varied(picture, rng)
        found = _placed(rng, stamp, size, [box for _, _, box in placed], LARGE if len(pictures) == 1 else SMALL)
        if found is not None:
            placed.append((picture, stamp.resize((found[2] - found[0], found[3] - found[1])), found))
    canvas = background.convert("RGB")
    masks: list[np.ndarray] = []
    for _, stamp, box in placed:
        if rng.random() < 0.35:
            _shadow(canvas, stamp, box, rng)
        canvas.paste(stamp, box[:2], stamp)
        mask = np.zeros((size[1], size[0]), bool)
        mask[box[1] : box[3], box[0] : box[2]] = np.asarray(stamp.getchannel("A")) > 127
        for other in masks:
            other &= ~mask
        masks.append(mask)
    pixels = np.asarray(canvas)
    things = [
        _thing(picture.word, mask, pixels)
        for (picture, _, _), mask in zip(placed, masks, strict=True)
        if picture.word is not None
    ]
    if not things or any(one.area < LEAST_PIXELS for one in things):
        raise DataError("a thing of the scene is hidden or too small")
    return Composed(canvas, tuple(things), licences | {one.licence for one, _, _ in placed})


def _varied(picture: Picture, rng: random.Random) -> Image.Image:
    """Return a cut-out, in part of the cases mirrored, turned by a few degrees, brighter or darker."""
    image = picture.opened()
    sided = picture.word is not None and picture.word.word in SIDED
    if not sided and rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.35:
        image = image.rotate(rng.uniform(-15, 15), Image.Resampling.BICUBIC, expand=True)
        image = image.crop(image.getchannel("A").getbbox() or (0, 0, *image.size))
    alpha, colours = image.getchannel("A"), image.convert("RGB")
    if rng.random() < 0.4:
        colours = ImageEnhance.Brightness(colours).enhance(rng.uniform(0.8, 1.15))
    image = colours.convert("RGBA")
    image.putalpha(alpha)
    return image


def _placed(
    rng: random.Random, stamp: Image.Image, size: tuple[int, int], taken: Sequence[Box], share: tuple[float, float]
) -> BoxOf[int] | None:
    """Return a place, at the size that it is given there; None if there is none."""
    long = rng.uniform(*share) * min(size)
    for number in range(2 * TRIES):
        shrunk = long if number < TRIES else 0.6 * long
        scale = min(shrunk / max(stamp.size), ENLARGED)
        wide, high = (max(round(side * scale), 4) for side in stamp.size)
        if wide > size[0] or high > size[1]:
            continue
        x, y = rng.randint(0, size[0] - wide), rng.randint(0, size[1] - high)
        box = (x, y, x + wide, y + high)
        common = (area(intersection(box, other)) / min(area(box), area(other)) for other in taken)
        if all(part <= COVERED for part in common):
            return box
    return None


def _shadow(canvas: Image.Image, stamp: Image.Image, box: BoxOf[int], rng: random.Random) -> None:
    away = max(round(0.03 * max(stamp.size)), 1)
    dark = (
        stamp.getchannel("A")
        .point([round(0.45 * value) for value in range(256)])
        .filter(ImageFilter.GaussianBlur(away))
    )
    canvas.paste((0, 0, 0), (box[0] + rng.choice((-away, away)), box[1] + away), dark)


def _thing(word: Word, mask: np.ndarray, pixels: np.ndarray) -> Thing:
    count = int(mask.sum())
    if not count:
        return Thing(word, (0.0, 0.0, 1.0, 1.0), (), 0)
    person = not PEOPLE.isdisjoint({*word.word.lower().split(), *word.name.lower().split(), word.group})
    colours = () if person else tones(pixels[mask])
    bounds = Region(mask=mask).bounds()
    return Thing(word, bounds, _around(mask, bounds), count, colours)


def _around(mask: np.ndarray, bounds: Box) -> Polygon:
    """Return the outline of a mask of these bounds, of every other pixel where it is large: it has few corners."""
    left, top, right, bottom = map(int, bounds)
    step = 2 if min(right - left, bottom - top) > 40 else 1
    corners = simplify(outline(mask[top:bottom:step, left:right:step]), CORNERS)
    return clamped(tuple((left + step * x, top + step * y) for x, y in corners), bounds)
