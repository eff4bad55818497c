"""One PDF -> samples of its pages, in a process of its own that only it can crash.

What is read of a document is appended to a file, page by page, so that after a crash the next process goes on behind
the page that did it, and after a kill of everything nothing is read twice. Limits are of CPU time and memory: the clock
decides nothing, so a busy machine gives the same samples as an idle one.
"""

from __future__ import annotations

import base64
import ctypes
import gc
import hashlib
import io
import json
import multiprocessing
import os
import random
import signal
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

from sphinx_x.data.ocr.alike import Benchmarks, signature
from sphinx_x.data.ocr.filters import Limits, judge
from sphinx_x.data.ocr.languages import language
from sphinx_x.data.ocr.page import Page, read_page
from sphinx_x.data.ocr.questions import QuestionSettings, ask, inside
from sphinx_x.data.sources.base import UnusedError
from sphinx_x.errors import DataError, one_line

CRASHES = 3
"""Pages of one document that may crash or exhaust their process before the rest of it is given up."""
MOST_PAGES = 20_000
"""Pages of a document that are read at most; a higher count is more often a lie than a book."""
STALLED = 600
"""Seconds without any CPU time, after which a process that waits for nothing is ended."""


class OcrSettings(BaseModel):
    """How pages become samples; the same settings and files give the same bytes.

    long_edge: pixels; image: how pages are stored; pages_per_document: chosen by chance, 0 for all; licence: of the
    documents, as no PDF says its own; cpu_seconds: per page; memory: bytes per document; near: share of equal runs of
    words from which a page is left out; benchmarks: a folder of pictures that may not be in the data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    long_edge: PositiveInt = 1024
    image: Literal["png", "jpeg"] = "png"
    seed: int = 0
    pages_per_document: NonNegativeInt = 0
    licence: str = ""
    shard_size: PositiveInt = 1000
    cpu_seconds: PositiveInt = 30
    memory: PositiveInt = 2_000_000_000
    near: float = 0.8
    benchmarks: Path | None = None
    limits: Limits = Limits()
    questions: QuestionSettings = QuestionSettings()


@dataclass(frozen=True)
class Document:
    """A PDF file: its path, its name below the folder, and the id that its samples bear."""

    path: Path
    name: str
    id: str


@dataclass(frozen=True)
class Job:
    """What every worker needs. work: the folder of unfinished and finished documents."""

    settings: OcrSettings
    work: Path
    benchmarks: Benchmarks


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of a page (or of a document, page -1). begin, start: of its line and its picture in the document's
    file."""

    data: dict
    begin: int
    start: int

    @property
    def page(self) -> int:
        """From 0; -1 stands for the whole document."""
        return self.data["page"]


def read_document(job: Job, document: Document) -> list[dict]:
    """Reads a document to its end, with as many processes as it takes, and gives what became of its pages.

    The outcome is `ID.done` in the folder of work: a line of JSON for every page, each followed by its picture.
    """
    done, part = job.work / f"{document.id}.done", job.work / f"{document.id}.part"
    if not done.exists():
        killed: set[int] = set()
        while not _finished(part):
            code = _run_apart(job, document, part)
            if code:
                _blame(job, part, code, killed)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(done)
    return [{"page": entry.page, "reason": entry.data.get("reason")} for entry in entries(done)]


def entries(path: Path) -> Iterator[Entry]:
    """The whole entries of a document's file; what a kill cut short at its end is passed over."""
    for data, begin, start in _scan(path):
        if "page" in data:
            yield Entry(data, begin, start)


def whole_entry(path: Path, entry: Entry) -> tuple[dict, bytes]:
    """All that was written down about a page, and its encoded picture; raises `DataError` where the file is damaged."""
    with path.open("rb") as file:
        file.seek(entry.begin)
        data = json.loads(file.readline())
        content = file.read(data["size"])
    if zlib.crc32(content) != data["crc"]:
        raise DataError(f"{path}: damaged, delete it and start again")
    return data, content


def _scan(path: Path) -> Iterator[tuple[dict, int, int]]:
    """Records, where they begin, and where their pictures do."""
    if not path.exists():
        return
    end = path.stat().st_size
    with path.open("rb") as file:
        while line := file.readline():
            start = file.tell()
            begin = start - len(line)
            if not line.endswith(b"\n"):
                return
            data = json.loads(line)
            size = data.get("size", 0)
            if start + size > end:
                return
            file.seek(start + size)
            yield data, begin, start


def _finished(part: Path) -> bool:
    return any("end" in data for data, _, _ in _scan(part))


def _run_apart(job: Job, document: Document, part: Path) -> int:
    """Reads on in a new process; gives 0, or the number of what ended it."""
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    process = context.Process(target=_read_on, args=(job, document, part), daemon=True)
    process.start()
    try:
        used, since = -1.0, time.monotonic()
        while process.is_alive():
            process.join(5)
            now = _cpu_of(process.pid)
            if now != used:
                used, since = now, time.monotonic()
            elif time.monotonic() - since > STALLED:
                process.kill()
                process.join()
                return -signal.SIGALRM
    finally:
        if process.is_alive():
            process.kill()
        process.join()
    return process.exitcode or 0


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic()  # no such table on this system, or the process is gone
    return float(fields[11]) + float(fields[12])


def _blame(job: Job, part: Path, code: int, killed: set[int]) -> None:
    """Writes down the page that ended its process. One that was killed from outside is tried once more."""
    head, read, crashes = _state(part)
    pages = head["pages"] if head else []
    page = next((page for page in pages if page not in read), -1)
    if code == -signal.SIGKILL and page not in killed:
        killed.add(page)
        return
    what = "document" if page < 0 else "page"
    reason = {
        -signal.SIGXCPU: f"{what} takes too much time",
        -signal.SIGALRM: f"{what} waits without end",
        -signal.SIGKILL: f"{what} was killed twice",
    }.get(code, f"{what} crashes the reader")
    with part.open("ab") as file:
        _mend(file, part)
        _append(file, {"page": page, "reason": reason, "wrong": True, "crash": True})
        if page < 0:
            _append(file, {"end": 1})
        elif crashes + 1 >= CRASHES:
            for other in pages:
                if other not in read and other != page:
                    _append(file, {"page": other, "reason": "document given up after crashes", "wrong": True})
            _append(file, {"end": 1})


def _state(part: Path) -> tuple[dict | None, set[int], int]:
    """The record about the document, the pages that are done, and how many of them crashed."""
    head, read, crashes = None, set(), 0
    for data, _, _ in _scan(part):
        if "pages" in data:
            head = data
        elif "page" in data:
            read.add(data["page"])
            crashes += data.get("crash", False)
    return head, read, crashes


def _mend(file: BinaryIO, part: Path) -> None:
    """Cuts off what was not written to its end."""
    end = 0
    for data, _, start in _scan(part):
        end = start + data.get("size", 0)
    file.truncate(end)
    file.seek(end)


def _append(file: BinaryIO, data: dict, content: bytes = b"") -> None:
    """One record, written in one go."""
    line = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")
    file.write(line + b"\n" + content)
    file.flush()


def _limit(settings: OcrSettings) -> None:
    """Bounds the memory of this process beyond what it has already, and lets it end with its parent."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + settings.memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _more_time(seconds: int) -> None:
    """Lets this process use so much more CPU time, beyond which the system ends it."""
    if sys.platform == "win32":
        return
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + seconds + 1, hard))


def _read_on(job: Job, document: Document, part: Path) -> None:
    """The body of the process: opens the document and appends every page that is not in `part` yet."""
    settings = job.settings
    gc.freeze()  # what the parent made stays in memory that both share
    _limit(settings)
    _more_time(settings.cpu_seconds)
    head, read, _ = _state(part)
    with part.open("ab") as file:
        _mend(file, part)
        opened = _open(document)
        if isinstance(opened, str):
            _append(file, {"page": -1, "reason": opened, "wrong": True})
            _append(file, {"end": 1})
            return
        if head is None:
            head = {"pages": _chosen(settings, document, len(opened)), "count": len(opened)}
            _append(file, head)
        for page in head["pages"]:
            if page in read:
                continue
            _more_time(settings.cpu_seconds)
            _append(file, *_page_record(job, document, opened, page))
        _append(file, {"end": 1})


def _open(document: Document) -> pdfium.PdfDocument | str:
    """The opened document, or why it cannot be opened."""
    # pdfium sets its error only for some failures; this sets it to what is none of an encrypted file
    raw.FPDF_LoadMemDocument(b"-", 1, None)
    try:
        opened = pdfium.PdfDocument(document.path)
    except pdfium.PdfiumError as error:
        return "encrypted document" if error.err_code == raw.FPDF_ERR_PASSWORD else "damaged document"
    except OSError:
        return "unreadable file"
    if not len(opened):
        return "document without pages"
    opened.init_forms()
    return opened


def _chosen(settings: OcrSettings, document: Document, count: int) -> list[int]:
    pages = range(min(count, MOST_PAGES))
    wanted = settings.pages_per_document
    if not wanted or wanted >= len(pages):
        return list(pages)
    return sorted(random.Random(f"{settings.seed} {document.id}").sample(pages, wanted))


def _page_record(job: Job, document: Document, opened: pdfium.PdfDocument, number: int) -> tuple[dict, bytes]:
    """The record of a page with its picture, or with the reason why there is none."""
    started = time.process_time()
    try:
        page = read_page(opened, number, job.settings.long_edge)
        reason = judge(page, job.settings.limits)
        found = None if reason else job.benchmarks.find(page.image)
        if reason or found:
            detail = {"detail": found} if found else {}
            detail |= dict(zip(("script", "language"), language(page.all_text), strict=True))
            return _timed({"page": number, "reason": reason or "picture of a benchmark"} | detail, started), b""
        return _sampled(job, document, page, number, started)
    except MemoryError:
        return {"page": number, "reason": "page takes too much memory", "wrong": True}, b""
    except UnusedError as error:
        return {"page": number, "reason": str(error).split(": ")[0], "detail": one_line(error)}, b""
    except (DataError, pdfium.PdfiumError, ValueError, ArithmeticError, LookupError, TypeError, OSError) as error:
        return {"page": number, "reason": "damaged page", "detail": one_line(error), "wrong": True}, b""


def _timed(data: dict, started: float) -> dict:
    return data | {"cpu": round(time.process_time() - started, 4)}


def _sampled(job: Job, document: Document, page: Page, number: int, started: float) -> tuple[dict, bytes]:
    settings = job.settings
    name = f"{document.id}-{number:05d}"
    asked = ask(page, settings.questions, random.Random(f"{settings.seed} {name}"))
    content = encode(page.image, settings.image)
    text = page.text
    script, spoken = language(text)
    pixels = hashlib.blake2b(page.image.tobytes(), digest_size=16, key=str(page.image.size).encode())
    data = {
        "page": number,
        "id": f"ocr/{name}",
        "messages": asked.messages,
        "regions": [
            {"text": block.text, "box": list(box), "class": block.label}
            for block in page.blocks
            if (box := inside(block.box, page.image.size))
        ],
        "kinds": asked.kinds,
        "skipped": dict(asked.left_out),
        "script": script,
        "language": spoken,
        "left_out": dict(page.left_out),
        "letters": len(text),
        "pixels": pixels.hexdigest(),
        "signature": base64.b64encode(signature(text).tobytes()).decode(),
        "crc": zlib.crc32(content),
        "size": len(content),
    }
    return _timed(data, started), content


def encode(image: Image.Image, form: str) -> bytes:
    """A page's picture as PNG or JPEG."""
    if form == "jpeg":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=92)
        return buffer.getvalue()
    return _png(np.asarray(image))


def _png(pixels: np.ndarray) -> bytes:
    """PNG of pixels, grey (H, W) or RGB (H, W, 3), without filters: of pages it is smaller so, in half the time."""
    height, width = pixels.shape[:2]
    rows = np.zeros((height, pixels[0].size + 1), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.data, 2)), (b"IEND", b""))
    lengths = (struct.pack(">I", len(data)) for _, data in chunks)
    sums = (struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)
    parts = (a + name + data + b for a, (name, data), b in zip(lengths, chunks, sums, strict=True))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
