"""Boxes by class: which classes are asked about, how they are called, and what is left out."""

import pytest

from excerpts import EXCERPTS
from sphinx_x.sources import get_source
from sphinx_x.sources.base import Raw, UnusedError
from sphinx_x.sources.convert import Job, check_release, convert
from sphinx_x.sources.detection import MAX_BOXES, MAX_CLASSES, Scene, visible
from sphinx_x.sources.names import not_there, plural, spoken

BOX = [1.0, 2.0, 11.0, 22.0]


def said(scene: Scene, key: str = "1") -> str:
    return repr(scene.turns(key))


def test_only_classes_that_are_boxed_completely_are_asked_about():
    scene = Scene({"dog": [BOX], "person": [BOX, BOX]}, incomplete={"person"})
    assert "person" not in said(scene) and "people" not in said(scene)
    assert scene.left_out == {"class that is not boxed completely": 2}


def test_what_is_beyond_the_limits_is_counted():
    scene = Scene({f"class{k}": [BOX] for k in range(MAX_CLASSES + 2)})
    assert len(scene.turns("1")) == MAX_CLASSES and scene.left_out.total() == 2
    crowded = Scene({"person": [BOX] * (MAX_BOXES + 1), "dog": [BOX]})
    assert len(crowded.turns("1")) == 1 and crowded.left_out.total() == MAX_BOXES + 1


def test_an_image_of_which_nothing_can_be_said_is_unused():
    with pytest.raises(UnusedError):
        Scene({"person": [BOX]}, incomplete={"person"}).turns("1")
    assert len(Scene(absent=["dog"]).turns("1")) == 1


def test_what_is_unused_is_left_out_and_not_bad(tmp_path):
    EXCERPTS["lvis"](tmp_path / "raw")
    source, raw = get_source("lvis"), Raw(tmp_path / "raw")
    for tally in (convert(Job(source, raw, tmp_path / "out"), workers=1), check_release(source, raw)[1]):
        assert (tally.bad, tally.records, tally.samples) == (0, 4, 3)
        assert tally.left_out["image with nothing to ask about"] == 1


def test_the_largest_box_comes_first():
    small = [0.0, 0.0, 2.0, 2.0]
    assert [part.places for _, part in Scene({"dog": [small, BOX]}).turns("1")] == [(tuple(BOX), tuple(small))]


def test_everything_is_asked_for_only_where_all_of_it_is_known():
    places = {"dog": [BOX], "cat": [BOX]}
    every = "objects"
    keys = [str(k) for k in range(60)]
    assert any(every in said(Scene(dict(places), closed=True), key) for key in keys)
    assert not any(every in said(Scene(dict(places)), key) for key in keys)
    assert not any(every in said(Scene(places | {"cow": [BOX]}, {"cow"}, closed=True), key) for key in keys)


def test_visible_is_what_has_a_pixel_inside_the_image():
    assert visible([-5, 0, 1, 10], 20, 20) and not visible([-5, 0, 0.5, 10], 20, 20)
    assert not visible([25, 0, 40, 10], 20, 20) and not visible([3, 3, 3, 9], 20, 20)


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("person", "people"),
        ("traffic light", "traffic lights"),
        ("bus", "buses"),
        ("wine glass", "wine glasses"),
        ("skis", "skis"),
        ("scissors", "scissors"),
        ("couch", "couches"),
        ("teddy bear", "teddy bears"),
        ("strawberry", "strawberries"),
        ("toy", "toys"),
        ("crab (animal)", "crabs (animal)"),
        ("cabinet or shelf", "cabinets or shelves"),
        ("policeman", "policemen"),
        ("ottoman", "ottomans"),
        ("broccoli", "broccoli"),
        ("bottle of wine", "bottles of wine"),
    ],
)
def test_plurals(one, several):
    assert plural(one) == several


def test_names_are_said_as_people_say_them():
    assert spoken("Cabinet/shelf", lower=True) == "cabinet or shelf"
    assert spoken("Moniter/TV", lower=True) == "monitor or TV" and spoken("SUV", lower=True) == "SUV"
    assert spoken("Other Shoes", lower=True) == "" and spoken("polo_shirt") == "polo shirt"
    assert (
        not_there("skis") == "There are no skis in the image." and not_there("bus") == "There is no bus in the image."
    )
