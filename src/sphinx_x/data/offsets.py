"""Where the records of a data file begin: a table of offsets, found without parsing the records.

A JSON lines file has a record on every line that is not blank; a JSON array one for every object in it; a table of the
reference (`.csv`, separated by tabs) one for every row below its heading. Files of other kinds are refused in one line.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sphinx_x.data.keys import DIALOGUE
from sphinx_x.errors import DataError, one_line
from sphinx_x.work.files import write_atomic

BLOCK = 1 << 20
BOM = b"\xef\xbb\xbf"
BLANK = np.frombuffer(b" \t\n\r\v\f", np.uint8)
VERSION = 2
"""Version of the tables; others are not read."""
OTHERS = (
    (rb"\x1f\x8b|PK\x03\x04|\x28\xb5\x2f\xfd|BZh|\xfd7zXZ|7z\xbc\xaf", "is packed: unpack it first"),
    (rb"PAR1", "is a Parquet file: let its name end in .parquet"),
    (rb"version https://git-lfs", "is a Git LFS pointer, not the file: fetch it with `git lfs pull`"),
    (rb"\s*(?i:<!doctype html|<html)", "is a web page, not data: download the file itself"),
    (rb"\xff\xfe|\xfe\xff|.{0,3}\x00", "is UTF-16 or UTF-32 text: save it as UTF-8"),
)
"""How files begin that are not JSON, and what they are."""


@dataclass(frozen=True)
class Offsets:
    """The offsets of a file.

    Attributes:
        starts: Where every record begins, and the end of the file, (N + 1,) int64.
        gaps: (K, 2) int64, the records preceded by blank lines, with the number of all blank lines before each.
    """

    starts: np.ndarray
    gaps: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def line(self, record: int) -> int:
        """Return the line of a record, from 1."""
        gap = int(np.searchsorted(self.gaps[:, 0], record, side="right")) - 1
        return record + 1 + (int(self.gaps[gap, 1]) if gap >= 0 else 0)


def offsets_of(path: Path, tables: Path | None = None) -> Offsets:
    """Return the offsets of a file, cached in (and memory-mapped from) the folder `tables` if given.

    Raises:
        DataError: The file holds no records of its kind.
    """
    if tables is None:
        return _scan(path)
    facts = path.stat()
    content = f"{VERSION} {path.resolve()} {facts.st_size} {facts.st_mtime_ns}"
    key = hashlib.sha256(content.encode()).hexdigest()[:24]
    table, lines = tables / f"offsets-{key}.npy", tables / f"lines-{key}.npy"
    if not table.exists():
        found = _scan(path)
        if len(found.gaps):
            write_atomic(lines, lambda file: np.save(file, found.gaps))
        write_atomic(table, lambda file: np.save(file, found.starts))
    gaps = np.load(lines) if lines.exists() else np.empty((0, 2), np.int64)
    return Offsets(np.load(table, mmap_mode="r"), gaps)


def _scan(path: Path) -> Offsets:
    try:
        with open(path, "rb") as file:
            head = file.read(BLOCK)
            file.seek(0)
            for pattern, what in OTHERS:
                if re.match(pattern, head, re.DOTALL):
                    raise DataError(f"{path}: {what}")
            if path.suffix == ".csv":
                return Offsets(_row_offsets(path, file), np.empty((0, 2), np.int64))
            if head.removeprefix(BOM).lstrip()[:1] == b"[":
                return Offsets(_items(path, file), np.empty((0, 2), np.int64))
            _check_lines(path, head)
            offsets = _line_offsets(file)
            if len(offsets) == 1:
                file.seek(0)
                _check_single(path, file.read())
            return offsets
    except OSError as error:
        raise DataError(f"{path}: {one_line(error)}") from error


def _items(path: Path, file: BinaryIO) -> np.ndarray:
    offsets = _array_offsets(file)
    file.seek(0)
    ahead = b"".join(file.read(int(offsets[0])).removeprefix(BOM).split())
    if ahead != (b"[" if len(offsets) > 1 else b"[]"):
        raise DataError(f"{path}: not a JSON array of objects")
    file.seek(max(int(offsets[-1]) - BLOCK, 0))
    if not file.read().rstrip().endswith(b"]"):
        raise DataError(f"{path}: a JSON array without an end: the file is cut short")
    return offsets


def _check_lines(path: Path, head: bytes) -> None:
    """Raise `DataError` if an object extends over several lines."""
    lines = [line.strip() for line in head.removeprefix(BOM).split(b"\n", 100) if line.strip()]
    if len(lines) < 2 or not lines[0].startswith(b"{") or not re.match(rb'["}\]]', lines[1]):
        return
    try:
        json.loads(lines[0])
    except (ValueError, RecursionError):
        named = re.search(rb'\A\s*\{\s*"(\w+)"\s*:\s*\[\s*\{', head.removeprefix(BOM))
        beneath = f" (they stand under {named[1].decode()!r})" if named and named[1].decode() not in DIALOGUE else ""
        raise DataError(
            f"{path}: one JSON object over several lines: put the samples{beneath} into a list [...], "
            "or each on a line of its own"
        ) from None


def _check_single(path: Path, content: bytes) -> None:
    """Raise `DataError` if the only line of a file is a dictionary of samples, not a sample."""
    try:
        record = json.loads(content.removeprefix(BOM))
    except (ValueError, RecursionError):
        return  # reported when it is read
    if not isinstance(record, dict) or any(key in record for key in DIALOGUE):
        return
    lists = [key for key, value in record.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if lists:
        raise DataError(f"{path}: a dictionary, not a list of samples: give the list that stands under {lists[0]!r}")
    if record and all(isinstance(value, dict) for value in record.values()):
        raise DataError(f"{path}: a dictionary of objects, not a list of samples: give its values as a list [...]")


def _line_offsets(file: BinaryIO) -> Offsets:
    ends, solid = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
    done, seen = 0, 0
    while block := file.read(BLOCK):
        raw = np.frombuffer(block, np.uint8)
        filled = np.cumsum(~np.isin(raw, BLANK)) + seen
        if not done and block.startswith(BOM):
            filled -= len(BOM)
        line_ends = np.flatnonzero(raw == 10)
        ends.append(line_ends + done + 1)
        solid.append(filled[line_ends])
        done, seen = done + len(block), int(filled[-1])
    starts = np.concatenate([*ends, [done]])
    counts = np.concatenate([*solid, [seen]])
    lines = np.flatnonzero(np.diff(counts) > 0)  # lines that are not blank
    blank = lines - np.arange(len(lines))
    changes = np.flatnonzero(np.diff(blank, prepend=0))
    gaps = np.stack([changes, blank[changes]], axis=1).astype(np.int64)
    return Offsets(np.append(starts[lines], done).astype(np.int64), gaps)


def _array_offsets(file: BinaryIO) -> np.ndarray:
    """Return where the objects of a JSON array begin, without parsing them, by counting braces outside of strings."""
    pieces: list[np.ndarray] = []
    done, depth, inside, slashes = 0, 0, 0, 0
    steps = np.zeros(256, np.int8)
    steps[[ord("{"), ord("[")]], steps[[ord("}"), ord("]")]] = 1, -1
    while block := file.read(BLOCK):
        raw = np.frombuffer(block, np.uint8)
        place = np.arange(len(raw))
        plain = np.maximum.accumulate(np.where(raw != ord("\\"), place, -1 - slashes))
        before = np.concatenate([[-1 - slashes], plain[:-1]])  # the last byte before each that is not a backslash
        quotes = (raw == ord('"')) & ((place - before) % 2 == 1)
        strings = (np.cumsum(quotes) + inside) % 2
        step = np.where(strings == 1, 0, steps[raw])
        level = np.cumsum(step, dtype=np.int64) + depth
        pieces.append(np.flatnonzero((raw == ord("{")) & (step == 1) & (level == 2)) + done)
        depth, inside, slashes = int(level[-1]), int(strings[-1]), int(len(raw) - 1 - plain[-1])
        done += len(block)
    return np.append(np.concatenate(pieces), done)


def _row_offsets(path: Path, file: BinaryIO) -> np.ndarray:
    """Return where the rows of a table begin and end; a quoted field may contain line breaks."""
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for line in file:
            read += len(line)
            yield line.decode("utf-8-sig" if read == len(line) else "utf-8")

    starts = []
    try:
        for row in table_rows(lines()):
            if row or not starts:
                starts.append(read)
    except (csv.Error, ValueError) as error:
        raise DataError(f"{path}: not a table: {one_line(error)}") from error
    return np.array(starts or [0], np.int64)


def table_rows(lines: Iterator[str]) -> Iterator[list[str]]:
    """Yield the rows of a table in the reference's format: separated by tabs, whatever its file name says."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    return csv.reader(lines, delimiter="\t")
