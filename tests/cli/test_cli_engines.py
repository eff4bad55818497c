"""The data engines on the command line."""

import shutil

import pytest

from commands import run
from excerpts.files import picture
from paths import ROOT
from som_files import coco
from sphinx_x.data.shards import SampleReader


def test_pages_become_samples(tmp_path, capsys):
    (tmp_path / "pdfs").mkdir()
    for path in (ROOT / "examples").glob("*.pdf"):
        shutil.copy(path, tmp_path / "pdfs")
    (tmp_path / "pdfs" / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    code, out, _ = run("data", "ocr", tmp_path / "pdfs", "-o", tmp_path / "ocr", "--licence", "CC0-1.0", capsys=capsys)
    assert code == 0 and "answers written to" in out and "set aside: 1" in out
    reader = SampleReader(tmp_path / "ocr")
    assert len(reader) >= 1 and reader[0].licence == "CC0-1.0" and reader[0].task == "ocr"
    code, _, err = run("data", "ocr", tmp_path / "nowhere", "-o", tmp_path / "x", capsys=capsys)
    assert code == 2 and err == f"error: {tmp_path / 'nowhere'}: no such file or folder\n"
    (tmp_path / "s.yaml").write_text("near: often")
    code, _, err = run(
        "data", "ocr", tmp_path / "pdfs", "-o", tmp_path / "x", "--settings", tmp_path / "s.yaml", capsys=capsys
    )
    assert code == 2 and "s.yaml: near: Input should be a valid number" in err and err.count("\n") == 1


def test_one_file_is_the_same_as_a_folder_with_it(tmp_path, capsys):
    (tmp_path / "pdfs").mkdir()
    page = shutil.copy(ROOT / "examples" / "ledger-introduction.pdf", tmp_path / "pdfs")
    for place, out in ((page, "one"), (tmp_path / "pdfs", "all")):
        code, _, err = run("data", "ocr", place, "-o", tmp_path / out, capsys=capsys)
        assert code == 0, err
    assert (tmp_path / "one/ocr-00000.jsonl").read_bytes() == (tmp_path / "all/ocr-00000.jsonl").read_bytes()
    (tmp_path / "a.txt").write_text("no page")
    code, _, err = run("data", "ocr", tmp_path / "a.txt", "-o", tmp_path / "x", capsys=capsys)
    assert code == 2 and "is no PDF file" in err and err.count("\n") == 1


def test_marks_become_samples(tmp_path, capsys):
    path = coco(tmp_path / "raw", images=6)
    licensed = ("-o", tmp_path / "som", "--licence", "CC0-1.0")
    code, out, err = run("data", "mark", path, *licensed, capsys=capsys)
    assert code == 0, err
    reader = SampleReader(tmp_path / "som")
    assert len(reader) == 6 and "6 samples" in out and reader[0].licence == "CC0-1.0"
    code, _, err = run("data", "mark", path, "-o", tmp_path / "som", capsys=capsys)
    assert code == 2 and "something else" in err, "one folder has one licence"
    code, _, err = run("data", "mark", path, "-o", tmp_path / "panels", "--panels", capsys=capsys)
    assert code == 0, err
    for arguments, says in (
        ((tmp_path / "raw",), "name the source"),
        ((path, "--source", "sam"), "give a SAM model"),
        ((path, "--source", "coco", "--sam", "x"), "--sam goes with"),
        ((path, "--endpoint", path), "endpoint settings: "),
    ):
        code, _, err = run("data", "mark", *arguments, "-o", tmp_path / "x", capsys=capsys)
        assert code == 2 and says in err and err.count("\n") == 1, err


def test_an_image_is_marked(tmp_path, capsys):
    picture(tmp_path / "a.png", 200, 100)
    boxes = ("--box", "10,10,60,60", "--box", "100,20,180,80")
    code, out, _ = run("mark", tmp_path / "a.png", *boxes, "-o", tmp_path / "m.png", capsys=capsys)
    assert (code, out) == (0, "<Mark 1> [0.05, 0.05, 0.30, 0.30], <Mark 2> [0.50, 0.10, 0.90, 0.40]\n")
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = run(
        "mark", tmp_path / "a.png", *boxes, "--kind", "point", "--letters", "-o", tmp_path / "m.png", capsys=capsys
    )
    assert code == 0 and out.startswith("<Mark A> [0.1") and out.count(",") == 3
    for wrong, says in (
        ((), "nothing to mark"),
        (("--box", "1,2"), "four numbers"),
        (("--box", "nan,0,10,10"), "four numbers"),
        (("--box", "0,0,inf,10"), "four numbers"),
        ((*boxes, "--kind", "star"), "'point', 'box', 'polygon', 'mask'"),
        ((*boxes, "-o", tmp_path / "m.xyz"), "must end in"),
        ((*boxes, "-o", tmp_path / "a.png"), "is the picture itself"),
    ):
        code, _, err = run("mark", tmp_path / "a.png", *wrong, capsys=capsys)
        assert code == 2 and says in err and err.count("\n") == 1
    code, _, err = run("mark", tmp_path / "a.png", "--box", "-9,-9,-1,-1", "-o", tmp_path / "none.png", capsys=capsys)
    assert code == 2 and err.endswith("error: none of the regions could be marked\n")
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    ("verb", "text", "says"),
    [
        ("mark", "most_mark: 3", "most_mark: no such setting, but alphabets, groups"),
        ("mark", "marks: {fonts: 20}", "fonts: no such setting"),
        ("mark", "marks: {kind: point}", "marks may not set kind"),
        ("mark", "inside: true", "inside: is said on the command line"),
        ("ocr", "long_edge: 99", "long_edge: is said on the command line"),
        ("ocr", "nears: 1", "nears: no such setting"),
    ],
)
def test_settings_that_would_do_nothing(tmp_path, capsys, verb, text, says):
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    place = coco(tmp_path / "raw", images=1) if verb == "mark" else tmp_path
    code, _, err = run("data", verb, place, "-o", tmp_path / "x", "--settings", tmp_path / "s.yaml", capsys=capsys)
    assert code == 2 and says in err and err.count("\n") == 1


@pytest.mark.parametrize("text", ["[", "- a", "\xff"])
def test_settings_that_are_no_settings(tmp_path, capsys, text):
    (tmp_path / "s.yaml").write_bytes(text.encode("latin-1"))
    code, _, err = run("data", "ocr", tmp_path, "-o", tmp_path / "x", "--settings", tmp_path / "s.yaml", capsys=capsys)
    assert code == 2 and "s.yaml: not " in err and err.count("\n") == 1
