"""Text layers that say other letters than the page shows."""

from __future__ import annotations

import random
import string
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
import pytest

from pdf_pages import PageOf, Pdf, show, show_codes
from sphinx_x.engines.ocr.filters import Limits, judge
from sphinx_x.engines.pdf.page import Page, read_page
from sphinx_x.engines.pdf.shapes import SIDE, known_letters, misfit, sampled
from sphinx_x.engines.pdf.trust import BELOW, LOW, TALL, garbled, jumbled, misread, unvouched

RARE = [
    "Sphinx quartz judging vexed klaxons, Jumbo Zebra",
    "Waltzing gymnasts quickly jerked Bronx fjords, Vow",
    "Packing liquor jugs, fifty Dozen wizards Hexing",
    "Glib Yaks mixing Quiche, oven Pups zapped by kudzu",
]
"""Lines without the commonest words of any language."""
CAPITALS = frozenset(string.ascii_uppercase)


def page_with(
    tmp_path: Path, lines: list[str], claims: dict[str, str], before: str = "", long_edge: int = 1024
) -> Page:
    operators = [before, *(show(line, 60, 700 - 14 * k) for k, line in enumerate(lines))]
    document = pdfium.PdfDocument(Pdf([PageOf(operators)], claims=claims).write(tmp_path / "page.pdf"))
    try:
        return read_page(document, 0, long_edge)
    finally:
        document.close()


def permuted(seed: int) -> dict[str, str]:
    """A wrong map that no judgement by heights can see: letters change places with others of the same form."""
    rng, claims = random.Random(seed), {}
    for form in (LOW, BELOW, TALL, CAPITALS):
        letters = sorted(form)
        claims |= dict(zip(letters, rng.sample(letters, len(letters)), strict=True))
    return claims


@pytest.mark.parametrize("seed", range(12))
def test_a_permuted_map_is_found(tmp_path, seed):
    page = page_with(tmp_path, RARE, permuted(seed))
    assert page.chars.text[:6] != list("Sphinx")
    assert page.chars.broken.all()
    assert judge(page, Limits()) == "broken Unicode"


def test_letters_of_another_script_are_found(tmp_path):
    """Each Latin letter is said to be the Cyrillic letter of its place in the alphabet."""
    claims = {letter: chr(0x430 + k) for k, letter in enumerate(string.ascii_lowercase)}
    assert page_with(tmp_path, [line.lower() for line in RARE], claims).chars.broken.all()


@pytest.mark.parametrize(
    "before",
    ["", "0 0 0.4 rg 40 640 500 80 re f 1 1 1 rg", "0.85 g 40 640 500 80 re f 0 0 0 rg", "1 0 0 rg"],
    ids=["black on white", "white on blue", "black on grey", "red on white"],
)
@pytest.mark.parametrize("long_edge", [700, 1024, 1600])
def test_right_maps_are_kept(tmp_path, before, long_edge):
    page = page_with(tmp_path, RARE, {letter: letter for letter in string.ascii_letters}, before, long_edge)
    assert not page.chars.broken.any()


def test_small_capitals_are_kept(tmp_path):
    """Capitals that the text layer calls small letters."""
    claims = dict(zip(string.ascii_uppercase, string.ascii_lowercase, strict=True))
    page = page_with(tmp_path, [line.upper() for line in RARE], claims)
    assert "".join(page.chars.text).startswith("sphinxquartz")
    assert not page.chars.broken.any()


def test_letters_too_small_to_tell_are_kept(tmp_path):
    """Unsure: at this size no letter can be told, so that nothing is said against the map."""
    assert not page_with(tmp_path, RARE, permuted(0), long_edge=300).chars.broken.any()


def test_fonts_vouched_for_by_their_words():
    """Common words vouch for a font, and its words for other fonts; a map by chance has neither."""
    prose = [
        "the",
        "editor",
        "opened",
        "that",
        "document",
        "and",
        "then",
        "printed",
        "four",
        "coloured",
        "pages",
        "with",
        "the",
        "usual",
        "settings",
    ]
    code = ["printed", "pages", "coloured", "document", "usual", "settings"]
    noise = ["gur", "rqvgbe", "bcrarq", "gung", "qbphzrag", "naq", "gura", "cevagrq"]
    assert unvouched({"Serif": prose, "Mono": code, "Odd": noise}) == ["Odd"]
    assert set(unvouched({"Mono": code, "Odd": noise})) == {"Mono", "Odd"}


def test_known_letters():
    """Shapes of unit length, none of them flat."""
    known = known_letters()
    count = len(known.places)
    assert known.shapes.shape == (2 * count, SIDE * SIDE)
    assert np.allclose(np.linalg.norm(known.shapes, axis=1), 1, atol=1e-5)
    assert np.allclose(known.shapes.mean(1), 0, atol=0.02)


def test_misfit_of_the_letters_themselves():
    """A picture made of the known shapes fits perfectly, and with the letters in another order it does not."""
    letters = list("abcdefghkmnpqrstuwyzABDEGHKMNPQRT")
    known = known_letters()
    scale = 6
    picture = np.full((40 + SIDE * scale, 20 + 100 * len(letters)), 255.0)
    boxes = []
    for k, letter in enumerate(letters):
        shape = known.shapes[known.places[letter]].reshape(SIDE, SIDE)
        dark = (shape - shape.min()) / np.ptp(shape) * 255
        high, wide = SIDE * scale, max(round(SIDE * scale * float(np.exp(known.aspects[known.places[letter]]))), 8)
        rows, columns = np.arange(high) * SIDE // high, np.arange(wide) * SIDE // wide
        x, y = 10 + 100 * k, 20
        if wide > 88:
            continue
        picture[y : y + high, x : x + wide] = 255 - dark[rows][:, columns]
        boxes.append((letter, np.array([[x, y, x + wide, y + high]], float)))
    claimed, places = [letter for letter, _ in boxes], [box for _, box in boxes]
    assert misfit(picture, claimed, places)[1] < 0.03
    assert misfit(255 - picture, claimed, places, both=True)[1] < 0.03
    assert misfit(255 - picture, claimed, places)[1] > 0.5
    for seed in range(5):
        other = random.Random(seed).sample(claimed, len(claimed))
        assert misfit(picture, other, places)[1] > 0.3


def test_samples_of_boxes_off_the_page():
    """Boxes at and beyond the edges, and of no size, give numbers."""
    grey = np.random.default_rng(0).integers(0, 256, (30, 20)).astype(np.uint8)
    boxes = np.array([[-5, -5, 4, 4], [15, 25, 40, 50], [3, 3, 3, 3], [0, 0, 20, 30]], float)
    for both in (False, True):
        shapes = sampled(grey, boxes, both)
        assert np.isfinite(shapes).all()
        assert (np.linalg.norm(shapes, axis=1) < 1 + 1e-5).all()
    assert not sampled(np.full((9, 9), 7, np.uint8), boxes[2:]).any()


def test_latin_marks_on_arabic_letters_are_wrong(tmp_path):
    """What some programs write for a final yeh; a mark on a Latin letter is none of it."""
    page = Pdf([PageOf([show_codes([1, 2, 3, 4], 60, 700, 20)])], ["ه", "\u036c", "a", "\u036c"])
    document = pdfium.PdfDocument(page.write(tmp_path / "page.pdf"))
    try:
        assert read_page(document, 0, 1024).chars.broken.tolist() == [False, True, False, False]
    finally:
        document.close()


def test_wrong_maps_are_found():
    cyrillic = [
        "Ïðàâèëî",
        "ïîøèðþºòüñÿ",
        "íà",
        "ñëîâà",
        "áëèçüêèé",
        "âèäàâíèöòâî",
        "ïåðåíîñèòè",
        "ïðiçâèùà",
        "çàëèøàþ÷è",
        "êiíöi",
    ]
    german = [
        "Die",
        "Größe",
        "der",
        "Tür",
        "ändert",
        "sich",
        "überhaupt",
        "nicht",
        "mehr",
        "möglich",
        "schöne",
        "Grüße",
        "außerdem",
        "fällt",
    ]
    noise = [
        "5L105J",
        "':)D�",
        "91>h.",
        "F<w�G",
        ")>'b#",
        "6B=0",
        "x)5R",
        "R)//1",
        "4#R1#",
        "R%I1",
        "5F)/#8",
        "pI1",
    ] * 2
    code = [
        r"\spalign@foo",
        r"\SetupKeyvalOptions{family=spalign,prefix=spalign@}",
        r"\DeclareStringOption[()]{delims}",
    ] * 4
    assert misread(cyrillic)
    assert not misread(german)
    assert garbled(noise)
    assert not garbled(german)
    assert not garbled(code)
    assert jumbled(["ՍӓՎގগॵ", "ѡՍن", "ӏԋҬ", "دӫඕ", "وٴڎӉԌԨ", "ՍনѢק", "ՍӉѢӖӖ", "ՍনѢ", "اٯࢱק"])
    assert not jumbled(["русский", "ελληνικά", "English", "עברית", "العربية", "中文", "한국어"])
    assert not jumbled(
        ["گەزل", "یەکە", "ڕۆژ", "ἀλλὰ", "ᾧ", "ὡς", "ἵνα", "ӏҧ", "ѵѢ", "ҭҧѢ", "Ѣѵ", "ƀə", "ẽữ", "ｱ漢字かな"]
    )
    assert not jumbled(["xβ", "αy", "Δx", "λμν", "ABΓ"])
