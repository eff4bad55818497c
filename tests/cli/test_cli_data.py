"""The verbs of `sphinx-x data`: what they print, what they write, and how they leave."""

import json

import pytest

from commands import run
from excerpts import EXCERPTS
from excerpts.files import picture
from sphinx_x.data.shards import SampleReader
from sphinx_x.sources import SOURCES

GOOD = {
    "id": "a",
    "image": "red.png",
    "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A<i>"}],
}


@pytest.fixture
def mine(tmp_path):
    """A file of a good sample, one whose image is missing, and one without an answer."""
    picture(tmp_path / "red.png", 60, 12)
    rows = [GOOD, GOOD | {"id": "b", "image": "no.png"}, GOOD | {"id": "c", "conversations": GOOD["conversations"][:1]}]
    (tmp_path / "mine.json").write_text(json.dumps(rows))
    (tmp_path / "good.json").write_text(json.dumps([GOOD | {"id": name} for name in "abc"]))
    return tmp_path


def test_validate_names_what_is_wrong(mine, capsys):
    code, out, err = run("data", "validate", mine / "mine.json", capsys=capsys)
    assert code == 2 and err.count("\n") == 1 and "2 of 3 samples are wrong" in err
    first, second = out.splitlines()
    assert "mine.json: item 2: images[0]: image unreadable" in first and "item 3: messages: no answer" in second
    code, out, err = run("data", "validate", mine / "mine.json", "--most", 1, capsys=capsys)
    assert len(out.splitlines()) == 1 and "1 findings not shown" in err
    code, out, err = run("data", "validate", mine / "good.json", capsys=capsys)
    assert (code, err) == (0, "") and "3 samples, 3 answers" in out
    (mine / "none.json").write_text("[]")
    assert run("data", "validate", mine / "none.json", capsys=capsys)[0] == 2


def test_show_writes_a_page_and_spares_the_data(mine, capsys):
    code, _, err = run("data", "show", mine / "mine.json", "-o", mine / "page.html", capsys=capsys)
    page = (mine / "page.html").read_text()
    assert code == 2 and "2 of these samples cannot be used" in err and "item 2" in err
    assert page.count("<details ") == 3 and "data:image/jpeg;base64," in page and "no answer" in page
    assert "&lt;" in page and "<i>A</i>" in page and "A<i>" not in page
    before = (mine / "good.json").read_bytes()
    for verb in ("show", "stats"):
        code, _, err = run("data", verb, mine / "good.json", "-o", mine / "good.json", capsys=capsys)
        assert code == 2 and "is what is read" in err and (mine / "good.json").read_bytes() == before
    assert run("data", "show", mine / "good.json", "--first", 9, "-o", mine / "p.html", capsys=capsys)[0] == 2
    assert run("data", "show", mine / "good.json", "-o", mine, capsys=capsys)[2].count("\n") == 1


def test_stats_counts_and_draws(mine, capsys):
    code, out, _ = run("data", "stats", mine / "mine.json", "-o", mine / "plot.png", capsys=capsys)
    assert code == 0 and "1 unusable: image unreadable" in out and "1 unusable: messages: no answer" in out
    assert (mine / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_shard_and_convert(mine, capsys):
    code, out, _ = run("data", "pack", mine / "good.json", "-o", mine / "shards", capsys=capsys)
    assert code == 0 and len(SampleReader(mine / "shards")) == 3
    EXCERPTS["vqav2"](mine / "raw")
    code, out, err = run("data", "convert", "vqav2", mine / "raw", "--check", capsys=capsys)
    assert code == 2 and "443,757" in out and "differs in 2 points" in err and err.count("\n") == 1
    code, out, err = run("data", "convert", "vqav2", mine / "raw", "-o", mine / "out", capsys=capsys)
    assert code == 0 and "2 samples with 3 answers" in out and "note: 2 of 82,783" in err
    for arguments, says in (
        (("vqav", mine / "raw", "-o", mine / "x"), "'vqav' is not one of"),
        (("vqav2", mine / "nowhere", "-o", mine / "x"), "no such folder"),
        (("vqav2", mine / "raw"), "give a folder to write"),
        (("vqav2", mine / "raw", "-o", mine / "x", "--engine", "abacus"), "'--engine'"),
        (("vqav2", mine / "raw", "-o", mine / "good.json"), "is a file"),
        (("vqav2", mine / "raw", "-o", "/proc/nothing"), "/proc/nothing"),
    ):
        code, _, err = run("data", "convert", *arguments, capsys=capsys)
        assert code == 2 and says in err.splitlines()[-1], err


def test_sources_are_listed(capsys):
    code, out, _ = run("data", "sources", capsys=capsys)
    assert code == 0 and f"{len(SOURCES)} sets" in out and all(name in out for name in SOURCES)
    code, out, _ = run("data", "sources", "refcoco", capsys=capsys)
    assert code == 0 and "layout" in out and "{}" in out
