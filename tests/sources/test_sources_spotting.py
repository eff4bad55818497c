"""Scene text: the four annotation formats at their odd places, order of reading, and images full of words."""

from pathlib import Path

import pytest

from messages import dicts
from sphinx_x.errors import DataError
from sphinx_x.sources.base import Raw, Record
from sphinx_x.sources.spotting import (
    MOST,
    SpottedWord,
    build_words,
    parse_ctw1500,
    parse_icdar2013,
    parse_icdar2015,
    parse_totaltext,
    reading_order,
)


def _parsed(parse, path: Path, content: str) -> list[str]:
    path.write_bytes(content.encode())
    return [entry.text if isinstance(entry, SpottedWord) else f"- {entry}" for entry in parse(path)]


def _word(text: str, left: float, top: float) -> SpottedWord:
    return SpottedWord(text, ((left, top), (left + 8, top), (left + 8, top + 8), (left, top + 8)))


def test_odd_lines(tmp_path):
    path = tmp_path / "gt.txt"
    content = '38, 43, 920, 215, "a \\"b\\", c"\r\n1 2 3 4 "\u2028x"\r\n1 2 3 "no"\r\n\r\n1 2 3 4 ""\r\n'
    assert _parsed(parse_icdar2013, path, content) == ['a "b", c', "x", "- unreadable line", "- empty transcription"]
    content = '\ufeff1,1,9,1,9,9,1,9,"a",b,\r\n1,1,9,1,9,9,1,9\r\n1,1,9,1,9,9,1,,x\r\n1,1,9,1,9,9,1,9,###\r\n'
    found = _parsed(parse_icdar2015, path, content)
    assert found == ['"a",b,', "- unreadable line", "- unreadable line", "- illegible word"]


def test_odd_polygons(tmp_path):
    path = tmp_path / "poly_gt_img1.txt"
    corners = "x: [[ 1  9\n 9  1]], y: [[1 1 9 9]], ornt: [u'c'], transcriptions: "
    said = ["[u'x: [[1]]']", '[u"it\'s"]', "[u',']", "[]", "[u'a', u'b']", "[u'a"]
    found = _parsed(parse_totaltext, path, "\n".join(corners + text for text in said))
    nothing, unreadable = "- illegible word", "- unreadable line"
    assert found == ["x: [[1]]", "it's", nothing, nothing, unreadable, unreadable]
    assert _parsed(parse_totaltext, path, corners.replace("9\n 9", "9") + "[u'a']") == [unreadable]
    path.write_text("<Annotations><image>", encoding="utf-8")
    with pytest.raises(DataError, match="not XML"):
        list(parse_ctw1500(path))


def test_words_are_read_row_by_row():
    words = [_word("d", 40, 21), _word("b", 20, 3), _word("c", 0, 20), _word("a", 0, 5)]
    assert "".join(word.text for word in reading_order(words)) == "abcd"


def test_an_image_full_of_words(tmp_path):
    (tmp_path / "img_1.png").touch()
    many = [_word(f"w{k}", 10.0 * (k % 20), 10.0 * (k // 20)) for k in range(MOST + 5)]
    draft = build_words(Record("img_1", None), Raw(tmp_path), parse=lambda _: iter(many), folder=".", outlines=True)
    assert draft.left_out[f"word beyond the first {MOST}"] == 5
    question, answer = (message["content"] for message in dicts(draft.messages)[-2:])
    assert question[-1]["text"].endswith(f"Give the first {MOST} in reading order.")
    assert sum(part["type"] == "box" for part in answer) == MOST
    kinds = [part["type"] for message in dicts(draft.messages)[1:-2:2] for part in message["content"]]
    assert kinds.count("points") == kinds.count("box") == kinds.count("text") == 2
