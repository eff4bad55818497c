"""OCRBench and OCR-VQA: made releases in the official layouts, values worked by hand."""

import pytest

from benchmarks import made_items, scores_of, write_release
from releases.files import put
from sphinx_x.errors import DataError, ImageError


def test_ocrbench_counts_answers_that_hold_a_true_one(tmp_path):
    write_release("ocrbench", tmp_path)
    answers = {0: "It says\nCentre.", 1: "15 20", 2: "signed by lee", 3: "$x^{2}+A$"}
    scored = scores_of("ocrbench", tmp_path, answers)
    assert [v.score for v in scored.verdicts] == [1, 0, 1, 1]
    found = {name: figure.value for name, figure in scored.figures.items()}
    assert next(iter(found.items())) == ("right answers", 3)
    assert found["text recognition"] == found["Regular Text Recognition"] == 1
    assert found["Digit String Recognition"] == found["Key Information Extraction"] == 0
    assert found["Doc-oriented VQA"] == found["Handwritten Mathematical Expression Recognition"] == 1
    # two runs in one process do not add up
    again = scores_of("ocrbench", tmp_path, answers)
    assert {name: figure.value for name, figure in again.figures.items()} == found


def test_case_counts_in_formulas_alone(tmp_path):
    write_release("ocrbench", tmp_path)
    scored = scores_of("ocrbench", tmp_path, {0: "centre", 1: "", 2: "L EE", 3: "x^{2}+a"})
    assert [v.score for v in scored.verdicts] == [1, 0, 0, 0]
    assert scored.unreadable == [1]
    assert scored.figures["right answers"].value == 1


def test_ocrvqa_reads_the_split_that_is_asked_for(tmp_path):
    write_release("ocrvqa", tmp_path)
    val, test = made_items("ocrvqa", tmp_path, "val"), made_items("ocrvqa", tmp_path, "test")
    assert [(i.index, i.id, i.references) for i in val] == [(0, "1611-0", ("A. Otter",)), (1, "1611-1", ("No",))]
    assert [(i.index, i.question) for i in test] == [(0, "What is the title of this book?")]
    assert all(picture.read() for item in (*val, *test) for picture in item.pictures)
    scored = scores_of("ocrvqa", tmp_path, {0: "a. otter.", 1: "yes"}, "val")
    assert scored.figures["accuracy"].value == 0.5
    assert len({item.cluster for item in val}) == 1


def test_bad_covers_are_named(tmp_path):
    write_release("ocrvqa", tmp_path)
    item = made_items("ocrvqa", tmp_path, "test")[0]
    next(tmp_path.rglob("60055.png")).unlink()
    with pytest.raises(ImageError, match=r"60055\.png"):
        item.pictures[0].read()
    row = {"imageURL": "a.jpg", "questions": ["Who?", "What?"], "answers": ["I"], "split": 3}
    put(tmp_path / "OCR-VQA" / "dataset.json", {"7": row})
    with pytest.raises(DataError, match=r"dataset\.json, entry 0: 2 questions and 1 answers"):
        made_items("ocrvqa", tmp_path, "test")
    with pytest.raises(DataError, match="holds no questions of the split val"):
        made_items("ocrvqa", tmp_path, "val")
