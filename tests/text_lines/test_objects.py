"""Objects in an image: which, in which order, and that they are looked for once, and not on a page of text."""

import json
import multiprocessing
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lined import DETECTOR, ENGINE, know_detector, know_engine
from sphinx_x.images import open_image
from sphinx_x.text_lines import objects, reader
from sphinx_x.text_lines.line import Reading, TextLine
from sphinx_x.text_lines.objects import MOST_OBJECTS, NAMES, in_order
from sphinx_x.text_lines.reader import LineReader

PICTURE = Image.new("RGB", (400, 300), "#204060")


def thing(name, left, top, right, bottom, confidence=0.9):
    return TextLine((left, top, right, bottom), name, confidence, is_object=True)


CAT, DOG, SOFA = thing("cat", 0, 0, 50, 50), thing("dog", 0, 2, 50, 50, 0.4), thing("couch", 0, 0, 400, 200, 0.35)


def test_the_largest_comes_first_and_the_surest_of_one_place_alone():
    assert in_order([CAT, DOG, SOFA]) == (SOFA, CAT)
    assert in_order([]) == ()
    many = [thing("sheep", 10 * k, 0, 10 * k + 9, 9, 0.3 + k / 100) for k in range(30)]
    assert len(in_order(many)) == MOST_OBJECTS and min(one.confidence for one in in_order(many)) == 0.4


boxes = st.tuples(*[st.integers(0, 90)] * 2, *[st.integers(5, 60)] * 2)


@given(st.lists(st.tuples(boxes, st.sampled_from(["cat", "dog"]), st.integers(1, 100)), max_size=8), st.randoms())
def test_the_order_in_which_they_are_found_does_not_matter(found, rng):
    things = [thing(name, x, y, x + w, y + h, sure / 100) for (x, y, w, h), name, sure in found]
    mixed = rng.sample(things, len(things))
    assert in_order(mixed) == in_order(things) and set(in_order(things)) <= set(things)


@pytest.fixture
def calls(monkeypatch):
    """What the reader of lines finds, and how often the detector looked."""
    found, looked = [TextLine((0, 0, 9, 9), "word")], []
    know_engine(monkeypatch, lambda image: list(found))
    know_detector(monkeypatch, lambda image: looked.append(image.size) or [CAT, DOG, SOFA])
    return found, looked


def test_they_stand_before_the_lines_if_they_are_sure_enough(calls):
    found, looked = calls
    assert LineReader(ENGINE, objects=DETECTOR).read(PICTURE).lines == (SOFA, CAT, *found)
    assert LineReader(ENGINE, objects=DETECTOR, least_object=0.5).read(PICTURE).lines == (CAT, *found)
    assert LineReader(ENGINE).read(PICTURE).lines == tuple(found)
    assert looked == [PICTURE.size]


def test_a_page_of_text_has_none(calls):
    found, looked = calls
    found *= 3
    page = LineReader(ENGINE, objects=DETECTOR, enough=3).read(PICTURE)
    assert page == Reading(tuple(found), page=True) and not looked


def test_they_are_looked_for_once_by_the_file(calls, tmp_path, monkeypatch):
    found, looked = calls
    PICTURE.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    how = LineReader(ENGINE, objects=DETECTOR, folder=tmp_path / "readings")
    plain = LineReader(ENGINE, folder=tmp_path / "readings")
    plain.read_file(content)
    assert plain.has_read(content) and how.has_lines(content) and not how.has_read(content)
    first = how.read_file(content)
    assert first.lines == (SOFA, CAT, *found) and how.has_read(content)
    monkeypatch.setattr(reader, "_MEMORY", reader._Memory())
    assert how.read_file(content) == first and len(looked) == 1
    assert how.identity != plain.identity


def test_objects_that_are_kept_are_taken(calls, tmp_path):
    found, looked = calls
    PICTURE.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    how = LineReader(ENGINE, objects=DETECTOR, folder=tmp_path / "readings")
    how.keep_objects(content, [CAT, SOFA])
    assert how.read_file(content).lines == (SOFA, CAT, *found) and not looked


def test_what_the_language_model_reads_of_them():
    assert [one.said for one in (CAT, SOFA)] == ["picture: cat", "picture: perhaps couch"]
    assert SOFA.bytes == len("picture: perhaps couch") + 1 and TextLine((0, 0, 1, 1), "cat").said == "cat"


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="unknown detector of objects 'yolo'; known: ssd-mobilenetv2"):
        LineReader(objects="yolo")
    with pytest.raises(ValueError, match="least_object is from 0 to 1, not 2"):
        LineReader(objects="ssd-mobilenetv2", least_object=2)


def test_rows_of_the_detector_become_boxes_in_pixels():
    """Ids have gaps and begin with 1; edges beyond the image are cut, and what is left of them may be nothing."""
    rows = np.array(
        [
            [0, 17, 0.9, 0.25, -0.1, 0.5, 0.5],
            [0, 12, 0.9, 0.1, 0.1, 0.2, 0.2],  # no category has this id
            [0, 90, 0.05, 0.1, 0.1, 0.2, 0.2],
            [0, 90, 0.5, 1.1, 0.1, 1.2, 0.2],
        ]
    )
    (cat,) = objects._objects(rows, (400, 200))
    assert cat == TextLine((100, 0, 200, 100), "cat", 0.9, is_object=True)
    assert len(NAMES) == 90 and len([name for name in NAMES if name]) == 80 and NAMES[89] == "toothbrush"


@pytest.mark.slow
def test_the_detector_names_the_largest_thing_of_most_photos(shared_dir):
    """Photos of COCO with boxes of people; it fetches 75 MB once. That of all photos by their largest boxes is 0.81."""
    pytest.importorskip("cv2", reason="needs opencv: pip install 'sphinx-x[smol]'")
    folder = shared_dir / "data" / "coco128"
    content = json.loads((folder / "instances.json").read_bytes())
    names = {one["id"]: one["name"] for one in content["categories"]}
    find, right = objects.DETECTORS["ssd-mobilenetv2"].start(), 0
    shown = [image for image in content["images"] if any(a["image_id"] == image["id"] for a in content["annotations"])]
    for image in shown[:40]:
        marked = [one for one in content["annotations"] if one["image_id"] == image["id"]]
        largest = max(marked, key=lambda one: one["bbox"][2] * one["bbox"][3])
        found = in_order(
            one for one in find(open_image(folder / "images" / image["file_name"])) if one.confidence > 0.3
        )
        right += bool(found) and found[0].text == names.get(largest["category_id"])
    assert right >= 0.65 * 40, right


def _names(content: bytes) -> list[str]:
    return [one.text for one in LineReader(ENGINE, objects="ssd-mobilenetv2").read_file(content).lines]


@pytest.mark.slow
def test_a_forked_process_finds_the_same(monkeypatch):
    """A loader's workers are forked from a process that may have looked for objects before."""
    pytest.importorskip("cv2", reason="needs opencv: pip install 'sphinx-x[smol]'")
    know_engine(monkeypatch, lambda image: [])
    content = (files("sphinx_x") / "examples" / "cat.jpg").read_bytes()
    assert _names(content) == ["cat"]
    monkeypatch.setattr(reader, "_MEMORY", reader._Memory())
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_names, (content,)).get(60) == ["cat"]
