"""RefCOCO as refer releases it: splits, boxes in the declared frame, files that are wrong."""

import json
import pickle

import pytest

from benchmarks import made_items, scores_of, write_release
from releases.regions import RELEASES
from sphinx_x.errors import DataError


@pytest.mark.parametrize(("name", "last"), [("refcoco", "testB"), ("refcoco+", "testA"), ("refcocog", "test")])
def test_the_release_has_a_split_for_each(name, last, tmp_path):
    write_release(name, tmp_path)
    items = made_items(name, tmp_path, last)
    assert [item.question for item in items] == [f"man of {last}", "left"]
    assert all(item.box == (2.5, 4.0, 22.5, 44.0) for item in items)
    assert items[0].size in ((64, 48), (48, 64))
    assert len({item.cluster for item in items}) == 1
    assert items[0].pictures[0].read()


def test_boxes_are_shares_of_the_padded_square(tmp_path):
    write_release("refcoco", tmp_path)
    # 64 x 48: 8 pixels of margin above
    items = made_items("refcoco", tmp_path, "testA")
    assert items[0].size == (64, 48)
    right = "[0.039, 0.188, 0.352, 0.812]"
    answers = {0: right, 1: "[2.5, 4.0, 22.5, 44.0]"}
    scored = scores_of("refcoco", tmp_path, answers, "testA")
    assert [v.score for v in scored.verdicts] == [1, 0]
    assert scores_of("refcoco", tmp_path, {0: "left", 1: ""}, "testA").unreadable == [0, 1]


def test_a_box_that_is_not_there_is_named(tmp_path):
    write_release("refcoco", tmp_path)
    path = tmp_path / "refcoco" / "instances.json"
    content = json.loads(path.read_text("utf-8"))
    content["annotations"] = content["annotations"][:1]
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(
        DataError, match=r"refs\(unc\)\.p, entry 1: object 901 in image 581858 is not in instances\.json"
    ):
        made_items("refcoco", tmp_path, "val")


def test_no_code_of_a_pickle_runs(tmp_path):
    write_release("refcoco", tmp_path)
    (tmp_path / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(print))
    with pytest.raises(DataError, match="no pickle of plain data"):
        made_items("refcoco", tmp_path, "val")


@pytest.mark.parametrize("name", RELEASES)
def test_files_cut_short_are_named(name, tmp_path):
    write_release(name, tmp_path)
    path = next(tmp_path.rglob("refs*.p"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"refs\(um?n?[cd]\)\.p: no pickle"):
        made_items(name, tmp_path, "val")
