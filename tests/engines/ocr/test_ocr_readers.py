"""The processes that read documents: many documents in one, and none blamed for what another did."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pypdfium2 as pdfium
import pytest

from paths import ROOT
from pdf_pages import PageOf, Pdf, paragraph
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.ocr import pdfs, readers
from sphinx_x.engines.ocr.engine import make_ocr
from sphinx_x.engines.ocr.pdfs import OcrSettings
from sphinx_x.engines.ocr.records import append, entries, mend, packed, sample_of, state_of
from sphinx_x.engines.pdf.page import Page, read_page
from sphinx_x.errors import DataError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, with limits")
SMALL = OcrSettings(long_edge=640, memory=400_000_000)
WORDS = (ROOT / "LICENSE").read_text().split()


@pytest.fixture
def books(tmp_path) -> Path:
    """Four documents of one page each."""
    for name in range(4):
        rng = random.Random(name)
        lines = [" ".join(rng.choices(WORDS, k=8))[:70] for _ in range(20)]
        Pdf([PageOf(paragraph(lines, 60, 740))]).write(tmp_path / f"in/{name}.pdf")
    return tmp_path / "in"


def watched(monkeypatch, log: Path, harm: Callable[[int], None] = lambda _: None) -> Callable[[], list[int]]:
    """Lets every page that is read write down its process, then calls `harm` with how many that process has begun."""

    def reading(document: pdfium.PdfDocument, number: int, long_edge: int) -> Page:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        harm(Counter(log.read_text().split())[str(os.getpid())])
        return read_page(document, number, long_edge)

    monkeypatch.setattr(pdfs, "read_page", reading)
    return lambda: [int(line) for line in log.read_text().split()]


def test_one_process_reads_many_documents(books, tmp_path, monkeypatch):
    processes = watched(monkeypatch, tmp_path / "log")
    make_ocr(books, tmp_path / "out", SMALL, workers=1)
    assert len(set(processes())) == 1
    assert os.getpid() not in processes()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("limit", "value"), [("MOST_DOCUMENTS", 1), ("GROWN", -1.0)])
def test_processes_give_way_and_the_bytes_stay(books, tmp_path, monkeypatch, limit: str, value: float):
    make_ocr(books, tmp_path / "one", SMALL, workers=1)
    monkeypatch.setattr(readers, limit, value)
    processes = watched(monkeypatch, tmp_path / "log")
    make_ocr(books, tmp_path / "many", SMALL, workers=1)
    assert len(set(processes())) == 4
    for name in ("ocr-00000.jsonl", "ocr-00000.tar", "quarantine.jsonl", "report.json"):
        assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_what_another_document_did_is_not_blamed(books, tmp_path, monkeypatch):
    """A process that breaks at its third page, whatever page that is: all are read, by others."""

    def harm(begun: int) -> None:
        if begun == 3:
            signal.raise_signal(signal.SIGTRAP)

    processes = watched(monkeypatch, tmp_path / "log", harm)
    tally = make_ocr(books, tmp_path / "out", SMALL, workers=1)
    assert (tally.samples, tally.bad) == (4, 0)
    assert len(set(processes())) == 2
    assert (tmp_path / "out/quarantine.jsonl").read_text() == ""


def test_after_anything_wrong_a_new_process_reads(books, tmp_path, monkeypatch):
    (books / "0a.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    processes = watched(monkeypatch, tmp_path / "log")
    make_ocr(books, tmp_path / "out", SMALL, workers=1)
    assert len(set(processes())) == 2
    (line,) = (tmp_path / "out/quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "damaged document"


def test_a_process_that_dies_between_documents(books, tmp_path, monkeypatch):
    """Killed from outside while it waits: nothing is lost, and no document is said to have done it."""
    processes = watched(monkeypatch, tmp_path / "log")

    def kill(_: object) -> None:
        os.kill(processes()[-1], signal.SIGKILL)

    tally = make_ocr(books, tmp_path / "out", SMALL, 1, kill)
    assert (tally.samples, tally.bad) == (4, 0)


def test_no_process_stays_where_a_run_is_stopped(books, tmp_path):
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_ocr(books, tmp_path / "out", SMALL, 1, stop)
    assert multiprocessing.active_children() == []
    make_ocr(books, tmp_path / "out", SMALL, 1)
    assert len(SampleReader(tmp_path / "out")) == 4


def test_the_file_of_a_document(tmp_path):
    """Cut anywhere: what is whole is read and added to, and a changed sample or picture is found out."""
    path = tmp_path / "a.part"
    with path.open("wb") as file:
        append(file, {"pages": [0, 1, 2]})
        for page in range(2):
            place, content = packed({"id": f"{page}", "text": "a\nb \ud800"}, b"picture\n" * page)
            append(file, {"page": page} | place, content)
        append(file, {"page": 2, "reason": "blank page", "crash": True})
        append(file, {"end": 1})
    whole = path.read_bytes()
    state = state_of(path)
    assert (state.pages, state.read, state.crashes, state.end) == ([0, 1, 2], {0, 1, 2}, 1, True)
    found = list(entries(path))
    assert [entry.page for entry in found] == [0, 1, 2]
    sample, picture = sample_of(path, found[1])
    assert (sample["id"], sample["text"], picture) == ("1", "a\nb \ud800", b"picture\n")
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        state = state_of(path)
        assert state.length <= length and not state.end
        with path.open("ab") as file:
            mend(file, state)
            append(file, {"page": 9})
        assert [entry.page for entry in entries(path)] == [*sorted(state.read), 9]
    path.write_bytes(whole.replace(b"picture", b"forgery"))
    with pytest.raises(DataError, match="damaged, delete it and start again"):
        sample_of(path, found[1])
    assert state_of(tmp_path / "none").length == 0
