"""Lines of text in an image: where they are, what they say, in which order, and that they are read once."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from sphinx_x.text_lines import reader
from sphinx_x.text_lines.line import Reading, TextLine, left_out
from sphinx_x.text_lines.order import in_reading_order
from sphinx_x.text_lines.reader import LEAST_SIDE, MOST_SIDE, LineReader, limit_of


def line(text, left, top, right, bottom, confidence=1.0):
    return TextLine((left, top, right, bottom), text, confidence)


RECEIPT = [
    *(line("CORNER SHOP", 100, 10, 300, 30), line("Date:", 20, 50, 70, 70), line("12/03/2019", 200, 52, 300, 72)),
    *(line("Cashier:", 20, 76, 90, 96), line("ANNA", 200, 75, 250, 95), line("2 x Tea", 20, 110, 90, 130)),
    *(line("3.00", 180, 112, 220, 130), line("6.00", 320, 109, 360, 129), line("TOTAL", 20, 140, 90, 165)),
    line("6.00", 320, 141, 360, 164),
]


@given(st.permutations(RECEIPT))
def test_a_receipt_is_read_row_by_row_in_whatever_order_it_was_found(found):
    words = [one.text for one in in_reading_order(found)]
    assert words == [
        "CORNER SHOP",
        "Date:",
        "12/03/2019",
        "Cashier:",
        "ANNA",
        "2 x Tea",
        "3.00",
        "6.00",
        "TOTAL",
        "6.00",
    ]


def test_prose_is_read_column_by_column():
    columns = [line(f"{x} {k}", x, 100 + 26 * k, x + 300, 120 + 26 * k) for k in range(12) for x in (40, 400)]
    assert [one.text for one in in_reading_order(columns)] == [f"{x} {k}" for x in (40, 400) for k in range(12)]


def test_nothing_is_nothing():
    assert in_reading_order([]) == ()


@pytest.fixture
def engine(monkeypatch):
    """An engine that counts its calls and says how bright an image is."""
    calls = []

    def read(image):
        calls.append(image.size)
        return [line(f"{np.asarray(image).mean():.0f}", 0, 0, 9, 9, 0.9), line("doubtful", 0, 20, 9, 29, 0.4)]

    monkeypatch.setitem(reader.READERS, "made", reader.EngineKind(lambda: "made 1", lambda: read))
    reader._started.cache_clear()
    monkeypatch.setattr(reader, "_MEMORY", reader._Memory())
    return calls


def test_an_image_is_read_once_by_what_it_shows(engine):
    image, same = Image.new("RGB", (40, 30), "#333333"), Image.new("RGB", (40, 30), "#333333")
    first = LineReader("made")
    assert [one.text for one in first.read(image).lines] == ["51"]
    assert first.read(same) == LineReader("made").read(image) and engine == [(40, 30)]
    assert [one.text for one in LineReader("made", least_confidence=0.3).read(image).lines] == ["51", "doubtful"]
    same.putpixel((3, 3), (255, 255, 255))
    first.read(same)
    first.read(Image.new("RGB", (30, 40), "#333333"))  # the same bytes in another shape
    assert engine == [(40, 30), (40, 30), (30, 40)]


def test_what_was_read_before_comes_from_the_folder(engine, tmp_path, monkeypatch):
    image = Image.new("RGB", (40, 30), "#333333")
    before = LineReader("made", folder=tmp_path).read(image)
    monkeypatch.setattr(reader, "_MEMORY", reader._Memory())
    assert LineReader("made", folder=tmp_path).read(image) == before and len(engine) == 1
    file = next(tmp_path.rglob("*.json"))
    file.write_text("[[", encoding="utf-8")  # cut off by somebody else
    monkeypatch.setattr(reader, "_MEMORY", reader._Memory())
    assert LineReader("made", folder=tmp_path).read(image) == before and len(engine) == 2
    assert json.loads(file.read_text(encoding="utf-8"))


def test_of_a_very_full_page_the_last_lines_are_left_out(engine, monkeypatch):
    """Each line counts its bytes and one: `Straße 1` has 9 bytes in UTF-8."""
    rows = [line(f"Straße {k}", 0, 20 * k, 90, 20 * k + 15) for k in range(10)]
    monkeypatch.setitem(reader.READERS, "made", reader.EngineKind(lambda: "made 1", lambda: lambda _: rows[::-1]))
    reader._started.cache_clear()
    image = Image.new("RGB", (100, 200))
    assert LineReader("made", max_bytes=100).read(image) == Reading(tuple(rows), 0)
    assert LineReader("made", max_bytes=99).read(image) == Reading(tuple(rows[:9]), 1)
    assert LineReader("made", max_bytes=9).read(image) == Reading((), 10)
    assert [LineReader("made", enough=most, max_bytes=45).read(image).page for most in (10, 11)] == [True, False]
    image.save(content := io.BytesIO(), "PNG")
    assert LineReader("made", max_bytes=45).read_file(content.getvalue()) == Reading(tuple(rows[:4]), 6)
    assert left_out(0) is None and left_out(1).startswith("the last line is left out of this very full page")
    assert left_out(6).startswith("the last 6 lines are left out of this very full page")


def test_only_so_many_images_are_remembered(engine):
    for k in range(reader.REMEMBERED + 5):
        LineReader("made").read(Image.new("L", (1, k + 1)).convert("RGB"))
    assert len(reader._MEMORY._lines) == reader.REMEMBERED


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="unknown reader of lines 'tesseract'; known: pp-ocrv6"):
        LineReader("tesseract")
    with pytest.raises(ValueError, match=r"least_confidence is from 0 to 1, not 2"):
        LineReader(least_confidence=2)
    for wrong in (0, -1, 10.5, True):
        with pytest.raises(ValueError, match=f"max_bytes is a whole number above 0, not {wrong}"):
            LineReader(max_bytes=wrong)


def test_without_rapidocr_one_line_says_what_to_install(monkeypatch):
    import sys

    from sphinx_x.errors import MissingToolError

    reader._started.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    told = r"^reading the lines of an image needs rapidocr \(pip install 'sphinx-x\[smol\]'\)"
    with pytest.raises(MissingToolError, match=told):
        LineReader().read(Image.new("RGB", (9, 9)))
    monkeypatch.setattr(reader, "version", lambda name: (_ for _ in ()).throw(reader.PackageNotFoundError(name)))
    with pytest.raises(MissingToolError, match=told):  # what tells tables of lengths apart starts no engine
        _ = LineReader().identity


def test_pp_ocr_reads_what_is_drawn_where_it_is():
    pytest.importorskip("rapidocr", reason="needs rapidocr: pip install 'sphinx-x[smol]'")
    image = Image.new("RGB", (640, 400), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(28)
    drawn = [("Invoice 4711", 40, 40), ("Green tea", 40, 150), ("12.50", 480, 150), ("Thank you", 220, 300)]
    for text, x, y in drawn:
        pen.text((x, y), text, "black", font)
    lines = LineReader().read(image).lines
    assert [one.text.replace(" ", "") for one in lines] == [text.replace(" ", "") for text, _, _ in drawn]
    for one, (text, x, y) in zip(lines, drawn, strict=True):
        ink = pen.textbbox((x, y), text, font)
        assert np.abs(np.array(one.box) - ink).max() < 14 and one.confidence > 0.9
    assert LineReader().read(Image.new("RGB", (200, 100), "white")).lines == ()


PROSE = (
    "There are three types of numeric literals: integers,",
    "floating point numbers, and imaginary numbers. There",
    "are no complex literals (complex numbers can be formed",
    "by adding a real number and an imaginary number).",
)


def page_of(texts, size=22):
    """Draw lines of print on white."""
    image = Image.new("RGB", (680, len(texts) * 33 + 88), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for number, text in enumerate(texts):
        pen.text((44, 44 + number * 33), text, "black", font)
    return image


def test_upright_print_is_never_taken_for_upside_down():
    """The engine's own classifier of lines turned the last of these, and read "mg g r )"."""
    pytest.importorskip("rapidocr", reason="needs the extra smol")
    assert [one.text for one in LineReader().read(page_of(PROSE)).lines] == list(PROSE)


def test_a_page_that_stands_upside_down_is_read_all_the_same():
    pytest.importorskip("rapidocr", reason="needs the extra smol")
    image = page_of(PROSE)
    upright = LineReader().read(image).lines
    turned = LineReader().read(image.transpose(Image.Transpose.ROTATE_180)).lines
    assert [one.text for one in turned] == [one.text for one in upright]
    for one, other in zip(turned, upright, strict=True):
        left, top, right, bottom = other.box
        mirrored = image.width - right, image.height - bottom, image.width - left, image.height - top
        assert one.box == pytest.approx(mirrored, abs=0.01)


@pytest.mark.parametrize("size", [(4, 900), (90, 70), (463, 1000), (800, 600), (736, 1280), (1281, 40), (2480, 3508)])
def test_the_detector_sees_small_things_large_and_large_pages_small(size):
    """By the resizing that its documents describe: `max` shrinks the longer side, `min` enlarges the shorter one."""
    kind, limit = limit_of(size)
    shorter, longer = sorted(size)
    factor = min(1.0, limit / longer) if kind == "max" else max(1.0, limit / shorter)
    assert longer * factor <= MOST_SIDE
    assert shorter * factor >= LEAST_SIDE or longer * factor > 0.99 * MOST_SIDE - longer / shorter


@pytest.mark.slow  # its models are loaded
@pytest.mark.parametrize("size", [(2600, 24), (24, 2600), (6000, 40), (2001, 1), (1, 1)])
def test_a_thin_strip_is_read_or_has_no_lines(size):
    pytest.importorskip("rapidocr", reason="needs the extra smol")
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((4, 0), "Total 12.50 paid", fill="black", font=ImageFont.load_default(16))
    read = LineReader().read(image).lines
    assert [one.text for one in read] == (["Total 12.50 paid"] if size == (2600, 24) else [])


@pytest.mark.slow  # its models are loaded
def test_small_print_of_a_large_page_is_found():
    """The detector overlooks the second line if it shrinks the page by itself, as it skips pixels."""
    pytest.importorskip("rapidocr", reason="needs the extra smol")
    rows = ["Total amount due 1,284.50", "Invoice 7731-88 of 12 March", "Paid by card ending 4417"]
    image, font = Image.new("RGB", (2100, 4200), "white"), ImageFont.load_default(20)
    pen, places = ImageDraw.Draw(image), [(340, 3040 + 80 * k) for k in range(3)]
    for row, place in zip(rows, places, strict=True):
        pen.text(place, row, "black", font)
    found = LineReader().read(image).lines
    assert [one.text for one in found] == rows
    for one, row, place in zip(found, rows, places, strict=True):
        assert one.box == pytest.approx(pen.textbbox(place, row, font), abs=20)  # six pixels of the detector
