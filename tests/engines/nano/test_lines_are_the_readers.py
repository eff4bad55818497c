"""Lines for training are those of the PDF reader: what it reads on a page is what is written beside the crops."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest

from pdf_pages import PageOf, Pdf, paragraph, show
from sphinx_x.engines.nano.line_pieces import clean
from sphinx_x.engines.nano.lines import Crop, RenderedPage, line_crops, read_document, word_crops
from sphinx_x.engines.pdf.page import read_page

PROSE = [
    "The ferry leaves the southern quay at seven every morning and",
    "returns at noon; tickets are sold on board, for cash alone.",
]


def crops_of(path: Path) -> tuple[list[Crop], Counter[str]]:
    drops: Counter[str] = Counter()
    with pdfium.PdfDocument(path) as document:
        document.init_forms()
        return list(line_crops(RenderedPage(document, 0), random.Random(4), drops, 99)), drops


def texts(crops: list[Crop]) -> list[str]:
    return sorted(crop.text for crop in crops)


PAGES = {
    "prose": paragraph(PROSE, 60, 700),
    "torn lines": [show(PROSE[0][30:], 60 + 200, 700), show(PROSE[1], 60, 680), show(PROSE[0][:29], 60, 700)],
    "columns": [*paragraph(PROSE, 40, 700, 8), *paragraph(PROSE[::-1], 320, 700, 8)],
    "code": [show("if (quay == 7) { leave(); }", 60, 700, 9, "F3"), show("return board;", 60, 688, 9, "F3")],
    "contents": [show(f"Chapter {k} {'. ' * 30}{k}2", 60, 700 - 14 * k) for k in range(1, 21)],
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("cutter", [line_crops, word_crops])
def test_what_is_cut_is_what_is_read(tmp_path, name: str, cutter):
    path = Pdf([PageOf(PAGES[name])]).write(tmp_path / "a.pdf")
    with pdfium.PdfDocument(path) as document:
        read = [clean(line.text) for line in read_page(document, 0, 1754).lines]
        crops = list(cutter(RenderedPage(document, 0), random.Random(2), Counter(), 99))
    assert crops
    assert [crop.text for crop in crops if not any(crop.text in line for line in read)] == []


def test_the_letters_of_a_wrong_map_are_no_labels(tmp_path):
    letters = "abcdefghijklmnopqrstuvwxyz"
    claims = dict(zip(letters, letters[5:] + letters[:5], strict=True))
    operators = [line for k in range(8) for line in paragraph(PROSE, 60, 740 - 40 * k)]
    crops, drops = crops_of(Pdf([PageOf(operators)], claims=claims).write(tmp_path / "a.pdf"))
    assert crops == [] and drops == {"text that cannot be trusted": 16}


def test_a_line_beside_an_initial_does_not_lose_its_first_letter(tmp_path):
    operators = [show("T", 60, 688, 34), show("he ferry leaves the southern quay at seven", 84, 702)]
    operators += [show("every morning and returns at noon.", 84, 688), *paragraph(PROSE, 60, 660)]
    crops, _ = crops_of(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf"))
    assert not [crop.text for crop in crops if crop.text.startswith("he ")] and set(PROSE) <= set(texts(crops))


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_pages_that_are_turned_give_upright_lines(tmp_path, rotate: int):
    """A page of a scanner that was turned: the file says so, and its lines stand on their side in the file."""
    whole = Pdf([PageOf(paragraph(PROSE, 60, 700))]).write(tmp_path / "a.pdf")
    turned = Pdf([PageOf(paragraph(PROSE, 60, 700), rotate=rotate)]).write(tmp_path / "b.pdf")
    crops, _ = crops_of(turned)
    assert texts(crops) == texts(crops_of(whole)[0]) == sorted(PROSE)
    assert all(crop.width > 5 * crop.height for crop in crops)


def test_leaders_are_written_as_the_reader_does(tmp_path):
    path = Pdf([PageOf(PAGES["contents"] + paragraph(PROSE, 60, 380))]).write(tmp_path / "a.pdf")
    crops, drops = read_document(path, "lines", "seed", 99, 99, 1)
    with_dots = [crop for crop in crops if "Chapter" in crop.text]
    assert len(with_dots) + drops["dot leaders"] == 20 and with_dots
    for crop in with_dots:
        *_, dots, _ = crop.words
        assert dots.text == "..." and np.diff(dots.box[::2])[0] > crop.width / 2
        assert crop.text.split()[2:] == ["...", crop.text.split()[1] + "2"]


def test_the_mark_of_a_footnote_is_no_letter_of_a_word(tmp_path):
    operators = [show("The ferry leaves at seven", 60, 700), show("3", 175, 704, 6), show("on each morning", 183, 700)]
    crops, drops = crops_of(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf"))
    assert not [crop.text for crop in crops if "3" in crop.text] and sum(drops.values()) >= 1
