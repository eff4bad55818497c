"""Samples on disk: shards that are written here, and a reader for them and for every other format.

A shard consists of two files: NAME.jsonl (one sample per line) and, unless the images stay where they are, NAME.tar (an
uncompressed tar of the encoded images). An image in it is identified by archive, offset and size, so that it is read
with one `pread` and any tar tool can open the shard.

A reader returns samples by number, in any order, from a table of offsets: 8 bytes per sample, which a run keeps in a
file and maps into memory, so that all processes of a machine share it. That is why this is not one of the streaming
libraries: those return samples in sequence, and shuffle and resume what fits in a buffer.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import stat
import tarfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from sphinx_x.data.dialects import KNOWN, Form, to_fields
from sphinx_x.data.keys import METADATA
from sphinx_x.data.meta import UNITS, DataFile, data_files
from sphinx_x.data.offsets import offsets_of, table_rows
from sphinx_x.data.parquet import ParquetRows
from sphinx_x.data.sample import BOXES, ImageRef, Sample
from sphinx_x.errors import SampleError, one_line
from sphinx_x.images import image_size
from sphinx_x.work.files import write_atomic
from sphinx_x.work.runs import Parts
from sphinx_x.work.tally import Tally

SKIPPED = METADATA.difference(KNOWN)
"""Columns of a table that need not be read."""
READING = 2
"""Incremented when the same files are read as other samples than before."""
OPEN_FILES = 128


def write_shard(folder: str | Path, name: str, samples: Iterable[tuple[Sample, Sequence[bytes]]]) -> int:
    """Write NAME.tar, then NAME.jsonl, from samples with the encoded bytes of their images.

    The images of a sample are replaced by references into the archive, with the width and height given there or else
    the image's own. A sample without bytes keeps its references, and if no sample has any bytes there is no archive.
    The same samples give the same bytes.

    Returns:
        The number of samples.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    archive = f"{name}.tar"
    lines: list[bytes] = []
    packed = 0

    def write_archive(file: BinaryIO) -> None:
        nonlocal packed
        for sample, pictures in samples:
            if pictures:
                known = sample.images if len(sample.images) == len(pictures) else [ImageRef()] * len(pictures)
                sample.images = [
                    _append(file, archive, f"{member_key(sample.id, len(lines))}.{number}", picture, ref)
                    for number, (picture, ref) in enumerate(zip(pictures, known, strict=True))
                ]
                packed += len(pictures)
            data = sample.to_dict()
            Sample.from_dict(data, f"{name}.jsonl line {len(lines) + 1}")
            lines.append(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
        file.write(bytes(2 * tarfile.BLOCKSIZE))

    write_atomic(folder / archive, write_archive)
    if not packed:
        (folder / archive).unlink()
    write_atomic(folder / f"{name}.jsonl", lambda file: file.writelines(lines))
    return len(lines)


def member_key(name: str, number: int) -> str:
    """Return the name of a sample's members in the archive: its number in the shard, and the letters of its id.

    So no two are the same, none leaves the folder into which the archive is unpacked, and tools that group members by
    the name before the first dot keep the images of one sample together.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60].strip("_-")
    return f"{number:06d}-{plain}" if plain else f"{number:06d}"


def write_part(
    parts: Parts,
    number: int,
    samples: Iterable[tuple[Sample, Sequence[bytes]]],
    tally: Tally,
    aside: Sequence[dict],
) -> Tally:
    """Write part `number` of a run as a shard; returns its tally.

    Args:
        parts: The run.
        number: The part.
        samples: The samples, which fill `tally` and `aside` while they are consumed.
        tally: The part's tally.
        aside: What was set aside.
    """
    write_shard(parts.folder, parts.part(number), samples)
    return parts.finish(number, tally, aside)


def _append(file: BinaryIO, archive: str, stem: str, picture: bytes, known: ImageRef) -> ImageRef:
    width, height = (known.width, known.height) if known.width and known.height else image_size(picture)
    with Image.open(io.BytesIO(picture)) as image:
        ending = (image.format or "bin").lower()
    info = tarfile.TarInfo(f"{stem}.{ending}")
    info.size = len(picture)
    file.write(info.tobuf(tarfile.GNU_FORMAT))
    offset = file.tell()
    file.write(picture)
    file.write(bytes(-len(picture) % tarfile.BLOCKSIZE))
    return ImageRef(archive=archive, offset=offset, size=len(picture), width=width, height=height)


class SampleReader:
    """Samples by number, from shards and every other format that is read directly.

    Files are opened when first read, separately in each process.

    Args:
        paths: Files, or folders of .jsonl files: JSON lines or one JSON array, of samples, of the library's messages,
            of ShareGPT/LLaVA conversations or of instructions; Parquet with the same columns; the reference's YAML with
            its META list.
        root: Where paths of images begin, if not next to the file.
        tables: A folder that keeps the tables of offsets, for large sets.
        form: How to read the files, as far as they do not say so themselves.
    """

    def __init__(
        self,
        paths: str | Path | DataFile | Iterable[str | Path | DataFile],
        root: str | Path | None = None,
        tables: str | Path | None = None,
        form: Form | None = None,
    ) -> None:
        if isinstance(paths, (str, Path, DataFile)):
            paths = [paths]
        self._entries = [entry for path in paths for entry in data_files(path, root, form or Form())]
        self.files = [entry.path for entry in self._entries]
        tables = None if tables is None else Path(tables)
        self._rows = {
            k: ParquetRows(entry.path, without=SKIPPED.union(entry.form.ignore))
            for k, entry in enumerate(self._entries)
            if entry.path.suffix == ".parquet"
        }
        self._offsets = {k: offsets_of(path, tables) for k, path in enumerate(self.files) if k not in self._rows}
        counts = [len(self._rows[k] if k in self._rows else self._offsets[k]) for k in range(len(self.files))]
        self._starts = np.cumsum([0, *counts])
        self._open: OrderedDict[Path, int] = OrderedDict()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Sample:
        file, line = self._find(index)
        where, entry = self.where(index), self._entries[file]
        record = self._rows[file][line] if file in self._rows else self._parse(file, line, where)
        sample = Sample.from_dict(to_fields(record, self._name(file, line), where, entry.form), where)
        sample.images = [_resolve(image, entry.roots, where) for image in sample.images]
        if BOXES.get(sample.boxes):
            sizes = [self.image_size(sample, k) for k in range(len(sample.images))]
            sample = sample.in_pixels(sizes, where)
        return sample

    def where(self, index: int) -> str:
        """Return file and line of a sample, for messages."""
        file, line = self._find(index)
        number = line + 1 if file in self._rows else self._offsets[file].line(line)
        return f"{self.files[file]}: {UNITS[self.files[file].suffix]} {number}"

    def is_named(self, index: int, sample: Sample) -> bool:
        """Return whether a sample has an id of its own, not one from its place in the file."""
        return sample.id != self._name(*self._find(index))

    def form(self, index: int) -> Form:
        """Return how the file of a sample is read."""
        return self._entries[self._find(index)[0]].form

    def _name(self, file: int, line: int) -> str:
        return f"{self.files[file].stem}-{line + 1}"

    def image_bytes(self, sample: Sample, number: int = 0) -> bytes:
        """Return the encoded bytes of one image of a sample of this reader."""
        if not 0 <= number < len(sample.images):
            raise SampleError(f"sample {sample.id}", "images", "there is no such image", str(number))
        image = sample.images[number]
        if image.data is not None:
            return image.data
        if image.path is not None:
            try:
                if not stat.S_ISREG(os.stat(image.path).st_mode):  # reading a pipe could take for ever
                    raise OSError("not a regular file")
                return Path(image.path).read_bytes()
            except (OSError, ValueError) as error:  # a name may contain characters that no file system takes
                raise SampleError(
                    f"sample {sample.id}", f"images[{number}].path", "image missing", one_line(error)
                ) from error
        return self._read(Path(str(image.archive)), image.offset, image.size)

    def image_size(self, sample: Sample, number: int = 0) -> tuple[int, int]:
        """Return width and height of an image, upright: as the sample says, or from the image's header."""
        image = sample.images[number]
        if image.width and image.height:
            return image.width, image.height
        return image_size(image.path if image.path is not None else self.image_bytes(sample, number))

    def checked_sizes(self, sample: Sample, number: int) -> list[tuple[int, int]]:
        """Return the sizes of all images of a sample, after checking it with them.

        Raises:
            SampleError: It cannot be trained on, as for a place outside an image that does not say how large it is.
        """
        sizes = [self.image_size(sample, k) for k in range(len(sample.images))]
        sample.sized(sizes).check(self.where(number))
        return sizes

    def fingerprint(self) -> str:
        """Return a key that changes when a file does (name, size or time), or how it is read."""
        facts = [(*map(str, entry.facts()), entry.path.stat().st_mtime_ns) for entry in self._entries]
        return hashlib.sha256(repr((READING, facts)).encode()).hexdigest()[:16]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_open": OrderedDict()}

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # by then, `os` may be gone
        for descriptor in self.__dict__.pop("_open", {}).values():
            with contextlib.suppress(OSError):
                close(descriptor)

    def _find(self, index: int) -> tuple[int, int]:
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        file = int(np.searchsorted(self._starts, index, side="right")) - 1
        return file, index - int(self._starts[file])

    def _parse(self, file: int, line: int, where: str) -> object:
        starts = self._offsets[file].starts
        start, end = int(starts[line]), int(starts[line + 1])
        if self.files[file].suffix == ".csv":
            return self._row(file, (0, int(starts[0])), (start, end), where)
        try:
            text = self._read(self.files[file], start, end - start).decode().removeprefix("\ufeff").strip()
            record, length = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError) as error:
            raise SampleError(where, "", "not JSON", one_line(error)) from error
        if text[length:].strip() not in ("", ",", "]"):  # separators of an array's elements
            raise SampleError(where, "", "not JSON", "more behind its end")
        return record

    def _row(self, file: int, heading: tuple[int, int], row: tuple[int, int], where: str) -> dict[str, str | None]:
        """Return a row of a table by its columns; empty fields are None."""
        texts = [self._read(self.files[file], start, end - start).decode("utf-8-sig") for start, end in (heading, row)]
        try:
            # lines end as they do for `csv`, not at all the places where `str.splitlines` would end them
            (names,), (values,) = (list(filter(None, table_rows(io.StringIO(text, newline="")))) for text in texts)
        except (csv.Error, ValueError) as error:
            raise SampleError(where, "", "not one row of a table", one_line(error)) from error
        if len(names) != len(values):
            raise SampleError(where, "", "not as many fields as the heading, parted by tabs", f"{len(values)} fields")
        return {name: value or None for name, value in zip(names, values, strict=True)}

    def _read(self, path: Path, offset: int, size: int) -> bytes:
        """Return `size` bytes of a file; recently read files stay open, and a forked process shares them."""
        try:
            if path not in self._open:
                if not stat.S_ISREG(os.stat(path).st_mode):
                    raise OSError("not a regular file")
                self._open[path] = os.open(path, os.O_RDONLY)
                if len(self._open) > OPEN_FILES:
                    os.close(self._open.popitem(last=False)[1])
            self._open.move_to_end(path)
            there = os.fstat(self._open[path]).st_size
            raw = os.pread(self._open[path], min(size, max(there - offset, 0)), offset)
        except (OSError, ValueError, OverflowError) as error:
            raise SampleError(str(path), "", "file unreadable", one_line(error)) from error
        if len(raw) != size:
            raise SampleError(str(path), "", "file cut short", f"ends before byte {offset + size}")
        return raw


def _resolve(image: ImageRef, roots: Sequence[Path], where: str) -> ImageRef:
    """Turn names relative to the file into paths: in the root that has the file."""

    def placed(name: str | None) -> str | None:
        if name is None:
            return None
        found = list(dict.fromkeys(str(root / name) for root in roots))
        if len(found) > 1:
            there = [path for path in found if os.path.exists(path)] or found[:1]
            if len(there) > 1 and not os.path.samefile(*there[:2]):
                raise SampleError(where, "images", "are there twice: give a root", f"{there[0]} and {there[1]}")
            found = there
        return found[0]

    return replace(image, path=placed(image.path), archive=placed(image.archive))
