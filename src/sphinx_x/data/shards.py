"""Samples on disk: shards that are written here, and a reader for them and for every other form that is read directly.

A shard is two files: NAME.jsonl (one sample a line) and, where the images are not left where they are, NAME.tar (an
uncompressed tar of the encoded images). An image in it is named by archive, offset and size, so that it is read with
one `pread` and any tar tool can open the shard.

A reader gives samples by number, in any order, from a table of offsets: 8 bytes a sample, which a run keeps in a file
and maps into memory, so that all processes of a machine share it. That is why this is not one of the streaming
libraries: those give samples one behind the other, and shuffle and resume what they can hold in a buffer.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import yaml
from PIL import Image

from sphinx_x.data.dialects import COLUMNS, to_fields
from sphinx_x.data.parquet import ParquetRows
from sphinx_x.data.sample import ImageRef, Sample
from sphinx_x.data.tally import QUARANTINE
from sphinx_x.errors import DataError, SampleError, one_line
from sphinx_x.images import image_size
from sphinx_x.jobs import write_atomic

UNITS = {".jsonl": "line", ".json": "item", ".parquet": "row"}
"""The files that are read, and what one record of each is called."""
OPEN_FILES = 128
BLOCK = 1 << 20


def write_shard(folder: str | Path, name: str, samples: Iterable[tuple[Sample, Sequence[bytes]]]) -> int:
    """Writes NAME.tar, then NAME.jsonl, from samples with the encoded bytes of their images; gives their number.

    The images of a sample are replaced by references into the archive, of the width and height that they had there or
    else of the picture's own; a sample without bytes keeps those it has, and where no sample has any there is no
    archive. The same samples give the same bytes.
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
                    _append(file, archive, f"{sample.id}.{number}", picture, ref)
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
    """Samples by number, of shards and of every other form that is read directly.

    paths: files, or folders of .jsonl files. JSON lines or one JSON array, of samples, of the library's messages or of
    ShareGPT/LLaVA conversations; Parquet with the same columns; the reference's YAML with its META list. root: where
    paths of images begin, if not beside the file. tables: a folder that keeps the tables of offsets, for large sets.
    Files are opened when first read, per process.
    """

    def __init__(
        self,
        paths: str | Path | Iterable[str | Path],
        root: str | Path | None = None,
        tables: str | Path | None = None,
    ) -> None:
        if isinstance(paths, (str, Path)):
            paths = [paths]
        entries = [entry for path in map(Path, paths) for entry in _entries(path, root)]
        self.files = [path for path, _ in entries]
        self._roots = [path.parent if own is None else Path(own) for path, own in entries]
        tables = None if tables is None else Path(tables)
        self._rows = {k: ParquetRows(path, COLUMNS) for k, path in enumerate(self.files) if path.suffix == ".parquet"}
        self._offsets = {k: _offsets(path, tables) for k, path in enumerate(self.files) if k not in self._rows}
        counts = [len(self._rows[k]) if k in self._rows else len(self._offsets[k]) - 1 for k in range(len(entries))]
        self._starts = np.cumsum([0, *counts])
        self._open: OrderedDict[Path, int] = OrderedDict()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Sample:
        file, line = self._find(index)
        where = self.where(index)
        if file in self._rows:
            record = self._rows[file][line]
        else:
            record = self._parse(file, line, where)
        fields = to_fields(record, f"{self.files[file].stem}-{line + 1}", where)
        sample = Sample.from_dict(fields, where)
        sample.images = [_resolve(image, self._roots[file]) for image in sample.images]
        return sample

    def where(self, index: int) -> str:
        """File and line of a sample, for messages."""
        file, line = self._find(index)
        return f"{self.files[file]}: {UNITS[self.files[file].suffix]} {line + 1}"

    def image_bytes(self, sample: Sample, number: int = 0) -> bytes:
        """The encoded bytes of one image of a sample of this reader."""
        if not 0 <= number < len(sample.images):
            raise SampleError(f"sample {sample.id}", "images", "there is no such image", str(number))
        image = sample.images[number]
        if image.data is not None:
            return image.data
        if image.path is not None:
            try:
                if not stat.S_ISREG(os.stat(image.path).st_mode):  # a pipe could be read for ever
                    raise OSError("not a regular file")
                return Path(image.path).read_bytes()
            except (OSError, ValueError) as error:  # a name may hold what no file system takes
                raise SampleError(
                    f"sample {sample.id}", f"images[{number}].path", "image missing", one_line(error)
                ) from error
        return self._read(Path(str(image.archive)), image.offset, image.size)

    def image_size(self, sample: Sample, number: int = 0) -> tuple[int, int]:
        """Width and height of an image, upright: as the sample says, else from the image's head."""
        image = sample.images[number]
        if image.width and image.height:
            return image.width, image.height
        return image_size(image.path if image.path is not None else self.image_bytes(sample, number))

    def fingerprint(self) -> str:
        """Changes when a file does: its name, size or time, or where its images are looked for."""
        places = zip(self.files, self._roots, strict=True)
        facts = [(str(path), str(root), path.stat().st_size, path.stat().st_mtime_ns) for path, root in places]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_open": OrderedDict()}

    def _find(self, index: int) -> tuple[int, int]:
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        file = int(np.searchsorted(self._starts, index, side="right")) - 1
        return file, index - int(self._starts[file])

    def _parse(self, file: int, line: int, where: str) -> object:
        start, end = int(self._offsets[file][line]), int(self._offsets[file][line + 1])
        try:
            text = self._read(self.files[file], start, end - start).decode().removeprefix("\ufeff").strip()
            record, length = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError) as error:
            raise SampleError(where, "", "not JSON", one_line(error)) from error
        if text[length:].strip() not in ("", ",", "]"):  # what parts the elements of an array
            raise SampleError(where, "", "not JSON", "more behind its end")
        return record

    def _read(self, path: Path, offset: int, size: int) -> bytes:
        """`size` bytes of a file; the files that were read last stay open, a forked process shares them."""
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


def _entries(path: Path, root: str | Path | None) -> list[tuple[Path, str | Path | None]]:
    """The files behind a path, each with where its images' paths begin (None: beside the file)."""
    if path.is_dir():
        found = sorted(p for p in path.glob("*.jsonl") if not p.name.startswith(".") and p.name != QUARANTINE)
        if not found:
            raise DataError(f"{path}: no .jsonl file in this folder")
        return [(file, root) for file in found]
    if path.suffix in (".yaml", ".yml"):
        return [(file, own or root) for file, own, _ in read_meta(path)]
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix not in UNITS:
        raise DataError(f"{path}: samples are read from {', '.join(UNITS)}, a folder, or a .yaml with a META list")
    return [(path, root)]


def read_meta(path: Path) -> list[tuple[Path, str | None, float]]:
    """The reference's list of data files: path, folder of the images, and the share of the file that is used."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not YAML: {one_line(error)}") from error
    entries = content.get("META") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: META: must be a list of files")
    found = []
    for number, entry in enumerate(entries):
        where = f"{path}: META[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
            raise DataError(f"{where}: must hold a path")
        unknown = entry.keys() - {"path", "type", "root", "ratio", "preprocess"}
        if unknown:
            raise DataError(f"{where}: unknown field {sorted(map(str, unknown))[0]}")
        if not isinstance(entry.get("root"), str | None):
            raise DataError(f"{where}.root: must be a text")
        ratio = entry.get("ratio", 1.0)
        if type(ratio) not in (int, float) or not 0 < ratio < float("inf"):
            raise DataError(f"{where}.ratio: must be a number above 0")
        file = path.parent / entry["path"]
        if not file.is_file():
            raise DataError(f"{where}.path: no such file: {file}")
        if file.suffix not in UNITS:
            raise DataError(f"{where}.path: samples are read from {', '.join(UNITS)}, not {file}")
        found.append((file, entry.get("root"), float(ratio)))
    return found


def _resolve(image: ImageRef, folder: Path) -> ImageRef:
    """Names relative to the shard become paths."""
    path = None if image.path is None else str(folder / image.path)
    archive = None if image.archive is None else str(folder / image.archive)
    return replace(image, path=path, archive=archive)


def _offsets(path: Path, tables: Path | None) -> np.ndarray:
    """Where every record begins, and the end of the file; kept in and mapped from a file of `tables`, where given."""
    if tables is None:
        return _scan(path)
    facts = path.stat()
    key = hashlib.sha256(f"{path.resolve()} {facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()[:24]
    table = tables / f"offsets-{key}.npy"
    if not table.exists():
        offsets = _scan(path)
        write_atomic(table, lambda file: np.save(file, offsets))
    return np.load(table, mmap_mode="r")


def _scan(path: Path) -> np.ndarray:
    try:
        return _record_offsets(path)
    except OSError as error:
        raise DataError(f"{path}: {one_line(error)}") from error


def _record_offsets(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        array = file.read(BLOCK).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
        file.seek(0)
        if not array:
            return _line_offsets(file)
        offsets = _array_offsets(file)
        file.seek(0)
        ahead = b"".join(file.read(int(offsets[0])).removeprefix(b"\xef\xbb\xbf").split())
        if ahead != (b"[" if len(offsets) > 1 else b"[]"):
            raise DataError(f"{path}: not a JSON array of objects")
        file.seek(max(int(offsets[-1]) - BLOCK, 0))
        if not file.read().rstrip().endswith(b"]"):
            raise DataError(f"{path}: a JSON array without an end: the file is cut short")
        return offsets


def _line_offsets(file: BinaryIO) -> np.ndarray:
    pieces = [np.zeros(1, np.int64)]
    done = 0
    while block := file.read(BLOCK):
        pieces.append(np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + done + 1)
        done += len(block)
    offsets = np.concatenate(pieces)
    offsets = offsets if offsets[-1] == done else np.append(offsets, done)
    while len(offsets) > 2 and offsets[-1] - offsets[-2] <= 2:  # an empty line at the end
        offsets = np.append(offsets[:-2], done)
    return offsets if done else offsets[:1]


def _array_offsets(file: BinaryIO) -> np.ndarray:
    """Where the objects of one JSON array begin, found without building them: braces outside of strings are counted."""
    pieces: list[np.ndarray] = []
    done, depth, inside, slashes = 0, 0, 0, 0
    steps = np.zeros(256, np.int8)
    steps[[ord("{"), ord("[")]], steps[[ord("}"), ord("]")]] = 1, -1
    while block := file.read(BLOCK):
        raw = np.frombuffer(block, np.uint8)
        place = np.arange(len(raw))
        plain = np.maximum.accumulate(np.where(raw != ord("\\"), place, -1 - slashes))
        before = np.concatenate([[-1 - slashes], plain[:-1]])  # the last byte before each that is no backslash
        quotes = (raw == ord('"')) & ((place - before) % 2 == 1)
        strings = (np.cumsum(quotes) + inside) % 2
        step = np.where(strings == 1, 0, steps[raw])
        level = np.cumsum(step, dtype=np.int64) + depth
        pieces.append(np.flatnonzero((raw == ord("{")) & (step == 1) & (level == 2)) + done)
        depth, inside, slashes = int(level[-1]), int(strings[-1]), int(len(raw) - 1 - plain[-1])
        done += len(block)
    return np.append(np.concatenate(pieces), done)
