"""Captions that are not taken: said twice, of images that could not be downloaded."""

import pyarrow.parquet

from excerpts import EXCERPTS
from excerpts.files import put_table
from sphinx_x.sources import SOURCES
from sphinx_x.sources.base import Raw
from sphinx_x.sources.convert import Job, convert


def converted(name, tmp_path):
    """The tally of a conversion of what lies in the folder `raw`."""
    return convert(Job(SOURCES[name], Raw(tmp_path / "raw"), tmp_path / "out"), workers=1, max_bad=1)


def test_images_are_found_by_what_the_download_says_of_their_links(tmp_path):
    EXCERPTS["laion-gpt4v"](tmp_path / "raw")
    path = tmp_path / "raw" / "images" / "00000.parquet"
    rows = pyarrow.parquet.read_table(path).to_pylist()
    put_table(path, [rows[0] | {"status": "failed_to_download"}, rows[1] | {"url": "https://example.com"}, rows[2]])
    tally = converted("laion-gpt4v", tmp_path)
    assert (tally.records, tally.samples) == (4, 1)
    assert tally.set_aside == {"image not downloaded": 2}


def test_a_caption_is_learned_once(tmp_path):
    EXCERPTS["coco-captions"](tmp_path / "raw")
    tally = converted("coco-captions", tmp_path)
    assert (tally.records, tally.turns, tally.left_out) == (6, 5, {"same caption again": 1})
