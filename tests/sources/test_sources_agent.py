"""Elements of web pages: which are left out, and that each is asked for once."""

from excerpts import EXCERPTS
from messages import dicts
from sphinx_x.data.shards import SampleReader
from sphinx_x.sources import SOURCES
from sphinx_x.sources.base import Raw
from sphinx_x.sources.convert import Job, convert


def test_elements_that_cannot_be_asked_for_are_told(tmp_path):
    EXCERPTS["seeclick"](tmp_path / "raw")
    tally = convert(Job(SOURCES["seeclick"], Raw(tmp_path / "raw"), tmp_path / "out"), workers=1)
    assert tally.turns == 9
    assert tally.left_out == {
        "element outside the screenshot": 1,
        "text long, with braces or not in English": 1,
        "empty box": 1,
    }


def test_elements_of_one_name_are_not_looked_for_by_name(tmp_path):
    EXCERPTS["seeclick"](tmp_path / "raw")
    convert(Job(SOURCES["seeclick"], Raw(tmp_path / "raw"), tmp_path / "out"), workers=1)
    messages = SampleReader(tmp_path / "out")[0].messages
    said = [part.get("text", "") for message in dicts(messages) for part in message["content"]]
    assert said.count("Read more") == 2
    assert not any('"Read more"' in text for text in said)
