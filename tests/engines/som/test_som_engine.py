"""The Set-of-Marks engine: shards, marked images and report; everything accounted for, resumed to the same bytes."""

import json
import multiprocessing
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from excerpts import EXCERPTS
from messages import dicts
from mutations import mutated
from som_files import coco, copies, load, visual_genome
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.som.engine import SomSettings, make_som
from sphinx_x.engines.som.marks import MarkSettings
from sphinx_x.engines.som.panels import panel_source
from sphinx_x.engines.som.readers import SCENES, coco_source
from sphinx_x.engines.som.report import marked_name
from sphinx_x.engines.som.words import GroundTruthWriter
from sphinx_x.engines.som.writing import Exchange, Failure
from sphinx_x.errors import DataError, SphinxXError
from sphinx_x.images import open_image
from sphinx_x.sources.base import Raw, UnusedError
from sphinx_x.sources.convert import read_quarantine

SMALL = SomSettings(shard_size=4)


@pytest.fixture
def release(tmp_path):
    path = coco(tmp_path / "raw", images=14)
    return coco_source(path.name), Raw(tmp_path / "raw")


def test_samples_speak_of_the_raw_image(release, tmp_path):
    source, raw = release
    tally = make_som(source, raw, tmp_path / "out", SMALL, workers=1)
    reader = SampleReader(tmp_path / "out")
    assert tally.records == 14 and tally.samples == len(reader) == 14 and not tally.set_aside
    assert tally.left_out["crowd"] == 1
    assert sum(reader[k].answers for k in range(14)) == tally.turns
    kinds = set()
    for k in range(14):
        sample = reader[k]
        assert sample.task == "som" and sample.source == source.name and sample.regions
        raw_image = open_image(reader.image_bytes(sample))
        assert raw_image.tobytes() == open_image(sample.images[0].path).tobytes()
        marked = tmp_path / "out" / "marked" / marked_name(sample.id)
        with Image.open(marked) as image:
            assert image.size == raw_image.size
        kinds |= {part["type"] for part in dicts(sample.messages)[0]["content"]}
    assert {"point", "box", "points"} <= kinds
    assert len(list((tmp_path / "out" / "marked").iterdir())) == 14
    report = load(tmp_path / "out" / "report.json")
    assert report["samples"] == 14 and report["scenes"] == "coco-json" and report["writer"] == "ground truth"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 14 and "&lt;Mark 1&gt;" in page and "left out: crowd" in page


def test_the_number_of_workers_and_a_second_run_change_nothing(release, tmp_path):
    source, raw = release
    make_som(source, raw, tmp_path / "a", SMALL, workers=1)
    make_som(source, raw, tmp_path / "b", SMALL, workers=2)
    wanted = copies(tmp_path / "a")
    assert wanted == copies(tmp_path / "b")
    make_som(source, raw, tmp_path / "a", SMALL, workers=1)
    assert copies(tmp_path / "a") == wanted
    make_som(source, raw, tmp_path / "c", SomSettings(shard_size=4, seed="1"), workers=1)
    assert copies(tmp_path / "c")["som-00000.jsonl"] != wanted["som-00000.jsonl"]


def test_a_run_that_was_cut_goes_on(release, tmp_path):
    source, raw = release
    make_som(source, raw, tmp_path / "whole", SMALL, workers=1)
    out = tmp_path / "cut"

    def stop(tally):
        if tally.samples >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_som(source, raw, out, SMALL, workers=1, progress=stop)
    assert not (out / "report.json").exists()
    (out / ".som-00001.tally.json").unlink()  # as if it had been killed within the second shard
    (out / ".0123456789abcdef.tmp").write_text("half")
    (out / "marked" / ".0123456789abcdef.tmp").write_text("half")
    seen = []
    make_som(source, raw, out, SMALL, workers=1, progress=lambda tally: seen.append(tally.samples))
    assert seen == [8, 12, 14]
    assert copies(out) == copies(tmp_path / "whole")


@pytest.mark.slow
def test_ten_kills_at_random_moments(tmp_path):
    path = coco(tmp_path / "raw", images=100, size=(640, 480))
    source, raw, settings = coco_source(path.name), Raw(tmp_path / "raw"), SomSettings(shard_size=5, inside=True)
    start = time.monotonic()
    make_som(source, raw, tmp_path / "whole", settings, workers=2)
    whole = time.monotonic() - start
    rng, killed = random.Random(1), 0
    context = multiprocessing.get_context("fork")
    for _ in range(10):
        given = (source, raw, tmp_path / "cut", settings)
        process = context.Process(target=make_som, args=given, kwargs={"workers": 2})
        process.start()
        process.join(rng.uniform(0.02, 0.2) * whole)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join()
        time.sleep(0.2)
    make_som(source, raw, tmp_path / "cut", settings, workers=2)
    assert killed >= 5
    assert copies(tmp_path / "cut") == copies(tmp_path / "whole")


def test_what_cannot_be_used_is_named(tmp_path):
    path = coco(tmp_path / "raw", images=10)
    content = load(path)
    content["annotations"][0].pop("bbox")
    content["images"][1]["width"] += 7
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] != 2]
    path.write_text(json.dumps(content))
    (tmp_path / "raw" / "images" / "003.png").unlink()
    (tmp_path / "raw" / "images" / "004.png").write_bytes(b"no picture")
    source, raw = coco_source(path.name), Raw(tmp_path / "raw")
    tally = make_som(source, raw, tmp_path / "out", workers=1, max_bad=1)
    reasons = {"field 'bbox' is missing": 1, "image is not of the size that its annotations say": 1}
    assert tally.set_aside == reasons | {"image missing": 1, "image unreadable": 1}
    assert tally.left_out["image without regions"] == 1 and tally.samples == 5
    entries = read_quarantine(tmp_path / "out")
    assert sorted(entry["id"] for entry in entries) == ["0", "1", "3", "4"]
    with pytest.raises(DataError, match="were set aside"):
        make_som(source, raw, tmp_path / "strict", workers=1)
    assert len(read_quarantine(tmp_path / "strict")) == 4


def test_a_folder_holds_one_run(release, tmp_path):
    source, raw = release
    make_som(source, raw, tmp_path / "out", SMALL, workers=1)
    with pytest.raises(DataError, match="something else"):
        make_som(source, raw, tmp_path / "out", SomSettings(shard_size=5), workers=1)
    with pytest.raises(DataError, match="something else"):
        make_som(source, raw, tmp_path / "out", SMALL, GroundTruthWriter(questions=2), workers=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        make_som(source, raw, tmp_path / "full", workers=1)


@dataclass(frozen=True)
class Liar(GroundTruthWriter):
    """Cites a mark too many in every second page, fails in every third."""

    def write_all(self, pages):
        for number, page in enumerate(pages):
            if number % 3 == 2:
                yield DataError("endpoint failed: status 500")
            elif number % 2:
                yield [Exchange("short", [("What is there?", "Mark 99: a dog")])]
            elif number == 4:
                yield UnusedError("nothing to say")
            elif number == 6:
                yield [Failure("detailed", DataError("endpoint failed: late")), *self.write(page)[1:]]
            else:
                yield self.write(page)


def test_nothing_wrong_is_accepted_from_a_writer(release, tmp_path):
    source, raw = release
    tally = make_som(source, raw, tmp_path / "out", SomSettings(), Liar(), workers=1, max_bad=1)
    assert tally.set_aside == {"endpoint failed": 5, "mark cited that does not exist (short)": 5}
    assert tally.left_out["nothing to say"] == 1 and tally.samples == 4
    assert len(list((tmp_path / "out" / "marked").iterdir())) == 4
    details = [entry["detail"] for entry in read_quarantine(tmp_path / "out")]
    assert any(entry["id"].endswith("/6 detailed") for entry in read_quarantine(tmp_path / "out"))
    assert sum("mark cited that does not exist (short): 99" in detail for detail in details) == 5


def test_groups_letters_and_images_inside(tmp_path):
    path = coco(tmp_path / "raw", images=5)
    settings = SomSettings(alphabets=("letters",), kinds=("box",), most_marks=2, groups=3, inside=True)
    tally = make_som(coco_source(path.name), Raw(tmp_path / "raw"), tmp_path / "out", settings, workers=1)
    reader = SampleReader(tmp_path / "out")
    ids = [reader[k].id for k in range(len(reader))]
    assert tally.samples > 5 and len(set(ids)) == len(ids)
    for k in range(len(reader)):
        sample = reader[k]
        assert sample.images[0].archive and len(sample.regions) <= 2
        assert "<Mark A> " in "".join(part.get("text", "") for part in dicts(sample.messages)[0]["content"])
        open_image(reader.image_bytes(sample))


@pytest.mark.parametrize("kind", ["visual-genome", "panels"])
def test_other_sources_make_samples(kind, tmp_path):
    if kind == "panels":
        path = coco(tmp_path / "raw", images=14)
        source = panel_source(coco_source(path.name))
    else:
        visual_genome(tmp_path / "raw")
        source = SCENES[kind]
    tally = make_som(source, Raw(tmp_path / "raw"), tmp_path / "out", workers=1)
    assert tally.samples >= 2 and not tally.set_aside
    text = (tmp_path / "out" / "som-00000.jsonl").read_text(encoding="utf-8")
    assert ("a man wearing a hat" in text) == (kind == "visual-genome")
    assert ("panel" in text) == (kind == "panels")


@pytest.mark.parametrize("name", [name for name in SCENES if name in EXCERPTS and name != "visual-genome"])
def test_excerpts_of_public_sets_make_samples(name, tmp_path):
    EXCERPTS[name](tmp_path / "raw")
    tally = make_som(SCENES[name], Raw(tmp_path / "raw"), tmp_path / "out", workers=1)
    assert tally.samples and not tally.set_aside


def test_malformed_releases_stop_nothing(tmp_path):
    path = coco(tmp_path / "raw", images=3)
    good = path.read_text(encoding="utf-8")
    for number in range(25):
        path.write_text(json.dumps(mutated(json.loads(good), random.Random(number))), encoding="utf-8")
        out = tmp_path / f"out{number}"
        try:
            tally = make_som(coco_source(path.name), Raw(tmp_path / "raw"), out, workers=1, max_bad=1)
            assert (tally.bad, tally.samples) == (len(read_quarantine(out)), len(SampleReader(out)))
        except SphinxXError as error:
            assert "\n" not in str(error)


def test_files_without_an_end_are_not_read(tmp_path):
    path = coco(tmp_path / "raw", images=4)
    images = tmp_path / "raw" / "images"
    (images / "000.png").unlink()
    os.mkfifo(images / "000.png")
    (images / "001.png").unlink()
    (images / "001.png").symlink_to("/dev/zero")
    (images / "002.png").write_bytes(b"")
    os.truncate(images / "002.png", 1 << 40)
    with (images / "003.png").open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match="no sample about marks"):
        make_som(coco_source(path.name), Raw(tmp_path / "raw"), tmp_path / "out", workers=1, max_bad=1)
    entries = read_quarantine(tmp_path / "out")
    assert [entry["reason"] for entry in entries] == ["image unreadable"] * 4
    assert "more than 500,000,000 bytes" in entries[3]["detail"]


def test_wrong_settings_are_told(tmp_path):
    with pytest.raises(SphinxXError, match="marks may not set kind"):
        SomSettings(marks=MarkSettings(kind="point"))
    for wrong in ({"kinds": ("star",)}, {"tasks": ()}, {"alphabets": ("runes",)}, {"most_marks": 0}):
        with pytest.raises(SphinxXError):
            SomSettings(**wrong)
    path = coco(tmp_path / "raw", images=1)
    content = load(path) | {"annotations": []}
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="no sample about marks"):
        make_som(coco_source(path.name), Raw(tmp_path / "raw"), tmp_path / "out", workers=1)


@pytest.mark.slow
def test_real_photos_and_receipts(shared_dir: Path, tmp_path):
    folder = shared_dir / "data" / "coco128"
    raw = Raw(folder, images=[folder / "images"])
    tally = make_som(coco_source("instances.json"), raw, tmp_path / "photos", SomSettings(groups=2), workers=2)
    assert not tally.set_aside and tally.samples > 150
    assert tally.left_out["no room for its label"] == 0
    receipts = make_som(SCENES["sroie"], Raw(shared_dir / "data" / "sroie"), tmp_path / "receipts", workers=2)
    assert not receipts.set_aside and receipts.samples == 40
