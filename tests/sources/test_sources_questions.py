"""Sets of questions: which answer is taken, what is left out, and pictures that are drawn for a question."""

import io

from PIL import Image

from excerpts import EXCERPTS
from sphinx_x.data.shards import SampleReader
from sphinx_x.sources import SOURCES
from sphinx_x.sources.base import Raw
from sphinx_x.sources.charts import table_text
from sphinx_x.sources.convert import Job, convert
from sphinx_x.sources.science import lettered_picture
from sphinx_x.sources.vqa import most_given, okvqa_answer, turned_picture


def tally_of(name, folder, split="train"):
    EXCERPTS[name](folder / "raw")
    return convert(Job(SOURCES[name], Raw(folder / "raw", split), folder / "out"), workers=1, max_bad=1)


def test_of_answers_given_as_often_the_first_is_taken():
    assert most_given(["b", "a", "a", "b"]) == "b"
    assert most_given([]) == ""


def test_votes_are_counted_by_stem_and_answered_in_a_raw_wording():
    votes = [("racing", "race"), ("race", "race"), ("racing", "race"), ("run", "run"), ("run", "run")]
    answers = [{"raw_answer": raw, "answer": stem} for raw, stem in votes]
    assert okvqa_answer({"answers": answers}) == "racing"


def test_what_is_not_used_is_counted(tmp_path):
    assert tally_of("textvqa", tmp_path / "t").left_out == {"question or answer empty": 1}
    assert tally_of("visual-genome-qa", tmp_path / "v").left_out == {"question or answer empty": 1}
    assert tally_of("chartqa", tmp_path / "c").left_out == {"chart without a readable table": 1}
    assert tally_of("ai2d", tmp_path / "a").left_out == {"option empty or given twice": 2}


def references(folder, name):
    """Those of all answers of the first sample that has any."""
    tally_of(name, folder / name)
    reader = SampleReader(folder / name / "out")
    samples = [[m.references for m in sample.messages if m.role == "assistant"] for sample in reader]
    return next(found for found in samples if any(found))


def test_all_true_answers_go_along(tmp_path):
    ten = references(tmp_path, "vqav2")
    assert ten[0] == ("bread",) * 6 + ("toast",) * 4 and ten[1] == ("2",) * 10
    raw = references(tmp_path, "okvqa")
    assert raw[0] == ("bread",) * 3 + ("bread slices",) * 2 + ("sliced bread",) + ("bread slices",) * 4
    read = references(tmp_path, "textvqa")
    assert ("nokia",) * 4 + ("nokia phone",) * 4 in read, "those who read nothing gave no answer"
    assert ("P. Carter", "p. carter") in references(tmp_path, "docvqa")
    assert ("10%", "10") in references(tmp_path, "infographicsvqa")
    assert references(tmp_path, "deepform")[0] == ("Friends of Ponds", "FRIENDS OF PONDS")


def test_diagrams_of_the_test_split_are_kept_apart(tmp_path):
    tally = tally_of("ai2d", tmp_path, "test")
    assert (tally.records, tally.samples) == (1, 1)
    assert SampleReader(tmp_path / "out")[0].id == "ai2d/9"


def test_pictures_are_turned_counter_clockwise(tmp_path):
    image = Image.new("RGB", (64, 32), "white")
    image.paste("black", (0, 0, 16, 16))
    image.save(tmp_path / "a.png")
    turned = Image.open(io.BytesIO(turned_picture(tmp_path / "a.png", 90.0))).convert("L")
    assert turned.size == (32, 64)
    dark = [(x, y) for x, y in ((4, 4), (28, 4), (4, 60), (28, 60)) if turned.getpixel((x, y)) < 100]
    assert dark == [(4, 60)]


def test_letters_cover_the_texts_of_a_diagram(tmp_path):
    Image.new("RGB", (80, 40), "gray").save(tmp_path / "a.png")
    label = ((10.0, 10.0, 50.0, 30.0), "A")
    drawn = Image.open(io.BytesIO(lettered_picture(tmp_path / "a.png", [label]))).convert("L")
    assert drawn.getpixel((12, 12)) == 255 and drawn.getpixel((5, 5)) == 128
    assert min(drawn.crop((20, 12, 40, 28)).tobytes()) < 60


def test_a_table_that_cannot_be_read_is_no_table(tmp_path):
    folder = tmp_path / "train" / "tables"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_bytes(b"Year,Share\n2015,\xff\xfe\n")
    (folder / "b.csv").write_text('Year,"Share,\n%"\n2015,nan\n\n', encoding="utf-8")
    raw = Raw(tmp_path)
    assert table_text(raw, "a") == "" and table_text(raw, "c") == ""
    assert table_text(raw, "b") == "Year | Share, %\n2015 |"
