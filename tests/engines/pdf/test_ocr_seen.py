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
from sphinx_x.engines.pdf.bidi import reading_order
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
    crops = list(line_crops(RenderedPage(pdfium.PdfDocument(path), 0), random.Random(1), Counter(), 99))
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
    crops = line_crops(RenderedPage(pdfium.PdfDocument(path), 0), random.Random(1), Counter(), 99)
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
    crops = list(line_crops(RenderedPage(pdfium.PdfDocument(path), 0), random.Random(1), Counter(), 9))
    assert sorted(crop.text for crop in crops) == sorted(PROSE)


@pytest.mark.parametrize("tracking", [0.2, 0.3, 0.45, 0.7, 1.0])
@pytest.mark.parametrize("text", ["ANNUAL REPORT OF THE HARBOUR", "Curriculum Vitae"])
def test_tracked_letters_make_words(tmp_path, tracking: float, text: str):
    operators = [*paragraph(PROSE, 60, 700), f"{9 * tracking} Tc", show(text, 60, 600, 9), "0 Tc"]
    assert words(read(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf"))) == " ".join([*PROSE, text])


def set_apart(text: str, x: float, y: float, size: float, tracking: float, how: str) -> list[str]:
    """Letters in Courier set apart: each by an object of its own, or by the offsets of one array."""
    step = (0.6 + tracking) * size
    if how == "letters":
        return [show(char, x + step * k, y, size, "F3") for k, char in enumerate(text) if char != " "]
    parts = " ".join(f"({char}) {-1000 * tracking:g}" for char in text)
    return [f"BT /F3 {size} Tf 1 0 0 1 {x} {y} Tm [{parts}] TJ ET"]


@pytest.mark.parametrize("how", ["letters", "array"])
@pytest.mark.parametrize("tracking", [0.25, 0.6, 0.9, 1.2])
@pytest.mark.parametrize(
    "text", ["REPORT", "OLD MAP", "THE NORTH SEA", "Inhalt", "1. INTRODUCTION", "JOHN Q. PUBLIC", "Chapter 12"]
)
def test_letters_that_are_placed_apart_make_words(tmp_path, tracking: float, text: str, how: str):
    operators = [*set_apart(text, 60, 790, 11, tracking, how), *paragraph(PROSE, 60, 740)]
    path = Pdf([PageOf(operators)]).write(tmp_path / "a.pdf")
    assert words(read(path)) == " ".join([text, *PROSE])
    drops: Counter[str] = Counter()
    crops = list(line_crops(RenderedPage(pdfium.PdfDocument(path), 0), random.Random(1), drops, 99))
    assert len(crops) >= 2 and all(crop.text in [text, *PROSE] for crop in crops if len(crop.text) > 3)


def test_a_tracked_word_among_others(tmp_path):
    operators = [
        show("This is", 60, 740, 10, "F3"), *set_apart("very", 114, 740, 10, 0.3, "letters"),
        show("good.", 156, 740, 10, "F3"),
    ]  # fmt: skip
    assert words(read(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf"))) == "This is very good."


@pytest.mark.parametrize("letters", ["A B C D E F", "x y z", "b c d f g", "n n y y"])
def test_letters_that_are_no_words_stay_apart(tmp_path, letters: str):
    operators = [*set_apart(letters.replace(" ", ""), 60, 790, 11, 0.6, "letters"), *paragraph(PROSE, 60, 740)]
    assert words(read(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf"))) == " ".join([letters, *PROSE])


@pytest.mark.parametrize("space", [0.2, 0.85])
@pytest.mark.parametrize("seed", range(3))
def test_lines_set_to_both_edges_with_words_in_any_order(tmp_path, space: float, seed: int):
    """Narrow and wide spaces between words that are placed one by one, some of which are written last."""
    rng, early, late = random.Random(seed), [], []
    for k, line in enumerate(PROSE):
        x = 60.0
        for number, word in enumerate(line.split()):
            (late if number % 4 == rng.randrange(1, 4) else early).append(show(word, x, 700 - 13 * k, 9, "F3"))
            x += (0.6 * len(word) + space) * 9
    assert [line.text for line in read(Pdf([PageOf(early + late)]).write(tmp_path / "a.pdf")).lines] == PROSE


def test_a_line_of_low_letters_goes_on_its_paragraph(tmp_path):
    """Between low letters and the tails of the line above there is no less white than before a paragraph."""
    lines = ["They may be young, by the great quay", "or sing with joy by the long dining-", "room."]
    page = read(Pdf([PageOf(paragraph(lines, 60, 700, lead=13))]).write(tmp_path / "a.pdf"))
    assert page.text == " ".join(lines).replace("dining- ", "dining-")


def test_a_layer_that_is_off_over_text_from_a_form(tmp_path):
    """All of its letters go, also those in the white between the letters below."""
    draft = form(show("Preliminary text over all of the page", 62, 697, 12)).replace(b"300 40", b"600 842")
    draft = draft.replace(b"/Subtype/Form", b"/Subtype/Form/OC 1001 0 R")
    more = "/Resources<</Font<</F1 3 0 R>>/XObject<</X 1000 0 R>>>>"
    root = "/OCProperties<</OCGs[1001 0 R]/D<</OFF[1001 0 R]>>>>"
    pdf = Pdf([PageOf([*paragraph(PROSE, 60, 700), "/X Do"], more=more)], root=root, objects=[draft, b"<</Type/OCG>>"])
    assert words(read(pdf.write(tmp_path / "a.pdf"))) == " ".join(PROSE)


@pytest.mark.parametrize("when", ["first", "between", "last"])
@pytest.mark.parametrize("rows", [2, 3, 4])
@pytest.mark.parametrize("letter", ["H", "\xdc", '"W'])
def test_initials_over_lines(tmp_path, when: str, rows: int, letter: str):
    """Beside an initial that is set close to its lines, whatever was written before it."""
    size = {2: 25, 3: 42, 4: 58}[rows]
    right = 62 + {"H": 0.72, "\xdc": 0.72, '"W': 1.31}[letter] * size
    lines = [
        "owever far the river winds between",
        "the hills it always finds the sea",
        "again, and those who row along its",
    ]
    lines += ["banks in the evenings of June hear", "the reeds whisper as they pass."]
    operators = [show(line, right if k < rows else 60, 700 - 12.5 * k) for k, line in enumerate(lines)]
    place = {"first": 0, "between": 1, "last": len(operators)}[when]
    operators.insert(place, show(letter, 60, 700 - 12.5 * (rows - 1), size))
    page = read(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf"))
    assert words(page) == letter + " ".join(lines)


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
        ("anna.smith-", "jones@example.org", "keep"), ("pH-", "value", "keep"), ("so-", "called", "keep"),
        ("by-", "product", "keep"), ("au-", "dessus", "keep"), ("peut-", "\xeatre", "keep"), ("so-", "cial", "join"),
        ("north-", "east", "either"),
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
        and no_blank("a.b@mail.", "example.org")
        and not no_blank("mail.", "example.org")
    )


@pytest.mark.parametrize(
    ("seen", "read_as", "rtl"),
    [
        ("(\u05d2\u05d1) \u05d0", "\u05d0 (\u05d1\u05d2)", True),
        (")\u05d2\u05d1( \u05d0", "\u05d0 (\u05d1\u05d2)", True),
        ("\u05d2 (USD) \u05d0", "\u05d0 (USD) \u05d2", True), ("\u05d2 )USD( \u05d0", "\u05d0 (USD) \u05d2", True),
        ("\u05d2 f(x) \u05d0", "\u05d0 f(x) \u05d2", True), ("[4] \u05d1 (3) \u05d0", "\u05d0 (3) \u05d1 [4]", True),
        ("\u05d2 Windows 10 \u05d0", "\u05d0 Windows 10 \u05d2", True),
        ("Firefox \u05d1 (beta) 2.0 \u05d0", "\u05d0 2.0 (beta) \u05d1 Firefox", True),
        ("\u05d2 Microsoft (MSFT) \u05d0", "\u05d0 Microsoft (MSFT) \u05d2", True),
        ("12-15 \u05d0", "\u05d0 12-15", True), (":a@b.org \u05d0", "\u05d0 a@b.org:", True),
        ("\u05d2\u05d1 1998 \u05d0", "\u05d0 1998 \u05d1\u05d2", True), ("%50 \u0627", "\u0627 50%", True),
        ("The word \u05d1\u05d0 (peace) here", "The word \u05d0\u05d1 (peace) here", False),
        ("and (\u05d1\u05d0) a city", "and (\u05d0\u05d1) a city", False),
        ("see \u05d2 1998 \u05d0 now", "see \u05d0 1998 \u05d2 now", False),
    ],
)  # fmt: skip
def test_the_order_of_signs_with_two_directions(seen: str, read_as: str, rtl: bool):
    """What is seen was worked out by hand from Unicode's annex 9; brackets come by their looks or by their meaning."""
    order, told = reading_order(seen, rtl)
    assert "".join(told.get(place, seen[place]) for place in order) == read_as


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


def test_a_line_of_signs_alone(tmp_path):
    operators = [*paragraph(PROSE, 60, 700), show("\xa7 \xb0 \xb7", 60, 600)]
    assert words(read(Pdf([PageOf(operators)]).write(tmp_path / "a.pdf"))) == " ".join([*PROSE, "\xa7 \xb0 \xb7"])


def test_the_shared_cases(shared_dir):
    cases = shared_dir / "cases/pdf"
    truth = json.loads((cases / "truth.json").read_text(encoding="utf-8"))
    assert {name: words(read(cases / name)) for name in truth} == truth
