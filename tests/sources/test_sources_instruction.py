"""What is left out and set aside of sets in LLaVA's conversation form, and of texts."""

import json
from collections import Counter

import pytest

from excerpts import EXCERPTS
from sphinx_x.errors import DataError
from sphinx_x.sources import SOURCES
from sphinx_x.sources.base import Raw
from sphinx_x.sources.convert import Job, convert
from sphinx_x.sources.instruction import turns_of


def converted(name, tmp_path):
    """The tally of a conversion of what lies in the folder `raw`."""
    return convert(Job(SOURCES[name], Raw(tmp_path / "raw"), tmp_path / "out"), workers=1, max_bad=1)


def test_records_that_llavar_takes_over_from_llava_are_counted_and_not_converted(tmp_path):
    EXCERPTS["llavar"](tmp_path / "raw")
    tally = converted("llavar", tmp_path)
    assert (tally.records, tally.samples) == (5, 2)
    assert tally.left_out == {"record of LLaVA-Instruct-150K": 3}


def test_a_question_is_asked_once_about_an_image(tmp_path):
    EXCERPTS["lvis-instruct4v"](tmp_path / "raw")
    assert converted("lvis-instruct4v", tmp_path).left_out == {"question asked before": 1}


def test_speakers_take_turns():
    left_out = Counter()
    told = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "human", "value": "c"}]
    assert turns_of(told, left_out) == [("a", "b")]
    assert left_out == {"question without answer": 1}
    with pytest.raises(DataError, match="take turns"):
        turns_of(told[1:], left_out)


def test_flan_mini_is_read_from_json_where_there_is_no_parquet(tmp_path):
    turns = [{"from": "human", "value": "One and one?"}, {"from": "gpt", "value": "Two."}]
    (tmp_path / "raw").mkdir()
    content = [{"id": "0", "source": "cot", "conversations": turns}, {"id": "1", "source": "cot"}]
    (tmp_path / "raw" / "flan_mini.json").write_text(json.dumps(content), encoding="utf-8")
    tally = converted("flan-mini", tmp_path)
    assert (tally.samples, tally.set_aside) == (1, {"field 'conversations' is missing": 1})
