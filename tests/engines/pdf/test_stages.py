"""The stages of the PDF reader: each is passed once, in order, and another can take the place of one."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pypdfium2 as pdfium
import pytest

from pdf_pages import PageOf, Pdf, paragraph, show
from sphinx_x.engines.pdf import page as reader
from sphinx_x.engines.pdf.page import STAGES, Stage, State, read_page, with_stage

PROSE = ["The ferry leaves the southern quay at seven every morning", "and returns at noon; tickets are sold on board."]


@pytest.fixture
def document(tmp_path: Path) -> Iterator[pdfium.PdfDocument]:
    operators = [show("Harbour news", 60, 740, 18), *paragraph(PROSE, 60, 700)]
    with pdfium.PdfDocument(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf")) as opened:
        yield opened


def test_a_page_passes_every_stage_once(document: pdfium.PdfDocument):
    passed: list[str] = []

    def told(stage: Stage) -> Stage:
        @functools.wraps(stage)
        def run(state: State) -> State:
            passed.append(stage.__name__)
            return stage(state)

        return run

    page = read_page(document, 0, 1024, [told(stage) for stage in STAGES])
    assert passed == [stage.__name__ for stage in STAGES] and len(set(passed)) == len(passed)
    assert page.text == read_page(document, 0, 1024).text == "Harbour news\n" + " ".join(PROSE)
    assert [region.label for region in page.regions] == ["title", "text"]


def test_another_layout_takes_the_place_of_the_rules(document: pdfium.PdfDocument):
    sizes: list[tuple[int, int]] = []

    def by_model(state: State) -> State:
        """What a model would do: it looks at the picture, and names the blocks."""
        sizes.append(state.image.size)
        for block in state.blocks:
            block.label = "caption"
        state.regions = state.blocks[-1:]
        return state

    page = read_page(document, 0, 1024, with_stage(reader.classified, by_model))
    assert sizes == [page.image.size]
    assert [block.label for block in page.blocks] == ["caption", "caption"]
    assert [region.text for region in page.regions] == [" ".join(PROSE)]


def test_a_stage_that_is_replaced_decides_for_the_next(document: pdfium.PdfDocument):
    def backwards(state: State) -> State:
        state = reader.arranged(state)
        state.blocks.reverse()
        return state

    page = read_page(document, 0, 1024, with_stage(reader.arranged, backwards))
    assert page.text == " ".join(PROSE) + "\nHarbour news"


def test_only_a_stage_that_is_there_can_be_replaced():
    with pytest.raises(ValueError, match="not in"):
        with_stage(lambda state: state, reader.classified)


def test_the_opened_page_is_closed_where_a_stage_fails(document: pdfium.PdfDocument):
    opened: list[pdfium.PdfPage] = []

    def failing(state: State) -> State:
        opened.append(state.source)
        raise pdfium.PdfiumError("as of a damaged page")

    with pytest.raises(pdfium.PdfiumError, match="damaged"):
        read_page(document, 0, 1024, with_stage(reader.judged, failing))
    assert not opened[0].raw
