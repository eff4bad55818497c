"""ScreenSpot: points on screens; Tiny LVLM-eHub: words in answers."""

import pytest

from benchmarks import made_items, scores_of, write_release
from sphinx_x.errors import DataError
from sphinx_x.evaluation.scoring.boxes import read_point
from sphinx_x.evaluation.scoring.text import holds_word
from sphinx_x.evaluation.task import Reading
from sphinx_x.model.views import ViewGrid


@pytest.mark.parametrize(
    ("answer", "point"),
    [
        ("[0.2, 0.4]", (0.2, 0.4)),
        ("(0.2,0.4)", (0.2, 0.4)),
        ("It is at (.2, .4).", (0.2, 0.4)),
        ("[0, 0, 1, 0.5]", (0.5, 0.25)),
        ("[0.1, 0.2, 0.3]", None),
        ("0.2, 0.4", None),
        ("(a, b)", None),
        ("[1.2.3, 4]", None),
        ("", None),
    ],
)
def test_points_are_read_from_brackets(answer, point):
    assert read_point(answer) == pytest.approx(point) if point else read_point(answer) is None


def test_a_point_is_a_share_of_the_square_around_the_screen(tmp_path):
    """100 x 200 pixels lie in the middle of a square of 200: x from 50 to 150. The icon is 20 to 80, 40 to 60: in the
    square 70 to 130, so 0.35 to 0.65, and 0.2 to 0.3. The text is 50 to 100, 0 to 100: 0.5 to 0.75, 0 to 0.5."""
    write_release("screenspot", tmp_path)
    for icon, text, scores in (
        ("[0.36, 0.25]", "[0.74, 0.1]", [1, 1]),
        ("[0.35, 0.2]", "(0.5, 0.5)", [1, 1]),  # edges are inside
        ("[0.34, 0.25]", "[0.76, 0.1]", [0, 0]),
        ("[0, 0.2, 1, 0.3]", "[0.5, 0.5, 0.7, 0.7]", [1, 0]),  # centres (0.5, 0.25) and (0.6, 0.6)
        ("at the top", "", [0, 0]),
    ):
        scored = scores_of("screenspot", tmp_path, {0: icon, 1: text}, "mobile")
        assert [verdict.score for verdict in scored.verdicts] == scores
    assert scored.unreadable == [0, 1]
    figures = scores_of("screenspot", tmp_path, {0: "[0.5, 0.25]", 1: "[0, 0]"}, "mobile").figures
    assert {n: f.value for n, f in figures.items()} == {"accuracy": 0.5, "text": 0.0, "icon": 1.0}


def test_the_frame_is_the_one_that_the_model_declares(tmp_path):
    """In a corner square the same screen has x from 0 to 100 of 200: the icon is at 0.1 to 0.4."""
    write_release("screenspot", tmp_path)
    how = Reading(frame=ViewGrid(padding="corner"))
    scored = scores_of("screenspot", tmp_path, {0: "[0.11, 0.25]", 1: "[0.51, 0.1]"}, "mobile", how)
    assert [verdict.score for verdict in scored.verdicts] == [1, 0]


def test_a_place_on_a_screen_that_is_not_there_is_refused_and_nothing_guessed(tmp_path):
    write_release("screenspot", tmp_path)
    name = "web_3b0ad239.png"
    (tmp_path / "ScreenSpot" / "screenspot_imgs" / name).unlink()
    assert len(made_items("screenspot", tmp_path, "web")) == 2
    assert scores_of("screenspot", tmp_path, {}, "web").headline[1].value == 0.0
    with pytest.raises(DataError, match=f"item 0: .*{name} cannot be read"):
        scores_of("screenspot", tmp_path, {0: "[0.5, 0.5]"}, "web")


@pytest.mark.parametrize(
    ("answer", "true", "score"),
    [
        ("There are two dogs.", ["dogs"], 1),
        ("There are 2 dogs.", ["two dogs"], 1),  # number words as digits
        ("hotdogs", ["dogs"], 0),
        ("THE OPEN-SIGN", ["open sign"], 1),
        ("a cat", ["a"], 0),  # nothing is left of "a": the released program finds it in any answer
        ("the", ["a"], 1),
        ("no", ["No"], 1),
        ("nothing", ["no"], 0),
        ("c++ (2)", ["c++"], 1),
        ("", ["dog"], 0),
    ],
)
def test_answers_are_found_as_whole_words(answer, true, score):
    assert holds_word(answer, true) == score


def test_abilities_of_tiny_lvlm_are_added_up(tmp_path):
    """Reasoning one of two, perception and hallucination whole, the others nothing: 50 + 100 + 0 + 0 + 100."""
    write_release("tiny_lvlm", tmp_path)
    answers = {0: "It shows dogs.", 1: "three", 2: "A tabby cat.", 3: "CLOSED", 4: "", 5: "No, there is none."}
    scored = scores_of("tiny_lvlm", tmp_path, answers)
    figures = {name: figure.value for name, figure in scored.figures.items()}
    assert figures == {
        "overall score": 250.0,
        "Visual_Reasoning": 50.0,
        "Visual_Perception": 100.0,
        "Visual_Knowledge_Acquisition": 0.0,
        "Visual_Commonsense": 0.0,
        "Object_Hallucination": 100.0,
    }
    assert scored.unreadable == [4]


def test_sets_of_the_first_version_count_towards_their_ability(tmp_path):
    write_release("tiny_lvlm", tmp_path)
    folder = tmp_path / "updated_datasets"
    for old, new in (
        ("Visual_Reasoning", "GQA"),
        ("Visual_Perception", "CIFAR10"),
        ("Visual_Commonsense", "MetaWorld"),
    ):
        (folder / old).rename(folder / new)
    (folder / "Object_Hallucination").rename(folder / "MSCOCO_pope_random")
    folder.rename(tmp_path / "tiny_lvlm_datasets")
    items = made_items("tiny_lvlm", tmp_path)
    assert [item.kind for item in items] == [
        *("Visual_Reasoning", "Visual_Reasoning", "Visual_Perception"),
        *("Visual_Knowledge_Acquisition", "Object_Hallucination"),
    ]
    (tmp_path / "tiny_lvlm_datasets" / "GQA").rename(tmp_path / "tiny_lvlm_datasets" / "GQA2")
    with pytest.raises(DataError, match="no sets of Tiny LVLM-eHub: GQA2"):
        made_items("tiny_lvlm", tmp_path)
