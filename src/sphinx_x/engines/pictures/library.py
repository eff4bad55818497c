"""The pictures that an engine draws from: cut-outs and pictures with names, and photographs without.

A source is a folder. Its file `pictures.csv`, if it has one, says for each picture `file`, `name` (empty if nobody
knows what it shows), `licence` and `original` (the same for pictures made of one, such as its sizes; empty: the picture
itself). Without it, every picture below the folder is taken: one with transparent surroundings is named by the first
line of NAME.txt or by its file's name, any other by NAME.txt alone.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from sphinx_x.engines.pictures.words import Word, word_of
from sphinx_x.engines.som.cutouts import cut_out_of, name_of
from sphinx_x.errors import DataError, ImageError
from sphinx_x.images import NO_PICTURE, image_size, open_image

LIST = "pictures.csv"
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
LEAST = 48
"""Shortest longer side of a cut-out or a picture, in pixels."""
LEAST_PHOTO = 160
"""Shortest shorter side of a picture without a name."""
CLEAR = 0.08
"""Share of transparent pixels from which a picture is a cut-out."""


@dataclass(frozen=True)
class Picture:
    """A picture on disk.

    Attributes:
        path: The file.
        key: Hash of its bytes.
        original: What decides on which side of a split it is.
        word: What it shows; None if nobody knows.
        cutout: Whether its surroundings are transparent.
        licence: Its licence.
    """

    path: Path
    key: str
    original: str
    word: Word | None
    cutout: bool
    licence: str

    def opened(self) -> Image.Image:
        """Return it as RGBA and cropped to what is visible if it is a cut-out, else as RGB."""
        return cut_out_of(self.path) if self.cutout else open_image(self.path)


@dataclass
class Library:
    """All pictures of a run.

    Attributes:
        pictures: The pictures, sorted by their hashes, each once.
        left_out: What was not taken, by reason.
    """

    pictures: tuple[Picture, ...]
    left_out: Counter[str] = field(default_factory=Counter)

    @cached_property
    def cutouts(self) -> dict[str, list[Picture]]:
        """The cut-outs by their common word."""
        return _by_word(one for one in self.pictures if one.cutout)

    @cached_property
    def named(self) -> dict[str, list[Picture]]:
        """The named pictures that are no cut-outs, by their common word."""
        return _by_word(one for one in self.pictures if not one.cutout)

    @cached_property
    def photos(self) -> list[Picture]:
        """The pictures without a name."""
        return [one for one in self.pictures if one.word is None]

    @cached_property
    def key(self) -> str:
        """A key that changes with any picture, name or licence."""
        told = "\n".join(f"{one.key} {one.word} {one.cutout} {one.licence}" for one in self.pictures)
        return hashlib.sha256(told.encode()).hexdigest()

    def part(self, held: float, chosen: str) -> Library:
        """Return the pictures for training, or those held back; no original is on both sides.

        Args:
            held: Share that is held back.
            chosen: `train` or `held`.
        """
        kept = tuple(one for one in self.pictures if (_share(one.original) < held) == (chosen == "held"))
        return Library(kept, Counter(self.left_out))


def _by_word(pictures: Iterator[Picture]) -> dict[str, list[Picture]]:
    found: dict[str, list[Picture]] = {}
    for one in pictures:
        if one.word is not None:
            found.setdefault(one.word.word, []).append(one)
    return dict(sorted(found.items()))


def _share(original: str) -> float:
    return int.from_bytes(hashlib.sha256(f"side {original}".encode()).digest()[:6], "big") / 2**48


def read_library(sources: Sequence[str | Path]) -> Library:
    """Read folders of pictures.

    Raises:
        DataError: A folder is not there, its list is wrong, or there is no usable picture at all.
    """
    found: dict[str, Picture] = {}
    left_out: Counter[str] = Counter()
    for source in map(Path, sources):
        if not source.is_dir():
            raise DataError(f"{source}: no such folder of pictures")
        for path, name, licence, original in _listed(source):
            try:
                picture = _picture(path, name, licence, original)
            except (ImageError, DataError, *NO_PICTURE) as error:
                left_out[_reason(error)] += 1
                continue
            if picture.key in found:
                left_out["the same picture again"] += 1
            found.setdefault(picture.key, picture)
    if not found:
        raise DataError(f"{', '.join(map(str, sources))}: no usable picture")
    return Library(tuple(found[key] for key in sorted(found)), left_out)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, DataError) else "cannot be read"


def _listed(source: Path) -> Iterator[tuple[Path, str | None, str, str]]:
    """Yield file, name (None: not said), licence and original of each picture of a source."""
    told = source / LIST
    if not told.is_file():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in ENDINGS and path.is_file():
                yield path, None, "", ""
        return
    with told.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines, strict=True)
        try:
            if rows.fieldnames is None or "file" not in rows.fieldnames:
                raise DataError(f"{told}: has no column `file`")
            for row in rows:
                if not row["file"]:
                    raise DataError(f"{told}:{rows.line_num}: names no file")
                path = source / row["file"]
                if not path.resolve().is_relative_to(source.resolve()) or not path.is_file():
                    raise DataError(f"{told}:{rows.line_num}: no such picture in its folder: {row['file']}")
                yield path, row.get("name") or "", row.get("licence") or "", row.get("original") or ""
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{told}: not a table in UTF-8") from error


def _picture(path: Path, name: str | None, licence: str, original: str) -> Picture:
    content = path.read_bytes()
    key = hashlib.sha256(content).hexdigest()[:24]
    cutout = is_cutout(path)
    if name is None:
        name = name_of(path) if cutout or path.with_suffix(".txt").is_file() else ""
    size = image_size(path)
    if cutout and not name:
        raise DataError("cut-out without a name")
    if max(size) < LEAST or (not name and min(size) < LEAST_PHOTO):
        raise DataError("too small")
    return Picture(path, key, original or key, word_of(name) if name else None, cutout, licence)


def is_cutout(path: Path) -> bool:
    """Return whether a file is a PNG with a good share of transparent pixels."""
    if path.suffix.lower() != ".png":
        return False
    with Image.open(path, formats=("PNG",)) as image:
        if not (image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info):
            return False
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    return bool((alpha < 128).mean() >= CLEAR) and bool((alpha >= 128).any())
