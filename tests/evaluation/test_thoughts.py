"""What a reasoning model thinks is no part of its answer, in any benchmark; the raw answer is kept."""

import pytest

from benchmarks import RELEASES, made_splits, write_release
from sphinx_x.evaluation.scores import read_items, score_answers
from sphinx_x.evaluation.scoring.thoughts import without_thoughts

THOUGHT = "Yes or no? (A), (B), [0.1, 0.2, 0.3, 0.4], 7: I am not sure."


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("<think>A or B?</think>\n\nB", "B"),
        ("<THINK>A?</think> B ", "B"),
        ("<thinking>\nA?\n</thinking>B", "B"),
        ("<think>one</think>B<think>two</think>", "B"),
        # a template that opens the tag in the prompt
        ("A or B?\n</think>\nB", "B"),
        # cut off while it thinks: there is no answer
        ("<think>A or B? I would say", ""),
        ("<think>one</think><think>two", ""),
        ("<think></think>", ""),
        # tags that are none, and answers without any are left as they are
        (" I think B ", " I think B "),
        ("a < b > c", "a < b > c"),
        ("", ""),
    ],
)
def test_thoughts_are_taken_off(raw, answer):
    assert without_thoughts(raw) == answer


@pytest.mark.parametrize("name", RELEASES)
def test_thoughts_change_no_score_of_any_benchmark(name, tmp_path):
    write_release(name, tmp_path)
    for chosen in made_splits(name, tmp_path):
        items = read_items(chosen, tmp_path)
        bare = {item.index: "[0.4, 0.4, 0.6, 0.6]" if item.box else item.references[0] for item in items}
        raw = {index: f"<think>{THOUGHT}</think>\n\n{answer}" for index, answer in bare.items()}
        expected, found = score_answers(chosen, items, bare), score_answers(chosen, items, raw)
        assert repr(found.verdicts) == repr(expected.verdicts)
        assert found.answers == list(raw.values())
        cut = score_answers(chosen, items, {index: f"<think>{THOUGHT} {answer}" for index, answer in bare.items()})
        assert cut.unreadable == list(range(len(items)))
