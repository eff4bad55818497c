"""Grounding: pickles are read without running anything in them, and captions are cut into phrases."""

import os
import pickle
from collections import Counter

import pytest

from messages import dicts
from sphinx_x.errors import DataError
from sphinx_x.sources.base import Raw, Record
from sphinx_x.sources.grounding import build_refs, load_pickle, pieces_of_caption, places_of_entities


class Harmful:
    """Unpickled by `pickle`, it would run a command."""

    def __reduce__(self):
        return os.system, ("touch harm",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_plain_data_are_read_and_others_refused(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "refs(unc).p"
    refs = [{"ref_id": 1, "sentences": [{"sent": "caf\u00e9", "tokens": ["caf\u00e9"]}], "box": [1.5, 2, None]}]
    path.write_bytes(pickle.dumps(refs, protocol))
    assert load_pickle(path) == refs
    path.write_bytes(pickle.dumps([*refs, Harmful()], protocol))
    with pytest.raises(DataError, match="no plain data"):
        load_pickle(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", b"(lp0", b"\x80\x02]q\x00.."[:3], b"I\xff\n."])
def test_broken_pickles_are_told(content, tmp_path):
    path = tmp_path / "refs(umd).p"
    path.write_bytes(content)
    with pytest.raises(DataError, match="refs"):
        load_pickle(path)


def test_pickles_of_python_2_are_read(tmp_path):
    path = tmp_path / "refs(unc).p"
    path.write_bytes(b"(lp0\n(dp1\nS'raw'\np2\nS'caf\\xe9'\np3\nsS'ref_id'\np4\nL7L\nsa.")
    assert load_pickle(path) == [{"raw": "caf\u00e9", "ref_id": 7}]


def test_captions_are_cut_into_phrases():
    line = "[/EN#12/people/other A man 's dog] runs , [/EN#0/notvisual it] seems ."
    assert pieces_of_caption(line) == [("A man's dog", "12"), (" runs, ", ""), ("it", "0"), (" seems.", "")]
    assert pieces_of_caption("No phrase at all .") == [("No phrase at all.", "")]


def test_what_is_no_xml_is_told():
    with pytest.raises(DataError, match="no XML"):
        places_of_entities(b"<annotation><size>", Counter())


def test_an_expression_for_two_objects_is_not_asked(tmp_path):
    (tmp_path / "a.jpg").touch()
    image = {"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}

    def ref(box, *said):
        return {"sentences": [{"sent": text} for text in said]}, {"bbox": box}

    pairs = [ref([0, 0, 20, 20], "left dog", "the brown one"), ref([50, 0, 20, 20], "Left dog", "a cat", "a cat")]
    draft = build_refs(Record("1", (image, pairs)), Raw(tmp_path))
    asked = str(dicts(draft.messages))
    assert "brown one" in asked and "a cat" in asked and "eft dog" not in asked
    assert draft.left_out["expression for different objects"] == 2
    assert draft.left_out["expression that is empty or occurs twice"] == 1
