"""Typefaces for drawing: the text faces among the fonts of some folders, grouped by what they look like."""

from __future__ import annotations

import functools
import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ImageFont

from sphinx_x.engines.nano.fonts import is_text_face
from sphinx_x.errors import DataError

FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
"""Where Debian's packages and an administrator put fonts."""
ENDINGS = (".ttf", ".otf")
PLAIN = frozenset({"Regular", "Book", "Roman", "Medium", "Normal", "Bold", "Text"})
"""Words of a style's name that do not make it another family."""
UNUSED = re.compile(
    r"italic|oblique|light|thin|black|heavy|extra|semi|demi|hairline|symbol|math|cmmi|dingbat|emoji|chorus|chancery|Z003"
    r"|D050000L|standard symbols|outline|NoLimits",
    re.IGNORECASE,
)
SERIF = re.compile(r"serif|roman|times|bookman|schola|schoolbook|p052|c059|courier|bonum|termes|pagella", re.IGNORECASE)
ACCENTS = "ÄÖÜäöüßéèàçñáóí£"
"""Letters beyond ASCII that texts use; a face without one of them is given texts without accents."""


@dataclass(frozen=True)
class Face:
    """A typeface.

    Attributes:
        family: Its name.
        regular: Its font file.
        bold: The file of its bold, or else the same.
        mono: Whether all letters are equally wide.
        serif: Whether its letters have serifs.
        accents: Whether it has `ACCENTS`.
    """

    family: str
    regular: str
    bold: str
    mono: bool
    serif: bool
    accents: bool

    def font(self, size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
        """Return the font of a size in pixels."""
        return load_font(self.bold if bold else self.regular, round(size, 2))


@dataclass(frozen=True)
class Faces:
    """The faces that documents are drawn in.

    Attributes:
        faces: All of them, by family.
        key: A hash of their files, on which the bytes of a run depend.
    """

    faces: tuple[Face, ...]
    key: str

    def choose(self, rng: random.Random, mono: bool | None = None, serif: bool | None = None) -> Face:
        """Return a face of the wanted look, or any face if there is none of it."""
        fit = [
            face for face in self.faces if mono in (None, face.mono) and (mono or serif is None or serif == face.serif)
        ]
        return rng.choice(fit or self.faces)


@functools.lru_cache(maxsize=512)
def load_font(path: str, size: float) -> ImageFont.FreeTypeFont:
    """Return a font of a file; the layout engine that Pillow always has gives the same places on every machine."""
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def find_faces(folders: Sequence[str | Path] = FOLDERS) -> Faces:
    """Return the text faces among the fonts below some folders.

    Args:
        folders: The folders; one that does not exist is an error, except for those of `FOLDERS`.

    Raises:
        DataError: A folder is missing, or there is no text face in any of them.
    """
    for folder in folders:
        if not Path(folder).is_dir() and Path(folder) not in FOLDERS:
            raise DataError(f"{folder}: no such folder of fonts")
    paths = {
        path.name: path for folder in folders for path in sorted(Path(folder).rglob("*")) if path.suffix in ENDINGS
    }
    families: dict[str, dict[bool, str]] = {}
    for name in sorted(paths):
        if (found := _family_of(paths[name])) is not None:
            families.setdefault(found[0], {}).setdefault(found[1], str(paths[name]))
    faces = [_face(family, files) for family, files in sorted(families.items())]
    if not faces:
        where = ", ".join(map(str, folders))
        raise DataError(f"{where}: no font of a text face there; install fonts-dejavu-core, or name a folder of fonts")
    files = sorted({path for face in faces for path in (face.regular, face.bold)}, key=lambda path: Path(path).name)
    key = hashlib.sha256(b"".join(hashlib.sha256(Path(path).read_bytes()).digest() for path in files)).hexdigest()
    return Faces(tuple(faces), key[:16])


def _family_of(path: Path) -> tuple[str, bool] | None:
    """Return the family of a font file and whether it is its bold; None for what no document is set in."""
    try:
        family, style = ImageFont.truetype(str(path), 20).getname()
    except OSError:
        return None
    family, style = family or path.stem, style or "Regular"
    if UNUSED.search(f"{family} {style} {path.stem}") or not is_text_face(str(path)):
        return None
    rest = [word for word in style.split() if word not in PLAIN]
    return " ".join([family, *rest]), "Bold" in style.split()


def _face(family: str, files: dict[bool, str]) -> Face:
    regular = files.get(False) or files[True]
    font = ImageFont.truetype(regular, 60, layout_engine=ImageFont.Layout.BASIC)
    mono = len({round(font.getlength(char)) for char in "iMW.0"}) == 1
    none = _shape(font, "\uffff")
    accents = all(_shape(font, char) != none for char in ACCENTS)
    return Face(family, regular, files.get(True, regular), mono, bool(SERIF.search(family)), accents)


def _shape(font: ImageFont.FreeTypeFont, char: str) -> bytes:
    mask: Any = font.getmask(char)
    return bytes(mask)
