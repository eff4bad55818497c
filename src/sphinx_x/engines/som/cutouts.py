"""Scenes composed of cut-outs, images with transparent surroundings: every mask is exact.

They come from a folder of such images, such as Tux Paint's stamps: NAME.png and, if there is one, NAME.txt whose first
line says what it shows; otherwise the file's name does.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from sphinx_x.engines.som.regions import Region, Rle
from sphinx_x.engines.som.scenes import Scene, SceneSource
from sphinx_x.errors import ImageError
from sphinx_x.images import MAX_PIXELS, NO_PICTURE
from sphinx_x.sources.base import Raw, Record
from sphinx_x.sources.dialogue import rng_of

SIDE = (320, 640)
"""Smallest and largest side of a scene in pixels."""
COUNT = (2, 7)
SHARE = (0.15, 0.5)
"""Longest side of a cut-out, relative to the shorter side of its scene."""
ENLARGED = 1.5
"""Largest enlargement of a cut-out."""
VISIBLE = 0.4
"""Share of its pixels that must stay visible under others."""
LONGEST = 40
"""Length of the longest caption that is used as a name."""


@dataclass(frozen=True)
class Paste:
    """A cut-out in a scene: its file, its size, and the place of its upper left corner."""

    path: Path
    size: tuple[int, int]
    place: tuple[int, int]

    def image(self) -> Image.Image:
        """Return its pixels, RGBA, at its size."""
        return cut_out_of(self.path).resize(self.size, Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class Collage:
    """Draws a scene as PNG: later cut-outs cover earlier ones."""

    size: tuple[int, int]
    background: tuple[int, int, int]
    pastes: tuple[Paste, ...]

    def __call__(self) -> bytes:
        """Return the composed image as an encoded file."""
        picture = Image.new("RGB", self.size, self.background)
        for paste in self.pastes:
            image = paste.image()
            picture.paste(image, paste.place, image)
        content = io.BytesIO()
        picture.save(content, "PNG")
        return content.getvalue()


def cutout_source(seed: str = "0", licence: str = "as the pictures' owner says") -> SceneSource:
    """Return scenes of all cut-outs below a folder, each of them in one scene."""
    layout = "Debian tuxpaint-stamps-default /usr/share/tuxpaint/stamps"
    read, build = partial(_read, seed=seed), partial(_build, seed=seed)
    return SceneSource("cutouts", "natural", licence, layout, read, build, {"seed": seed})


def cut_out_of(path: Path) -> Image.Image:
    """Return an image, RGBA, cropped to its visible part; raise `ImageError` if that fails."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"{path}: too large")
            image = image.convert("RGBA")
    except NO_PICTURE as error:
        raise ImageError(f"{path}: cannot be read") from error
    box = image.getchannel("A").getbbox()
    if box is None:
        raise ImageError(f"{path}: nothing in it is visible")
    return image.crop(box)


def _read(raw: Raw, seed: str) -> Iterator[Record]:
    paths = sorted({*raw.files("*.png"), *raw.files("*.PNG")})
    rng_of(f"cutouts {seed}").shuffle(paths)
    number = 0
    while paths:
        count = rng_of(f"cutouts {seed} {number}").randint(*COUNT)
        yield Record(f"{number:06d}", paths[:count], len(paths[:count]))
        paths, number = paths[count:], number + 1


def _build(record: Record, raw: Raw, seed: str) -> Scene:
    rng = rng_of(f"cutouts {seed} {record.id} scene")
    size = (rng.randint(*SIDE), rng.randint(*SIDE))
    background = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    named = [path for path in record.data if name_of(path)]
    pastes, broken = [], 0
    for path in named:
        try:
            pastes.append(_paste(path, size, rng))
        except ImageError:  # costs itself, not the scene
            broken += 1
    pastes.sort(key=lambda paste: -paste.size[0] * paste.size[1])
    masks = [_mask(paste, size) for paste in pastes]
    regions: list[Region] = []
    used: list[Paste] = []
    above = np.zeros((size[1], size[0]), bool)
    hidden = 0
    for paste, mask in reversed(list(zip(pastes, masks, strict=True))):  # from front to back
        visible = mask & ~above
        if visible.sum() < max(VISIBLE * mask.sum(), 1):
            hidden += 1
            continue
        above |= mask
        used.insert(0, paste)
        regions.insert(0, Region(name_of(paste.path), mask=Rle.of(visible)))
    scene = Scene(record.id, Collage(size, background, tuple(used)), tuple(regions), "natural", size=size)
    scene.left_out.update({"cut-out hidden by others": hidden, "cut-out without a name": len(record.data) - len(named)})
    scene.left_out["cut-out that cannot be read"] += broken
    return scene


def _paste(path: Path, size: tuple[int, int], rng: random.Random) -> Paste:
    image = cut_out_of(path)
    scale = min(rng.uniform(*SHARE) * min(size) / max(image.size), ENLARGED)
    width, height = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    return Paste(path, (width, height), (rng.randint(0, size[0] - width), rng.randint(0, size[1] - height)))


def _mask(paste: Paste, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a scene that belong more to this cut-out than to what is below."""
    mask = np.zeros((size[1], size[0]), bool)
    alpha = np.asarray(paste.image().getchannel("A")) > 127
    left, top = paste.place
    mask[top : top + alpha.shape[0], left : left + alpha.shape[1]] = alpha
    return mask


def name_of(path: Path) -> str:
    """Return what a cut-out shows: the first line of its text, or its file's name, without article and full stop.

    It is empty if that is not a short name.
    """
    beside = path.with_suffix(".txt")
    if beside.is_file():
        text = beside.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
    else:
        text = re.sub(r"[_\-]+", " ", path.stem)
    said = " ".join(text.split()).rstrip(" .!")
    name = re.sub(r"^(?:an?|the|some)\s+", "", said, flags=re.IGNORECASE)
    if len(name) > LONGEST or re.search(r"[.:;!?]", name) or not re.search(r"[^\W\d_]", name):
        return ""
    head, *rest = name.split(" ")
    capital = name != said or head.isupper()  # after an article, a capital belongs to the name
    return " ".join([head if capital else head.lower(), *rest])
