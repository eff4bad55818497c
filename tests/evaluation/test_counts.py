"""Measures that count over all items: right answers, values of keys, errors of texts."""

import pytest

from sphinx_x.evaluation.counts import Count, ErrorRate, ValueF1
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.measures import figures
from sphinx_x.evaluation.metrics import character_errors, word_errors
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Reading


def read(*pairs: tuple[str, tuple[str, ...]], by=verdicts.characters):
    items = [Item(number, "?", references=true) for number, (_, true) in enumerate(pairs)]
    return [(item, by(item, answer, Reading())) for item, (answer, _) in zip(items, pairs, strict=True)]


def test_errors_are_those_of_the_closest_true_text_over_all():
    rows = read(("for", ("four",)), ("", ("ab",)), ("colour", ("color", "colour")), ("nonsense!", ("no",)))
    assert [v.score for _, v in rows] == [0.75, 0, 1, 0]
    assert [v.readable for _, v in rows] == [True, False, True, True]
    # errors 1, 2, 0 and 7 of 4, 2, 6 and 2 characters
    assert figures(ErrorRate(character_errors), rows)["character error rate"].value == pytest.approx(10 / 14)


def test_words_are_counted_likewise():
    rows = read(("the cat", ("the cat sat",)), ("a  dog", ("a dog",)), by=verdicts.words)
    assert [v.score for _, v in rows] == pytest.approx([2 / 3, 1])
    rate = figures(ErrorRate(word_errors, "word error rate"), rows)["word error rate"]
    assert rate.value == pytest.approx(1 / 5) and 0 <= rate.low <= rate.value <= rate.high


def test_right_answers_are_counted_by_groups():
    items = [Item(number, "?", kind=kind, cluster=str(number)) for number, kind in enumerate("aab")]
    rows = [(item, Verdict(score, "x")) for item, score in zip(items, (1, 0, 1), strict=True)]
    found = {name: figure.value for name, figure in figures(Count({"of a": "a", "of both": "ab"}), rows).items()}
    assert found == {"right answers": 2, "of a": 1, "of both": 2}


def test_no_interval_of_counted_answers_ends_beyond_their_number():
    """Draws of documents have more items than there are, or fewer."""
    items = [Item(k, "?", kind="ab"[k % 3 == 0], cluster=str(k // 4 if k < 40 else k)) for k in range(80)]
    right = figures(Count({"of a": "a"}), [(item, Verdict(1, "x")) for item in items])
    assert {name: (f.value, f.low, f.high) for name, f in right.items()} == {
        "right answers": (80, 80, 80),
        "of a": (53, 53, 53),
    }
    half = figures(Count({"of a": "a"}), [(item, Verdict(item.index % 2, "x")) for item in items])["right answers"]
    assert half.value == 40 and 25 < half.low < 40 < half.high < 55


def test_f1_is_over_the_values_of_all_documents():
    def row(values: int, score: float, said: str | None):
        return Item(0, "?", facts={"values": values}), Verdict(score, said)

    rows = [row(1, 1, "a"), row(2, 0, "b"), row(0, 1, "None"), row(0, 0, "c"), row(1, 0, None)]
    found = {name: figure.value for name, figure in figures(ValueF1(), rows).items()}
    # one of four that are said, one of four that are true; what cannot be read is a wrong value
    assert found == pytest.approx({"F1": 0.25, "precision": 0.25, "recall": 0.25})
    assert figures(ValueF1(), [row(0, 1, "None")])["F1"].value == 0
