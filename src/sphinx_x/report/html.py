"""One HTML page for people: tables of figures, and galleries of pictures with text beside them.

    examples = (Item(title=name, texts=[Paragraph("How many?", "question")], pictures=[Picture(image)]) for ...)
    sections = [Section("Scores", tables=[Table("POPE", [("accuracy", 0.87)])]), Section("Answers", items=examples)]
    write_html("report.html", "An evaluation", sections)

The page is self-contained, follows the reader's light or dark mode, and fits a phone. Items are taken from an iterator
and written one by one, so a page of thousands of pictures holds one of them in memory. Items with `labels` can be
filtered by them. The template escapes all text.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from PIL import Image

from sphinx_x.work.files import write_atomic

if TYPE_CHECKING:
    import jinja2

TEMPLATE = "page.html.jinja"
QUALITY = 85
"""JPEG quality of the pictures of a page."""

Kind = Literal["", "question", "answer", "right", "wrong", "note", "tokens"]
"""The look of a paragraph: a question, an answer, right, wrong, a remark, or tokens in their shades."""
SAID_BY: Mapping[str, Kind] = {"system": "note", "user": "question", "assistant": "answer"}
"""The look of each role's messages."""
Figure = str | int | float
"""A cell of a table; whole numbers are written with thousands separators, others unchanged."""


@dataclass(frozen=True)
class Table:
    """Rows of figures below a title; `columns` are the names of the columns, if they are not obvious."""

    title: str
    rows: Sequence[Sequence[Figure]]
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class Span:
    """A piece of a paragraph with a different look.

    Attributes:
        pieces: Its text, in pieces (tokens) that the page distinguishes by shade.
        kind: A class of the template's style: `image`, `read` or `trained` for tokens, `badge` for a number on `color`.
        color: Its background, in CSS.
    """

    pieces: Sequence[str]
    kind: str = ""
    color: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A text of an item; `label` is what it is (`gold`, `answer`), in small letters before it."""

    text: str | Sequence[Span]
    kind: Kind = ""
    label: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture of an item; `alt` is what it shows, for those who do not see it."""

    image: Image.Image
    alt: str = ""
    longest: int = 0
    """Pixels to which its longer side is reduced; 0 for no change."""


@dataclass(frozen=True)
class Item:
    """One thing to look at: a title to fold it into, pictures, texts beside them.

    Attributes:
        title: What stands above it.
        pictures: Decoded, and needed only until the item is written.
        texts: In order.
        facts: Small print below the title.
        labels: (group, value) pairs, such as `("verdict", "wrong")`. A reader of the page filters by group; an item may
            have several values in a group.
        problem: What is wrong with it, shown first.
        folded: Whether only its title is visible at first.
    """

    title: str
    pictures: Sequence[Picture] = ()
    texts: Sequence[Paragraph] = ()
    facts: Sequence[str] = ()
    labels: Sequence[tuple[str, str]] = ()
    problem: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page; `items` may be an iterator, and `below` puts texts below the pictures, not beside them."""

    title: str = ""
    intro: str = ""
    tables: Sequence[Table] = ()
    items: Iterable[Item] = ()
    below: bool = False


@dataclass
class _Pictures:
    """Turns pictures into addresses: of their own bytes, or of files in a folder beside the page."""

    folder: Path | None
    names: set[str] = field(default_factory=set)

    def address(self, picture: Picture) -> dict:
        image = picture.image
        if picture.longest and max(image.size) > picture.longest:
            image = image.copy()
            image.thumbnail((picture.longest, picture.longest))
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=QUALITY)
        content = buffer.getvalue()
        return {"src": self._place(content), "alt": picture.alt, "width": image.width, "height": image.height}

    def _place(self, content: bytes) -> str:
        if self.folder is None:
            return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
        name = f"{hashlib.blake2b(content, digest_size=12).hexdigest()}.jpg"
        if name not in self.names:  # many questions may be asked about one picture
            self.names.add(name)
            write_atomic(self.folder / name, content)
        return f"{self.folder.name}/{name}"

    def tidy(self) -> None:
        """Delete the pictures of an earlier page that this one does not show."""
        for path in self.folder.glob("*.jpg") if self.folder else ():
            if path.name not in self.names:
                path.unlink()


def write_html(path: str | Path, title: str, sections: Iterable[Section], beside: bool = False) -> None:
    """Write a page completely or not at all.

    Args:
        path: The file.
        title: Of the page.
        sections: Its parts; both they and their items may be iterators and are taken one at a time.
        beside: Whether pictures become files in a folder `NAME_pictures` beside the page, for large galleries. Their
            names
            follow from their bytes: the same items give the same page and the same files.
    """
    path = Path(path)
    pictures = _Pictures(path.with_name(f"{path.stem}_pictures") if beside else None)

    def write(file: BinaryIO) -> None:
        for piece in _template().generate(title=title, sections=sections, shown=pictures.address, spans=_spans):
            file.write(piece.encode(errors="backslashreplace"))  # half of a pair of surrogates has no bytes

    write_atomic(path, write)
    pictures.tidy()


def figures(title: str, counts: Iterable[tuple[str, int]]) -> list[Table]:
    """Return a table of what was counted, the most frequent first; no table if nothing was."""
    rows = sorted(counts, key=lambda row: (-row[1], row[0]))
    return [Table(title, rows)] if rows else []


def _spans(text: str | Sequence[Span]) -> Iterator[Span]:
    yield from [Span([text])] if isinstance(text, str) else text


def _figure(value: Figure) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


@cache
def _template() -> jinja2.Template:
    import jinja2  # only where a page is written

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sphinx_x.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    environment.tests["figure"] = lambda value: isinstance(value, int | float)
    return environment.get_template(TEMPLATE)
