"""Pages of PDFs: characters, words, lines, blocks, reading order, filters, layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest

from paths import EXAMPLE
from pdf_pages import PageOf, Pdf, paragraph, show, show_codes
from sphinx_x.engines.ocr.filters import Limits, judge
from sphinx_x.engines.pdf.page import Page, read_page

PROSE = [
    "It was the best of times and the worst of",
    "times, the age of wisdom and foolishness,",
    "the epoch of belief and the epoch of in-",
    "credulity, the season of Light and so on.",
]


def read(path: Path, number: int = 0, long_edge: int = 1024) -> Page:
    document = pdfium.PdfDocument(path)
    try:
        return read_page(document, number, long_edge)
    finally:
        document.close()


def page_of(tmp_path: Path, operators: list[str], meanings: list[str] | None = None, **more: object) -> Page:
    return read(Pdf([PageOf(operators, **more)], meanings or []).write(tmp_path / "page.pdf"))  # type: ignore[arg-type]


def texts(page: Page) -> list[str]:
    return [block.text for block in page.blocks]


def check_ink(page: Page) -> None:
    """Every word's box holds ink, and the white around it does not reach into it."""
    grey = np.asarray(page.image.convert("L")).astype(int)
    for line in page.lines:
        for word in line.words:
            x1, y1, x2, y2 = (round(n) for n in word.box)
            inside = grey[max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1]
            assert inside.min() < 128, (word.text, word.box)
            assert (inside[:, :2].min() < 200) and (inside[:2].min() < 200), word.text


def test_real_page():
    page = read(EXAMPLE)
    assert max(page.image.size) == 1024
    assert page.text.startswith(
        "1\n1 Introduction to Ledger\n1.1 Fat-free Accounting\nLedger is an accounting tool with"
    )
    assert "These transactions might look like this:\n9/29 Pacific Bell $23.00 $23.00\n" in page.text
    assert judge(page, Limits()) is None
    check_ink(page)
    assert [region.label for region in page.regions][:3] == ["title", "title", "text"]


def test_columns_are_read_one_after_the_other(tmp_path):
    right = [line.upper() for line in PROSE]
    operators = [show("A Title Over Both Columns", 150, 780, 18)]
    # in the file the rows alternate, and the right column comes first
    for left_line, right_line in zip(paragraph(PROSE, 60, 700), paragraph(right, 320, 700), strict=True):
        operators += [right_line, left_line]
    operators += [show("17", 295, 40)]
    page = page_of(tmp_path, operators)
    joined = " ".join(PROSE).replace("in- ", "in")
    assert texts(page) == ["A Title Over Both Columns", joined, joined.upper(), "17"]
    assert [block.label for block in page.blocks] == ["title", "text", "text", ""]


def test_rows_of_a_table_are_read_across(tmp_path):
    rows = [("Fruit", "Price", "Stock"), ("Apples", "1.20", "14"), ("Pears", "2.40", "3"), ("Plums", "0.80", "250")]
    cells = [(text, 80 + 120 * k, 700 - 14 * n) for n, row in enumerate(rows) for k, text in enumerate(row)]
    cells.sort(key=lambda cell: cell[1])  # the file holds it by column
    page = page_of(tmp_path, [show(*cell) for cell in cells])
    assert page.text == "Fruit Price Stock\nApples 1.20 14\nPears 2.40 3\nPlums 0.80 250"
    assert [region.label for region in page.regions] == ["table"]


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_rotated_sheets(tmp_path, rotate):
    """A sheet that is shown turned: its text is turned upright, whatever that takes."""
    page = page_of(tmp_path, [*paragraph(PROSE, 60, 700), show("Heading", 60, 730, 16)], rotate=rotate)
    assert page.turned == rotate // 90
    assert page.image.size == (724, 1024)
    assert page.text.startswith("Heading\nIt was the best of times")
    check_ink(page)


@pytest.mark.parametrize(("matrix", "turned"), [("0 1 -1 0", 3), ("0 -1 1 0", 1), ("-1 0 0 -1", 2)])
def test_text_on_its_side_is_turned_upright(tmp_path, matrix, turned):
    spots = {3: (200, 100), 1: (400, 700), 2: (500, 400)}
    x, y = spots[turned]
    step = {3: (12, 0), 1: (-12, 0), 2: (0, 12)}[turned]
    lines = [show(line, x + step[0] * k, y + step[1] * k, matrix=matrix) for k, line in enumerate(PROSE)]
    page = page_of(tmp_path, lines)
    assert page.turned == turned
    assert page.text.startswith("It was the best of times and the worst of times, the age")
    check_ink(page)


def test_one_stamp_on_its_side_does_not_turn_the_page(tmp_path):
    stamp = show("stamped upwards", 30, 200, matrix="0 1 -1 0")
    page = page_of(tmp_path, [stamp, *paragraph(PROSE, 60, 700)])
    assert page.turned == 0
    assert texts(page)[-1] == "stamped upwards"
    x1, y1, x2, y2 = page.blocks[-1].box
    assert y2 - y1 > 4 * (x2 - x1)


def test_hyphens_at_line_ends(tmp_path):
    lines = [
        "A hyphen that only parts a long-",
        "er word goes, that of a state-of-the-",
        "art thing stays, as does well-",
    ]
    page = page_of(tmp_path, paragraph([*lines, "Known and the s\xadoft one is gone."], 60, 700))
    assert page.text == (
        "A hyphen that only parts a longer word goes, that of a state-of-the-art thing stays, as does well-Known "
        "and the s-oft one is gone."
    )


def test_ligatures_and_other_scripts(tmp_path):
    meanings = ["fi", "\ufb04", *"שלוםע12中文字。"]
    code = {text: k for k, text in enumerate(meanings, 1)}

    def seen(text: str) -> list[int]:  # right-to-left text as it stands on paper, from left to right
        return [code[char] for char in reversed(text)]

    operators = [
        show_codes([code["fi"], code["\ufb04"]], 60, 700, 20),
        show_codes(seen("שלום"), 300, 640, 20),
        show_codes([code["1"], code["2"]], 218, 640, 20),
        show_codes(seen("עלום"), 250, 640, 20),
        show_codes([code[char] for char in "中文字中文字"], 60, 580, 20),
        show_codes([code[char] for char in "文字。"], 60, 556, 20),
    ]
    page = page_of(tmp_path, operators, meanings)
    assert texts(page) == ["fiffl", "שלום עלום 12", "中文字中文字文字。"]
    assert page.blocks[1].lines[0].rtl


def test_chinese_in_columns_from_right_to_left(tmp_path):
    meanings = list("中文字一二三")
    code = {text: k for k, text in enumerate(meanings, 1)}
    columns = ["一二三中文字", "中文字中文字", "三二一三二一"]
    operators = [
        show_codes([code[char]], 400 - 32 * k, 700 - 20 * n, 20)
        for k, column in enumerate(columns)
        for n, char in enumerate(column)
    ]
    page = page_of(tmp_path, operators, meanings)
    assert "".join(texts(page)) == "".join(columns)


def test_accents_set_apart(tmp_path):
    operators = [
        show("caf", 60, 700, 20),
        show("e", 88.9, 700, 20),
        show("\xb4", 91, 700, 20),
        show("and more", 110, 700, 20),
    ]
    assert page_of(tmp_path, operators).text == "caf\xe9 and more"


def test_letters_placed_one_by_one_are_one_word(tmp_path):
    """Every letter in a text object of its own, as some programs write it."""
    widths = {"H": 7.22, "e": 5.56, "l": 2.22, "o": 5.56}
    operators, x = [], 60.0
    for char in "Hello":
        operators.append(show(char, x, 700))
        x += widths[char] + 0.3
    assert page_of(tmp_path, operators).text == "Hello"


def test_hidden_text_is_not_read(tmp_path):
    operators = [
        *paragraph(PROSE, 60, 700),
        "BT 3 Tr /F1 10 Tf 60 500 Td (written invisibly) Tj ET 0 Tr",
        "1 g " + show("white on white", 60, 480) + " 0 g",
        show("beyond the edge", 700, 460),
    ]
    page = page_of(tmp_path, operators)
    assert len(texts(page)) == 1
    assert page.left_out == {"invisible": 16, "without ink": 12, "off the page": 13}


BOX = "0.5 0.5 1 rg 60 400 200 100 re f 0 0 0 rg"


@pytest.mark.parametrize(
    ("reason", "operators", "more"),
    [
        ("blank page", [], {}),
        ("blank page", ["1 1 1 rg 0 0 500 500 re f"], {}),
        ("too little text", [show("Only this", 60, 700)], {}),
        ("too little text", [BOX], {}),
        ("hidden or off-page text", [show("lost " * 20, 700, 700), *paragraph(PROSE, 60, 700)], {}),
        ("hidden or off-page text", ["BT 3 Tr /F1 10 Tf 60 500 Td (" + "unseen " * 20 + ") Tj ET"], {}),
        ("text too small to read", [show(line, 60, 700 - 3 * k, 2) for k, line in enumerate(PROSE)], {}),
        (
            "slanted text",
            [show(line, 60, 300 - 15 * k, 10, "F1", "0.7 0.7 -0.7 0.7") for k, line in enumerate(PROSE)],
            {},
        ),
        (
            "form",
            paragraph(PROSE, 60, 700),
            {"more": "/Annots[" + "<</Type/Annot/Subtype/Widget/Rect[60 400 200 420]/FT/Tx/T(a)>>" * 2 + "]"},
        ),
        (None, paragraph(PROSE, 60, 700), {}),
        (None, [BOX, *paragraph(PROSE, 60, 480)], {}),
    ],
)
def test_filters_name_their_reason(tmp_path, reason, operators, more):
    assert judge(page_of(tmp_path, operators, **more), Limits()) == reason


def test_broken_unicode(tmp_path):
    meanings = ["a", "\ue001", "\ufffd", "\x07"]
    good = [show_codes([1] * 40, 60, 700 - 14 * k) for k in range(4)]
    bad = [show_codes([1, 2, 3, 4] * 5, 60, 600)]
    page = page_of(tmp_path, good + bad, meanings)
    assert judge(page, Limits()) == "broken Unicode"
    assert judge(page, Limits(broken=0.2)) is None
    assert [block.clean for block in page.blocks] == [True, False]


def test_figures_take_their_labels(tmp_path):
    curves = [f"{100 + 20 * k} 400 m {120 + 20 * k} 500 {130 + 20 * k} 300 {140 + 20 * k} 420 c S" for k in range(8)]
    label = [show("x axis", 180, 410, 8)]
    caption = [show("Figure 1: Eight curves that mean nothing.", 100, 280)]
    page = page_of(tmp_path, [*paragraph(PROSE, 60, 700), *curves, *label, *caption])
    assert [(block.label, block.text) for block in page.blocks][1:] == [
        ("figure", "x axis"),
        ("caption", "Figure 1: Eight curves that mean nothing."),
    ]
    assert "x axis" not in page.text


def test_lists_and_titles(tmp_path):
    operators = [
        show("1.2 A Heading", 60, 740, 10, "F2"),
        *paragraph(PROSE, 60, 720),
        *(show(f"{k}. Item number {k} of a list", 72, 650 - 14 * k) for k in range(1, 4)),
        *paragraph(PROSE, 60, 560),
    ]
    page = page_of(tmp_path, operators)
    assert [region.label for region in page.regions] == ["title", "text", "list", "text"]
    assert len(page.blocks) == 6


def test_structure_tree_decides(tmp_path):
    """Tags against what the rules would say: a large line that is text, a small one that is a title."""
    marked = [
        "/P <</MCID 0>> BDC " + show("This large line is tagged as a paragraph", 60, 700, 16) + " EMC",
        "/H1 <</MCID 1>> BDC " + show("this small one is tagged as a heading", 60, 660, 9) + " EMC",
        "/LBody <</MCID 2>> BDC " + show("first item without a mark", 60, 620) + " EMC",
        "/LBody <</MCID 3>> BDC " + show("second item without a mark", 60, 590) + " EMC",
        *paragraph(PROSE, 60, 500),
    ]
    page_ref = "/Pg 20 0 R"
    objects = [
        b"<</Type/StructTreeRoot/K 1001 0 R/ParentTree<</Nums[0[1002 0 R 1003 0 R 1005 0 R 1006 0 R]]>>>>",
        b"<</Type/StructElem/S/Document/P 1000 0 R/K[1002 0 R 1003 0 R 1004 0 R]>>",
        f"<</Type/StructElem/S/P/P 1001 0 R{page_ref}/K 0>>".encode(),
        f"<</Type/StructElem/S/H1/P 1001 0 R{page_ref}/K 1>>".encode(),
        b"<</Type/StructElem/S/L/P 1001 0 R/K[1005 0 R 1006 0 R]>>",
        f"<</Type/StructElem/S/LI/P 1004 0 R{page_ref}/K 2>>".encode(),
        f"<</Type/StructElem/S/LI/P 1004 0 R{page_ref}/K 3>>".encode(),
    ]
    root = "/StructTreeRoot 1000 0 R/MarkInfo<</Marked true>>"
    page = read(
        Pdf([PageOf(marked, more="/StructParents 0")], root=root, objects=objects).write(tmp_path / "tagged.pdf")
    )
    assert [region.label for region in page.regions] == ["text", "title", "list", "text"]
