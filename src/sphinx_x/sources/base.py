"""The description of a public data set: where it comes from, what its release looks like, how it becomes dialogue.

A set is a `Source`: facts, and two functions. `read` goes through the release and yields one `Record` for every future
sample (all questions about one image are one record); it runs once, in one process, and only groups. `build` turns a
record into a `Draft`; it runs in parallel, and may raise `DataError`, or `KeyError` and the like if a field is missing:
the record is then set aside with that reason. Images are opened later, by `sphinx_x.sources.convert`.
"""

from __future__ import annotations

import codecs
import csv
import fnmatch
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sphinx_x.conversation import Message
from sphinx_x.data.parquet import ParquetRows
from sphinx_x.errors import DataError, one_line
from sphinx_x.work.files import walk_once

UNVERIFIED = "layout unverified"
"""The `layout` of a source for which no public specification, loader or file could be cited."""

TASKS = (
    "dialogue",
    "math",
    "code",
    "detection",
    "pose",
    "classification",
    "grounding",
    "vqa",
    "caption",
    "instruction",
    "layout",
    "spotting",
    "agent",
    "geometry",
)


@dataclass(frozen=True)
class Expected:
    """A file of the release.

    Attributes:
        pattern: Its name or pattern below the folder. `{split}` stands for the split; the pattern matches at any depth,
            and `*` is any text without a slash.
        what: What it is.
        count: How many there are per split.
        optional: Whether a release is complete without it.
    """

    pattern: str
    what: str
    count: Mapping[str, int] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True)
class Record:
    """Everything that a release says about one image (or one text).

    Attributes:
        id: Unique in the set.
        data: The raw data.
        count: Number of raw records in it.
    """

    id: str
    data: Any
    count: int = 1


@dataclass(frozen=True)
class Malformed:
    """Takes the place of a record's data that could not even be grouped, and says why."""

    reason: str


class UnusedError(DataError):
    """A valid record that there is nothing to ask about: it is counted as left out, not as bad."""


def grouped(entries: Iterable[Any], *keys: str) -> Iterator[Record]:
    """Yield records of all entries with the same `keys` (mostly the id of their image), in order of appearance.

    Entries without a key, or that are not objects, come last, each as a record that is set aside.
    """
    groups: dict[str, list[dict]] = {}
    lost: list[Record] = []
    for number, entry in enumerate(entries):
        if isinstance(entry, Malformed):
            lost.append(Record(f"entry-{number}", entry))
            continue
        try:
            values = [entry[key] for key in keys]
        except KeyError as error:
            lost.append(Record(f"entry-{number}", Malformed(f"field {error.args[0]!r} is missing")))
        except (TypeError, IndexError):
            lost.append(Record(f"entry-{number}", Malformed("malformed record")))
        else:
            groups.setdefault("/".join(map(str, values)), []).append(entry)
    for name, members in groups.items():
        yield Record(name, members, len(members))
    yield from lost


@dataclass(frozen=True)
class PdfPage:
    """Page `number` (from 1) of a PDF file, to be rendered."""

    path: Path
    number: int
    dpi: int = 150


Picture = Path | bytes | PdfPage | Callable[[], bytes]
"""A file, the content of one, a page, or a function that draws the content of one when it is needed."""


@dataclass
class Draft:
    """A sample before its images are opened.

    Attributes:
        messages: The dialogue.
        images: Its images.
        unit: Unit of boxes and points: None for pixels, otherwise the length of an image's side (1 or 1000), whatever
            its width and height.
        size: Width and height of the (first) image, if the release gives them.
        licence: Its licence, if it has its own.
        left_out: Parts of the record that are not used, by reason.
    """

    messages: list[Message]
    images: list[Picture] = field(default_factory=list)
    unit: float | None = None
    size: tuple[int, int] | None = None
    licence: str | None = None
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Source:
    """One public set.

    Attributes:
        name: Its name on the command line.
        title: Its name in papers.
        task: One of `TASKS`.
        home: Where to get it.
        licence: Licence of the annotations, and of the images if different.
        files: What a release contains.
        unit: What one raw record is called.
        count: How many the release has, per split (empty if unknown).
        layout: What the reader's layout was taken from, a public specification, loader or file, or `UNVERIFIED`.
        prompts: The questions that are asked, with `{}` where the record fills in.
        read: Yields the records of a release.
        build: Turns a record into a draft.
        note: Anything else to know.
    """

    name: str
    title: str
    task: str
    home: str
    licence: str
    files: tuple[Expected, ...]
    unit: str
    count: Mapping[str, int]
    layout: str
    prompts: tuple[str, ...]
    read: Callable[[Raw], Iterable[Record]]
    build: Callable[[Record, Raw], Draft]
    note: str = ""


class Raw:
    """The folder of a release, as its owners publish it.

    Args:
        images: Additional folders to look for images in.
    """

    def __init__(self, root: str | Path, split: str = "train", images: Iterable[str | Path] = ()) -> None:
        self.root, self.split = Path(root), split
        self._files: list[str] = []
        seen: set[str] = set()
        for folder in (self.root, *map(Path, images)):
            if not folder.is_dir():
                raise DataError(f"{folder}: no such folder")
            self._files += _listing(folder, seen)
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for path in self._files:
            self._by_name.setdefault(os.path.basename(path), []).append(path)

    def files(self, pattern: str) -> list[Path]:
        """Return all files whose path ends in `pattern`, sorted; `*` does not match a slash, `{split}` is the split."""
        pattern = pattern.replace("{split}", self.split)
        parts = pattern.split("/")
        last = parts[-1]
        if any(mark in last for mark in "*?["):
            candidates: Iterable[str] = (
                path for path in self._files if fnmatch.fnmatchcase(os.path.basename(path), last)
            )
        else:
            candidates = self._by_name.get(last, [])
        found = []
        for path in candidates:
            tail = path.split(os.sep)[-len(parts) :]
            if len(tail) == len(parts) and all(map(fnmatch.fnmatchcase, tail, parts)):
                found.append(Path(path))
        return sorted(found)

    def file(self, pattern: str) -> Path:
        """Return the one file of this pattern; raise `DataError` if there is none, or more than one."""
        found = self.files(pattern)
        shown = pattern.replace("{split}", self.split)
        if not found:
            raise DataError(f"file missing: {shown} in {self.root}")
        if len(found) > 1:
            raise DataError(f"file is there several times: {found[0]}, {found[1]}")
        return found[0]

    def picture(self, name: str) -> Path:
        """Return the file of an image by the name that the release gives it, with or without folders and extension.

        The last folder in the name must be that of the file, and further ones decide between files with the same name.

        Raises:
            DataError: None or several fit.
        """
        base = os.path.basename(name)
        candidates = self._by_name.get(base, [])
        if not candidates:
            if not self._by_stem:
                for path in self._files:
                    stem, ending = os.path.splitext(os.path.basename(path))
                    if ending.lower() in PICTURES:
                        self._by_stem.setdefault(stem, []).append(path)
            candidates = self._by_stem.get(base, [])
        folders = [part for part in os.path.dirname(name).split("/") if part not in ("", ".")]
        for depth in range(1, len(folders) + 1):
            tail = folders[-depth:]
            closer = [path for path in candidates if os.path.dirname(path).split(os.sep)[-depth:] == tail]
            if not closer and depth > 1:
                break
            candidates = closer
        if not candidates:
            raise DataError(f"image missing: {name}")
        if len(candidates) > 1:
            raise DataError(f"image is there several times: {name}")
        return Path(candidates[0])

    def fingerprint(self, out: Path) -> str:
        """Return a key that changes with the files of a release: images by name, others by size and time.

        Hidden files do not count, nor do those in `out`, where what is made of it is written.
        """
        facts, made = [], os.path.join(os.path.realpath(out), "")
        for path in (path for path in self._files if not os.path.basename(path).startswith(".")):
            if os.path.realpath(path).startswith(made):
                continue
            picture = os.path.splitext(path)[1].lower() in PICTURES
            state = None if picture else os.stat(path)
            facts.append((path, state and (state.st_size, state.st_mtime_ns)))
        return hashlib.sha256(repr(facts).encode(errors="surrogateescape")).hexdigest()[:16]

    def json(self, pattern: str, *keys: str) -> Any:
        """Return the content of the one JSON file of this pattern, or its value under `keys`."""
        return load_json(self.file(pattern), *keys)

    def jsonl(self, pattern: str) -> Iterator[Any]:
        """Yield the records of the one JSON lines file of this pattern; a line that is not JSON is `Malformed`."""
        path = self.file(pattern)
        with path.open("rb") as file:
            for number, line in enumerate(file):
                if line.strip():
                    try:
                        yield json.loads(line if number else line.removeprefix(codecs.BOM_UTF8))
                    except (ValueError, RecursionError):
                        yield Malformed("not JSON")

    def table(self, pattern: str, delimiter: str = ",", columns: list[str] | None = None) -> Iterator[dict[str, str]]:
        """Yield the rows of the one CSV or TSV file of this pattern by column; `columns` replaces a missing heading."""
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        path = self.file(pattern)
        with path.open(encoding="utf-8-sig", newline="") as file:
            try:
                yield from csv.DictReader(file, fieldnames=columns, delimiter=delimiter)
            except csv.Error as error:
                raise DataError(f"{path}: {one_line(error)}") from error

    def parquet(self, pattern: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows of all Parquet files of this pattern, in order of their names."""
        found = self.files(pattern)
        if not found:
            raise DataError(f"file missing: {pattern.replace('{split}', self.split)} in {self.root}")
        for path in found:
            rows = ParquetRows(path, columns)
            yield from (rows[number] for number in range(len(rows)))


PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jp2")


def _listing(folder: Path, seen: set[str]) -> list[str]:
    """Return all files below a folder, sorted, following links to folders; `seen` has those that are listed already."""
    found = []
    for place, _, names in walk_once(folder, seen):
        found += [os.path.join(place, name) for name in sorted(names)]
    return found


def load_json(path: Path, *keys: str) -> Any:
    """Return the content of a JSON file, or its value under `keys`; raise `DataError` naming the file."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {path}: {one_line(error)}") from error
    except OSError as error:
        raise DataError(f"file unreadable: {path}: {one_line(error)}") from error
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise DataError(f"field {key!r} is missing: {path}")
        content = content[key]
    return content
