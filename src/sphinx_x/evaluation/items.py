"""What a benchmark asks, and what became of an answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sphinx_x.boxes import Box
from sphinx_x.conversation import Message
from sphinx_x.errors import DataError, ImageError, one_line


class Picture(Protocol):
    """A picture that a benchmark shows: opened when its batch is asked, and not kept."""

    @property
    def name(self) -> str:
        """What it is called in messages and in the report."""
        ...

    def read(self) -> bytes:
        """The file's content. Raises `ImageError` where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture in a file of its own, looked for below each of several folders, the first one that has it.

    others: further names that it may have, where downloads differ.
    """

    name: str
    folders: tuple[Path, ...] = ()
    others: tuple[str, ...] = ()

    def find(self) -> Path | None:
        """Where it lies; None if nowhere."""
        paths = (folder / name for name in (self.name, *self.others) for folder in self.folders)
        return next((path for path in paths if path.is_file()), None)

    def read(self) -> bytes:
        """The file's content. Raises `ImageError` where there is no such file."""
        path = self.find()
        if path is None:
            raise ImageError(f"{self.name}: no such picture in {' or '.join(map(str, self.folders)) or 'any folder'}")
        return path.read_bytes()


@dataclass(frozen=True, slots=True)
class PictureMember:
    """A picture in a zip archive."""

    archive: Path
    name: str

    def read(self) -> bytes:
        """The member's content. Raises `ImageError` where the archive has no such member."""
        try:
            with zipfile.ZipFile(self.archive) as members:
                return members.read(self.name)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise ImageError(f"{self.archive}: {self.name}: {one_line(error)}") from error


@dataclass(frozen=True, slots=True)
class PictureText:
    """A picture as base64 text at a place of a larger file (a column of a table): read from there each time.

    start, length: bytes of the text in the file.
    """

    file: Path
    name: str
    start: int
    length: int

    def read(self) -> bytes:
        """The decoded content. Raises `ImageError` where the text is no base64."""
        with self.file.open("rb") as file:
            file.seek(self.start)
            text = file.read(self.length)
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ImageError(f"{self.file}: {self.name}: {one_line(error)}") from error


@dataclass(frozen=True, slots=True)
class PictureCell:
    """A picture in a Parquet file (an object with `bytes`): read from there each time. row: from 0."""

    file: Path
    name: str
    row: int
    column: str

    def read(self) -> bytes:
        """The content. Raises `ImageError` where the cell holds none."""
        from sphinx_x.data.parquet import ParquetRows

        try:
            cell = ParquetRows(self.file, columns=[self.column])[self.row][self.column]
        except DataError as error:
            raise ImageError(str(error)) from error
        content = cell.get("bytes") if isinstance(cell, Mapping) else cell
        if not isinstance(content, bytes):
            raise ImageError(f"{self.file}, row {self.row}: {self.column} holds no picture")
        return content


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark.

    Attributes:
        index: Position in the annotation file, from 0: what saved answers are told apart by.
        id: The benchmark's own name for it.
        question: The text that the task's template is filled with.
        pictures: The images, in the order in which the question means them.
        references: All true answers; the first one is shown in reports.
        kind: What the benchmark sorts its scores by (category, answer type); empty where it does not.
        cluster: What items with like errors have in common: the image, the document. Intervals are over clusters.
        options: The texts of a multiple-choice question by their letters.
        box: The true box in pixels of the image (x1, y1, x2, y2).
        size: Width and height of the image, where the annotation tells them.
        facts: Whatever else the task's scoring needs, as JSON: it is kept with the results.
        shared: What scoring needs of all items together (how rare a phrase is in all references); not kept.
        messages: The dialogue that is asked in place of the question alone: all before the answer.
        hidden: Images that the model does not see, in which the dialogue names places.
    """

    index: int
    question: str
    pictures: tuple[Picture, ...] = ()
    references: tuple[str, ...] = ()
    id: str = ""
    kind: str = ""
    cluster: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    box: Box | None = None
    size: tuple[int, int] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    shared: Any = field(default=None, compare=False, repr=False)
    messages: tuple[Message, ...] = ()
    hidden: tuple[Picture, ...] = ()

    @property
    def key(self) -> str:
        """What duplicated items share: the pictures' names, the question and the id."""
        parts = [*(picture.name for picture in self.pictures), self.question, self.id]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is worth.

    Attributes:
        score: From 0 to 1; NaN where only a judge could tell, and there is none.
        said: What was read in the answer, None where it cannot be read (its score is 0 then: nothing is guessed).
        beside: What the same judge gave the reference answer, where a benchmark compares with that.
        unjudged: Why a judge's verdict is missing.
    """

    score: float
    said: str | None
    beside: float | None = None
    unjudged: str = ""

    @property
    def readable(self) -> bool:
        """Whether an answer could be read at all."""
        return self.said is not None


UNREADABLE = Verdict(0.0, None)
NOT_SCORED = Verdict(float("nan"), "")
"""Of an answer that nothing but a judge could tell the worth of, and there is none."""
