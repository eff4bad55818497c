"""POPE, HallusionBench: yes or no, and what is counted together."""

import pytest

from benchmarks import scores_of, write_release
from sphinx_x.evaluation.scoring import yes_no
from sphinx_x.evaluation.task import Reading

CASES = (
    # answer, what is read in it, what POPE's released program takes it for
    ("Yes", "yes", "yes"),
    ("Yes.", "yes", "yes"),
    ("no, there is none", "no", "no"),
    (" **No**", "no", "yes"),
    ("The answer is yes.", "yes", "yes"),
    ("Answer: No", "no", "no"),
    ("There is no car.", None, "no"),
    ("There is a car.", None, "yes"),
    ("It is not there", None, "no"),
    ("Nothing", None, "yes"),
    ("None", None, "yes"),
    ("yesterday", None, "yes"),
    ("Yes. There is no doubt.", "yes", "yes"),
    ("", None, "yes"),
)


@pytest.mark.parametrize(("answer", "said", "released"), CASES)
def test_yes_and_no_are_read_where_an_answer_begins(answer, said, released):
    assert yes_no.read_yes_no(answer) == said
    assert yes_no.read_pope(answer) == released


def test_pope_counts_yes_among_the_predictions(tmp_path):
    """True: yes, no, yes, no. Said: yes, yes, nothing that can be read, no."""
    write_release("pope", tmp_path)
    answers = {0: "Yes.", 1: "yes", 2: "A person stands there.", 3: "No"}
    scored = scores_of("pope", tmp_path, answers, "popular")
    figures = {name: figure.value for name, figure in scored.figures.items()}
    assert figures == pytest.approx({"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5, "yes share": 0.5})
    assert scored.unreadable == [2]
    released = scores_of("pope", tmp_path, answers, "popular", Reading("script"))
    figures = {name: figure.value for name, figure in released.figures.items()}
    assert figures == pytest.approx(
        {"accuracy": 0.75, "precision": 2 / 3, "recall": 1.0, "f1": 0.8, "yes share": 0.75}, abs=1e-12
    )
    assert released.unreadable == []


def test_all_yes_has_a_yes_share_of_one_though_half_of_the_truth_is_no(tmp_path):
    write_release("pope", tmp_path)
    figures = scores_of("pope", tmp_path, dict.fromkeys(range(4), "Yes"), "random").figures
    assert (figures["yes share"].value, figures["recall"].value, figures["precision"].value) == (1.0, 1.0, 0.5)


def test_hallusion_bench_counts_questions_over_figures_and_figures_over_questions(tmp_path):
    """Two illusions, two questions each; a chart without image, as it is, and changed. One answer of seven is wrong:
    the second question about the changed illusion."""
    write_release("hallusion_bench", tmp_path)
    answers = {0: "Yes", 1: "No", 2: "No", 3: "No", 4: "Yes", 5: "Yes", 6: "No"}
    figures = {n: f.value for n, f in scores_of("hallusion_bench", tmp_path, answers).figures.items()}
    assert figures == pytest.approx(
        {
            "aAcc": 6 / 7,
            "qAcc": 2 / 3,  # the second question about the illusion is wrong on one of its figures
            "fAcc": 3 / 4,  # of four figures with an image: the question without one is no figure
            "easy": 1.0,  # both questions on the illusion as it was, one without the chart
            "hard": 2 / 3,
        }
    )


def test_without_the_image_that_a_question_is_about_to_say_neither_is_right(tmp_path):
    """As the release counts what its judge calls unclear."""
    write_release("hallusion_bench", tmp_path)
    answers = {0: "Yes", 1: "No", 2: "No", 3: "Yes", 4: "I cannot say", 5: "Yes", 6: "No"}
    scored = scores_of("hallusion_bench", tmp_path, answers)
    assert not scored.unreadable and {figure.value for figure in scored.figures.values()} == {1.0}
    for number, said in ((0, "I cannot say"), (4, "  ")):  # with its image, or saying nothing
        assert scores_of("hallusion_bench", tmp_path, answers | {number: said}).figures["aAcc"].value == 6 / 7


def test_a_figure_that_a_question_needs_not_is_no_figure(tmp_path):
    write_release("hallusion_bench", tmp_path)
    answers = {0: "Yes", 1: "No", 2: "No", 3: "Yes", 4: "No", 5: "Yes", 6: "No"}
    scored = scores_of("hallusion_bench", tmp_path, answers)
    figures = {name: figure.value for name, figure in scored.figures.items()}
    assert figures == pytest.approx({"aAcc": 6 / 7, "qAcc": 2 / 3, "fAcc": 1.0, "easy": 2 / 3, "hard": 1.0})
