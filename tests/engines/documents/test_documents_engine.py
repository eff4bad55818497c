"""The documents engine: the same bytes for any number of workers, evidence in every sample, nothing in silence."""

import json

import pytest

from commands import run
from drawn_documents import fonts
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.documents.asking import WEIGHTS
from sphinx_x.engines.documents.engine import DocumentSettings, make_documents
from sphinx_x.engines.documents.kinds import all_kinds
from sphinx_x.errors import DataError
from sphinx_x.images import open_image

COUNT = 10


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("documents")
    tally = make_documents(out, DocumentSettings(count=COUNT, seed=4, shard_size=4), (fonts(),), workers=2)
    assert (tally.samples, tally.bad) == (COUNT, 0)
    return out


def test_the_same_bytes_for_any_number_of_workers(made, tmp_path):
    make_documents(tmp_path, DocumentSettings(count=COUNT, seed=4, shard_size=4), (fonts(),), workers=1)
    for number in range(3):
        for ending in ("jsonl", "tar"):
            name = f"documents-{number:05d}.{ending}"
            assert (tmp_path / name).read_bytes() == (made / name).read_bytes()
    before = (made / "documents-00001.tar").stat().st_mtime_ns
    make_documents(made, DocumentSettings(count=COUNT, seed=4, shard_size=4), (fonts(),), workers=1)
    assert (made / "documents-00001.tar").stat().st_mtime_ns == before, "a finished shard is kept"
    with pytest.raises(DataError, match="other settings"):
        make_documents(made, DocumentSettings(count=COUNT, seed=5, shard_size=4), (fonts(),), workers=1)


def test_a_document_does_not_depend_on_how_many_there_are(made, tmp_path):
    make_documents(tmp_path, DocumentSettings(count=3, seed=4, shard_size=4), (fonts(),), workers=1)
    few, many = SampleReader(tmp_path), SampleReader(made)
    for number in range(3):
        assert few[number].messages == many[number].messages
        assert few.image_bytes(few[number]) == many.image_bytes(many[number])


def test_questions_about_a_document_are_one_dialogue(tmp_path):
    settings = DocumentSettings(count=12, kinds=("receipt",), turns=7, fewest=4, shown=0)
    make_documents(tmp_path, settings, (fonts(),), workers=1)
    reader = SampleReader(tmp_path)
    counts = {reader[number].answers for number in range(12)}
    assert len(reader) == 12 and counts <= {4, 5, 6, 7} and len(counts) > 1
    with pytest.raises(ValueError, match="more than turns"):
        DocumentSettings(turns=3, fewest=4)


def test_samples_say_where_answers_stand(made):
    reader = SampleReader(made)
    assert len(reader) == COUNT
    for number in range(COUNT):
        sample = reader[number].check()
        assert open_image(reader.image_bytes(sample)).size == (sample.images[0].width, sample.images[0].height)
        assert sample.licence == "CC0-1.0" and sample.source.split("/")[1] in all_kinds()
        answers = {answer for region in sample.regions for answer in region["answers"]}
        assert answers and answers <= set(range(sample.answers))
        assert any(region["facts"] for region in sample.regions)
    report = json.loads((made / "report.json").read_text())
    assert report["samples"] == COUNT and report["settings"]["seed"] == 4 and report["fonts"] and report["faces"]
    assert "Made-up documents" in (made / "report.html").read_text()


@pytest.mark.parametrize("kind", all_kinds())
def test_every_kind_is_made_and_nothing_is_set_aside(kind, tmp_path):
    tally = make_documents(tmp_path, DocumentSettings(count=3, kinds=(kind,)), (fonts(),), workers=1)
    assert (tally.samples, tally.bad) == (3, 0)
    assert {SampleReader(tmp_path)[k].source for k in range(3)} == {f"documents/{kind}"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", all_kinds())
def test_nothing_is_set_aside_among_many(kind, tmp_path):
    tally = make_documents(tmp_path, DocumentSettings(count=60, kinds=(kind,), seed=77), (fonts(),))
    assert (tally.samples, tally.bad) == (60, 0), (tmp_path / "quarantine.jsonl").read_text()[:2000]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kinds": ("novel",)}, "novel: no such kind of document, but "),
        ({"shares": {"novel": 1}}, "novel: no such kind"),
        ({"shares": {"receipt": -1}}, "below 0"),
        ({"kinds": ("receipt",), "shares": {"receipt": 0}}, "no kind of document has one"),
        ({"weights": {"sums": 1}}, "no such kind of question: sums"),
        ({"weights": dict.fromkeys(WEIGHTS, 0)}, "no kind of question has a weight"),
    ],
)
def test_settings_that_make_nothing_are_refused(tmp_path, settings, says):
    with pytest.raises(DataError, match=says):
        make_documents(tmp_path, DocumentSettings(**settings), (fonts(),))


def test_on_the_command_line(tmp_path, capsys):
    out = tmp_path / "out"
    given = ("--count", 3, "--kind", "receipt", "--fonts", fonts(), "--seed", 2, "--workers", 1)
    code, said, err = run("data", "documents", "-o", out, *given, capsys=capsys)
    assert code == 0 and "3 samples with" in said, err
    for arguments, says in (
        (("--kind", "novel"), "novel: no such kind of document, but "),
        (("--fonts", tmp_path / "nowhere"), "no such folder of fonts"),
    ):
        code, _, err = run("data", "documents", "-o", tmp_path / "x", *arguments, capsys=capsys)
        assert code == 2 and says in err and err.count("\n") == 1, err
    (tmp_path / "s.yaml").write_text("wear: 2")
    code, _, err = run("data", "documents", "-o", tmp_path / "x", "--settings", tmp_path / "s.yaml", capsys=capsys)
    assert code == 2 and "s.yaml: wear: Input should be less than" in err
