"""The OCR-intensive engine: from a folder of PDFs to shards of page samples, fully accounted for (paper, 4.1).

First pass: every worker reads documents in a separate process (`readers`), and the results are kept in `.work`. Second
pass: the pages in order of their documents' names, without near duplicates of earlier ones, are written to shards
NAME-00000.jsonl and .tar. `quarantine.jsonl` names every page and document that is left out, `report.json` comes last,
and `report.html` shows samples. An interrupted run is continued; the same files and settings give the same shards,
quarantine and report.json for any number of workers (`report.html` also gives the time taken).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from sphinx_x.conversation import parse_messages
from sphinx_x.data.sample import ImageRef, Sample
from sphinx_x.data.shards import write_shard
from sphinx_x.engines.ocr.alike import HASHES, Benchmarks, near_duplicates
from sphinx_x.engines.ocr.pdfs import Document, Job, OcrSettings
from sphinx_x.engines.ocr.readers import no_reader, read_document
from sphinx_x.engines.ocr.records import Entry, entries, sample_of
from sphinx_x.engines.ocr.report import write_page
from sphinx_x.engines.pdf.languages import load_languages, settle_languages
from sphinx_x.errors import DataError, one_line
from sphinx_x.work.files import alone_in, walk_once, write_atomic
from sphinx_x.work.pool import run
from sphinx_x.work.runs import WORK, claim
from sphinx_x.work.tally import QUARANTINE, Tally, quarantine_lines

NAME = "ocr"
FACTS = ("page", "kinds", "skipped", "script", "language", "left_out", "letters", "width", "height", "crc", "size")
"""What the second pass keeps in memory about every page."""
REPORT, PAGE = "report.json", "report.html"


@dataclass
class Found:
    """What the second pass knows: documents, quarantine, and where each kept page lies."""

    tally: Tally = field(default_factory=Tally)
    aside: list[dict] = field(default_factory=list)
    kept: list[tuple[Document, Entry]] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    """Seconds of CPU time of every page that was read."""

    def leave(self, document: str, page: int, reason: str, wrong: bool, detail: str = "") -> None:
        """Count and name a page that is not in the data; pages count from 0, and -1 means the whole document."""
        (self.tally.set_aside if wrong else self.tally.left_out)[reason] += 1
        entry = {"source": document, "page": page + 1 or None, "reason": reason}
        self.aside.append(entry | ({"detail": detail} if detail else {}))

    def leave_of_language(self, data: dict, reason: str) -> None:
        """Count a page that is left out under its language, if it had any text."""
        if data.get("script", "none") != "none":
            self.count("pages_left_out_by_language", f"{data['script']}/{data['language']}: {reason}")

    def count(self, table: str, key: str, number: int = 1) -> None:
        """Add to one of the report's tables."""
        self.counts.setdefault(table, Counter())[key] += number


def make_ocr(
    folder: str | Path,
    out: str | Path,
    settings: OcrSettings | None = None,
    workers: int | None = None,
    progress: Callable[[Tally], None] = lambda _: None,
    engine: str = "local",
) -> Tally:
    """Make the shards of all PDFs below `folder` in the folder `out`, continuing an interrupted run.

    A record of the tally is a page, or a document of which no page could be read.

    Args:
        folder: A folder of PDFs, or one PDF file.
        out: The folder to write.
        settings: The engine's settings.
        workers: Number of processes, by default one per core.
        progress: Called after every document with the tally so far.
        engine: See `pool.run`.

    Raises:
        DataError: There is no PDF, no page can be kept, or `out` holds something else.
    """
    folder, out, settings = Path(folder), Path(out), settings or OcrSettings()
    if not folder.exists():
        raise DataError(f"{folder}: no such file or folder")
    if folder.is_file() and folder.suffix.lower() != ".pdf":
        raise DataError(f"{folder}: is no PDF file (.pdf), and no folder of such")
    documents, found = list_documents(folder, out)
    if not documents:
        raise DataError(f"{folder}: no PDF file there")
    with alone_in(out):
        claim(out, _fingerprint(documents, settings))
        if (out / REPORT).exists():
            shutil.rmtree(out / WORK, ignore_errors=True)
            return Tally.from_json(json.dumps(_report(out)["tally"]))
        job = Job(settings, out / WORK, Benchmarks(settings.benchmarks))
        if job.benchmarks.unreadable:
            raise DataError(f"{job.benchmarks.unreadable[0]}: picture of a benchmark that cannot be read")
        if settings.benchmarks is not None and not job.benchmarks.names:
            raise DataError(f"{settings.benchmarks}: holds no pictures to compare pages with")
        job.work.mkdir(exist_ok=True)
        load_languages()
        started = time.monotonic()
        _first_pass(job, documents, workers, engine, progress)
        seconds = time.monotonic() - started
        return _second_pass(job, documents, found, out, workers, engine, seconds)


def list_documents(folder: Path, out: Path) -> tuple[list[Document], Found]:
    """Return every distinct PDF of a folder (or the one given) by name; others and duplicates are recorded."""
    found = Found()
    paths = sorted(_walk(folder, out.resolve()), key=lambda item: os.fsencode(item[1]))
    sizes = Counter(path.stat().st_size for path, _ in paths if path.is_file())
    seen: dict[bytes, str] = {}
    documents = []
    for path, name in paths:
        shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        if not path.is_file():
            found.leave(shown, -1, "not a regular file", True)
            continue
        try:
            if sizes[path.stat().st_size] > 1:
                with path.open("rb") as file:
                    key = hashlib.file_digest(file, "sha256").digest()
                if key in seen:
                    found.leave(shown, -1, "the same file", False, seen[key])
                    continue
                seen[key] = shown
        except OSError as error:
            found.leave(shown, -1, "unreadable file", True, one_line(error))
            continue
        code = hashlib.blake2b(os.fsencode(name), digest_size=6).hexdigest()
        documents.append(Document(path, shown, code))
    return documents, found


def _walk(folder: Path, out: Path) -> Iterator[tuple[Path, str]]:
    if folder.is_file():
        yield folder, folder.name
        return
    for place, folders, names in walk_once(folder, set(), onerror=_unreadable):
        folders[:] = [name for name in folders if (Path(place) / name).resolve() != out]
        for name in names:
            if name.lower().endswith(".pdf"):
                path = Path(place) / name
                yield path, path.relative_to(folder).as_posix()


def _unreadable(error: OSError) -> None:
    raise DataError(f"folder unreadable: {error.filename}: {one_line(error)}") from error


def _fingerprint(documents: list[Document], settings: OcrSettings) -> dict:
    facts = []
    for document in documents:
        state = document.path.stat()
        facts.append((document.name, state.st_size, state.st_mtime_ns))
    pictures = []
    if settings.benchmarks is not None:
        for path in sorted(settings.benchmarks.rglob("*")):
            pictures.append((path.as_posix(), path.stat().st_size))
    key = hashlib.sha256(repr((facts, pictures)).encode(errors="backslashreplace")).hexdigest()[:16]
    drawn = version("pypdfium2")  # on which every pixel depends
    return {"engine": NAME, "settings": settings.model_dump(mode="json"), "files": key, "pypdfium2": drawn}


def _first_pass(
    job: Job, documents: list[Document], workers: int | None, engine: str, progress: Callable[[Tally], None]
) -> None:
    tally = Tally()
    try:
        for reasons in run(read_document, job, documents, workers, engine):
            for reason in reasons:
                tally.records += 1
                if reason:
                    tally.left_out[reason] += 1
                else:
                    tally.samples += 1
            progress(tally)
    finally:
        no_reader()


def _second_pass(
    job: Job, documents: list[Document], found: Found, out: Path, workers: int | None, engine: str, seconds: float
) -> Tally:
    _collect(job, documents, found)
    found.tally.records = found.tally.samples + found.tally.bad + sum(found.tally.left_out.values())
    size = job.settings.shard_size
    tasks = [(number, found.kept[start : start + size]) for number, start in enumerate(range(0, len(found.kept), size))]
    todo = [task for task in tasks if not (out / f"{NAME}-{task[0]:05d}.jsonl").exists()]
    for _ in run(write_pages, (job, out), todo, workers, engine):
        pass
    write_atomic(out / QUARANTINE, quarantine_lines(found.aside))
    if not found.kept:
        reason, count = (found.tally.set_aside + found.tally.left_out).most_common(1)[0]
        raise DataError(f"no page can be kept of {len(documents)} documents ({count}: {reason})")
    report = {"documents": len(documents), "tally": vars(found.tally)}
    report |= {name: dict(sorted(table.items())) for name, table in sorted(found.counts.items())}
    write_page(out / PAGE, out, report, sum(found.times), len(found.times), seconds)
    write_atomic(out / REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    shutil.rmtree(job.work, ignore_errors=True)
    return found.tally


def _done(job: Job, document: Document) -> Path:
    return job.work / f"{document.id}.done"


def _collect(job: Job, documents: list[Document], found: Found) -> None:
    """Sort out duplicates, and count what is kept and what is not."""
    pages: list[tuple[Document, Entry]] = []
    signatures: list[bytes] = []
    pictures: dict[str, str] = {}
    for document in documents:
        read: list[dict] = []
        for entry in entries(_done(job, document)):
            data = entry.data
            if "cpu" in data:
                found.times.append(data["cpu"])
            place = f"{document.name}#page={entry.page + 1}"
            if data.get("picture") in pictures:
                data |= {"reason": "the same page", "detail": pictures[data["picture"]]}
            if "reason" in data:
                found.leave(document.name, entry.page, data["reason"], data.get("wrong", False), data.get("detail", ""))
                read.append({name: data[name] for name in ("reason", "script", "language") if name in data})
                continue
            pictures[data["picture"]] = place
            signatures.append(base64.b64decode(data.pop("signature")))
            facts = {name: data[name] for name in FACTS}
            pages.append((document, Entry(facts, entry.start)))
            read.append(facts)
        settle_languages(read)
        for data in read:
            if "reason" in data:
                found.leave_of_language(data, data["reason"])
    array = np.frombuffer(b"".join(signatures), np.uint32).reshape(-1, HASHES)
    twins = near_duplicates(array, job.settings.near)
    for (document, entry), twin in zip(pages, twins.tolist(), strict=True):
        if twin >= 0:
            other, first = pages[twin]
            found.leave(document.name, entry.page, "nearly the same page", False, f"{other.name}#page={first.page + 1}")
            found.leave_of_language(entry.data, "nearly the same page")
            continue
        found.kept.append((document, entry))
        _count(found, entry.data)


def _count(found: Found, data: dict) -> None:
    found.tally.samples += 1
    found.tally.turns += len(data["kinds"])
    found.count("languages", f"{data['script']}/{data['language']}")
    found.count("characters", data["script"], data["letters"])
    for kind in data["kinds"]:
        found.count("questions", kind)
    for table in ("skipped", "left_out"):
        for reason, number in data[table].items():
            name = "questions_not_asked" if table == "skipped" else "characters_not_read"
            found.count(name, reason, number)


def write_pages(common: tuple[Job, Path], task: tuple[int, list[tuple[Document, Entry]]]) -> int:
    """Write one shard of pages that have been read, and return their number."""
    (job, out), (number, pages) = common, task
    return write_shard(out, f"{NAME}-{number:05d}", _samples(job, pages))


def _samples(job: Job, pages: list[tuple[Document, Entry]]) -> Iterator[tuple[Sample, list[bytes]]]:
    for document, entry in pages:
        data, picture = sample_of(_done(job, document), entry)
        source = f"{document.name}#page={entry.page + 1}"
        size = ImageRef(width=entry.data["width"], height=entry.data["height"])
        messages = parse_messages(data["messages"])
        sample = Sample(data["id"], [size], messages, source, job.settings.licence, data["regions"], "ocr")
        yield sample, [picture]


def _report(out: Path) -> dict:
    try:
        return json.loads((out / REPORT).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{out / REPORT}: cannot be read, delete it and start again") from error
