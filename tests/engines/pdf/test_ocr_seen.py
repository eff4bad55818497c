"""What a page shows is what is read: covers, layers, annotations, torn lines, tracking, initials, hyphens, brackets."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pypdfium2 as pdfium
import pytest

from pdf_pages import PageOf, Pdf, paragraph, show, show_codes
from sphinx_x.engines.nano.lines import RenderedPage, line_crops
from sphinx_x.engines.pdf.brackets import exchanged
from sphinx_x.engines.pdf.hyphens import ending, no_blank, settled
from sphinx_x.engines.pdf.page import Page, read_page

PROSE = [
    "The ferry leaves the southern quay at seven every morning and",
    "returns at noon; tickets are sold on board, for cash alone.",
]
SECRET = "Patient file 5521 of Mrs Example"
RESOURCES = "/Resources<</Font<</F1 3 0 R>>>>"


def read(path: Path) -> Page:
    document = pdfium.PdfDocument(path)
    document.init_forms()
    try:
        return read_page(document, 0, 1024)
    finally:
        document.close()


def words(page: Page) -> str:
    return " ".join(page.text.split())


def form(operators: str) -> bytes:
    head = f"<</Type/XObject/Subtype/Form/BBox[0 0 300 40]{RESOURCES}/Length {len(operators)}>>stream\n"
    return f"{head}{operators}\nendstream".encode()


BARS = {
    "black": "0 g 58 596 260 16 re f",
    "grey": "0.5 g 58 596 260 16 re f",
    "white": "1 g 58 596 260 16 re f",
    "colour, tight": "0.2 0.4 0.9 rg 60 598 250 9 re f",
    "polygon": "0 g 55 595 m 320 590 l 325 615 l 50 618 l f",
    "curves": "0 g 40 603 m 40 640 340 640 340 603 c 340 560 40 560 40 603 c f",
    "thick line": "0 G 16 w 55 603 m 320 603 l S",
    "image": "q 270 0 0 18 55 595 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x00 EI Q",
}


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("size", [9.0, 14.0])
def test_text_under_a_bar_is_not_read(tmp_path, bar: str, size: float):
    operators = [
        *paragraph(PROSE, 60, 700),
        show(SECRET, 60, 600, size),
        BARS[bar],
        "0 g",
        show("A note below.", 60, 500),
    ]
    path = Pdf([PageOf(operators)]).write(tmp_path / "a.pdf")
    text = words(read(path))
    assert text.startswith(" ".join(PROSE)) and text.endswith("A note below.")
    assert not [word for word in SECRET.split() if word in text]
    crops = list(line_crops(RenderedPage(pdfium.PdfDocument(path)[0], 0), random.Random(1), Counter(), 99))
    assert crops and not [crop.text for crop in crops if any(word in crop.text for word in SECRET.split())]


@pytest.mark.parametrize("bar", ["0 g 58 596 260 16 re f", "/G gs 1 1 0 rg 58 596 260 16 re f"])
def test_text_before_which_a_bar_is_drawn_stays(tmp_path, bar: str):
    """A bar drawn first, and a highlight through which the text is seen."""
    before = [bar, "1 g" if bar.startswith("0 g") else "0 g", show(SECRET, 60, 600), "0 g"]
    after = [show(SECRET, 60, 600), bar, "0 g"]
    operators = [*paragraph(PROSE, 60, 700), *(before if bar.startswith("0 g") else after)]
    states = "/Resources<</Font<</F1 3 0 R>>/ExtGState<</G<</ca 0.4>>>>>>"
    assert SECRET in words(read(Pdf([PageOf(operators, more=states)]).write(tmp_path / "a.pdf")))


@pytest.mark.parametrize(
    "looks", ["/IC[0 0 0]/C[0 0 0]", "/IC[1 1 1]/C[1 1 1]", "/AP<</N 1001 0 R>>"], ids=["black", "white", "appearance"]
)
def test_text_under_an_annotation_is_not_read(tmp_path, looks: str):
    annotation = f"<</Type/Annot/Subtype/Square/Rect[55 592 355 632]{looks}/F 4>>".encode()
    objects = [annotation, form("0 g 0 0 300 40 re f")]
    page = PageOf([*paragraph(PROSE, 60, 700), show(SECRET, 60, 600)], more="/Annots[1000 0 R]")
    path = Pdf([page], objects=objects).write(tmp_path / "a.pdf")
    assert words(read(path)) == " ".join(PROSE)
    crops = line_crops(RenderedPage(pdfium.PdfDocument(path)[0], 0), random.Random(1), Counter(), 99)
    assert all("Patient" not in crop.text for crop in crops)


@pytest.mark.parametrize("off", [True, False])
def test_layers_are_read_where_they_are_on(tmp_path, off: bool):
    over = ["/OC /L BDC", show("Draft words that lie over all of it here", 62, 697), "EMC"]
    page = PageOf([*paragraph(PROSE, 60, 700), *(over if off else [over[0], show("Draft words", 60, 600), "EMC"])])
    page.more = "/Resources<</Font<</F1 3 0 R>>/Properties<</L 1000 0 R>>>>"
    root = f"/OCProperties<</OCGs[1000 0 R]/D<<{'/OFF[1000 0 R]' if off else ''}>>>>"
    pdf = Pdf([page], root=root, objects=[b"<</Type/OCG/Name(Draft)>>"])
    assert words(read(pdf.write(tmp_path / "a.pdf"))) == " ".join(PROSE) + ("" if off else " Draft words")


FIELD = "/FT/Tx/T(a)/V(x)/DA(/F1 12 Tf 0 g)"


@pytest.mark.parametrize(
    ("kind", "flags", "shown"),
    [
        ("/FreeText", 4, True), ("/Stamp", 4, True), ("/Stamp", 0, True), ("/Widget" + FIELD, 4, True),
        ("/FreeText", 2, False), ("/Stamp", 32, False),
    ],
)  # fmt: skip
def test_text_of_annotations_is_read_where_it_is_drawn(tmp_path, kind: str, flags: int, shown: bool):
    annotation = f"<</Type/Annot/Subtype{kind}/Rect[60 580 360 620]/F {flags}/AP<</N 1001 0 R>>>>".encode()
    objects = [annotation, form("BT /F1 12 Tf 4 14 Td (Paid in full by cheque) Tj ET")]
    page = PageOf(paragraph(PROSE, 60, 700), more="/Annots[1000 0 R]")
    root = "/AcroForm<</Fields[1000 0 R]>>" if "Widget" in kind else ""
    found = read(Pdf([page], root=root, objects=objects).write(tmp_path / "a.pdf"))
    assert words(found) == " ".join(PROSE) + (" Paid in full by cheque" if shown else "")


def placed(text: str, x: float, y: float, size: float) -> list[str]:
    """Every word set by itself, in Courier, whose letters are all 0.6 em wide."""
    out = []
    for word in text.split():
        out.append(show(word, x, y, size, "F3"))
        x += (len(word) + 1) * 0.6 * size
    return out


@pytest.mark.parametrize("seed", range(6))
def test_words_in_any_order_make_their_lines(tmp_path, seed: int):
    """Links, bold words, or all words are written later than the words around them."""
    rng = random.Random(seed)
    operators = [op for k, line in enumerate(PROSE) for op in placed(line, 60, 700 - 13 * k, 8 + seed % 3)]
    late = [op for op in operators if rng.random() < 0.15 * (seed + 1)]
    rng.shuffle(late)
    page = read(Pdf([PageOf([op for op in operators if op not in late] + late)]).write(tmp_path / "a.pdf"))
    assert [line.text for line in page.lines] == PROSE


@pytest.mark.parametrize("size", [-9.0, -14.0])
def test_negative_sizes(tmp_path, size: float):
    operators = [show(line, 60, 700 + 1.3 * size * k, size, matrix="-1 0 0 -1") for k, line in enumerate(PROSE)]
    path = Pdf([PageOf(operators)]).write(tmp_path / "a.pdf")
    page = read(path)
    assert page.turned == 0 and words(page) == " ".join(PROSE)
    crops = list(line_crops(RenderedPage(pdfium.PdfDocument(path)[0], 0), random.Random(1), Counter(), 9))
    assert sorted(crop.text for crop in crops) == sorted(PROSE)


@pytest.mark.parametrize("tracking", [0.2, 0.3, 0.45, 0.7, 1.0])
@pytest.mark.parametrize("text", ["ANNUAL REPORT OF THE HARBOUR", "Curriculum Vitae"])
def test_tracked_letters_make_words(tmp_path, tracking: float, text: str):
    operators = [*paragraph(PROSE, 60, 700), f"{9 * tracking} Tc", show(text, 60, 600, 9), "0 Tc"]
    assert words(read(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf"))) == " ".join([*PROSE, text])


@pytest.mark.parametrize("last", [True, False])
def test_initials_begin_their_words(tmp_path, last: bool):
    initial = show("T", 60, 684, 30)
    rest = [show(PROSE[0][1:], 80, 700), show(PROSE[1], 80, 688), show("and so on, every day but Sunday.", 60, 676)]
    operators = [*rest, initial] if last else [initial, *rest]
    expected = " ".join(PROSE) + " and so on, every day but Sunday."
    assert words(read(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf"))) == expected


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ("Anglo-", "Saxon", "keep"), ("2019-", "2020", "keep"), ("well-", "known", "keep"), ("e-", "mail", "keep"),
        ("state-of-the-", "art", "keep"), ("third-", "party", "keep"), ("pre-", "war", "keep"), ("X-", "ray", "keep"),
        ("https://a.org/path-", "with", "keep"), ("COVID-", "19", "keep"),
        ("twenty-", "one", "keep"), ("pre-", "and", "blank"), ("Ein-", "und", "blank"),
        ("in-", "credulity", "join"), ("hyphen-", "ation", "join"), ("long-", "er", "join"),
        ("INTER-", "NATIONAL", "join"), ("thous-", "and", "join"),
        ("pre-", "vent", "either"), ("co-", "operating", "either"),
    ],
)  # fmt: skip
def test_hyphens_at_line_ends(before: str, after: str, outcome: str):
    assert ending(before, after) == outcome


def test_hyphens_that_may_be_either_follow_the_others():
    assert settled(["either", "keep"], even=True) == ["keep", "keep"]
    assert settled(["either", "join"], even=False) == ["join", "join"]
    assert settled(["either"], even=True) == ["join"] and settled(["either"], even=False) == ["keep"]
    assert (
        no_blank("1914\u2013", "1918")
        and no_blank("http://a.org/", "b/c.html")
        and not no_blank("http://a.org/", "for")
    )


@pytest.mark.parametrize(
    ("texts", "kinds", "read_as"),
    [
        (["\u05d0", ")\u05d1("], "RR", ["\u05d0", "(\u05d1)"]),
        (["\u05d0", "(\u05d1)"], "RR", ["\u05d0", "(\u05d1)"]),
        ([")\u05d0", "(Python"], "RL", ["(\u05d0", "Python)"]),
        (["\u05d0", "f(x)"], "RL", ["\u05d0", "f(x)"]),
    ],
)
def test_brackets_from_right_to_left(texts: list[str], kinds: str, read_as: list[str]):
    assert exchanged(texts, list(kinds), rtl=True) == read_as


def test_brackets_of_a_hebrew_page(tmp_path):
    meanings = list("\u05d0\u05d1\u05d2\u05d3()")
    code = {text: k for k, text in enumerate(meanings, 1)}
    seen = "(\u05d3\u05d2)"  # as it stands on paper, from left to right
    operators = [
        show_codes([code[c] for c in "\u05d1\u05d0"], 240, 640, 20),
        show_codes([code[c] for c in seen], 190, 640, 20),
    ]
    page = read(Pdf([PageOf(operators)], meanings).write(tmp_path / "a.pdf"))
    assert words(page) == "\u05d0\u05d1 (\u05d2\u05d3)"


def test_the_shared_cases(shared_dir):
    cases = shared_dir / "cases/pdf"
    truth = json.loads((cases / "truth.json").read_text(encoding="utf-8"))
    assert {name: words(read(cases / name)) for name in truth} == truth
