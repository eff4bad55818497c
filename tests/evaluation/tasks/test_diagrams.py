"""AI2D from its own release: by the texts of options, and by their letters."""

import io

import pytest
from PIL import Image

from benchmarks import made_items, scores_of, write_release
from releases.files import picture, put
from sphinx_x.errors import DataError
from sphinx_x.evaluation.task import Reading


def test_what_is_no_option_is_not_shown(tmp_path):
    write_release("ai2d_letters", tmp_path)
    texts, letters = made_items("ai2d", tmp_path), made_items("ai2d_letters", tmp_path)
    assert texts[0].question == letters[0].question == "What does the frog eat?\nA. grass\nB. insects\nC. stones"
    assert [item.references for item in texts] == [("insects",), ("A",)]
    assert [item.references for item in letters] == [("B",), ("C",)]
    assert [item.id for item in texts] == ["7.png-0", "7.png-1"]


def test_letters_are_drawn_where_a_question_names_them(tmp_path):
    write_release("ai2d_letters", tmp_path)
    shown = [Image.open(io.BytesIO(item.pictures[0].read())) for item in made_items("ai2d", tmp_path)]
    assert shown[0].convert("L").getextrema() == (128, 128)
    dark, light = shown[1].convert("L").getextrema()
    assert dark < 64 and light == 255


def test_answers_are_texts_or_letters(tmp_path):
    write_release("ai2d_letters", tmp_path)
    assert [v.score for v in scores_of("ai2d", tmp_path, {0: "Insects.", 1: "B"}).verdicts] == [1, 0]
    letters = scores_of("ai2d_letters", tmp_path, {0: "The answer is B.", 1: ""})
    assert [v.score for v in letters.verdicts] == [1, 0]
    assert letters.unreadable == [1]
    strict = scores_of("ai2d_letters", tmp_path, {0: "insects", 1: "C"}, how=Reading("strict"))
    assert [v.score for v in strict.verdicts] == [0, 1]


def test_pictures_with_letters_are_taken_where_they_are(tmp_path):
    write_release("ai2d_letters", tmp_path)
    picture(tmp_path / "ai2d" / "abc_images" / "7.png", "red")
    plain, lettered = (Image.open(io.BytesIO(item.pictures[0].read())) for item in made_items("ai2d", tmp_path))
    assert plain.getpixel((0, 0)) == (128, 128, 128)
    assert lettered.getpixel((0, 0)) == (255, 0, 0)


def test_what_is_missing_is_named(tmp_path):
    write_release("ai2d_letters", tmp_path)
    put(tmp_path / "ai2d_test_ids.csv", "99\n")
    with pytest.raises(DataError, match="holds no questions of ai2d"):
        made_items("ai2d", tmp_path)
    put(tmp_path / "ai2d_test_ids.csv", "7\n")
    row = {"answerTexts": ["a"], "correctAnswer": 4, "abcLabel": False, "questionId": "7.png-0"}
    put(tmp_path / "ai2d" / "questions" / "7.png.json", {"imageName": "7.png", "questions": {"Who?": row}})
    with pytest.raises(DataError, match=r"7\.png\.json, entry 0: the answer 4 is not from 0 to 0"):
        made_items("ai2d_letters", tmp_path)
