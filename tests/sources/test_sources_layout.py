"""Layout of documents: joining tokens to regions, and pages of more regions than an answer can hold."""

from collections import Counter

from sphinx_x.sources.layout import MOST, blocks, layout_turns, number_word, spoken


def test_near_tokens_of_one_label_become_one_region():
    column = [("paragraph", (100.0, 50 + 17 * k, 300.0, 64 + 17 * k)) for k in range(4)]
    beside = [("paragraph", (316.0, 50 + 17 * k, 500.0, 64 + 17 * k)) for k in range(4)]
    within = [("equation", (150.0, 67.0, 200.0, 81.0))]
    below = [("paragraph", (100.0, 132.0, 300.0, 146.0))]
    found = blocks([*below, *column, *within, *beside])
    assert sorted(found) == [
        ("equation", (150.0, 67.0, 200.0, 81.0)),
        ("paragraph", (100.0, 50.0, 300.0, 115.0)),
        ("paragraph", (100.0, 132.0, 300.0, 146.0)),
        ("paragraph", (316.0, 50.0, 500.0, 115.0)),
    ]


def test_a_bridge_joins_what_was_apart():
    left, right = ("list", (0.0, 0.0, 10.0, 40.0)), ("list", (40.0, 0.0, 50.0, 40.0))
    assert len(blocks([left, right])) == 2
    assert blocks([left, right, ("list", (20.0, 30.0, 30.0, 40.0))]) == [("list", (0.0, 0.0, 50.0, 40.0))]


def test_a_crowded_page_is_asked_about_by_class():
    many = [("text", [0.0, 2.0 * k, 9.0, 2.0 * k + 1]) for k in range(MOST + 1)]
    few = [(name, [20.0, 0.0, 30.0, 9.0]) for name in ("title", "table")]
    left_out: Counter[str] = Counter()
    turns = layout_turns([*many, *few], ["text", "title", "table", "figure"], "page", left_out)
    said = [str(answer) for _, answer in turns]
    assert not any("text[" in answer or str(MOST + 1) in answer for answer in said)
    assert any("There is no figure" in "".join(map(str, answer)) for _, answer in turns)
    asked = sum("There is one" in answer or "'one " in answer for answer in said)
    assert left_out["region of a crowded page"] == MOST + 3 - asked and asked in (1, 2)


def test_words_for_classes_and_counts():
    assert [spoken(name) for name in ("List-item", "QR code", "first_level title")] == [
        "list item",
        "QR code",
        "first level title",
    ]
    assert [number_word(number) for number in (0, 1, 12, 13)] == ["no", "one", "twelve", "13"]


def test_a_class_whose_regions_are_left_out_is_not_absent():
    """A crowd, a duplicate or a region without area is there all the same."""
    regions = [("title", [0.0, 0.0, 9.0, 9.0])]
    for key in map(str, range(20)):
        left_out: Counter[str] = Counter()
        turns = layout_turns(regions, ["title", "figure"], key, left_out, {"title", "figure"})
        assert "figure" not in str(turns) and len(turns) == 1
        assert left_out["region of a page with regions left out"] == 1
