"""Parts of pages: whole lines and nothing else in the picture, and data about marks made of them."""

import random
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest

from books import WORDS, book
from messages import dicts
from paths import EXAMPLE
from pdf_pages import PageOf, Pdf, show
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.nano.pages import MarksConfig, PagesConfig
from sphinx_x.engines.nano.prepare import Counts, DataConfig, prepare
from sphinx_x.engines.ocr.engine import make_ocr
from sphinx_x.engines.ocr.parts import PartSettings, cut_part
from sphinx_x.engines.ocr.pdfs import OcrSettings
from sphinx_x.engines.ocr.questions import QuestionSettings
from sphinx_x.engines.pdf.page import read_page
from sphinx_x.engines.som.engine import SomSettings, make_som
from sphinx_x.engines.som.readers import SCENES
from sphinx_x.errors import DataError
from sphinx_x.images import open_image
from sphinx_x.sources.base import Raw, UnusedError

READ = QuestionSettings(turns=2, weights={"read_page": 1, "find_text": 1})


@pytest.fixture(scope="module")
def example():
    return read_page(pdfium.PdfDocument(EXAMPLE), 0, 1754)


def test_a_part_holds_whole_lines_and_no_others(example):
    settings = PartSettings(width=1150, height=120, lines=4)
    lines = [line.text for line in example.lines]
    sizes = set()
    for seed in range(60):
        part = cut_part(example, settings, random.Random(seed))
        width, height = part.image.size
        assert width <= settings.width and height <= settings.height
        found = [line.text for line in part.lines]
        assert 1 <= len(found) <= settings.lines
        assert any(lines[k : k + len(found)] == found for k in range(len(lines))), "lines that follow each other"
        for line in part.lines:
            assert line.box[0] >= 0 and line.box[1] >= 0 and line.box[2] <= width and line.box[3] <= height
            for word in line.words:
                assert word.box[0] >= line.box[0] - 1e-6 and word.box[3] <= line.box[3] + 1e-6
        ink = np.asarray(part.image.convert("L")) < 128
        for line in part.lines:  # whatever is outside the boxes of its lines is white
            x1, y1, x2, y2 = line.box
            ink[max(int(y1) - 1, 0) : int(y2) + 2, max(int(x1) - 1, 0) : int(x2) + 2] = False
        assert not ink.any(), seed
        assert part.regions == []
        again = cut_part(example, settings, random.Random(seed))
        assert again.text == part.text and again.image.tobytes() == part.image.tobytes()
        sizes.add(len(found))
    assert len(sizes) >= 3


def test_a_page_may_have_no_part_of_a_size(example):
    with pytest.raises(UnusedError, match="page without a part of this size"):
        cut_part(example, PartSettings(width=30, height=10), random.Random(1))


def test_lines_that_touch_stay_together(tmp_path):
    """Where the next line reaches into the picture of a line, the line alone is no part."""
    rows = [show(" ".join(WORDS[k : k + 8]), 60, 700 - 9 * k, 12) for k in range(12)]
    page = read_page(pdfium.PdfDocument(Pdf([PageOf(rows)]).write(tmp_path / "dense.pdf")), 0, 1024)
    with pytest.raises(UnusedError):
        cut_part(page, PartSettings(width=900, height=90, lines=2), random.Random(0))


def test_parts_become_samples_and_samples_scenes(tmp_path: Path):
    """PDF -> parts of its pages -> marks on their lines, each with its licence."""
    book(tmp_path / "pdfs" / "a.pdf", 1, 2, 3)
    book(tmp_path / "pdfs" / "b.pdf", 4, 5)
    settings = OcrSettings(long_edge=1200, part=PartSettings(width=900, height=90), questions=READ, licence="CC0-1.0")
    tally = make_ocr(tmp_path / "pdfs", tmp_path / "parts", settings, workers=1)
    assert tally.samples == 5
    parts = SampleReader(tmp_path / "parts")
    for index in range(5):
        sample = parts[index]
        read = [m for m in dicts(sample.messages) if m["role"] == "assistant" and m["content"][0]["type"] == "text"]
        assert " ".join(r["text"] for r in sample.regions) == " ".join(read[0]["content"][0]["text"].split())
    (tmp_path / "parts" / "quarantine.jsonl").write_text('{"reason": "not a sample"}\n')
    made = make_som(
        SCENES["samples"],
        Raw(tmp_path / "parts"),
        tmp_path / "marks",
        SomSettings(inside=True, tasks=("short",), kinds=("point",)),
        workers=1,
    )
    assert made.samples == made.records == 5 and not made.set_aside
    marks = SampleReader(tmp_path / "marks")
    for index in range(5):
        sample, part = marks[index], parts[index]
        assert sample.id == f"som-samples/{part.id}" and sample.licence == "CC0-1.0"
        assert open_image(marks.image_bytes(sample)).tobytes() == open_image(parts.image_bytes(part)).tobytes()
        answer = sample.messages[1].parts[0].text
        assert all(f'"{region["text"]}"' in answer for region in part.regions)


def test_the_engines_make_nanos_data(tmp_path):
    """Packages -> parts of their pages -> marks on the parts; a second call with the same settings changes nothing."""
    for number, name in enumerate(("first-doc", "second-doc")):
        for k in range(3):
            book(
                tmp_path / "out" / "cache" / "unpacked" / name / f"{k}.pdf",
                *range(10 * number + 2 * k, 10 * number + 2 * k + 2),
            )
    config = DataConfig(
        counts=Counts(lines=0, words=0, fonts=0, emoji=0),
        pages={"parts": PagesConfig(packages=["first-doc", "second-doc"], documents=2, part=PartSettings(width=1200))},
        marks={"marks": MarksConfig(of="parts", tasks=["questions"], most_marks=2)},
        seed=5,
    )
    prepare(config, tmp_path / "out")
    parts, marks = SampleReader(tmp_path / "out" / "parts"), SampleReader(tmp_path / "out" / "marks")
    assert len(parts) == len(marks) == 2 * 2 * 2
    assert {parts[k].source.split("/")[0] for k in range(8)} == {"first-doc", "second-doc"}
    for k in range(8):
        assert len(parts[k].regions) >= len(marks[k].regions) >= 1 and len(marks[k].regions) <= 2
        assert marks[k].licence == parts[k].licence != ""
    before = {
        path: path.read_bytes() for name in ("parts", "marks") for path in (tmp_path / "out" / name).glob("*.tar")
    }
    prepare(config, tmp_path / "out")
    assert before and all(path.read_bytes() == content for path, content in before.items())
    with pytest.raises(DataError, match="no-doc: no PDF file there"):
        (tmp_path / "out" / "cache" / "unpacked" / "no-doc").mkdir()
        prepare(config.model_copy(update={"pages": {"none": PagesConfig(packages=["no-doc"])}}), tmp_path / "out")
