"""Pictures that are made when they are shown: the first page of a PDF file, a drawn table."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sphinx_x.errors import DataError, ImageError
from sphinx_x.evaluation.items import PictureFile
from sphinx_x.images import open_image

DPI = 150


@dataclass(frozen=True, slots=True)
class PicturePage:
    """The first page of a PDF file, looked for as `PictureFile` looks for pictures."""

    name: str
    folders: tuple[Path, ...] = ()

    def read(self) -> bytes:
        """The page as PNG. Raises `ImageError` where there is none."""
        content = io.BytesIO()
        path = PictureFile(self.name, self.folders).find()
        if path is None:
            raise ImageError(f"{self.name}: no such file in {' or '.join(map(str, self.folders)) or 'any folder'}")
        open_image(path, dpi=DPI).save(content, "PNG")
        return content.getvalue()


@dataclass(frozen=True, slots=True)
class PictureDrawn:
    """A picture that a function draws. Raises `ImageError` where it cannot (a table of a thousand rows)."""

    name: str
    draw: Callable[[], bytes]

    def read(self) -> bytes:
        """The picture's file."""
        try:
            return self.draw()
        except (DataError, OSError, ValueError) as error:
            raise ImageError(f"{self.name}: {error}") from error
