"""From one PDF to samples of its pages, or the reasons why there are none, appended to the document's file."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import secrets
import struct
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from sphinx_x.engines.ocr.alike import Benchmarks, signature
from sphinx_x.engines.ocr.filters import Limits, judge
from sphinx_x.engines.ocr.parts import PartSettings, cut_part
from sphinx_x.engines.ocr.questions import QuestionSettings, ask, shown
from sphinx_x.engines.ocr.records import append, mend, packed, state_of
from sphinx_x.engines.pdf.languages import language
from sphinx_x.engines.pdf.page import Page, read_page
from sphinx_x.errors import DataError, needs_extra, one_line
from sphinx_x.sources.base import UnusedError

with needs_extra("data", "making samples of PDFs"):
    from zlib_ng import zlib_ng

MOST_PAGES = 20_000
"""Largest number of pages of a document that are read; a higher count is more often wrong than a book."""
OF_A_BENCHMARK = "picture of a benchmark"


class OcrSettings(BaseModel):
    """How pages become samples; the same settings and files give the same bytes.

    Attributes:
        long_edge: Long side of a page in pixels.
        image: Format in which pages are stored.
        seed: Seed of all random choices.
        pages_per_document: Number of pages, chosen at random; 0 for all.
        licence: Licence of the documents, as no PDF states its own.
        shard_size: Number of pages in a shard.
        cpu_seconds: Limit of CPU time per page.
        memory: Limit of memory per document, in bytes.
        near: Share of equal runs of words from which a page is left out.
        benchmarks: A folder of images that must not be in the data.
        limits: Requirements for a page.
        part: If set, only a part of each page is shown, with lines as regions instead of blocks.
        questions: Which questions are asked.
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
    near: float = Field(default=0.8, gt=0, le=1)
    benchmarks: Path | None = None
    limits: Limits = Limits()
    part: PartSettings | None = None
    questions: QuestionSettings = QuestionSettings()


@dataclass(frozen=True)
class Document:
    """A PDF file: its path, its name below the folder, and the id of its samples."""

    path: Path
    name: str
    id: str


@dataclass(frozen=True)
class Job:
    """What every worker needs.

    Attributes:
        settings: The engine's settings.
        work: The folder of unfinished and finished documents.
        benchmarks: Images that must not be in the data.
        key: Identifies the run.
    """

    settings: OcrSettings
    work: Path
    benchmarks: Benchmarks
    key: str = field(default_factory=lambda: secrets.token_hex(8))


def read_on(job: Job, document: Document, part: Path) -> bool:
    """Open a document and append every page that is missing to the file `part`; return whether all went well."""
    settings = job.settings
    state = state_of(part)
    with part.open("ab") as file:
        mend(file, state)
        more_time(settings.cpu_seconds)
        opened = _open(document)
        if isinstance(opened, str):
            append(file, {"page": -1, "reason": opened, "wrong": True})
            append(file, {"end": 1})
            return False
        well = True
        pages = state.pages
        if pages is None:
            pages = _chosen(settings, document, len(opened))
            append(file, {"pages": pages, "count": len(opened)})
        if len(opened) > MOST_PAGES and -1 not in state.read:
            append(file, {"page": -1, "reason": f"pages beyond the first {MOST_PAGES:,}", "wrong": False})
        for page in pages:
            if page in state.read:
                continue
            more_time(settings.cpu_seconds)
            data, content = _page_record(job, document, opened, page)
            append(file, data, content)
            well = well and not data.get("wrong")
        append(file, {"end": 1})
    opened.close()
    return well


def more_time(seconds: int) -> None:
    """Allow this process so much more CPU time, after which the system ends it."""
    if sys.platform == "win32":
        return
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + seconds + 1, hard))


def _open(document: Document) -> pdfium.PdfDocument | str:
    """Return the opened document, or why it cannot be opened."""
    # pdfium sets its error only for some failures; this sets it to one that does not mean an encrypted file
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
    """Return the record of a page with its image, or with the reason why there is none."""
    started = time.process_time()
    try:
        page = read_page(opened, number, job.settings.long_edge)
        reason = judge(page, job.settings.limits)
        found = None if reason else job.benchmarks.find(page.image)
        if reason or found:
            detail = {"detail": found} if found else {}
            detail |= dict(zip(("script", "language"), language(page.all_text), strict=True))
            return _timed({"page": number, "reason": reason or OF_A_BENCHMARK} | detail, started), b""
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
    rng = random.Random(f"{settings.seed} {name}")
    script, spoken = language(page.text)  # of the whole page, as a part is too short to tell
    if settings.part is not None:
        page = cut_part(page, settings.part, rng)
        found = job.benchmarks.find(page.image)
        if found:
            facts = {"reason": OF_A_BENCHMARK, "detail": found, "script": script, "language": spoken}
            return _timed({"page": number} | facts, started), b""
    asked = ask(page, settings.questions, rng, spoken)
    picture = encode(page.image, settings.image)
    text = page.text
    regions = _regions(page, whole=settings.part is None)
    place, content = packed(
        {"id": f"ocr/{name}", "messages": [m.to_dict() for m in asked.messages], "regions": regions}, picture
    )
    data = {
        "page": number,
        "kinds": asked.kinds,
        "skipped": dict(asked.left_out),
        "script": script,
        "language": spoken,
        "left_out": dict(page.left_out),
        "letters": len(text),
        "width": page.image.width,
        "height": page.image.height,
        "picture": hashlib.blake2b(picture, digest_size=16).hexdigest(),
        "signature": base64.b64encode(signature(text).tobytes()).decode(),
    }
    return _timed(data | place, started), content


def _regions(page: Page, whole: bool) -> list[dict]:
    """Return the blocks of a whole page with their classes, or the lines of a part."""
    if whole:
        found = [({"text": block.text, "class": block.label}, block.box) for block in page.blocks]
    else:
        found = [({"text": line.text}, line.box) for line in page.lines]
    places = [(facts, shown(box, page.image.size)) for facts, box in found]
    return [facts | {"box": list(box)} for facts, box in places if box]


def encode(image: Image.Image, form: str) -> bytes:
    """Return a page's image as PNG or JPEG."""
    if form == "jpeg":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=92)
        return buffer.getvalue()
    return _png(np.asarray(image))


def _png(pixels: np.ndarray) -> bytes:
    """Return pixels, grey (H, W) or RGB (H, W, 3), as PNG without filters: for pages this is smaller, in half the time.

    zlib-ng compresses pages three to four times as fast as zlib, into a sixth more bytes. ISA-L is faster again, but
    now and then it writes other bytes for the same pixels.
    """
    height, width = pixels.shape[:2]
    rows = np.zeros((height, pixels[0].size + 1), np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib_ng.compress(rows.data, 2)), (b"IEND", b""))
    lengths = (struct.pack(">I", len(data)) for _, data in chunks)
    sums = (struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)
    parts = (a + name + data + b for a, (name, data), b in zip(lengths, chunks, sums, strict=True))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
