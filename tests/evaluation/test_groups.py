"""What counts together: groups of items, kinds of items, rotations of options."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_x.evaluation.chances import guessed_group
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.measures import ByKind, Grouped, Together, each, figures
from sphinx_x.evaluation.scoring.mmmu import shortest_tail
from sphinx_x.evaluation.tasks import mme
from sphinx_x.evaluation.tasks.mmbench import rotations

ROWS = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("xy"), st.booleans()), min_size=1, max_size=24)


def judged(rows):
    """Rows of (cluster, group in it, right or not), as items with verdicts."""
    return [
        (Item(index, "", cluster=cluster, facts={"group": cluster + group}), Verdict(float(right), "said"))
        for index, (cluster, group, right) in enumerate(rows)
    ]


def values(measure, rows):
    return {name: float(value) for name, value in measure.scores(measure.columns(rows).sum(axis=0)).items()}


@given(rows=ROWS, order=st.randoms(use_true_random=False))
def test_a_group_counts_where_all_of_it_is_right_in_any_order(rows, order):
    measure = Together(
        {
            "groups": lambda item: item.facts["group"],
            "items": each,
            "groups of x": lambda item: item.facts["group"] if "x" in item.facts["group"] else None,
        }
    )
    made = judged(rows)
    groups: dict[str, list[bool]] = {}
    for cluster, group, right in rows:
        groups.setdefault(cluster + group, []).append(right)
    of_x = [all(rights) for name, rights in groups.items() if "x" in name]
    expected = {
        "groups": sum(map(all, groups.values())) / len(groups),
        "items": sum(right for *_, right in rows) / len(rows),
    }
    if of_x:  # a group without an item has no score: 0 would tell of wrong answers
        expected["groups of x"] = sum(of_x) / len(of_x)
    assert values(measure, made) == expected
    order.shuffle(made)
    assert values(measure, made) == expected


def test_kinds_by_hand():
    """Two of a (one right), one of b (right), none of c, which has no score then: 0 would tell of wrong answers."""
    items = [Item(index, "", kind=kind) for index, kind in enumerate("aab")]
    rows = [(item, Verdict(score, "said")) for item, score in zip(items, (1.0, 0.0, 1.0), strict=True)]
    each_kind = {"a": 0.5, "b": 1.0}
    for whole, value in (("macro", 0.75), ("items", 2 / 3), ("sum", 1.5)):
        assert values(ByKind(("a", "b", "c"), "whole", whole=whole), rows) == {"whole": value, **each_kind}
    assert values(ByKind(("a", "b", "c"), "whole", 100.0, "sum"), rows)["whole"] == 150.0


@given(
    options=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=2, max_size=6, unique=True),
    data=st.data(),
)
def test_rotations_bring_every_option_to_every_letter_and_keep_the_truth(options, data):
    letters = dict(zip("ABCDEF", options, strict=False))
    true = data.draw(st.sampled_from(sorted(letters)))
    listed = "\n".join(f"{letter}. {text}" for letter, text in letters.items())
    first = Item(0, f"Which?\n{listed}", references=(true,), id="7", options=letters)
    turned = [first, *rotations(first)]
    assert len(turned) == len(options)
    assert {item.options[item.references[0]] for item in turned} == {letters[true]}
    for letter in letters:
        assert sorted(item.options[letter] for item in turned) == sorted(options)
    for item in turned:
        assert item.question.splitlines()[1:] == [f"{letter}. {text}" for letter, text in item.options.items()]
    assert [int(item.id) for item in turned] == [7 + step * 1_000_000 for step in range(len(options))]


def test_chance_of_groups_by_hand():
    """Groups of two and of one item with two options, one item without options, one in no group."""
    two = {"A": "yes", "B": "no"}
    items = [Item(index, "", cluster=name, options=two) for index, name in enumerate(["a", "a", "b", ""])]
    items.append(Item(4, "", cluster="c"))
    assert guessed_group(lambda item: item.cluster or None)(items) == (1 / 4 + 1 / 2 + 0) / 3
    assert guessed_group(each, options=2)(items) == 0.5
    assert guessed_group(lambda item: None)(items) == 0.0


@pytest.mark.parametrize(
    "measure",
    [
        ByKind(("common", "rare")),
        ByKind(("common", "rare"), whole="sum"),
        Grouped(("common", "rare"), lambda item: [item.kind]),
        Together({"items": each, "rare": lambda item: str(item.index) if item.kind == "rare" else None}),
    ],
)
def test_draws_without_a_group_do_not_count_as_wrong_answers_of_it(measure):
    """One right item of a rare kind among 30 pictures: a third of the draws do not have it."""
    items = [Item(index, "", kind="common" if index else "rare", cluster=str(index)) for index in range(30)]
    found = figures(measure, [(item, Verdict(1.0, "said")) for item in items])
    assert (found["rare"].value, found["rare"].low, found["rare"].high) == (1.0, 1.0, 1.0)
    whole = next(iter(found.values()))
    assert whole.low == whole.value == whole.high


def test_a_sum_over_groups_of_one_image_each_has_no_interval():
    """Every draw lacks one of them; of a part that was not asked about there is no score, and chance is of the rest."""
    kinds, measure = mme.CATEGORIES[:3], mme.Scores()
    items = [Item(k, "?", (), ("yes",), f"{k}", kinds[k // 2], f"image {k // 2}") for k in range(6)]
    found = figures(measure, [(item, Verdict(1.0, "yes")) for item in items])
    assert set(found) == {measure.headline, "perception", *kinds}
    assert found["perception"].value == 600 and found[kinds[0]].low == 200
    wide = [Item(k, "?", (), ("yes",), f"{k}", kind, f"image {k}") for k, kind in enumerate(mme.CATEGORIES)]
    whole = figures(measure, [(item, Verdict(1.0, "yes")) for item in wide])[measure.headline]
    assert whole.value == 2800 and math.isnan(whole.low) and math.isnan(whole.high)
    [task] = mme.TASKS
    assert task.chance is not None and (task.chance(items), task.chance(wide)) == (225, 1050)


def test_a_sentence_that_ends_in_a_word_for_results_says_nothing_by_it():
    assert shortest_tail("so the answer is ", ("so ", "is ", "answer ")) == "is"
    assert shortest_tail("the result is 5", ("so ", "is ", "result ")) == "5"
    assert shortest_tail("five", ("so ", "is ")) == ""
