"""SROIE: what is asked of a receipt, and answers whose letters and digits are equal."""

import pytest

from benchmarks import made_items, scores_of, write_release
from sphinx_x.evaluation.scoring.text import same_letters_and_digits
from sphinx_x.evaluation.task import Reading


@pytest.mark.parametrize(
    ("said", "true", "same"),
    [
        ("Book TA.K (Taman Daya) Sdn Bhd", "BOOK TA .K(TAMAN DAYA) SDN BHD", 1),
        ("RM 9.00", "9.00", 0),
        ("9.00", "9.00.", 1),
        ("The total is 9.00", "9.00", 0),
        ("９.００", "9.00", 1),  # full width
        ("STRASSE", "Straße", 1),
        ("", "9.00", 0),
        ("***", "***", 1),
        ("-", "***", 0),
    ],
)
def test_letters_and_digits(said, true, same):
    assert same_letters_and_digits(said, ["something else", true]) == same


def test_a_value_that_a_receipt_lacks_is_not_asked(tmp_path):
    write_release("sroie", tmp_path)
    items = made_items("sroie", tmp_path)
    assert [item.kind for item in items] == ["company", "date", "address", "total", "company", "date", "total"]
    assert [item.cluster for item in items] == ["000.jpg"] * 4 + ["003.jpg"] * 3
    assert items[4].pictures[0].read()


def test_shares_by_field(tmp_path):
    write_release("sroie", tmp_path)
    answers = {0: "Otter & Sons", 1: "25.12.2018", 2: "no 53 jalan sagu 18.", 3: "RM9.00", 4: "POND", 6: "rm12.50"}
    figures = scores_of("sroie", tmp_path, answers).figures
    assert {name: figure.value for name, figure in figures.items()} == {
        "mean of fields": (0.5 + 0.5 + 1 + 0.5) / 4,
        **{"company": 0.5, "date": 0.5, "address": 1, "total": 0.5},
    }
    assert scores_of("sroie", tmp_path, answers, how=Reading("strict")).figures["mean of fields"].value == 0
