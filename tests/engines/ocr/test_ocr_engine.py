"""The OCR engine: questions about pages, duplicates, and runs over folders of good, bad and hostile PDFs."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest
from PIL import Image
from pydantic import ValidationError

import sphinx_x
from books import WORDS, book, page_operators
from messages import dicts
from paths import EXAMPLE
from pdf_pages import PageOf, Pdf, show
from sphinx_x.data.sample import ImageRef, Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.ocr import pdfs
from sphinx_x.engines.ocr.alike import HASHES, Benchmarks, near_duplicates, signature
from sphinx_x.engines.ocr.engine import make_ocr
from sphinx_x.engines.ocr.parts import PartSettings
from sphinx_x.engines.ocr.pdfs import OcrSettings
from sphinx_x.engines.ocr.questions import CLASSES, KINDS, QuestionSettings, ask
from sphinx_x.engines.pdf.page import Page, read_page
from sphinx_x.errors import DataError
from sphinx_x.images import open_image
from sphinx_x.sources.base import UnusedError

SMALL = OcrSettings(long_edge=640, shard_size=3, cpu_seconds=20)


@pytest.fixture(scope="module")
def example() -> Page:
    return read_page(pdfium.PdfDocument(EXAMPLE), 0, 1024)


def said(message: dict) -> str:
    return "".join(part.get("text", "#") for part in message["content"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_question(example, kind):
    """Answers are whole units of the page, boxes lie on it, and samples can be learned."""
    every = {word.text for block in example.blocks for line in block.lines for word in line.words}
    flat = " ".join(example.text.split())
    settings = QuestionSettings(weights={kind: 1}, answer=500)
    seen = set()
    for seed in range(40):
        try:
            asked = ask(example, settings, random.Random(seed))
        except UnusedError:
            continue
        assert asked.kinds == [kind]
        sample = Sample("x", [ImageRef("-", width=792, height=1024)], asked.messages)
        Sample.from_dict(sample.to_dict()).check()
        question, answer = dicts(asked.messages)
        text = said(answer)
        seen.add((said(question), text))
        if kind in ("read_page", "read_region", "continue_text"):
            assert len(text) <= 500
            assert set(text.replace("\n", " ").split()) <= every
            assert " ".join(text.split()) in flat
        elif kind == "find_text":
            assert flat.count(said(question).split('"')[1]) == 1
        elif kind == "spot_words":
            assert text.startswith(("There are ", "There is "))
            assert text.endswith(" in the image.")
            assert 1 <= sum(part["type"] == "box" for part in answer["content"]) <= settings.words
        elif kind == "layout":
            assert any(name in text for name in CLASSES)
    assert len(seen) >= 2


def test_a_dialogue_has_several_kinds(example):
    asked = ask(example, QuestionSettings(turns=5), random.Random(3))
    assert len(asked.kinds) == len(set(asked.kinds)) == 5
    assert sum(part["type"] == "image" for message in dicts(asked.messages) for part in message["content"]) == 1
    assert asked.messages == ask(example, QuestionSettings(turns=5), random.Random(3)).messages


def test_no_answer_says_what_another_says(example):
    """It could be copied from the dialogue: a model that learns so runs in circles when it reads."""
    settings = QuestionSettings(turns=7, answer=4000)
    counts, skipped = 0, 0
    for seed in range(60):
        asked = ask(example, settings, random.Random(seed))
        answers = [" ".join(said(message).split()) for message in dicts(asked.messages)[1::2]]
        texts = [text for text, message in zip(answers, dicts(asked.messages)[1::2], strict=True) if all_text(message)]
        for k, text in enumerate(texts):
            assert not any(len(text) >= 6 and text in other for n, other in enumerate(texts) if n != k), texts
        counts += len(texts)
        skipped += asked.left_out["what an earlier answer says"]
    assert counts > 60 and skipped > 30


def all_text(message: dict) -> bool:
    return all(part["type"] == "text" for part in message["content"])


def test_wrong_questions():
    with pytest.raises(ValidationError, match="no such kind of question: sing"):  # before any page is read
        QuestionSettings(weights={"read_page": 1, "sing": 1})
    for weights in ({}, {"read_page": 0}, {"read_page": -1, "layout": 1}, {"read_page": float("nan")}):
        with pytest.raises(ValidationError, match="weights are 0 or more, and not all 0"):
            QuestionSettings(weights=weights)
    for near in (0, 80):
        with pytest.raises(ValidationError, match="near"):
            OcrSettings(near=near)
    with pytest.raises(ValidationError):
        QuestionSettings(turns=0)


def test_near_duplicates():
    rng = random.Random(1)
    texts = [" ".join(rng.choices(WORDS, k=200)) for _ in range(30)]
    texts += [texts[3], texts[7] + " 42", texts[7].replace(" the ", " a "), " ".join(texts[9].split()[:100])]
    twins = near_duplicates(np.stack([signature(text) for text in texts]), 0.8)
    assert twins[:30].tolist() == [-1] * 30
    assert twins[30:].tolist() == [3, 7, *twins[32:33].tolist(), -1]
    assert near_duplicates(np.zeros((0, HASHES), np.uint32), 0.8).shape == (0,)
    assert signature("").shape == (HASHES,)


def test_benchmark_pictures(tmp_path):
    image = read_page(pdfium.PdfDocument(EXAMPLE), 0, 1024).image.convert("RGB")
    folder = tmp_path / "bench/deep"
    folder.mkdir(parents=True)
    image.resize((612, 792)).save(folder / "page.jpg", quality=60)
    Image.new("RGB", (100, 100), "red").save(folder / "red.png")
    found = Benchmarks(tmp_path / "bench")
    assert found.names == ["deep/page.jpg", "deep/red.png"]
    assert found.find(image) == "deep/page.jpg"
    other = read_page(pdfium.PdfDocument(book(tmp_path / "a.pdf", 1)), 0, 1024).image
    assert found.find(other.resize(image.size)) is None
    assert Benchmarks(None).find(image) is None
    with pytest.raises(DataError, match="no such folder"):
        Benchmarks(tmp_path / "nothing")


def contents(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in out.iterdir() if p.name.startswith(("ocr-", "quarantine", "report.json"))}


def quarantine(out: Path) -> dict[tuple[str, int | None], str]:
    lines = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    return {(line["source"], line["page"]): line["reason"] for line in lines}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """PDFs of all sorts: good ones, one that is there twice, a page that is, and bad ones."""
    place = tmp_path_factory.mktemp("pdfs")
    book(place / "b.pdf", 1, 2, 3)
    book(place / "deep/a.pdf", 4, 1, 5)
    Pdf([PageOf([]), PageOf(page_operators(6)), PageOf(page_operators(7), size=(10, 500))]).write(place / "c.PDF")
    (place / "twice.pdf").write_bytes((place / "b.pdf").read_bytes())
    (place / "empty.pdf").write_bytes(b"")
    (place / "noise.pdf").write_bytes(random.Random(1).randbytes(5000))
    (place / "cut.pdf").write_bytes((place / "b.pdf").read_bytes()[:120])
    lock = "/Encrypt<</Filter/Standard/V 1/R 2/P -4/O(" + "o" * 32 + ")/U(" + "u" * 32 + ")>>/ID[(a)(b)]"
    Pdf([PageOf(page_operators(8))], trailer=lock).write(place / "locked.pdf")
    Pdf([]).write(place / "nothing.pdf")
    return place


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "ocr"
    make_ocr(folder, out, SMALL, workers=1)
    return out


def test_a_run_accounts_for_everything(folder, done):
    assert quarantine(done) == {
        ("c.PDF", 1): "blank page",
        ("c.PDF", 3): "page of an odd size",
        ("cut.pdf", None): "damaged document",
        ("deep/a.pdf", 2): "the same page",
        ("empty.pdf", None): "damaged document",
        ("locked.pdf", None): "encrypted document",
        ("noise.pdf", None): "damaged document",
        ("nothing.pdf", None): "damaged document",
        ("twice.pdf", None): "the same file",
    }
    tally = make_ocr(folder, done, SMALL)  # a second call only tells what is there
    assert (tally.records, tally.samples, tally.bad, sum(tally.left_out.values())) == (15, 6, 5, 4)
    reader = SampleReader(done)
    assert len(reader) == 6
    assert len(list(done.glob("ocr-*.jsonl"))) == 2
    for number in range(6):
        sample = reader[number].check()
        assert sample.task == "ocr"
        assert max(Image.open(io.BytesIO(reader.image_bytes(sample))).size) == 640
    assert reader[0].source == "b.pdf#page=1"
    report = json.loads((done / "report.json").read_text())
    assert report["languages"] == {"latin/en": 6}
    assert report["pages_left_out_by_language"] == {"latin/en: the same page": 1}
    shown = (done / "report.html").read_text()
    assert all(reader[number].source in shown for number in range(6))
    assert not (done / ".work").exists()


def test_same_bytes_for_any_number_of_workers(folder, done, tmp_path):
    make_ocr(folder, tmp_path / "out", SMALL, workers=3)
    assert contents(tmp_path / "out") == contents(done)


def test_other_seeds_ask_other_questions(folder, done, tmp_path):
    make_ocr(folder, tmp_path / "out", SMALL.model_copy(update={"seed": 1}), workers=2)
    assert contents(tmp_path / "out").keys() == contents(done).keys()
    assert contents(tmp_path / "out")["ocr-00000.jsonl"] != contents(done)["ocr-00000.jsonl"]


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on(folder, done, tmp_path):
    """Stopped after every number of documents; what the kill left half written is read again."""
    for stop in range(1, 4):
        out = tmp_path / str(stop)
        calls = iter(range(stop))

        def interrupt(_: object, calls: object = calls) -> None:
            if next(calls, None) is None:  # type: ignore[call-overload]
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make_ocr(folder, out, SMALL, 1, interrupt)
        whole = sorted((out / ".work").glob("*.done"))[0]
        content = whole.read_bytes()
        whole.unlink()
        whole.with_suffix(".part").write_bytes(content[: random.Random(stop).randrange(len(content))])
        make_ocr(folder, out, SMALL, workers=2)
        assert contents(out) == contents(done)


def test_a_folder_of_something_else(folder, done, tmp_path):
    with pytest.raises(DataError, match="with other settings"):
        make_ocr(folder, done, SMALL.model_copy(update={"seed": 5}))
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(DataError, match="not empty"):
        make_ocr(folder, tmp_path, SMALL)
    with pytest.raises(DataError, match="no PDF file"):
        make_ocr(tmp_path, tmp_path / "out", SMALL)
    with pytest.raises(DataError, match="no such file or folder"):
        make_ocr(tmp_path / "none", tmp_path / "out", SMALL)


def test_no_page_to_keep(tmp_path):
    Pdf([PageOf([])]).write(tmp_path / "in/a.pdf")
    with pytest.raises(DataError, match=r"no page can be kept of 1 documents \(1: blank page\)"):
        make_ocr(tmp_path / "in", tmp_path / "out", SMALL)


def test_near_duplicates_and_benchmarks_are_left_out(tmp_path):
    first = page_operators(1, 40)
    other = [*first[:-1], show("one line that differs from the first", 60, 740 - 12 * 39)]
    Pdf([PageOf(first), PageOf(other), PageOf(page_operators(2))]).write(tmp_path / "in/a.pdf")
    bench = tmp_path / "bench"
    bench.mkdir()
    read_page(pdfium.PdfDocument(tmp_path / "in/a.pdf"), 2, 800).image.save(bench / "page.png")
    settings = SMALL.model_copy(update={"benchmarks": bench})
    make_ocr(tmp_path / "in", tmp_path / "out", settings)
    assert quarantine(tmp_path / "out") == {
        ("a.pdf", 2): "nearly the same page",
        ("a.pdf", 3): "picture of a benchmark",
    }


def test_parts_of_pages_are_compared_with_benchmarks_as_well(tmp_path):
    book(tmp_path / "in/a.pdf", 1, 2)
    settings = SMALL.model_copy(update={"part": PartSettings(height=60, lines=1)})
    make_ocr(tmp_path / "in", tmp_path / "out", settings)
    reader = SampleReader(tmp_path / "out")
    picture = open_image(reader.image_bytes(reader[0], 0))
    (tmp_path / "bench").mkdir()
    picture.save(tmp_path / "bench" / "one.png")
    found = make_ocr(
        tmp_path / "in", tmp_path / "again", settings.model_copy(update={"benchmarks": tmp_path / "bench"})
    )
    assert found.samples == 1 and found.left_out == {"picture of a benchmark": 1}


def test_a_folder_without_pictures_is_no_benchmark(tmp_path):
    book(tmp_path / "in/a.pdf", 1)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "mmbench.tsv").write_text("index\timage\n")
    with pytest.raises(DataError, match="bench: holds no pictures"):
        make_ocr(tmp_path / "in", tmp_path / "out", SMALL.model_copy(update={"benchmarks": tmp_path / "bench"}))


def test_linked_folders_are_read_and_each_once(tmp_path):
    book(tmp_path / "in/a.pdf", 1)
    book(tmp_path / "elsewhere/b.pdf", 2)
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "in")
    make_ocr(tmp_path / "in", tmp_path / "out", SMALL)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["documents"] == 2 and report["tally"]["samples"] == 2


def test_pages_beyond_the_limit_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(pdfs, "MOST_PAGES", 2)
    book(tmp_path / "in/a.pdf", 1, 2, 3)
    found = make_ocr(tmp_path / "in", tmp_path / "out", SMALL, workers=1)
    assert found.samples == 2 and found.left_out == {"pages beyond the first 2": 1}
    assert quarantine(tmp_path / "out") == {("a.pdf", None): "pages beyond the first 2"}


def _abort(*_: object) -> None:
    signal.raise_signal(signal.SIGTRAP)  # as a broken assertion in native code


def _loop(*_: object) -> None:
    while True:
        pass


def _eat(*_: object) -> None:
    held = []
    while True:
        held.append(bytearray(50_000_000))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of processes")
@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_abort, "page crashes the reader"),
        (_loop, "page takes too much time"),
        (_eat, "page takes too much memory"),
    ],
)
def test_a_bad_page_harms_only_itself(tmp_path, monkeypatch, harm: Callable, reason: str):
    book(tmp_path / "in/a.pdf", 1, 2, 3)
    book(tmp_path / "in/b.pdf", 4)

    def reading(document: pdfium.PdfDocument, number: int, long_edge: int) -> Page:
        if number == 1:
            harm()
        return read_page(document, number, long_edge)

    monkeypatch.setattr(pdfs, "read_page", reading)
    settings = SMALL.model_copy(update={"cpu_seconds": 1, "memory": 400_000_000})
    tally = make_ocr(tmp_path / "in", tmp_path / "out", settings, workers=2)
    assert (tally.samples, tally.bad) == (3, 1)
    assert quarantine(tmp_path / "out") == {("a.pdf", 2): reason}


@pytest.mark.skipif(sys.platform != "linux", reason="limits of processes")
def test_a_document_that_crashes_again_and_again_is_given_up(tmp_path, monkeypatch):
    book(tmp_path / "in/a.pdf", *range(6))
    book(tmp_path / "in/b.pdf", 9)

    def reading(document: pdfium.PdfDocument, number: int, long_edge: int) -> Page:
        return read_page(document, number, long_edge) if len(document) == 1 or number == 0 else _abort()  # type: ignore[return-value]

    monkeypatch.setattr(pdfs, "read_page", reading)
    make_ocr(tmp_path / "in", tmp_path / "out", SMALL, workers=1)
    found = quarantine(tmp_path / "out")
    assert [found["a.pdf", page] for page in range(2, 7)] == [
        *["page crashes the reader"] * 3,
        *["document given up after crashes"] * 2,
    ]


def hostile(place: Path, count: int, seed: int) -> None:
    """Real and made files with bytes changed, cut, repeated; lies about counts and lengths; bombs; loops."""
    rng = random.Random(seed)
    sources = [EXAMPLE.read_bytes(), book(place.parent / "made.pdf", 1, 2).read_bytes()]
    place.mkdir(parents=True)
    for number in range(count):
        data = bytearray(rng.choice(sources))
        for _ in range(rng.choice((1, 10, 200))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        cut = rng.randrange(len(data))
        data = [data, data[:cut], data[cut:], data[:cut] + data[cut // 2 :]][rng.randrange(4)]
        (place / f"mutant-{number:03d}.pdf").write_bytes(data)
    text = page_operators(3)
    Pdf([PageOf(text, size=(1e7, 1e7)), PageOf(text, size=(-5, 3))]).write(place / "huge.pdf")
    made = Pdf([PageOf(text)]).write(place / "count.pdf").read_bytes()
    (place / "count.pdf").write_bytes(made.replace(b"/Count 1>>", b"/Count 1000000000>>"))
    (place / "parent.pdf").write_bytes(made.replace(b"/Kids[20 0 R]", b"/Kids[2 0 R 2 0 R]"))
    (place / "length.pdf").write_bytes(made.replace(b"/Length ", b"/Length 99999999"))
    inner = "/Resources<</XObject<</X 1000 0 R>>>>"
    form = f"<</Type/XObject/Subtype/Form/BBox[0 0 500 500]{inner}/Length 11>>stream\n/X Do /X Do\nendstream".encode()
    Pdf([PageOf(["/X Do"], more=inner)], objects=[form]).write(place / "loop.pdf")
    squeezed = zlib.compress(bytes(400_000_000), 9)
    bomb = b"<</Type/XObject/Subtype/Image/Width 20000/Height 20000/BitsPerComponent 8/ColorSpace/DeviceGray"
    bomb += b"/Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(squeezed), squeezed)
    Pdf([PageOf(["500 0 0 500 50 50 cm /X Do"], more=inner)], objects=[bomb]).write(place / "bomb.pdf")
    many = "0 0 m " + "1 1 l 2 3 l " * 50_000 + "S"
    Pdf([PageOf([many, *text])]).write(place / "paths.pdf")
    os.mkfifo(place / "pipe.pdf")
    (place / "folder.pdf").mkdir()
    os.symlink(place / "nowhere", place / "dangling.pdf")
    (place / os.fsdecode(b"name-\xff\n.pdf")).write_bytes(book(place.parent / "made.pdf", 11).read_bytes())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of processes")
def test_hostile_files(tmp_path):
    """A hundred damaged or hostile files: every one is accounted for, none stops the run."""
    hostile(tmp_path / "in", 100, 1)
    tally = make_ocr(tmp_path / "in", tmp_path / "out", SMALL.model_copy(update={"cpu_seconds": 2}), workers=2)
    assert tally.samples >= 1
    assert tally.records == tally.samples + tally.bad + sum(tally.left_out.values())
    named = {source for source, _ in quarantine(tmp_path / "out")} | {
        sample.source.split("#")[0] for sample in map(SampleReader(tmp_path / "out").__getitem__, range(tally.samples))
    }
    names = {path.name for path in (tmp_path / "in").iterdir() if not path.is_dir()}
    assert {name.encode(errors="surrogateescape").decode(errors="backslashreplace") for name in names} == named


RUN = """
import sys
from pathlib import Path
from sphinx_x.engines.ocr.engine import make_ocr
from sphinx_x.engines.ocr.parts import PartSettings
from sphinx_x.engines.ocr.pdfs import OcrSettings
make_ocr(sys.argv[1], sys.argv[2], OcrSettings(long_edge=640, shard_size=7), int(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="process groups")
def test_killed_at_random_moments(tmp_path):
    """Ten kills, of the main process or of all: the result equals the undisturbed one byte for byte."""
    for number in range(12):
        book(tmp_path / f"in/{number}.pdf", *range(10 * number, 10 * number + 8))
    hostile(tmp_path / "in/bad", 10, 2)
    command = [sys.executable, "-c", RUN, str(tmp_path / "in")]
    variables = os.environ | {"PYTHONPATH": str(Path(sphinx_x.__file__).parents[1])}
    began = time.monotonic()
    subprocess.run([*command, str(tmp_path / "whole"), "1"], check=True, timeout=300, env=variables)
    took = time.monotonic() - began
    rng, kills = random.Random(1), 0
    while True:
        process = subprocess.Popen([*command, str(tmp_path / "killed"), "2"], start_new_session=True, env=variables)
        try:
            assert process.wait(0.8 + rng.random() * took / 8 if kills < 10 else 300) == 0
            break
        except subprocess.TimeoutExpired:
            if rng.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
            kills += 1
            time.sleep(0.5)  # the lock of the folder goes with the last of its processes
    assert kills >= 3
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
