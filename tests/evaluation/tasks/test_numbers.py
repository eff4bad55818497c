"""Numbers in answers: as a whole, announced or alone; none is guessed among several."""

import pytest

from benchmarks import scores_of, write_release


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("3 + 9 makes twelve. The answer is 12, since 3 + 9 = 12", "12"),
        ("The answer is 3. No, the answer is: **12**", "12"),
        ("1,200", "1200"),
        ("from 3 to 12", None),
        ("-12", "-12"),
        ("It is 12.0 in all", "12"),
        ("", None),
    ],
)
def test_numbers_of_mathvista_are_those_that_are_announced_or_alone(tmp_path, answer, said):
    write_release("mathvista", tmp_path)
    assert scores_of("mathvista", tmp_path, {1: answer}).verdicts[1].said == said


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("It is 14.", 1),
        ("14 cm", 1),
        ("14.5", 0),
        ("3.14", 0),
        ("-14", 0),
        ("140", 0),
        ("x = 14, y = 2", 1),
        ("14,000", 0),
    ],
)
def test_a_number_stands_in_an_answer_as_a_whole(tmp_path, answer, score):
    write_release("mathverse", tmp_path)
    assert scores_of("mathverse", tmp_path, {1: answer}).verdicts[1].score == score
