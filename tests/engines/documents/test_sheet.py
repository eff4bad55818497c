"""Words on a sheet: their boxes are the bounds of their ink, and values are found in the words that say them."""

import random
import shutil

import numpy as np
import pytest
from PIL import ImageDraw

from sphinx_x.engines.documents.faces import FOLDERS, find_faces
from sphinx_x.engines.documents.sheet import Sheet, Style, Word, lines_of
from sphinx_x.errors import DataError


@pytest.fixture(scope="module")
def faces():
    pytest.importorskip("matplotlib", reason="its fonts are drawn with: pip install 'sphinx-x[data]'")
    import matplotlib

    return find_faces([f"{matplotlib.get_data_path()}/fonts/ttf"])


@pytest.mark.parametrize("dots", [False, True])
def test_boxes_are_the_bounds_of_the_ink(faces, dots):
    rng = random.Random(5)
    for number in range(8):
        sheet = Sheet(2600, rng.choice(faces.faces), dots)
        y = 0.0
        for text in ("NORTH Gate (M) Ltd.", "Total:   12.40", "jgpq yÜ 1,5 ..", "* 7 -"):
            style = Style(rng.uniform(14, 30), rng.random() < 0.3, rng.choice((1, 1, 2)), rng.choice((1, 1, 2)))
            y += 2 * style.height
            sheet.write(rng.uniform(1100, 1300), y, text, style, rng.choice("lm"))
        sheet.rule(y + 60, 10, 600, 2)
        drawing = sheet.finish(y + 80)
        for word in drawing.words:
            x1, y1, x2, y2 = map(int, word.box)
            ink = np.asarray(drawing.ink)[y1:y2, x1:x2] > 0
            assert ink[0].any() and ink[-1].any() and ink[:, 0].any() and ink[:, -1].any(), (number, word)
        rest = drawing.ink.copy()
        for box in [word.box for word in drawing.words] + drawing.graphics:
            ImageDraw.Draw(rest).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=0)
        assert rest.getbbox() is None


def test_a_value_is_in_the_words_that_say_it(faces):
    sheet = Sheet(700, faces.faces[0])
    sheet.write(10, 50, "1 x 9.00   RM9.00", Style(20), facts={"price": "9.00"}, about="padlock")
    (fact,) = sheet.facts
    assert (fact.name, fact.value, fact.about, sheet.said(fact.words)) == ("price", "9.00", "padlock", "RM9.00")
    with pytest.raises(ValueError, match="not in"):
        sheet.write(10, 90, "Total 8.00", Style(20), facts={"total": "9.00"})


def test_words_of_a_row_are_a_line_up_to_a_wide_gap():
    words = [Word(text, (x, 0, x + 30, 20), row, 20) for text, x, row in
             (("b", 45, 9.0), ("a", 0, 9.0), ("c", 200, 9.0), ("d", 0, 40.0))]  # fmt: skip
    assert [line.text for line in lines_of(words)] == ["a b", "c", "d"]
    assert lines_of(words)[0].box == (0, 0, 75, 20)


def test_faces_do_not_depend_on_where_their_files_lie(faces, tmp_path):
    for face in faces.faces:
        for path in {face.regular, face.bold}:
            shutil.copy(path, tmp_path)
    assert find_faces([tmp_path]).key == faces.key
    assert any(face.mono for face in faces.faces) and any(not face.mono for face in faces.faces)


def test_a_folder_without_fonts_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="no font of a text face"):
        find_faces([tmp_path])
    with pytest.raises(DataError, match="nowhere: no such folder"):
        find_faces([*FOLDERS, tmp_path / "nowhere"])


def test_a_text_that_does_not_fit_is_refused(faces):
    with pytest.raises(ValueError, match="'long' does not fit"):
        Sheet(60, faces.faces[0]).write(10, 50, "a long text", Style(20))


@pytest.mark.parametrize("x", [683.5, 684.0, 684.5])
def test_a_rule_of_one_pixel_is_drawn_wherever_it_lies(faces, x):
    """Between two halves of pixels it had no width, and the document was set aside."""
    sheet = Sheet(800, faces.faces[0], longest=100)
    sheet.bar((x, 10, x + 1, 40))
    wide = sheet.graphics[-1][2] - sheet.graphics[-1][0]
    assert wide in (1, 2) and np.count_nonzero(np.asarray(sheet.ink)) == 30 * wide
