"""The file of one document: a line of JSON for every page, each followed by the page's sample and its image.

It is appended to while the document is read, so after a crash reading continues after the page that caused it, and
after a kill nothing is read twice; a truncated end is ignored.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sphinx_x.errors import DataError


@dataclass(frozen=True, slots=True)
class Entry:
    """The result for a page (or for a document, page -1).

    Attributes:
        data: The line of JSON.
        start: Where its sample and image begin in the file.
    """

    data: dict
    start: int

    @property
    def page(self) -> int:
        """Number of the page from 0; -1 stands for the whole document."""
        return self.data["page"]


@dataclass(slots=True)
class State:
    """How far a document has been read.

    Attributes:
        pages: Pages to read, None before it is opened.
        read: Pages done.
        crashes: How many of them ended their process.
        end: Whether nothing is left to do.
        length: Number of complete bytes.
    """

    pages: list[int] | None = None
    read: set[int] = field(default_factory=set)
    crashes: int = 0
    end: bool = False
    length: int = 0


def entries(path: Path) -> Iterator[Entry]:
    """Yield the complete entries of a document's file."""
    for data, start in _scan(path):
        if "page" in data:
            yield Entry(data, start)


def sample_of(path: Path, entry: Entry) -> tuple[dict, bytes]:
    """Return a kept page's sample and its encoded image; raise `DataError` if the file is damaged."""
    with path.open("rb") as file:
        file.seek(entry.start)
        content = file.read(entry.data["size"])
    if zlib.crc32(content) != entry.data["crc"]:
        raise DataError(f"{path}: damaged, delete it and start again")
    sample, _, picture = content.partition(b"\n")
    return json.loads(sample), picture


def state_of(path: Path) -> State:
    """Return how far a document has been read."""
    state = State()
    for data, start in _scan(path):
        state.length = start + data.get("size", 0)
        state.end = state.end or "end" in data
        if "pages" in data:
            state.pages = data["pages"]
        elif "page" in data:
            state.read.add(data["page"])
            state.crashes += data.get("crash", False)
    return state


def _scan(path: Path) -> Iterator[tuple[dict, int]]:
    """Yield lines, and where they end."""
    if not path.exists():
        return
    end = path.stat().st_size
    with path.open("rb") as file:
        while (line := file.readline()).endswith(b"\n"):
            start = file.tell()
            data = json.loads(line)
            size = data.get("size", 0)
            if start + size > end:
                return
            file.seek(start + size)
            yield data, start


def mend(file: BinaryIO, state: State) -> None:
    """Truncate the file to what was written completely."""
    file.truncate(state.length)
    file.seek(state.length)


def append(file: BinaryIO, data: dict, content: bytes = b"") -> None:
    """Append one record in a single write; `content` is a page's sample and image, made by `packed`."""
    file.write(_line(data) + content)
    file.flush()


def packed(sample: dict, picture: bytes) -> tuple[dict, bytes]:
    """Return a sample and its image as stored in the file, and what the page's line must say about them."""
    content = _line(sample) + picture
    return {"crc": zlib.crc32(content), "size": len(content)}, content


def _line(data: Any) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace") + b"\n"
