"""Converters of public sets: excerpts in the layout of the releases become the dialogue that golden files show."""

import json
import random
from pathlib import Path

import pytest
from PIL import Image

from excerpts import EXCERPTS
from golden import golden_text
from messages import dicts
from mutations import mutated
from sphinx_x.conversation import PLACES
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import SphinxXError
from sphinx_x.sources import SOURCES
from sphinx_x.sources.base import TASKS, Raw
from sphinx_x.sources.convert import Job, check_release, convert, read_quarantine


def written(sample) -> str:
    """A sample for people to read: its images, then what is said, boxes in pixels."""
    images = [f"{Path(i.path or str(i.archive)).name} {i.width}x{i.height}" for i in sample.images]
    lines = [" | ".join([sample.id, *images])]
    for message in dicts(sample.messages):
        said = "".join(_shown(part) for part in message["content"])
        lines.append(f"{message['role']}: " + said.replace("\n", "\n    "))
    return "\n".join(lines) + "\n"


def _shown(part: dict) -> str:
    kind = part["type"]
    if kind in PLACES:
        places = part[kind] if PLACES[kind][1] else [part[kind]]
        return f"<{kind} " + "; ".join(" ".join(f"{n:g}" for n in place) for place in places) + ">"
    return part["text"] if kind == "text" else "<image>"


def test_every_set_has_an_excerpt_and_facts():
    assert set(EXCERPTS) == set(SOURCES)
    for source in SOURCES.values():
        assert source.task in TASKS, source.name
        assert source.home.startswith("https://") and source.licence and source.layout and source.files, source.name


@pytest.mark.golden
@pytest.mark.parametrize("name", SOURCES)
def test_excerpts_become_dialogue(name, tmp_path):
    EXCERPTS[name](tmp_path / "raw")
    raw = Raw(tmp_path / "raw")
    tally = convert(Job(SOURCES[name], raw, tmp_path / "out"), workers=1, max_bad=1)
    assert not tally.set_aside, tally.set_aside
    reader = SampleReader(tmp_path / "out")
    text = "\n".join(written(reader[k]) for k in range(len(reader)))
    assert text == golden_text(f"sources/{name}.txt", text)
    assert all(reader[k].task == SOURCES[name].task for k in range(len(reader)))
    rows, checked = check_release(SOURCES[name], raw)
    assert (checked.samples, checked.turns, checked.records) == (tally.samples, tally.turns, tally.records)
    missing = [what for what, _, found, _ in rows[: len(SOURCES[name].files)] if found == "0"]
    assert not missing, "the excerpt lacks files that the table promises"


@pytest.mark.parametrize("name", SOURCES)
def test_broken_releases_are_told(name, tmp_path):
    EXCERPTS[name](tmp_path / "raw")
    rng = random.Random(name)
    files = [path for path in sorted((tmp_path / "raw").rglob("*")) if path.suffix in (".json", ".jsonl")]
    for round_ in range(12):
        if not files:
            break
        path = rng.choice(files)
        good = path.read_text(encoding="utf-8")
        lines = path.suffix == ".jsonl" and good.count("\n") > 1
        records = [json.loads(line) for line in good.splitlines()] if lines else json.loads(good)
        changed = mutated(records, rng)
        path.write_text("\n".join(map(json.dumps, changed)) if lines else json.dumps(changed), encoding="utf-8")
        out = tmp_path / f"out{round_}"
        try:
            tally = convert(Job(SOURCES[name], Raw(tmp_path / "raw"), out), workers=1, max_bad=1)
            assert (tally.bad, tally.samples) == (len(read_quarantine(out)), len(SampleReader(out)))
        except SphinxXError as error:
            assert "\n" not in str(error)
        path.write_text(good, encoding="utf-8")


def test_a_conversion_inside_its_release_goes_on(tmp_path):
    EXCERPTS["ctw1500"](tmp_path)
    tallies = [
        convert(Job(SOURCES["ctw1500"], Raw(tmp_path), tmp_path / "out"), workers=1, max_bad=1) for _ in range(2)
    ]
    assert tallies[0] == tallies[1] and tallies[0].samples


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_places_in_images_that_are_turned_are_refused(orientation, tmp_path):
    """Releases have places in the pixels as stored, which are not those of the upright image."""
    EXCERPTS["ctw1500"](tmp_path / "raw")
    pictures = sorted(path for path in (tmp_path / "raw").rglob("*") if path.suffix in (".jpg", ".png"))
    for path in pictures:
        with Image.open(path) as image:
            exif = image.getexif()
            exif[0x0112] = orientation
            image.convert("RGB").save(path, exif=exif)
    job = Job(SOURCES["ctw1500"], Raw(tmp_path / "raw"), tmp_path / "out")
    if orientation == 1:
        assert convert(job, workers=1, max_bad=1).samples
    else:
        with pytest.raises(SphinxXError, match="no sample"):
            convert(job, workers=1, max_bad=1)
        reasons = {entry["reason"] for entry in read_quarantine(tmp_path / "out")}
        assert "image is turned by its EXIF data, and its places may not be" in reasons


def test_the_size_of_annotations_tells_whether_they_are_of_the_turned_image(tmp_path):
    EXCERPTS["coco"](tmp_path / "raw")
    whole = convert(Job(SOURCES["coco"], Raw(tmp_path / "raw"), tmp_path / "a"), workers=1, max_bad=1)
    for path in (path for path in (tmp_path / "raw").rglob("*") if path.suffix in (".jpg", ".png")):
        with Image.open(path) as image:
            exif = image.getexif()
            exif[0x0112] = 6
            image.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    turned = convert(Job(SOURCES["coco"], Raw(tmp_path / "raw"), tmp_path / "b"), workers=1, max_bad=1)
    assert turned.samples == whole.samples
