"""CIDEr and its words against the released programs: their output on made sentences is in golden/captions.json."""

import json

import pytest

from paths import GOLDEN
from sphinx_x.evaluation.scoring.captions import Rarity, cider, words_of

RECORDED = json.loads((GOLDEN / "captions.json").read_text("utf-8"))
CASES = RECORDED["cider"]["cases"]
CUT_DIFFERENTLY = {
    *("[a] {b} <c>", "$5M US$10", "rock 'n' roll", "rock-'n'-roll", "(555) 123-4567", "a... b", "C++ C#"),
    *("y'all ma'am", "20%-30%", "St. Louis, Mo."),
}
"""Tags, telephone numbers and other rare things whose rules of the Java program are not kept here."""


@pytest.mark.parametrize("sentence", [text for text in RECORDED["words"] if text not in CUT_DIFFERENTLY])
def test_words_are_those_of_the_released_tokenizer(sentence):
    assert " ".join(words_of(sentence)) == RECORDED["words"][sentence]


def test_rare_things_are_cut_differently():
    for sentence in CUT_DIFFERENTLY:
        assert " ".join(words_of(sentence)) != RECORDED["words"][sentence]


def test_cider_is_that_of_the_released_program():
    rarity = Rarity.among(case["references"] for case in CASES)
    found = [cider(case["said"], case["references"], rarity) for case in CASES]
    assert found == pytest.approx([case["score"] for case in CASES], abs=1e-9)
    assert sum(found) / len(found) == pytest.approx(RECORDED["cider"]["mean"], abs=1e-9)


def test_a_sentence_that_is_its_only_reference_has_ten():
    rarity = Rarity.among([["A red fox jumps over it."], ["Nothing else is like this one."]])
    assert cider("a red fox jumps over it", ["A red fox jumps over it."], rarity) == pytest.approx(10)
    assert cider("", ["A red fox jumps over it."], rarity) == 0
    # with one picture no phrase is rare: the program gives 0
    assert cider("a fox", ["A fox"], Rarity.among([["A fox"]])) == 0
