"""Documents are read in a separate process, as a bad one may hang, crash or fill it; the reading itself is in `pdfs`.

A process reads one document after another. It gets limits of CPU time for every page and of memory for every document;
the clock decides nothing, so a busy machine gives the same samples as an idle one. A process is replaced when it has
grown, has met any fault, or has read many documents. A page is blamed for the end of a process only if that process had
read no other document: otherwise, the document is first continued in a new one.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from sphinx_x.engines.ocr.pdfs import Document, Job, read_on
from sphinx_x.engines.ocr.records import append, entries, mend, state_of
from sphinx_x.work.sandbox import bound_memory, end_with_parent, memory_used

CRASHES = 3
"""Number of pages of a document that may crash or exhaust their process before the rest of it is given up."""
STALLED = 600
"""Seconds without any CPU time after which an idle process is ended."""
MOST_DOCUMENTS = 100
"""Number of documents that one process reads."""
GROWN = 0.25
"""Share of a document's memory limit by which a process may have grown when it starts another document."""


def read_document(job: Job, document: Document) -> list[str | None]:
    """Read a document to its end, with as many processes as it takes.

    The result is `ID.done` in the work folder (see `records`).

    Returns:
        For every page the reason why it is left out, or None.
    """
    done, part = job.work / f"{document.id}.done", job.work / f"{document.id}.part"
    if not done.exists():
        killed: set[int] = set()
        finished = state_of(part).end
        while not finished:
            finished = _read_once(job, document, part, killed)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(done)
    return [entry.data.get("reason") for entry in entries(done)]


def _read_once(job: Job, document: Document, part: Path, killed: set[int]) -> bool:
    """Let a process continue a document, blame the page that ended it, and return whether the end was reached."""
    reader = _reader_for(job)
    used = reader.documents > 0
    code = reader.read(document, part)
    if code is None:
        return True
    no_reader()
    if state_of(part).end:
        return True
    if not used or code == -signal.SIGXCPU:
        _blame(part, code, killed)
    return state_of(part).end


class _Reader:
    """A process that reads the documents it is given.

    Attributes:
        documents: How many it has read.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.documents = job, 0
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
        self.link, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(job, other, self.link), daemon=True)
        self.process.start()
        other.close()

    def read(self, document: Document, part: Path) -> int | None:
        """Let it continue a document; return the signal or code that ended it, or None if it did not end too soon."""
        try:
            self.link.send((document, part))
            used, since = -1.0, time.monotonic()
            while not wait([self.link, self.process.sentinel], 5):
                now = _cpu_of(self.process.pid)
                if now != used:
                    used, since = now, time.monotonic()
                elif time.monotonic() - since > STALLED:
                    self.end()
                    return -signal.SIGALRM
            goes_on = self.link.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return self.process.exitcode or 0
        except BaseException:
            self.end()
            raise
        self.documents += 1
        if not goes_on or self.documents >= MOST_DOCUMENTS:
            no_reader()
        return None

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.link.close()


_reader: _Reader | None = None


def _reader_for(job: Job) -> _Reader:
    """Return the process next to this one that reads documents."""
    global _reader
    if _reader is None or _reader.job.key != job.key:
        no_reader()
        _reader = _Reader(job)
    return _reader


def no_reader() -> None:
    """End the process next to this one, if there is any."""
    global _reader
    if _reader is not None:
        _reader.end()
    _reader = None


def _cpu_of(pid: int | None) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic()  # this system has no such table, or the process is gone
    return float(fields[11]) + float(fields[12])


def _blame(part: Path, code: int, killed: set[int]) -> None:
    """Record the page that ended its process; one that was killed from outside is tried once more."""
    state = state_of(part)
    left = [page for page in state.pages or [] if page not in state.read]
    page = left[0] if left else -1
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
        mend(file, state)
        append(file, {"page": page, "reason": reason, "wrong": True, "crash": True})
        if page < 0:
            append(file, {"end": 1})
        elif state.crashes + 1 >= CRASHES:
            for other in left[1:]:
                append(file, {"page": other, "reason": "document given up after crashes", "wrong": True})
            append(file, {"end": 1})


def _serve(job: Job, link: Connection, other: Connection) -> None:
    """Body of the process: reads documents until it has grown too much or met a fault."""
    other.close()
    gc.freeze()  # the parent's objects stay in shared memory
    end_with_parent()
    most = memory_used() + GROWN * job.settings.memory
    goes_on = True
    while goes_on:
        try:
            document, part = link.recv()
        except EOFError:
            return
        bound_memory(job.settings.memory)
        goes_on = read_on(job, document, part) and memory_used() < most
        link.send(goes_on)
