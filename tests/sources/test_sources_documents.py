"""Tables as pictures, and what is left out of documents."""

import io

import pytest
from PIL import Image

from excerpts.documents import EXCERPTS
from excerpts.files import put, put_lines
from sphinx_x.errors import DataError
from sphinx_x.sources import SOURCES
from sphinx_x.sources.base import Raw, Record
from sphinx_x.sources.tables import ROOM, _font, _widths, _wrapped, draw_table, drawable


def drafts(name: str, raw: Raw) -> list:
    source = SOURCES[name]
    return [source.build(record, raw) for record in source.read(raw)]


def test_columns_share_the_room_and_words_are_kept_whole():
    assert _widths([50, 60]) == [50, 60]
    assert _widths([2000, 50, 900]) == [475, 50, 475]
    assert _wrapped("a few words\nthen more", 10_000, False) == ["a few words", "then more"]
    lines = _wrapped("a few words and incomprehensibilities", 80, False)
    assert "".join(lines).replace(" ", "") == "afewwordsandincomprehensibilities"
    assert all(_font(False).getlength(line) <= 80 for line in lines)


def test_tables_have_bounds():
    wide = Image.open(io.BytesIO(draw_table([["words " * 90] * 5, ["1"]], "caption")))
    assert ROOM <= wide.width < ROOM + 100
    assert draw_table([["a"], ["b"]]) == draw_table([["a"], ["b"]])
    for rows, reason in (
        ([["x"]] * 200, "table too large to draw: 200 rows"),
        ([["a wide column"] * 60], "table too large to draw: 60 columns"),
        ([[]], "empty table"),
    ):
        with pytest.raises(DataError, match=reason):
            draw_table(rows)


def test_answers_that_cannot_be_read_off_the_picture_are_left_out(tmp_path):
    assert all(map(drawable, "aé –Я†")) and not drawable("中")
    EXCERPTS["wikitablequestions"](tmp_path)
    head, *rows = (tmp_path / "data" / "training.tsv").read_text(encoding="utf-8").splitlines()
    put(tmp_path / "data" / "training.tsv", "\n".join([head, *rows, "nt-4\twho?\tcsv/204-csv/590.csv\t中文"]))
    assert [dict(draft.left_out) for draft in drafts("wikitablequestions", Raw(tmp_path))] == [
        {"answer in letters that cannot be drawn": 1},
        {},
    ]


def test_values_of_documents(tmp_path):
    EXCERPTS["deepform"](tmp_path)
    assert [dict(draft.left_out) for draft in drafts("deepform", Raw(tmp_path))] == [{}, {"further value of a key": 1}]
    unknown = {"name": "0b1c", "annotations": [{"key": "product", "values": [{"value": "TV"}]}]}
    put_lines(tmp_path / "aws_neurips_time" / "DeepForm" / "train" / "document.jsonl", [unknown])
    with pytest.raises(DataError, match="no value for any key"):
        drafts("deepform", Raw(tmp_path))


def test_labels_of_statements(tmp_path):
    EXCERPTS["tabfact"](tmp_path)
    with pytest.raises(DataError, match="label is neither 0 nor 1"):
        SOURCES["tabfact"].build(Record("2-1859269-1.html.csv", [[["it is"], [-1], "-"]]), Raw(tmp_path))
