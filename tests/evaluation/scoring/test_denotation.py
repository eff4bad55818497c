"""Values of WikiTableQuestions: what its evaluator (and DUE's, which follows it) takes for the same."""

import pytest

from sphinx_x.evaluation.scoring.denotation import same_answer


@pytest.mark.parametrize(
    ("answer", "true", "right"),
    [
        ("university of virginia†‡*", ["University of Virginia"], True),
        ("university of california‘", ["university of california’"], True),
        ("10.0000001", ["10"], True),
        ("10.1", ["10"], False),
        ("Côte d'Ivoire (Africa) [2]", ["cote d'ivoire"], True),
        ('"The Hobbit"', ["The Hobbit"], True),
        ("nan", ["10"], False),
        ("2010-06-xx", ["2010-6-xx"], True),
        ("2010-13-01", ["2010-12-01"], False),
        ("2010-xx-xx", ["2010"], True),
        ("", ["a"], False),
        ("a, b", ["a"], False),
        ("b, a", ["a", "b"], True),
        ("b|a", ["a", "b"], True),
        ("a", ["a", "b"], False),
        ("a, b, c", ["a", "b"], False),
        ("a, b, a", ["a", "b"], True),
        ("Boston, MA, Austin, TX", ["Boston, MA", "Austin, TX"], True),
        ("1,000", ["1,000"], True),
        ("1,000, 2,000", ["1,000", "2,000"], True),
        ("a", ["a", "A."], True),
    ],
)
def test_lists_of_values_are_compared_as_the_release_does(answer, true, right):
    assert same_answer(answer, true) is right


def test_canonical_forms_tell_numbers_and_dates():
    assert not same_answer("1000", ["1,000"])
    assert same_answer("1000", ["1,000"], ["1000.0"])
    assert same_answer("2010-6-3", ["June 3, 2010"], ["2010-06-03"])
    assert same_answer("June 3, 2010", ["June 3, 2010"], ["2010-06-03"])


def test_the_program_of_ureader_takes_an_answer_for_one_value():
    assert not same_answer("a, b", ["a", "b"], single=True)
    assert same_answer("a", ["a"], single=True)
