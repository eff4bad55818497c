"""MMMU and CMMMU as released: several images, letters, several letters, true or false, gaps."""

import pytest

from benchmarks import made_items, scores_of, write_release
from releases.courses import mmmu_row
from releases.files import put, put_parquet
from sphinx_x.errors import DataError
from sphinx_x.evaluation.scores import read_items, score_answers
from sphinx_x.evaluation.scoring import cmmmu
from sphinx_x.evaluation.task import Chosen, Reading, all_tasks

OPTIONS = {"A": "红", "B": "黄", "C": "蓝", "D": "绿"}


def test_mmmu_shows_the_images_that_a_question_names(tmp_path):
    write_release("mmmu", tmp_path)
    art, physics, gap = made_items("mmmu", tmp_path)
    assert [picture.name[-7:] for picture in art.pictures] == ["image_1", "image_2", "image_3"]
    assert len({picture.read() for picture in art.pictures}) == 3
    assert len({picture.name for item in (art, physics, gap) for picture in item.pictures}) == 5
    assert (art.kind, physics.kind, gap.references) == ("Art", "Physics", ("2.50", "2.5 m"))


def test_mmmu_reads_letters_and_open_answers(tmp_path):
    write_release("mmmu", tmp_path)
    scored = scores_of("mmmu", tmp_path, {0: "(A)", 1: "I do not know", 2: "It is 2.499 metres"})
    assert [verdict.score for verdict in scored.verdicts] == [1, 0, 1]
    assert scored.unreadable == [1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (mmmu_row("x", "What?", ["a", "b"], "C", 1), "entry 0: the answer 'C' is none of the options A, B"),
        (mmmu_row("x", "What is <image 2>?", ["a", "b"], "A", 1), "entry 0: names a picture that it has not: image_2"),
        (mmmu_row("x", "What?", [], "1", 1) | {"options": "[1"}, "entry 0: '\\[' was never closed"),
    ],
)
def test_broken_rows_of_mmmu_are_named(tmp_path, row, message):
    put_parquet(tmp_path / "MMMU" / "Art" / "validation-00000-of-00001.parquet", [row])
    with pytest.raises(DataError, match=message):
        made_items("mmmu", tmp_path)


def test_mmmu_is_scored_with_the_files_of_its_evaluation_alone(tmp_path):
    """A model's output with options, and the dictionary of answers, which has no options."""
    entry = {"id": "validation_Art_Theory_1", "question_type": "multiple-choice", "answer": "B"}
    options = {"index2ans": {"A": "a vase", "B": "a bronze tripod"}, "all_choices": ["A", "B"], "response": "A"}
    gap = {"id": "validation_Art_Theory_2", "question_type": "short-answer", "answer": ["30", "30 watts"]}
    put(tmp_path / "output.json", [entry | options, gap])
    chosen = Chosen(all_tasks()["mmmu"], "val")
    items = read_items(chosen, tmp_path / "output.json")
    answers = {0: "I think that it must be a bronze tripod", 1: "It is 30.0"}
    assert [verdict.score for verdict in score_answers(chosen, items, answers).verdicts] == [1, 1]
    assert [item.kind for item in items] == ["Art_Theory", "Art_Theory"]
    alone = {
        "validation_Art_Theory_1": {"question_type": "multiple-choice", "ground_truth": "F"},
        "validation_Art_Theory_2": {"question_type": "short-answer", "ground_truth": ["30", "30 watts"]},
    }
    put(tmp_path / "answer_dict_val.json", alone)
    items = read_items(chosen, tmp_path / "answer_dict_val.json")
    scored = score_answers(chosen, items, {0: "The answer is F", 1: "29"})
    assert [verdict.score for verdict in scored.verdicts] == [1, 0]
    unread = score_answers(chosen, items, {0: "this is something else that nobody knows"})
    assert unread.unreadable == [0]


@pytest.mark.parametrize(
    ("answer", "letters"),
    [
        ("A", "A"),
        ("(B)。", "B"),
        ("答案是C", "C"),
        ("AC", "AC"),
        ("(A)和(C)", "AC"),
        ("(C) 蓝\n(A) 红", "AC"),  # in their order
        ("A或B，应选B", "B"),  # the most frequent
        ("蓝", "C"),
        ("红和蓝", "AC"),
        ("不知道", None),
        ("", None),
    ],
)
def test_letters_of_cmmmu(answer, letters):
    assert cmmmu.read_letters(answer, OPTIONS) == letters


@pytest.mark.parametrize(
    ("answer", "official", "released"),
    [
        ("对", "对", "对"),
        ("错误", "错", "错"),
        ("这个说法是正确的。", "对", "对"),
        ("不对", "错", "对"),
        ("答案：不正确", "错", "对"),
        ("是否正确", None, None),
        ("不知道", None, None),
        ("", None, None),
    ],
)
def test_judgements_of_cmmmu(answer, official, released):
    assert cmmmu.read_judgement(answer) == official
    assert cmmmu.read_judgement(answer, "script") == released


@pytest.mark.parametrize(
    ("answer", "true", "right"),
    [
        ("269.87", "269.87", True),
        ("净现值为269.87万元", "269.87", True),
        ("所以答案是 269.871", "269.87", True),
        ("-269.87", "269.87", False),
        ("2,370", "2370", True),
        ("甲品种", "甲", True),
        ("x=16", "16", True),
        ("A方案", "A", True),
        ("乙", "甲", False),
        ("the value of it is 甲", "甲", False),  # much longer than the true text
        ("", "甲", False),
    ],
)
def test_gaps_of_cmmmu(answer, true, right):
    assert cmmmu.fills_gap(answer, true) is right


def test_cmmmu_by_category(tmp_path):
    """Two questions of art (AC; false), one of business (269.87)."""
    write_release("cmmmu", tmp_path)
    scored = scores_of("cmmmu", tmp_path, {0: "A和C", 1: "不对", 2: "约为300"})
    figures = {name: figure.value for name, figure in scored.figures.items()}
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert (figures["艺术与设计"], figures["商业"]) == (1.0, 0.0)
    released = scores_of("cmmmu", tmp_path, {0: "A和C", 1: "不对", 2: "约为300"}, how=Reading("script"))
    assert released.headline[1].value == pytest.approx(1 / 3)
    assert scores_of("cmmmu", tmp_path, {0: "?", 1: "?", 2: "?"}).unreadable == [0, 1]
