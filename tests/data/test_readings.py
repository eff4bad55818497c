"""Readings in advance: made ones have the measured faults, are the same again, and are what a run then takes."""

import json
import random
from dataclasses import replace
from itertools import pairwise

import pytest

from lined import DETECTOR, ENGINE, know_detector, know_engine, lined
from lively import noise
from sphinx_x.data.augment import Augmentation
from sphinx_x.data.lengths import Limits
from sphinx_x.data.mixture import Share, open_mixture
from sphinx_x.data.packs import Budget
from sphinx_x.data.readings import NoRegionsError, keep_readings, made_objects, made_reading
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError
from sphinx_x.family import new_model
from sphinx_x.text_lines.line import TextLine
from sphinx_x.text_lines.reader import LineReader

ROWS = [{"text": f"Item {k} of the list", "box": [20, 40 * k + 10, 200, 40 * k + 30]} for k in range(20)]
PRICES = [{"text": f"{k}.50", "box": [230, 40 * k + 10, 270, 40 * k + 30]} for k in range(20)]
ALL = [region for pair in zip(ROWS, PRICES, strict=True) for region in pair]


def test_made_readings_have_the_faults_that_were_measured():
    """Letters, pieces and lines whatever the blanks are, and the blanks themselves of lines that are read right."""
    rng = random.Random(0)
    same = joined = split = lost = blanks = kept = 0
    for _ in range(300):
        texts = [line.text for line in made_reading(ALL, rng)]
        found = {text.replace(" ", ""): text for text in texts}
        plain = [region["text"].replace(" ", "") for region in ALL]
        same += sum(text in found for text in plain)
        joined += sum(
            (row["text"] + price["text"]).replace(" ", "") in found for row, price in zip(ROWS, PRICES, strict=True)
        )
        split += sum(text.startswith("Item") and len(text) <= 14 for text in texts)
        lost += sum(not any(price["text"] in text for text in found) for price in PRICES)
        for text, region in zip(plain, ALL, strict=True):
            if text in found:
                blanks, kept = blanks + region["text"].count(" "), kept + found[text].count(" ")
    pages = 300 * len(ALL)
    assert 0.75 < same / pages < 0.95
    assert 0.02 < joined / pages < 0.06 and 0.005 < split / pages < 0.05 and 0 < lost / pages < 0.05
    assert 0.1 < 1 - kept / blanks < 0.17


def test_boxes_hold_the_ink_and_lines_come_in_reading_order():
    found = made_reading(ALL, random.Random(1))
    for line in found:
        around = [r for r in ALL if line.box[1] < (r["box"][1] + r["box"][3]) / 2 < line.box[3]]
        assert around and line.box[0] < 270 and min(line.box) >= 0
    middles = [(line.box[1] + line.box[3]) / 2 for line in found]
    assert all(b > a - 20 for a, b in pairwise(middles))
    assert all(isinstance(line, TextLine) and line.text == line.text.strip() != "" for line in found)


@pytest.fixture
def drawn(tmp_path):
    samples = []
    for k in range(3):
        noise(280, 300, k).save(tmp_path / f"{k}.png")
        messages = [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]},
            {"role": "assistant", "content": "!"},
        ]
        samples.append({"id": str(k), "images": [f"{k}.png"], "messages": messages, "regions": ALL[:6]})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return tmp_path / "a.jsonl"


def _kept(path, reader, **options):
    """Return the numbers of samples that were told, and how many images were read or made."""
    told = []
    new, tally = keep_readings(SampleReader(path), reader, **options, progress=told.append)
    assert not tally.bad and tally.samples == tally.records == len(told)
    return told, new


def test_a_run_takes_readings_that_were_made(drawn, tmp_path, monkeypatch):
    know_engine(monkeypatch, lambda image: pytest.fail("it was read"))
    reader = LineReader(ENGINE, folder=tmp_path / "readings")
    assert _kept(drawn, reader, made=True) == ([1, 2, 3], 3)
    lines = [reader.read_file((tmp_path / f"{k}.png").read_bytes()) for k in range(3)]
    assert all(reading.lines for reading in lines) and len(set(lines)) == 3
    assert _kept(drawn, reader, made=True, seed=9) == ([1, 2, 3], 0)  # nothing is made twice
    other = LineReader(ENGINE, folder=tmp_path / "again")
    _kept(drawn, other, made=True)
    know_engine(monkeypatch, lambda image: pytest.fail("it was read"))
    assert [other.read_file((tmp_path / f"{k}.png").read_bytes()) for k in range(3)] == lines


def test_training_takes_them_with_changed_images_as_well(tiny_member, drawn, tmp_path, monkeypatch):
    """Where no features are stored: the lengths were measured with the made readings, and the samples have them too."""
    know_engine(monkeypatch, lambda image: pytest.fail("it was read"))
    _, processor = new_model(lined(tiny_member))
    reader = replace(processor.image_processor.line_reader(), folder=tmp_path / "readings")
    _kept(drawn, reader, made=True)
    shares, limits = {"mine": Share((drawn,))}, Limits(4096, 64)
    opened = open_mixture(
        shares, processor, limits, Budget(8192, 256, 64), 3, tmp_path / "index", 0, Augmentation(scale=(0.8, 1.2)),
        readings=tmp_path / "readings", workers=1,
    )  # fmt: skip
    assert [opened.examples.example(k).error for k in range(3)] == [""] * 3


def test_made_objects_have_small_faults():
    rng, lost, wrong, imagined = random.Random(0), 0, 0, 0
    things = [{"text": "spider", "box": [20, 20, 90, 90]}, {"text": "kettle", "box": [100, 100, 110, 110]}]
    for _ in range(2000):
        seen = made_objects(things, (200, 150), rng)
        names = [one.text for one in seen]
        near = [one for one in seen if abs(one.box[0] - 20) < 10 and abs(one.box[3] - 90) < 10]
        lost += not near
        wrong += bool(near) and near[0].text != "spider"
        imagined += len(seen) > 2 or (len(seen) == 2 and not near)
        assert all(0 <= one.box[0] < one.box[2] <= 200 and 0 <= one.box[1] < one.box[3] <= 150 for one in seen)
        assert all(one.is_object and 0 <= one.confidence <= 1 and one.text for one in seen), names
    assert 0.06 < lost / 2000 < 0.10 and 0.025 < wrong / 2000 < 0.055 and 0.01 < imagined / 2000 < 0.06


def test_a_run_takes_objects_that_were_made(drawn, tmp_path, monkeypatch):
    """The lines of those images are read; of a sample without regions, the detector finds the objects."""
    looked = []
    know_engine(monkeypatch, lambda image: [])
    know_detector(monkeypatch, lambda image: looked.append(image.size) or [])
    samples = [json.loads(line) for line in drawn.read_text().splitlines()]
    samples[0] |= {"regions": [{"text": "spider", "box": [20, 20, 190, 190]}], "task": "objects"}
    samples[1]["regions"] = []
    drawn.write_text("".join(json.dumps(sample) + "\n" for sample in samples[:2]))
    reader = LineReader(ENGINE, objects=DETECTOR, folder=tmp_path / "readings")
    assert _kept(drawn, reader, objects=True, seed=1) == ([1, 2], 2)
    first, second = (reader.read_file((tmp_path / f"{k}.png").read_bytes()).lines for k in range(2))
    assert [one.text for one in first] == ["spider"] and second == () and len(looked) == 1
    again = LineReader(ENGINE, objects=DETECTOR, folder=tmp_path / "again")
    for wrong in ({"task": "ocr"}, {"regions": [{**samples[0]["regions"][0], "class": "figure"}]}):
        drawn.write_text(json.dumps(samples[0] | wrong) + "\n")
        with pytest.raises(NoRegionsError, match="objects are made for samples of one image whose regions are things"):
            _kept(drawn, again, objects=True)
    with pytest.raises(DataError, match="lines or things: make up readings of it or objects, not both"):
        _kept(drawn, again, objects=True, made=True)
    with pytest.raises(DataError, match="this member is shown no objects"):
        _kept(drawn, LineReader(ENGINE, folder=tmp_path / "again"), objects=True)


def test_images_are_read_in_advance_once(drawn, tmp_path, monkeypatch):
    seen = []
    know_engine(monkeypatch, lambda image: seen.append(image.size) or [TextLine((0, 0, 9, 9), "word")])
    reader = LineReader(ENGINE, folder=tmp_path / "readings")
    for _ in range(2):
        _kept(drawn, reader)
    assert len(seen) == 3


@pytest.mark.parametrize("made", [False, True])
def test_a_damaged_image_is_named_and_the_others_are_read(drawn, tmp_path, monkeypatch, caplog, made):
    know_engine(monkeypatch, lambda _: [TextLine((0, 0, 9, 9), "word")])
    (tmp_path / "1.png").unlink() if made else (tmp_path / "1.png").write_bytes(b"not an image")
    reader = LineReader(ENGINE, folder=tmp_path / "readings")
    with pytest.raises(DataError, match=r"1 of 3 samples were set aside \(1: image"):
        keep_readings(SampleReader(drawn), reader, made)
    with caplog.at_level("WARNING", "sphinx_x"):
        new, tally = keep_readings(SampleReader(drawn), reader, made, max_bad=0.5)
    assert f"{drawn}: line 2: set aside: " in caplog.text
    assert new == 0 and (tally.records, tally.samples, tally.bad) == (3, 2, 1)  # both others were read before


def test_a_full_disk_is_no_bad_sample(drawn, tmp_path, monkeypatch):
    know_engine(monkeypatch, lambda _: [TextLine((0, 0, 9, 9), "word")])
    (tmp_path / "readings").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="readings"):
        keep_readings(SampleReader(drawn), LineReader(ENGINE, folder=tmp_path / "readings"), max_bad=1.0)


def test_what_is_written_must_be_known(tmp_path, drawn, monkeypatch):
    know_engine(monkeypatch)
    sample = json.loads(drawn.read_text().splitlines()[0])
    del sample["regions"]
    drawn.write_text(json.dumps(sample) + "\n")
    for change in ({"task": "objects"}, {"regions": [{"text": "two\nlines", "box": [0, 0, 9, 9]}]}):
        blocks = drawn.with_name("blocks.jsonl")
        blocks.write_text(json.dumps(sample | {"regions": ALL[:2]} | change) + "\n")
        with pytest.raises(DataError, match="sample 0: its regions are things or blocks, not lines"):
            _kept(blocks, LineReader(ENGINE, folder=tmp_path / "readings"), made=True)
    with pytest.raises(DataError, match="sample 0: readings are made for samples of one image whose regions"):
        _kept(drawn, LineReader(ENGINE, folder=tmp_path / "readings"), made=True)
