"""AI2D from its own release: by the texts of options, and by their letters."""

import io

import pytest
from PIL import Image

from benchmarks import made_items, scores_of, write_release
from releases.files import put
from sphinx_x.errors import DataError
from sphinx_x.evaluation.task import Reading


def test_options_stand_one_a_line(tmp_path):
    write_release("ai2d", tmp_path)
    plain, lettered = made_items("ai2d", tmp_path), made_items("ai2d_letters", tmp_path)
    # "{}" is no option
    assert plain[0].question == "What does the frog eat?\ngrass\ninsects\nstones"
    assert lettered[0].question == "What does the frog eat?\nA. grass\nB. insects\nC. stones"
    assert [item.references for item in plain] == [("insects",), ("A",)]
    assert [item.references for item in lettered] == [("B",), ("C",)]
    assert [item.id for item in plain] == ["7.png-0", "7.png-1"]


def test_letters_are_drawn_where_a_question_names_them(tmp_path):
    write_release("ai2d", tmp_path)
    shown = [Image.open(io.BytesIO(item.pictures[0].read())) for item in made_items("ai2d", tmp_path)]
    assert shown[0].convert("L").getextrema() == (128, 128)
    dark, light = shown[1].convert("L").getextrema()
    assert dark < 64 and light == 255


def test_answers_are_texts_or_letters(tmp_path):
    write_release("ai2d", tmp_path)
    assert [v.score for v in scores_of("ai2d", tmp_path, {0: "Insects.", 1: "B"}).verdicts] == [1, 0]
    letters = scores_of("ai2d_letters", tmp_path, {0: "The answer is B.", 1: ""})
    assert [v.score for v in letters.verdicts] == [1, 0]
    assert letters.unreadable == [1]
    strict = scores_of("ai2d_letters", tmp_path, {0: "insects", 1: "C"}, how=Reading("strict"))
    assert [v.score for v in strict.verdicts] == [0, 1]


def test_what_is_missing_is_named(tmp_path):
    write_release("ai2d", tmp_path)
    put(tmp_path / "ai2d_test_ids.csv", "99\n")
    with pytest.raises(DataError, match="none of its diagrams has a question"):
        made_items("ai2d", tmp_path)
    put(tmp_path / "ai2d_test_ids.csv", "7\n")
    put(
        tmp_path / "ai2d" / "questions" / "7.png.json",
        {"questions": {"Who?": {"answerTexts": ["a"], "correctAnswer": 4}}},
    )
    with pytest.raises(DataError, match=r"7\.png\.json, entry 0: the answer 4 is not one of the options"):
        made_items("ai2d_letters", tmp_path)
