"""Readers of lines: a detector finds them, a recogniser spells them, and they come in reading order, after the objects.

A reading is a function of the pixels: nothing of it is drawn at random, and neither the file's name nor what was read
before matters. It is remembered by a hash of the pixels, in memory and, if there is a folder, on disk.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sphinx_x.errors import MissingToolError, needs_extra
from sphinx_x.images import open_image
from sphinx_x.text_lines.engine import Engine, EngineKind
from sphinx_x.text_lines.line import Reading, TextLine, fitting
from sphinx_x.text_lines.objects import DETECTORS, in_order
from sphinx_x.text_lines.order import in_reading_order
from sphinx_x.work.files import write_atomic
from sphinx_x.work.memory import trim

REMEMBERED = 128
"""Number of readings that are remembered in memory: up to four of an image, lines and objects by file and by pixels."""
MOST_BYTES = 7168
"""Default of a reader's `max_bytes`: of Smol's 8,192 tokens, it leaves a thousand for the views and the conversation. A
page of print has about 4,000 bytes, which are 1,300 tokens."""
LEAST_SIDE, MOST_SIDE = 736, 1280
"""The detector sees an image enlarged until its shorter side has so many pixels, but never with a longer side of more
than so many: on receipts it takes half of the time that it takes with the engine's own 2,000, and finds 996 of 1,000
lines. The recogniser sees each line as it is in the image, which is shrunk to `WHOLE_SIDE` pixels before."""
WHOLE_SIDE = 2000
"""A larger image is shrunk, its pixels averaged: the detector skips pixels, and overlooks small print of a large one.
The engine would shrink it as well, out of proportion and skipping pixels."""
STEP = 32
"""The detector's sides are multiples of so many pixels; an image of which nothing would be left is padded for it."""
FEW = 20
"""Letters below which an image is never read upside down: photographs have some that are none."""
READING = 4
"""Counts up when lines are made otherwise of what an engine gives, so that older readings are not taken."""

WHAT = "reading the lines of an image"


def _pp_ocr_version() -> str:
    try:
        return f"pp-ocrv6 small, rapidocr {version('rapidocr')}"
    except PackageNotFoundError as error:
        raise MissingToolError(f"{WHAT} needs rapidocr (pip install 'sphinx-x[smol]')") from error


def limit_of(size: tuple[int, int]) -> tuple[str, int]:
    """Return how the detector resizes an image: to at most (`max`) or at least (`min`) so many pixels of a side."""
    shorter, longer = sorted(size)
    if longer > MOST_SIDE:
        return "max", MOST_SIDE
    return "min", min(LEAST_SIDE, int(shorter * MOST_SIDE / longer))


def padded(pixels: np.ndarray) -> np.ndarray:
    """Return pixels (height, width, 3); a thin strip gets rows below, or columns to the right, like its last.

    The detector would see a strip that is more than `MOST_SIDE` / `STEP` times as long as wide with no side at all.
    """
    least = math.ceil(max(pixels.shape[:2]) * STEP / MOST_SIDE)
    more = [(0, max(least - side, 0)) for side in pixels.shape[:2]]
    return np.pad(pixels, (*more, (0, 0)), mode="edge")


def _pp_ocr() -> Engine:
    """Return PP-OCRv6 (small) as RapidOCR runs it; its models are in that package."""
    with needs_extra("smol", WHAT):
        import onnxruntime  # noqa: F401 (RapidOCR's engine, which it does not require itself)
        from rapidocr import ModelType, OCRVersion, RapidOCR
    import torch

    small = {"ocr_version": OCRVersion.PPOCRV6, "model_type": ModelType.SMALL}
    engine = RapidOCR(
        params={
            "Global.log_level": "critical",  # it would warn of every image without text
            "Global.text_score": 0.0,
            "Global.use_cls": False,  # it tells upside-down lines, and takes one of eighty upright ones for such
            "EngineConfig.onnxruntime.intra_op_num_threads": torch.get_num_threads(),
            "Det.limit_side_len": 32,  # of the first image alone, see below
            **{f"{part}.{key}": value for part in ("Det", "Rec") for key, value in small.items()},
        }
    )
    engine(np.full((32, 32, 3), 255, np.uint8))  # it has no detector, to be told sizes, before its first image
    detector: Any = engine.text_det
    lock = threading.Lock()  # it keeps settings of a call in itself

    def read(image: Image.Image) -> list[TextLine]:
        large = max(image.size) > WHOLE_SIDE
        seen = ImageOps.contain(image, (WHOLE_SIDE, WHOLE_SIDE), Image.Resampling.BOX) if large else image
        pixels = padded(np.asarray(seen)[:, :, ::-1])  # BGR
        scale = np.array([image.width / seen.width, image.height / seen.height])
        with lock:
            detector.limit_type, detector.limit_side_len = limit_of((pixels.shape[1], pixels.shape[0]))
            found: Any = engine(pixels)
        if found.boxes is None:
            return []
        lines = []
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            places = np.asarray(corners) * scale
            (left, top), (right, bottom) = places.min(0).tolist(), places.max(0).tolist()
            box = max(left, 0.0), max(top, 0.0), min(right, float(image.width)), min(bottom, float(image.height))
            said = " ".join(text.split())
            if said and box[0] < box[2] and box[1] < box[3]:
                lines.append(TextLine(tuple(round(edge, 2) for edge in box), said, round(float(score), 4)))
        return lines

    return read


READERS = {"pp-ocrv6": EngineKind(_pp_ocr_version, _pp_ocr, doubtful=0.85)}
"""Engines by the name that a member has for its reader."""


@functools.cache
def _started(name: str, process: int) -> Engine:
    """Return an engine of this process: a forked one lacks the threads of its parent's."""
    return {**READERS, **DETECTORS}[name].start()


def _confidence(lines: Sequence[TextLine]) -> tuple[float, int]:
    """Return the mean confidence of the letters of some lines (0 without any), and their number."""
    letters = sum(len(line.text) for line in lines)
    return sum(len(line.text) * line.confidence for line in lines) / max(letters, 1), letters


def _upside_down(line: TextLine, size: tuple[int, int]) -> TextLine:
    """Return a line of an image that was turned by half, as it stands in the image itself."""
    (left, top, right, bottom), (width, height) = line.box, size
    return replace(line, box=(width - right, height - bottom, width - left, height - top))


@dataclass(frozen=True)
class _Search:
    """What is looked for in an image, lines or objects.

    Attributes:
        engine: Name of the engine.
        identity: What identifies the engine and what is made of what it gives.
        order: Puts what the engine gives in order.
        doubtful: Where the letters are less sure than that, they may stand upside down.
    """

    engine: str
    identity: str
    order: Callable[[list[TextLine]], tuple[TextLine, ...]]
    doubtful: float = 0.0

    def of_image(self, image: Image.Image) -> tuple[TextLine, ...]:
        engine = _started(self.engine, os.getpid())
        found = self.order(engine(image))
        confidence, letters = _confidence(found)
        if letters >= FEW and confidence < self.doubtful:
            turned = self.order(engine(image.transpose(Image.Transpose.ROTATE_180)))
            if _confidence(turned)[0] > confidence:
                found = tuple(_upside_down(line, image.size) for line in turned)
        trim()
        return found

    def key_of(self, image: Image.Image) -> str:
        return hashlib.sha256(f"{self.identity} {image.size}".encode() + image.tobytes()).hexdigest()

    def key_of_file(self, content: bytes) -> str:
        return hashlib.sha256(f"file {self.identity} ".encode() + content).hexdigest()


@dataclass(frozen=True)
class LineReader:
    """How a member reads the lines of images, and finds objects in them.

    Attributes:
        engine: A name in `READERS`.
        least_confidence: Lines below it are no lines.
        enough: So many lines make an image a page of text, whose sub-images no expert needs to see; None: none do.
        max_bytes: The most that the lines of one image may have together, in bytes of their words and one for each
            line, so that there are never more tokens. The last lines of a fuller page are left out.
        objects: A name in `DETECTORS`, whose objects stand before the lines; None: none do. A page of text has none.
        least_object: Objects of a lower confidence are none.
        folder: Where readings are kept from run to run; None keeps them in memory only.
    """

    engine: str = "pp-ocrv6"
    least_confidence: float = 0.5
    enough: int | None = None
    max_bytes: int = MOST_BYTES
    objects: str | None = None
    least_object: float = 0.3
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.engine not in READERS:
            raise ValueError(f"unknown reader of lines {self.engine!r}; known: {', '.join(READERS)}")
        if self.objects is not None and self.objects not in DETECTORS:
            raise ValueError(f"unknown detector of objects {self.objects!r}; known: {', '.join(DETECTORS)}")
        for name in ("least_confidence", "least_object"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is from 0 to 1, not {getattr(self, name)}")
        if self.enough is not None and self.enough < 1:
            raise ValueError(f"enough is 1 or more lines, not {self.enough}")
        if type(self.max_bytes) is not int or self.max_bytes < 1:
            raise ValueError(f"max_bytes is a whole number above 0, not {self.max_bytes!r}")

    @property
    def identity(self) -> str:
        """What identifies the engines, with their versions: two readings are the same if it and the pixels are.

        Raises:
            MissingToolError: The engine is not installed.
        """
        return self._text.identity if self._objects is None else f"{self._text.identity}, {self._objects.identity}"

    @property
    def _text(self) -> _Search:
        kind = READERS[self.engine]
        return _Search(self.engine, f"{READING} {kind.version()}", in_reading_order, kind.doubtful)

    @property
    def _objects(self) -> _Search | None:
        return None if self.objects is None else _Search(self.objects, DETECTORS[self.objects].version(), in_order)

    def read_file(self, content: bytes) -> Reading:
        """Return the lines of an image by the bytes of its file, which is not decoded if it was read before.

        Raises:
            ImageError: The image cannot be read.
            MissingToolError: The engine is not installed.
            CheckpointError: The detector cannot be fetched.
        """
        image = functools.cache(lambda: open_image(content))
        return self._taken(
            lambda search: self._remembered(search.key_of_file(content), lambda: self._found(search, image()))
        )

    def has_lines(self, content: bytes) -> bool:
        """Return whether the folder holds the lines of an image, by the bytes of its file."""
        return self._kept(self._text.key_of_file(content)) is not None

    def has_read(self, content: bytes) -> bool:
        """Return whether the folder holds all of the reading of an image, its objects as well, unless it is a page."""
        lines = self._kept(self._text.key_of_file(content))
        if lines is None or self._objects is None:
            return lines is not None
        return self._is_page(self._sure(lines)) or self._kept(self._objects.key_of_file(content)) is not None

    def keep_file(self, content: bytes, lines: tuple[TextLine, ...]) -> None:
        """Keep lines, in reading order, in the folder as the reading of an image, by the bytes of its file."""
        self._keep(self._text.key_of_file(content), lines)

    def keep_objects(self, content: bytes, objects: Sequence[TextLine]) -> None:
        """Keep objects in the folder as those of an image, by the bytes of its file, for a reader that finds some."""
        if self._objects is not None:
            self._keep(self._objects.key_of_file(content), in_order(objects))

    def read(self, image: Image.Image) -> Reading:
        """Return the lines of an RGB image in reading order, from memory or from the folder if it was read before.

        Raises:
            MissingToolError: The engine is not installed.
            CheckpointError: The detector cannot be fetched.
        """
        return self._taken(lambda search: self._found(search, image))

    def _taken(self, find: Callable[[_Search], tuple[TextLine, ...]]) -> Reading:
        sure = self._sure(find(self._text))
        page = self._is_page(sure)
        seen = [] if self._objects is None or page else find(self._objects)
        objects = [one for one in seen if one.confidence >= self.least_object]
        return replace(fitting([*objects, *sure], self.max_bytes), page=page)

    def _sure(self, lines: Sequence[TextLine]) -> list[TextLine]:
        return [line for line in lines if line.confidence >= self.least_confidence]

    def _is_page(self, sure: Sequence[TextLine]) -> bool:
        return self.enough is not None and len(sure) >= self.enough

    def _found(self, search: _Search, image: Image.Image) -> tuple[TextLine, ...]:
        return self._remembered(search.key_of(image), lambda: search.of_image(image))

    def _remembered(self, key: str, find: Callable[[], tuple[TextLine, ...]]) -> tuple[TextLine, ...]:
        lines = _MEMORY.get(key)
        if lines is None:
            lines = self._kept(key)
            if lines is None:
                lines = find()
                self._keep(key, lines)
            _MEMORY.put(key, lines)
        return lines

    def _file(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / key[:2] / f"{key[2:]}.json"

    def _kept(self, key: str) -> tuple[TextLine, ...] | None:
        file = self._file(key)
        if file is None or not file.is_file():
            return None
        try:
            found = json.loads(file.read_bytes())
            return tuple(TextLine(tuple(box), *rest) for box, *rest in found)
        except (ValueError, TypeError):  # spoilt by another program, as it was written whole: the image is read again
            return None

    def _keep(self, key: str, lines: tuple[TextLine, ...]) -> None:
        file = self._file(key)
        if file is not None:
            fields = [(line.box, line.text, line.confidence, *[True] * line.is_object) for line in lines]
            write_atomic(file, json.dumps(fields, ensure_ascii=False))


class _Memory:
    """The readings of the last images, for all threads."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, tuple[TextLine, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> tuple[TextLine, ...] | None:
        with self._lock:
            if key in self._lines:
                self._lines.move_to_end(key)
            return self._lines.get(key)

    def put(self, key: str, lines: tuple[TextLine, ...]) -> None:
        with self._lock:
            self._lines[key] = lines
            while len(self._lines) > REMEMBERED:
                self._lines.popitem(last=False)


_MEMORY = _Memory()
