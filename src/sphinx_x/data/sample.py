"""The one sample format: messages, the images they speak of, and shards of both on disk.

A shard is two files: NAME.tar (an uncompressed tar of the encoded images) and NAME.jsonl (one sample a line). An image
is named by path, or by archive, offset and size, so that it is read with one `pread` and any tar tool can open the
shard. Boxes and points in messages and regions are pixels of the image they name.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from sphinx_x.conversation import ROLES
from sphinx_x.errors import DataError
from sphinx_x.jobs import write_atomic

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where the bytes of an image are: a file at `path`, or `size` bytes at `offset` of `archive`."""

    path: str | None = None
    archive: str | None = None
    offset: int = 0
    size: int = 0
    width: int = 0
    height: int = 0

    def to_dict(self) -> dict:
        """As JSON; width and height (0: unknown) let a loader plan without decoding."""
        if self.path is not None:
            place: dict = {"path": self.path}
        else:
            place = {"archive": self.archive, "offset": self.offset, "size": self.size}
        return place | {"width": self.width, "height": self.height}


@dataclass(slots=True)
class Sample:
    """One conversation about its images; `regions` are texts with their boxes in the first image."""

    id: str
    images: list[ImageRef]
    messages: list[dict]
    source: str = ""
    licence: str = ""
    regions: list[dict] = field(default_factory=list)

    def to_dict(self) -> dict:
        """As JSON, the line of a shard."""
        return {
            "id": self.id,
            "images": [image.to_dict() for image in self.images],
            "messages": self.messages,
            "source": self.source,
            "licence": self.licence,
            "regions": self.regions,
        }

    @classmethod
    def from_dict(cls, data: object, where: str = "sample") -> Sample:
        """Checks and reads one sample; `where` (file and line) stands before the field in the error."""
        if not isinstance(data, dict):
            raise DataError(f"{where}: not a JSON object")
        if not isinstance(data.get("id"), str) or not data["id"]:
            raise DataError(f"{where}: id: must be a non-empty text")
        images = data.get("images", [])
        if not isinstance(images, list):
            raise DataError(f"{where}: images: must be a list")
        refs = [_read_image(image, f"{where}: images[{number}]") for number, image in enumerate(images)]
        messages = data.get("messages")
        if not isinstance(messages, list) or not messages:
            raise DataError(f"{where}: messages: must be a non-empty list")
        places = 0
        for number, message in enumerate(messages):
            places += _check_message(message, len(refs), f"{where}: messages[{number}]")
        if places != len(refs):
            raise DataError(f"{where}: messages: {places} image parts for {len(refs)} images")
        regions = data.get("regions") or []
        if not isinstance(regions, list):
            raise DataError(f"{where}: regions: must be a list")
        for number, region in enumerate(regions):
            if not isinstance(region, dict) or not isinstance(region.get("text"), str):
                raise DataError(f"{where}: regions[{number}]: must hold a text and a box")
            _check_numbers(region.get("box"), 4, f"{where}: regions[{number}].box")
        source, licence = data.get("source", ""), data.get("licence", "")
        if not isinstance(source, str) or not isinstance(licence, str):
            raise DataError(f"{where}: source and licence: must be texts")
        return cls(data["id"], refs, messages, source, licence, regions)


def _read_image(data: object, where: str) -> ImageRef:
    if not isinstance(data, dict) or not (isinstance(data.get("path"), str) or isinstance(data.get("archive"), str)):
        raise DataError(f"{where}: must name a path or an archive")
    unknown = data.keys() - {"path", "archive", "offset", "size", "width", "height"}
    if unknown:
        raise DataError(f"{where}: unknown field {sorted(unknown)[0]}")
    ref = ImageRef(**data)
    for name in ("offset", "size", "width", "height"):
        number = getattr(ref, name)
        if type(number) is not int or number < 0:
            raise DataError(f"{where}.{name}: must be a whole number >= 0")
    if ref.path is None and not ref.size:
        raise DataError(f"{where}.size: must be greater than 0")
    return ref


def _check_message(message: object, images: int, where: str) -> int:
    """Checks a message and gives the number of its image parts."""
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise DataError(f"{where}.role: must be one of {', '.join(ROLES)}")
    content = message.get("content")
    if isinstance(content, str):
        return content.count("<image>")
    if not isinstance(content, list):
        raise DataError(f"{where}.content: must be a text or a list of parts")
    count = 0
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            continue
        if kind == "image":
            count += 1
        elif kind in ("box", "point"):
            _check_numbers(part.get(kind), 4 if kind == "box" else 2, f"{where}.{kind}")
            number = part.get("image", 0)
            if type(number) is not int or not 0 <= number < images:
                raise DataError(f"{where}.{kind}.image: there is no image {number!r}")
        else:
            raise DataError(f"{where}.content: not a text, image, box or point part: {str(part)[:80]}")
    return count


def _check_numbers(numbers: object, count: int, where: str) -> None:
    if not isinstance(numbers, list) or len(numbers) != count:
        raise DataError(f"{where}: must be {count} numbers")
    for number in numbers:
        if type(number) not in (int, float) or number != number:
            raise DataError(f"{where}: must be {count} numbers")
    if count == 4 and (numbers[2] <= numbers[0] or numbers[3] <= numbers[1]):
        raise DataError(f"{where}: empty box {numbers}")


def write_shard(folder: str | Path, name: str, samples: Iterable[tuple[Sample, Sequence[bytes]]]) -> int:
    """Writes NAME.tar, then NAME.jsonl, from samples with the encoded bytes of their images; gives their number.

    The images of a sample are replaced by references into the archive. The same samples give the same bytes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    archive = f"{name}.tar"
    lines: list[bytes] = []

    def write_archive(file: BinaryIO) -> None:
        for sample, pictures in samples:
            sample.images = [
                _append(file, archive, f"{sample.id}.{number}", picture) for number, picture in enumerate(pictures)
            ]
            data = sample.to_dict()
            Sample.from_dict(data, f"{name}.jsonl line {len(lines) + 1}")
            lines.append(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
        file.write(bytes(2 * tarfile.BLOCKSIZE))

    write_atomic(folder / archive, write_archive)
    write_atomic(folder / f"{name}.jsonl", lambda file: file.writelines(lines))
    return len(lines)


def _append(file: BinaryIO, archive: str, stem: str, picture: bytes) -> ImageRef:
    with Image.open(io.BytesIO(picture)) as image:
        width, height = image.size
        ending = (image.format or "bin").lower()
    info = tarfile.TarInfo(f"{stem}.{ending}")
    info.size = len(picture)
    file.write(info.tobuf(tarfile.USTAR_FORMAT))
    offset = file.tell()
    file.write(picture)
    file.write(bytes(-len(picture) % tarfile.BLOCKSIZE))
    return ImageRef(archive=archive, offset=offset, size=len(picture), width=width, height=height)


class ShardReader:
    """Samples of many shards by number. Holds one offset a sample; files are opened when first read, per process."""

    def __init__(self, paths: str | Path | Iterable[str | Path]) -> None:
        if isinstance(paths, (str, Path)):
            paths = [paths]
        self.files: list[Path] = []
        for path in map(Path, paths):
            found = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
            if not found:
                raise DataError(f"{path}: no .jsonl file in this folder")
            self.files += found
        self._offsets = [_line_offsets(path) for path in self.files]
        self._starts = np.cumsum([0] + [len(offsets) - 1 for offsets in self._offsets])
        self._open: dict[Path, int] = {}
        self._owner = os.getpid()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Sample:
        file, line = self._find(index)
        offsets = self._offsets[file]
        path = self.files[file]
        start = int(offsets[line])
        raw = self._read(path, start, int(offsets[line + 1]) - start)
        where = f"{path}: line {line + 1}"
        try:
            data = json.loads(raw)
        except ValueError as error:
            raise DataError(f"{where}: not JSON: {error}") from error
        sample = Sample.from_dict(data, where)
        sample.images = [_resolve(image, path.parent) for image in sample.images]
        return sample

    def image_bytes(self, sample: Sample, number: int = 0) -> bytes:
        """The encoded bytes of one image of a sample of this reader."""
        if not 0 <= number < len(sample.images):
            raise DataError(f"sample {sample.id}: images: there is no image {number}")
        image = sample.images[number]
        if image.path is not None:
            try:
                return Path(image.path).read_bytes()
            except OSError as error:
                raise DataError(f"sample {sample.id}: images[{number}].path: {error}") from error
        return self._read(Path(str(image.archive)), image.offset, image.size)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_open": {}}

    def _find(self, index: int) -> tuple[int, int]:
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        file = int(np.searchsorted(self._starts, index, side="right")) - 1
        return file, index - int(self._starts[file])

    def _read(self, path: Path, offset: int, size: int) -> bytes:
        if self._owner != os.getpid():
            self._open, self._owner = {}, os.getpid()
        try:
            if path not in self._open:
                self._open[path] = os.open(path, os.O_RDONLY)
            raw = os.pread(self._open[path], size, offset)
        except OSError as error:
            raise DataError(f"{path}: {error}") from error
        if len(raw) != size:
            raise DataError(f"{path}: ends before byte {offset + size}: the file is cut short")
        return raw


def _resolve(image: ImageRef, folder: Path) -> ImageRef:
    """Names relative to the shard become paths."""
    path = None if image.path is None else str(folder / image.path)
    archive = None if image.archive is None else str(folder / image.archive)
    return ImageRef(path, archive, image.offset, image.size, image.width, image.height)


def _line_offsets(path: Path) -> np.ndarray:
    """Start of every line, and the end of the last."""
    pieces = [np.zeros(1, np.int64)]
    done = 0
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 24):
                pieces.append(np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + done + 1)
                done += len(block)
    except OSError as error:
        raise DataError(f"{path}: {error}") from error
    offsets = np.concatenate(pieces)
    return offsets if offsets[-1] == done else np.append(offsets, done)
