"""How ink on paper looks once it is printed, handled and scanned or photographed. Nothing moves here: see `warp`."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from sphinx_x.boxes import Box, grown

PENS = ((30, 40, 150), (170, 30, 40), (40, 40, 45), (20, 90, 60))
PAPERS = ((255, 246, 214), (255, 236, 236), (232, 243, 255), (236, 250, 232), (244, 240, 230))
INKS = ((25, 30, 90), (60, 40, 90), (90, 30, 30), (70, 70, 75))


@dataclass(frozen=True)
class Look:
    """How a picture of a document looks.

    Attributes:
        paper: Brightness of the paper, 0 to 255.
        shadow: How much it varies over the page.
        dark: Darkness of the ink, 0 to 1.
        fade: How much of it is gone in the palest places.
        streaks: Number of columns that the printer's head left pale.
        blur: Blur of the ink in pixels.
        gain: How much harder the edges are afterwards.
        lost: Share of the ink's pixels that are missing.
        patches: Share of the page from which the ink is nearly gone, in spots of the size of a letter.
        noise: Deviation of the brightness of pixels.
        folds: Number of folds.
        through: How much of the other side shows.
        pen: Number of strokes of a pen.
        specks: Number of specks.
        holes: Number of holes and torn corners, through which it is dark; only where there is no ink.
        tint: Colour of the paper, if it is not grey.
        ink: Colour of the ink, if it is not black.
        quality: Quality of the JPEG.
    """

    paper: int = 250
    shadow: float = 0.0
    dark: float = 0.95
    fade: float = 0.0
    streaks: int = 0
    blur: float = 0.0
    gain: float = 1.0
    lost: float = 0.0
    patches: float = 0.0
    noise: float = 0.0
    folds: int = 0
    through: float = 0.0
    pen: int = 0
    specks: int = 0
    holes: int = 0
    tint: tuple[int, int, int] | None = None
    ink: tuple[int, int, int] | None = None
    quality: int = 90


def make_look(rng: random.Random, wear: float) -> Look:
    """Return a random look; `wear` from 0 (as printed) to 1 (handled for long, then photographed)."""

    def often(share: float) -> bool:
        return rng.random() < share * wear

    return Look(
        paper=round(255 - rng.random() ** 3 * 75 * wear),
        shadow=rng.uniform(0, 45) * wear if often(0.6) else 0,
        dark=rng.uniform(1 - 0.5 * wear, 1),
        fade=rng.uniform(0.1, 0.55) if often(0.5) else 0,
        streaks=rng.randint(1, 5) if often(0.25) else 0,
        blur=rng.uniform(0, 0.2 + 0.8 * wear),
        gain=rng.uniform(1, 1 + 1.5 * wear),
        lost=rng.uniform(0.02, 0.14) if often(0.25) else 0,
        patches=rng.uniform(0.01, 0.07) if often(0.35) else 0,
        noise=rng.uniform(0, 9) * wear if often(0.8) else 0,
        folds=rng.randint(1, 3) if often(0.3) else 0,
        through=rng.uniform(0.03, 0.1) if often(0.15) else 0,
        pen=rng.randint(1, 4) if often(0.3) else 0,
        specks=rng.randint(3, 60) if often(0.4) else 0,
        holes=rng.randint(1, 2) if often(0.12) else 0,
        tint=rng.choice(PAPERS) if often(0.25) else None,
        ink=rng.choice(INKS) if often(0.25) else None,
        quality=rng.randint(round(90 - 45 * wear), 95),
    )


def shade(ink: Image.Image, look: Look, rng: random.Random, circle: Box | None = None) -> Image.Image:
    """Return the picture of a page.

    Args:
        ink: Where how much ink is.
        look: How it looks.
        rng: The source of randomness.
        circle: What the pen may draw a circle around.
    """
    noise = np.random.default_rng(rng.getrandbits(64))
    amount = _worn(ink, look, rng, noise)
    paper = _paper(ink.size, look, rng)
    if look.through:
        behind = ink.transpose(Image.Transpose.FLIP_LEFT_RIGHT).filter(ImageFilter.GaussianBlur(2))
        shift = rng.randint(20, 60)
        paper -= np.roll(np.asarray(behind, np.float32), shift, axis=0) * look.through
    light = look.dark * amount
    if look.tint is None and look.ink is None:
        picture = paper * (1 - light)
    else:
        tint = np.array(look.tint or (255, 255, 255), np.float32) / 255
        colour = np.array(look.ink or (0, 0, 0), np.float32)
        picture = paper[..., None] * tint * (1 - light[..., None]) + colour * light[..., None]
    if look.noise:
        grain = noise.standard_normal(ink.size[::-1], np.float32) * look.noise
        picture = picture + (grain if picture.ndim == 2 else grain[..., None])
    image = Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))
    for _ in range(look.holes):
        _hole(image, ink, rng)
    return _scribbled(image, look, rng, circle)


def encoded(image: Image.Image, quality: int) -> bytes:
    """Return the JPEG of a picture."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def field(size: tuple[int, int], rng: random.Random, across: int = 5, down: int = 7) -> np.ndarray:
    """Return numbers from 0 to 1 that change slowly over a picture, [height, width]."""
    coarse = Image.frombytes("L", (across, down), bytes(rng.randrange(256) for _ in range(across * down)))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float32) / 255


def _worn(ink: Image.Image, look: Look, rng: random.Random, noise: np.random.Generator) -> np.ndarray:
    """Return the ink that is left, 0 to 1."""
    if look.blur:
        ink = ink.filter(ImageFilter.GaussianBlur(look.blur))
    amount = np.asarray(ink, np.float32) / 255
    if look.gain != 1:
        amount = np.clip((amount - 0.4) * look.gain + 0.4, 0, 1)
    if look.fade:
        amount = amount * (1 - look.fade * field(ink.size, rng, 4, 4))
    if look.lost:
        amount = amount * (noise.random(amount.shape, np.float32) > look.lost)
    if look.patches:
        small = (max(ink.width // 9, 1), max(ink.height // 9, 1))
        spots = Image.frombytes("L", small, noise.bytes(small[0] * small[1])).resize(ink.size, Image.Resampling.BICUBIC)
        spots = np.asarray(spots)
        limit = np.quantile(spots[::7, ::7], look.patches)
        amount = amount * np.where(spots < limit, 0.25, 1).astype(np.float32)
    for _ in range(look.streaks):
        at, wide = rng.randrange(ink.width), rng.randint(1, 2)
        amount[:, at : at + wide] *= rng.uniform(0.1, 0.6)
    return amount


def _paper(size: tuple[int, int], look: Look, rng: random.Random) -> np.ndarray:
    paper = np.full(size[::-1], look.paper, np.float32)
    if look.shadow:
        paper -= look.shadow * field(size, rng, 3, 4)
    for _ in range(look.folds):
        along = rng.random() < 0.7
        length = size[1] if along else size[0]
        away = np.arange(length, dtype=np.float32) - rng.uniform(0.1, 0.9) * length
        wide = rng.uniform(3, 25)
        profile = rng.uniform(-28, 10) * np.exp(-np.abs(away) / wide) * np.where(away > 0, 1, 0.4)
        paper += profile[:, None] if along else profile[None, :]
    return paper


def _hole(image: Image.Image, ink: Image.Image, rng: random.Random) -> None:
    """Draw a round hole near an edge, or a torn corner, if there is no ink."""
    draw, dark = ImageDraw.Draw(image), rng.randint(5, 60)
    width, height = image.size
    if rng.random() < 0.5:
        radius = rng.randint(8, 14)
        x, y = rng.choice((radius + 4, width - radius - 4)), rng.randint(radius, height - radius)
        box = (x - radius, y - radius, x + radius, y + radius)
        if ink.crop(box).getbbox() is None:
            draw.ellipse(box, fill=dark if image.mode == "L" else (dark,) * 3)
        return
    wide, high = rng.randint(10, 90), rng.randint(10, 90)
    right, low = rng.random() < 0.5, rng.random() < 0.5
    x, y = width * right, height * low
    inner = (x - wide if right else wide, y - high if low else high)
    box = (min(x, inner[0]), min(y, inner[1]), max(x, inner[0]), max(y, inner[1]))
    if ink.crop(box).getbbox() is None:
        points = [(x, y), (inner[0], y), (x, inner[1])]
        draw.polygon(points, fill=dark if image.mode == "L" else (dark,) * 3)


def _scribbled(image: Image.Image, look: Look, rng: random.Random, circle: Box | None) -> Image.Image:
    """Add specks and what a pen wrote; strokes are thin and few, so print stays legible."""
    if look.pen and image.mode != "RGB":
        image = image.convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(look.specks):
        x, y, side = rng.randrange(image.width), rng.randrange(image.height), rng.choice((0, 1, 1, 2))
        shade_ = rng.randint(20, 160)
        draw.rectangle((x, y, x + side, y + side), fill=shade_ if image.mode == "L" else (shade_,) * 3)
    if not look.pen:
        return image
    colour, wide = rng.choice(PENS), rng.randint(2, 3)
    if circle is not None and rng.random() < 0.6:
        draw.ellipse(grown(circle, rng.uniform(8, 18)), outline=colour, width=wide)
    for _ in range(look.pen):
        _stroke(draw, image.size, colour, wide, rng)
    return image


def _stroke(draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: tuple, wide: int, rng: random.Random) -> None:
    """Draw a wavy stroke, as of a word or a tick, mostly near an edge of the page."""
    x, y = rng.uniform(0.05, 0.8) * size[0], rng.choice((rng.uniform(0.01, 0.06), rng.uniform(0.02, 0.98))) * size[1]
    length, height = rng.uniform(15, 140), rng.uniform(5, 18)
    turns, phase = rng.uniform(0.5, length / 9), rng.uniform(0, 6)
    points = [
        (
            x + length * k / 40 + height * 0.3 * math.sin(2.3 * turns * k / 40 * 6 + phase),
            y + height * math.sin(turns * k / 40 * 6 + phase) * (0.6 + 0.4 * math.sin(k * 1.7)),
        )
        for k in range(41)
    ]
    draw.line(points, fill=colour, width=wide, joint="curve")
