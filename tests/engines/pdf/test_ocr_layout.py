"""Layout classes and the blocks under them: one made page for each documented rule."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pypdfium2 as pdfium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paths import ROOT
from pdf_pages import PageOf, Pdf, paragraph, show
from sphinx_x.engines.pdf.formulas import gathered
from sphinx_x.engines.pdf.page import Page, read_page
from sphinx_x.engines.pdf.words import Line, Word

LABELS = ROOT / "benchmarks/ocr_layout.json"
PROSE = [
    "It was the best of times and it was the worst of times, the age",
    "of wisdom and the age of foolishness, the epoch of belief and",
    "the epoch of incredulity, the season of Light and that of Dark",
    "and so on.",
]
TEXT = " ".join(PROSE)


def page_of(tmp_path: Path, operators: Sequence[str]) -> Page:
    return read(Pdf([PageOf(operators)]).write(tmp_path / "page.pdf"))


def read(path: Path) -> Page:
    document = pdfium.PdfDocument(path)
    try:
        return read_page(document, 0, 1024)
    finally:
        document.close()


def labels(page: Page) -> list[tuple[str, str]]:
    return [(region.label, region.text) for region in page.regions]


def rule(x1: float, x2: float, y: float) -> str:
    return f"0.5 w {x1} {y} m {x2} {y} l S"


def test_ruled_table_with_cells_of_several_lines(tmp_path):
    left = ["Apples", "Pears", "Plums"]
    right = [["red or green, sold by the", "kilo on Mondays"], ["yellow"], ["blue, and in August", "cheap"]]
    operators, y = [*paragraph(PROSE, 60, 780), rule(80, 300, 700)], 688
    for name, cells in zip(left, right, strict=True):
        operators.append(show(name, 84, y))
        operators += paragraph(cells, 150, y)
        y -= 12 * len(cells)
    operators += [rule(80, 300, y + 6), show("Table 1: Fruit of all kinds", 84, y - 14), *paragraph(PROSE, 60, 560)]
    page = page_of(tmp_path, operators)
    assert [kind for kind, _ in labels(page)] == ["text", "table", "caption", "text"]
    assert labels(page)[1][1].splitlines()[:2] == ["Apples red or green, sold by the", "kilo on Mondays"]


def test_a_grid_is_a_table_however_short_its_rows(tmp_path):
    lines = [rule(80, 260, 700 - 16 * k) for k in range(4)]
    lines += [f"0.5 w {x} 700 m {x} 652 l S" for x in (80, 110, 260)]
    cells = [show(str(k), 90, 688 - 16 * k) for k in range(3)] + [show("one row", 130, 688)]
    page = page_of(tmp_path, [*paragraph(PROSE, 60, 780), *lines, *cells, *paragraph(PROSE, 60, 560)])
    assert [kind for kind, _ in labels(page)] == ["text", "table", "text"]


CODE = [
    "def area(width, height):     # of a box",
    "    if width < 0:            # never",
    "        raise ValueError",
    "    return width * height    # in pixels",
    "x = area(3, 4)               # 12",
    "print(x)                     # shows it",
]
SESSION = ["$ ls -l", "-rw-r--r--  1 ann  ann   1204 notes.txt", "drwxr-xr-x  2 ann  ann   4096 src", "$ cat notes.txt"]


def columns(lines: Sequence[str], x: float, y: float, font: str) -> list[str]:
    """Lines of a listing, each piece behind two blanks set at its own place."""
    pieces = [(match, k) for k, line in enumerate(lines) for match in re.finditer(r"\S+(?: \S+)*", line)]
    return [show(match[0], x + 5.4 * match.start(), y - 12 * k, 9, font) for match, k in pieces]


@pytest.mark.parametrize("font", ["F1", "F3"])
@pytest.mark.parametrize("lines", [CODE, SESSION], ids=["code", "session"])
@pytest.mark.parametrize("frame", ["lines", "box", "title", "numbers", "bar"])
def test_a_framed_listing_is_no_table(tmp_path, frame, lines, font):
    foot = 692 - 12 * len(lines)
    operators = [*columns(lines, 72, 690, font), rule(50, 400, 702), rule(50, 400, foot)]
    if frame == "box":
        operators[-2:] = [f"0.5 w 50 {foot} 350 {702 - foot} re S"]
    elif frame == "title":
        operators += [show("Listing 1", 54, 707, 9, "F2"), rule(50, 400, 718)]
    elif frame in ("numbers", "bar"):
        operators += [show(str(k + 1), 54, 690 - 12 * k, 9, font) for k in range(len(lines))]
        operators += [f"0.5 w 64 {foot} m 64 702 l S"] * (frame == "bar")
    page = page_of(tmp_path, [*paragraph(PROSE, 60, 780), *operators, *paragraph(PROSE, 60, 560)])
    assert "table" not in {kind for kind, _ in labels(page)}
    assert labels(page)[0] == labels(page)[-1] == ("text", TEXT)


@pytest.mark.parametrize("font", ["F1", "F3"])
@pytest.mark.parametrize("frame", ["lines", "head", "grid", "upright"])
def test_a_table_in_letters_of_any_width_is_one(tmp_path, frame, font):
    rows = [
        ("Option", "Default", "Meaning"),
        ("-v", "off", "say more"),
        ("-o", "a.out", "where to"),
        ("-q", "on", "no"),
    ]
    operators = [
        show(cell, 80 + 110 * k, 690 - 14 * n, 9, font) for n, row in enumerate(rows) for k, cell in enumerate(row)
    ]
    heights = {"head": (702, 685.5, 645), "grid": (702, 686, 672, 658, 645)}.get(frame, (702, 645))
    operators += [rule(70, 400, height) for height in heights]
    operators += ["0.5 w 180 645 m 180 702 l S"] * (frame in ("grid", "upright"))
    page = page_of(tmp_path, [*paragraph(PROSE, 60, 780), *operators, *paragraph(PROSE, 60, 560)])
    assert [kind for kind, _ in labels(page)] == ["text", "table", "text"]


def test_columns_between_lines_of_the_page_are_no_table(tmp_path):
    half = [line[:40] for line in PROSE[:3]] * 3
    operators = [rule(60, 520, 760), rule(60, 520, 560), *paragraph(half, 60, 740), *paragraph(half, 300, 740)]
    page = page_of(tmp_path, operators)
    assert {kind for kind, _ in labels(page)} == {"text"}
    assert [line.box[0] > 300 for line in page.lines] == [False] * 9 + [True] * 9


def test_tables_side_by_side_keep_their_place(tmp_path):
    operators = [*paragraph(PROSE, 60, 780)]
    for x in (60, 320):
        operators += [rule(x, x + 180, 700 - 14 * k) for k in range(4)]
        operators += [show(text, x + dx, 690 - 14 * k) for k in range(3) for dx, text in ((4, f"row {k}"), (120, "7"))]
    operators += [*paragraph(PROSE, 60, 600), show("The end", 60, 500, 16)]
    page = page_of(tmp_path, operators)
    assert [kind for kind, _ in labels(page)] == ["text", "table", "table", "text", "title"]


def test_index_of_three_columns(tmp_path):
    ends = ("pple", "rrow", "xle", "nt", "lbum", "rch", "tlas")
    names = [[f"{letter}{end}, {3 * k + 1}" for k, end in enumerate(ends)] for letter in "ABC"]
    operators = [
        show(name, 60 + 150 * k, 700 - 12 * n) for n in range(7) for k, name in enumerate(row[n] for row in names)
    ]
    page = page_of(tmp_path, [show("Index", 60, 760, 18), *operators])
    assert [line.text for line in page.lines][1:] == [name for column in names for name in column]
    assert [kind for kind, _ in labels(page)] == ["title", "list", "list", "list"]


def test_pieces_of_a_formula_are_one_block(tmp_path):
    formula = [
        show("f(x) = 2 +", 200, 700),
        show("ab", 246, 706, 9),
        rule(242, 262, 703.5),
        show("c - 1", 243, 695, 9),
        show("(1)", 480, 700),
    ]
    page = page_of(tmp_path, [*paragraph(PROSE, 60, 780), *formula, *paragraph(PROSE, 60, 650)])
    kinds = labels(page)
    assert len(kinds) == 3
    assert all(piece in kinds[1][1] for piece in ("f(x) = 2 +", "ab", "c - 1", "(1)"))


def line_at(x: float, y: float, width: float, size: float, text: str) -> Line:
    """A line of words of equal width."""
    names = text.split()
    step = width / len(names)
    places = [(x + step * k, y, x + step * (k + 0.8), y + size) for k in range(len(names))]
    words = [Word(name, place, [0], place, size, (y, y + size)) for name, place in zip(names, places, strict=True)]
    place = (x, y, places[-1][2], y + size)
    return Line(words, size=size, box=place, place=place, marks=[-1] * len(text.replace(" ", "")))


def test_pieces_are_put_where_they_stand():
    whole = line_at(10, 100, 100, 10, "y = S k + 2")
    pieces = [line_at(43, 94, 10, 6, "n m"), line_at(43, 107, 10, 6, "k=1")]  # over and under the third word
    far = line_at(300, 100, 60, 10, "elsewhere")
    out = gathered([*pieces, whole, far])
    assert [line.text for line in out] == ["y = S n m k=1 k + 2", "elsewhere"]
    assert out[0].box == (10, 94, whole.box[2], 113)


SPOT = st.floats(0, 200, allow_subnormal=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SPOT, SPOT, st.sampled_from([6.0, 10.0]), st.sampled_from(["k", "a + b", "some words"]))))
def test_no_word_is_lost_where_pieces_are_gathered(places):
    lines = [line_at(x, y, 20, size, text) for x, y, size, text in places]
    words = sorted(word.text for line in gathered(lines) for word in line.words)
    assert words == sorted(word.text for line in lines for word in line.words)


def test_a_listing_is_one_block_over_blank_lines_and_indents(tmp_path):
    code = ["def f(x):", "    if x:", "        return 1", "", "    return 0", "", "print(f(2))"]
    numbered = [show(str(k), 60, 600 - 12 * k, 6) for k in range(1, 8)]
    operators = [*paragraph(PROSE, 60, 780), *paragraph(code, 80, 588, 10, "F3"), *numbered, *paragraph(PROSE, 60, 480)]
    page = page_of(tmp_path, operators)
    assert [kind for kind, _ in labels(page)] == ["text", "text", "text"]
    assert "print(f(2))" in labels(page)[1][1]


def test_paragraphs_end_at_a_little_white_after_a_short_line(tmp_path):
    operators = [line for k in range(4) for line in paragraph(PROSE, 60, 700 - k * 51)]
    assert labels(page_of(tmp_path, operators)) == [("text", TEXT)] * 4


def test_paragraphs_begin_with_an_indent(tmp_path):
    indented = [show(PROSE[0], 75, 700), *paragraph(PROSE[1:], 60, 688)]
    again = [show(PROSE[0], 75, 652), *paragraph(PROSE[1:], 60, 640)]
    short = [show("A sentence alone, indented as well.", 75, 712)]
    page = page_of(tmp_path, [*short, *indented, *again])
    assert labels(page) == [("text", "A sentence alone, indented as well."), ("text", TEXT), ("text", TEXT)]


def test_bold_words_do_not_cut_a_paragraph(tmp_path):
    bold = show("of wisdom and the age of foolishness, the epoch of xx", 60, 688, 10, "F2")
    operators = [show(PROSE[0], 60, 700), bold, *paragraph(PROSE[2:], 60, 676)]
    assert len(page_of(tmp_path, operators).regions) == 1


def test_terms_and_descriptions_are_a_list(tmp_path):
    operators, y = [*paragraph(PROSE, 60, 780)], 690
    for term in ("demo", "draft", "final"):
        operators += [
            show(term, 60, y, 10, "F3"),
            *paragraph(["for each file its name is printed only,", "in a box."], 110, y),
        ]
        y -= 34
    y -= 20
    for term in ("{rpn 3 2 +}", "{rpn 3 2 -}"):
        operators += [
            show(term, 60, y, 10, "F3"),
            *paragraph(["what it does, told at some length, so", "so."], 150, y - 12),
        ]
        y -= 46
    page = page_of(tmp_path, [*operators, *paragraph(PROSE, 60, y - 30)])
    assert [kind for kind, _ in labels(page)] == ["text", "list", "list", "text"]
    assert labels(page)[1][1].startswith("demo for each file its name is printed only, in a box.")


def test_contents_without_dots(tmp_path):
    rows = [("1 Introduction", 2), ("2 Options", 2), ("3 Commands", 5), ("4 Letters", 11)]
    operators = [show(text, 60, 600 - 30 * k, 10, "F2") for k, (text, _) in enumerate(rows)]
    operators += [
        show(str(page), 500 - 5.5 * len(str(page)), 600 - 30 * k, 10, "F2") for k, (_, page) in enumerate(rows)
    ]
    page = page_of(tmp_path, [*paragraph(PROSE, 60, 700), *operators])
    assert [kind for kind, _ in labels(page)] == ["text", "list"]


def test_running_heads_and_page_numbers(tmp_path):
    body = [line for k in range(8) for line in paragraph(PROSE, 60, 700 - k * 60)]
    with_rule = [show("Chapter 12. And now?", 60, 742), rule(60, 350, 738)]
    page = page_of(tmp_path, [*with_rule, *body, show("168", 290, 150)])
    assert {kind for kind, _ in labels(page)} == {"text"}
    assert "And now?" not in " ".join(text for _, text in labels(page))
    page = page_of(tmp_path, [show("Chapter 12. And now?", 60, 742), *body])
    assert "Chapter 12. And now?" in [text for _, text in labels(page)]


def test_a_sentence_about_a_table_is_no_caption(tmp_path):
    operators = [
        show("Table 3 shows what was found in the second year.", 60, 700),
        show("Table 3. What was found", 60, 600),
    ]
    assert [kind for kind, _ in labels(page_of(tmp_path, operators))] == ["text", "caption"]


def test_notes_in_the_margin_leave_the_text_whole(tmp_path):
    operators = [
        *paragraph(PROSE * 3, 140, 700),
        show("\\macro", 100, 700, 10, "F3"),
        show("\\other", 100, 640, 10, "F3"),
    ]
    page = page_of(tmp_path, operators)
    text = " ".join(block.text for block in page.blocks if not block.text.startswith("\\"))
    assert text == " ".join([TEXT] * 3)


def test_paragraphs_inside_items_belong_to_the_list(tmp_path):
    item = ["the objects are, and not what they look", "like."]
    operators = [*paragraph(PROSE, 60, 780)]
    for y in (700, 600):
        operators += [show("\x95", 60, y), *paragraph(item, 72, y), *paragraph(["A second paragraph."], 72, y - 40)]
    operators += [show("\x95", 60, 500), *paragraph(item, 72, 500)]
    page = page_of(tmp_path, operators)
    assert {kind for kind, _ in labels(page)[1:]} == {"list"}


def test_numbered_headings_of_years_and_commands(tmp_path):
    operators = [show("9.1.7. 2010", 60, 640, 10, "F2"), *paragraph(PROSE, 60, 620)]
    assert [kind for kind, _ in labels(page_of(tmp_path, operators))] == ["title", "text"]


def tagged(tmp_path: Path, parts: Sequence[tuple[int, str]], tree: str, **types: str) -> Page:
    """A page whose marked contents are the operators in `parts`; tree: elements as `TYPE[mark TYPE[mark mark]]`."""
    operators = [f"/P <</MCID {mark}>> BDC {text} EMC" if mark >= 0 else text for mark, text in parts]
    objects: list[bytes] = [b"", b""]

    def element(text: str, parent: int) -> int:
        name, _, inside = text.partition("[")
        number = 1000 + len(objects)
        objects.append(b"")
        kids, depth, start = [], 0, 0
        inside = inside.removesuffix("]") + " "
        for k, char in enumerate(inside):
            depth += (char == "[") - (char == "]")
            if char == " " and depth == 0:
                piece, start = inside[start:k], k + 1
                kids.append(piece if piece.isdigit() else f"{element(piece, number)} 0 R")
        kids_text = " ".join(kids)
        objects[number - 1000] = f"<</Type/StructElem/S/{name}/P {parent} 0 R/Pg 20 0 R/K[{kids_text}]>>".encode()
        return number

    top = element(tree, 1000)
    owners = {mark: number for number, body in enumerate(objects, 1000) for mark in _marks(body)}
    nums = " ".join(f"{owners[mark]} 0 R" for mark in range(len(owners)))
    roles = "".join(f"/{a}/{b}" for a, b in types.items())
    objects[0] = f"<</Type/StructTreeRoot/K {top} 0 R/RoleMap<<{roles}>>/ParentTree<</Nums[0[{nums}]]>>>>".encode()
    objects[1] = b"null"
    root = "/StructTreeRoot 1000 0 R/MarkInfo<</Marked true>>"
    pdf = Pdf([PageOf(operators, more="/StructParents 0")], root=root, objects=objects)
    return read(pdf.write(tmp_path / "tagged.pdf"))


def _marks(body: bytes) -> list[int]:
    """The marked contents that an element holds itself."""
    inside = body.decode().partition("/K[")[2].partition("]")[0]
    return [int(word) for word in re.sub(r"\d+ 0 R", "", inside).split()]


def test_elements_end_blocks(tmp_path):
    """Two paragraphs without white or indent between them, and a heading of its own kind."""
    first, second = paragraph(PROSE[:2], 60, 700), paragraph(PROSE[:2], 60, 676)
    parts = [(0, show("Heading by role", 60, 730)), *((1, line) for line in first), *((2, line) for line in second)]
    page = tagged(tmp_path, parts, "Document[Heading1[0] P[1] P[2]]", Heading1="H1")
    whole = " ".join(PROSE[:2])
    assert labels(page) == [("title", "Heading by role"), ("text", whole), ("text", whole)]


def test_tables_and_nested_lists_of_the_tree(tmp_path):
    rows = [(k, show(f"cell {k}", 60 + 200 * (k % 2), 700 - 40 * (k // 2))) for k in range(4)]
    items = [(4, show("an item", 60, 560)), (5, show("one inside it", 90, 545)), (6, show("the next", 60, 530))]
    tree = (
        "Document[Table[TR[TD[P[0]] TD[L[LI[LBody[1]]]]] TR[TD[2] TD[3]]] L[LI[LBody[4 L[LI[LBody[5]]]]] LI[LBody[6]]]]"
    )
    page = tagged(tmp_path, [*rows, *items, (-1, show("12", 290, 60))], tree)
    assert [kind for kind, _ in labels(page)] == ["table", "list"]
    assert all(f"cell {k}" in labels(page)[0][1] for k in range(4))


@pytest.mark.parametrize("tree", ["Document[P[0 1]]", "Document[P[0] P[1]]", "Document[Span[0 1]]"])
def test_trees_that_tell_nothing_leave_it_to_the_rules(tmp_path, tree):
    parts = [(0, show("A large heading", 60, 740, 18)), *((1, line) for line in paragraph(PROSE, 60, 700))]
    assert [kind for kind, _ in labels(tagged(tmp_path, parts, tree))] == ["title", "text"]


def test_labels_of_the_benchmark_are_sane():
    pages = json.loads(LABELS.read_text("utf-8"))
    parts = [page["part"] for page in pages]
    assert parts.count("tuning") == parts.count("held-out") == 30
    assert parts.count("fresh") == 12
    assert len({(page["package"], page["file"]) for page in pages}) == len(pages)
    for page in pages:
        for region in page["regions"]:
            x1, y1, x2, y2 = region["box"]
            assert region["class"] in ("title", "text", "list", "table", "figure", "caption")
            assert 0 <= x1 < x2 <= 1
            assert 0 <= y1 < y2 <= 1
