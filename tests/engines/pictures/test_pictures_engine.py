"""Scenes of named pictures: boxes are where the pixels are, answers are what was pasted, sides of a split are apart."""

import csv
import io
import json
import random
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from commands import run
from sphinx_x.conversation import Place
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.pictures import engine as pictures_engine
from sphinx_x.engines.pictures.asking import WEIGHTS, Seen, Stock, ask
from sphinx_x.engines.pictures.engine import PictureSettings, make_picture, make_pictures, possible, stock_of
from sphinx_x.engines.pictures.library import read_library
from sphinx_x.engines.pictures.scenes import Thing, compose
from sphinx_x.engines.pictures.words import Word, classes, may_be_said_to_lack, nouns, related, word_of
from sphinx_x.errors import DataError
from sphinx_x.sources.dialogue import SHORT

COLOURS = {
    "dog": (200, 20, 20),
    "car": (20, 40, 210),
    "apple": (30, 160, 40),
    "penguin": (10, 10, 10),
    "cup": (250, 210, 0),
}


def cutout(colour, size=(120, 90)):
    """Return an ellipse of a colour with nothing around it."""
    image = Image.new("RGBA", size)
    ImageDraw.Draw(image).ellipse((6, 6, size[0] - 6, size[1] - 6), fill=(*colour, 255))
    return image


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    for name, colour in COLOURS.items():
        cutout(colour).save(place / f"{name}.png")
    Image.new("RGB", (300, 200), (90, 90, 90)).save(place / "wall.jpg")
    return place


@pytest.fixture
def plainly(monkeypatch):
    """Nothing is drawn behind scenes, so that colours tell where things are."""
    monkeypatch.setattr(pictures_engine, "drawn", lambda rng, size: Image.new("RGB", size, (255, 255, 255)))
    monkeypatch.setattr(pictures_engine, "plain", lambda rng, size: Image.new("RGB", size, (255, 255, 255)))


def test_pictures_that_cannot_be_opened_are_counted(folder):
    """One that would take gigabytes, and one whose texts would."""
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 6, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (folder / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    note = PngImagePlugin.PngInfo()
    note.add_text("a", "b" * 80_000_000, zip=True)
    cutout((1, 2, 3)).save(folder / "note.png", pnginfo=note)
    library = read_library([folder])
    assert library.left_out["cannot be read"] == 2 and len(library.pictures) == len(COLOURS) + 1


def test_a_list_may_be_written_by_a_spreadsheet_and_names_a_file_in_each_line(folder):
    (folder / "pictures.csv").write_text("file,name\ndog.png,dog\ncar.png,car\n", encoding="utf-8-sig")
    assert {one.word.word for one in read_library([folder]).pictures if one.word} == {"dog", "car"}
    (folder / "pictures.csv").write_text("name,file\ndog,dog.png\ncar\n")
    with pytest.raises(DataError, match=r"pictures\.csv:3: names no file"):
        read_library([folder])


@pytest.mark.parametrize(
    ("name", "word", "group"),
    [
        ("chicken", "bird", "animal"), ("peacock", "bird", "animal"), ("tiger", "tiger", "animal"),
        ("Killer whale", "whale", "animal"), ("box turtle", "turtle", "animal"), ("skunk", "weasel", "animal"),
        ("harbor seal", "seal", "animal"), ("bottlenose dolphin", "dolphin", "animal"),
        ("cathedral", "church", "building"),
        ("trout", "fish", "animal"), ("king", "person", "person"), ("baker", "person", "person"),
        ("black cherry", "cherry", "food"), ("hotdog", "hot dog", "food"), ("rose", "rose", ""),
    ],
)  # fmt: skip
def test_a_name_is_that_of_what_pictures_show(name, word, group):
    assert (word_of(name).word, word_of(name).group) == (word, group)


def test_a_name_says_more_only_if_it_does():
    assert not word_of("Dog").finer and not word_of("dogs").finer and word_of("penguin").finer


SQUARE = [(0.0, 0.0), (90.0, 0.0), (90.0, 90.0), (0.0, 90.0)]


def test_what_kind_it_is_is_asked_of_one_alone_and_nothing_is_denied_of_the_unknown():
    stock = Stock({"flower": ("plant", 1.0), "car": ("vehicle", 1.0)})
    bird = word_of("penguin")
    things = (Thing(bird, (0, 0, 90, 90), SQUARE, 8000), Thing(word_of("owl"), (100, 0, 120, 20), SQUARE, 300))
    for seed in range(30):
        asked = ask(Seen("scene", (200, 100), things), stock, random.Random(seed), 8, WEIGHTS)
        assert "kind" not in asked.kinds
        rose = (Thing(word_of("rose"), (0, 0, 90, 90), SQUARE, 8000),)
        asked = ask(Seen("scene", (200, 100), rose), stock, random.Random(seed), 8, WEIGHTS)
        assert "no" not in " ".join(str(m) for m in asked.messages if m.role == "assistant").lower().split()


def made(folder, count, **settings):
    chosen = PictureSettings(held=0, **settings)
    library = read_library([folder]).part(0, "train")
    stock = stock_of(library, False)
    return [make_picture(k, chosen, library, stock, possible(chosen, library)) for k in range(count)]


def said(one):
    """Return pairs of question and answer, places written as `@`."""
    texts = [message.shown(lambda place: "@") for message in one.asked.messages]
    return list(zip(texts[::2], texts[1::2], strict=True))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Emperor penguin", "bird"), ("golden retriever", "dog"), ("Dalmatian", "dog"), ("tabby", "cat"),
        ("donuts", "doughnut"), ("tv", "television"), ("cell phone", "phone"), ("sports ball", "ball"),
        ("house of cards", "house of cards"), ("Xyzzy", "Xyzzy"), ("ambulance", "ambulance"),
    ],
)  # fmt: skip
def test_names_become_common_words(name, word):
    assert word_of(name).word == word and word_of(name).finer == (name != word)


def test_classes_are_imagenets():
    assert len(classes()) == 1000 and classes()[0].name == "tench" and classes()[0].word == "fish"
    assert classes()[207] == Word("golden retriever", "dog", "animal")
    assert {classes()[k].word for k in (151, 200, 250)} == {"dog"}
    for word in ("dog", "cat", "bird", "chair", "car", "umbrella", "pizza", "couch", "train", "bus", "boat"):
        assert nouns()[word][0] == word, word
    assert not may_be_said_to_lack("door") and may_be_said_to_lack("dog")
    with pytest.raises(DataError, match="letters"):
        word_of("12")


def test_boxes_are_around_the_pixels(folder, plainly):
    for one in made(folder, 4, shares={"scene": 1}, side=256):
        pixels = np.asarray(Image.open(io.BytesIO(one.picture)).convert("RGB")).astype(int)
        for thing in one.seen.things:
            x1, y1, x2, y2 = (int(n) for n in thing.box)
            assert 0 <= x1 < x2 <= one.seen.size[0] and 0 <= y1 < y2 <= one.seen.size[1]
            near = np.abs(pixels - COLOURS[thing.word.name]).sum(-1) < 150
            inside = near[y1:y2, x1:x2]
            assert inside.sum() > 0.6 * thing.area
            for edge in (inside[:4], inside[-4:], inside[:, :4], inside[:, -4:]):
                assert edge.any(), "the box is larger than the thing"


def test_answers_are_what_was_pasted(folder):
    kinds = Counter()
    for one in made(folder, 30, shares={"scene": 1}, turns=8, side=256):
        counts = Counter(thing.word.word for thing in one.seen.things)
        kinds.update(one.asked.kinds)
        for (question, answer), kind in zip(said(one), one.asked.kinds, strict=True):
            word = answer.lower().rstrip(".")
            if kind == "name" and SHORT in question:
                largest = max(one.seen.things, key=lambda thing: thing.area)
                assert word == largest.word.word
            if kind == "there":
                there = any(name in question for name in counts) or any(f"{n}s" in question for n in counts)
                assert word.startswith("yes") == there, (question, answer, counts)
            if kind == "count" and SHORT in question:
                (asked,) = [name for name in {*COLOURS, "bird"} if f"many {name}" in question]
                assert int(answer) == counts[asked]
            if kind == "kind":
                assert "penguin" in answer and "bird" in question
        places = [
            part for m in one.asked.messages if m.role == "assistant" for part in m.parts if isinstance(part, Place)
        ]
        assert all(tuple(box) in {thing.box for thing in one.seen.things} for part in places for box in part.places)
    assert {"name", "there", "count", "where", "at", "side", "list", "colour", "half", "kind"} <= set(kinds)


def test_a_wider_word_is_not_denied():
    """An insect is there where a bee is."""
    words = {
        "insect": ("animal", 50.0),
        "beetle": ("animal", 1.0),
        "laptop": ("thing", 1.0),
        "computer": ("thing", 9.0),
    }
    bee = Word("bee", "bee", "animal")
    for number in range(40):
        asked = ask(
            Seen("photo", (64, 64), main=bee), Stock(words), random.Random(number), 3, {"there": 1, "choice": 1}
        )
        assert "insect" not in str([message.shown(lambda place: "@") for message in asked.messages])
    assert related("laptop") == {"computer"} and "bee" in related("insect") and not related("dog")


def test_of_a_picture_that_nobody_looked_at_nothing_is_denied():
    seen = Seen("named", (64, 64), main=Word("kitchen", "kitchen"), looked_at=False)
    stock = Stock({"table": ("thing", 1.0), "cup": ("thing", 1.0)})
    for number in range(20):
        asked = ask(seen, stock, random.Random(number), 3, {"there": 1, "name": 1})
        assert not any(message.shown(lambda place: "@").lower().startswith("no") for message in asked.messages)


def test_there_are_as_many_questions_as_asked_for(folder):
    """From `fewest` to `turns`, as of the other engines' pages; fewer where a picture has no more to ask about."""
    counts = Counter(len(said(one)) for one in made(folder, 30, shares={"scene": 1}, turns=5, fewest=2, side=256))
    assert {2, 3, 4, 5} <= set(counts)
    plain = Counter(len(said(one)) for one in made(folder, 30, shares={"scene": 1}, turns=5, side=256))
    assert plain[5] > 2 * counts[5]


def test_yes_and_no_are_as_likely_for_every_word():
    stock = Stock(dict.fromkeys(("dog", "car", "apple", "cup", "chair"), ("thing", 1.0)))
    answers = {word: Counter() for word in stock.words}
    rng = random.Random(5)
    for _ in range(700):
        shown = rng.choice(list(stock.words))
        seen = Seen("named", (100, 100), main=Word(shown, shown, "thing"))
        one = ask(seen, stock, rng, 6, WEIGHTS)
        texts = [message.shown(str).split("\n")[0] for message in one.messages]
        for kind, question, answer in zip(one.kinds, texts[::2], texts[1::2], strict=True):
            if kind == "there":
                (asked,) = [word for word in stock.words if word in question]
                answers[asked][answer[0]] += 1
                assert (answer[0] == "Y") == (asked == shown)
    for word, found in answers.items():
        assert 0.4 < found["Y"] / found.total() < 0.6, (word, found)


def test_what_may_be_there_is_not_denied():
    stock = Stock({"dog": ("animal", 1.0), "cat": ("animal", 1.0), "tree": ("plant", 9.0)})
    seen = Seen("photo", (100, 100), main=Word("dog", "dog", "animal"), maybe=frozenset({"cat"}))
    for k in range(40):
        one = ask(seen, stock, random.Random(k), 3, {"there": 1, "choice": 1, "name": 1})
        assert all("cat" not in message.shown(str) and "tree" not in message.shown(str) for message in one.messages)


def test_no_original_is_on_both_sides(tmp_path):
    place = tmp_path / "p"
    place.mkdir()
    rows = [{"file": f"{k}.png", "name": "dog", "licence": "CC0-1.0", "original": f"o{k // 2}"} for k in range(60)]
    for k, row in enumerate(rows):
        cutout((k, 2 * k, 200)).save(place / row["file"])
    with (place / "pictures.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    library = read_library([place])
    train, held = (library.part(0.3, part) for part in ("train", "held"))
    assert len(train.pictures) + len(held.pictures) == 60 and 6 <= len(held.pictures) <= 30
    assert {one.original for one in train.pictures}.isdisjoint(one.original for one in held.pictures)
    rows[0]["file"] = "../x.png"
    (place / "pictures.csv").write_text("file,name\n../x.png,dog\n")
    with pytest.raises(DataError, match=r"pictures.csv:2: no such picture in its folder"):
        read_library([place])


def test_what_cannot_be_taken_is_counted(folder, tmp_path):
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    cutout((1, 2, 3), (20, 20)).save(folder / "tiny.png")
    (folder / "twin.png").write_bytes((folder / "dog.png").read_bytes())
    library = read_library([folder])
    assert library.left_out == {"cannot be read": 1, "too small": 1, "the same picture again": 1}
    assert sorted(library.cutouts) == ["apple", "bird", "car", "cup", "dog"] and len(library.photos) == 1
    (tmp_path / "none").mkdir()
    for place, says in ((tmp_path / "none", "no usable picture"), (tmp_path / "gone", "no such folder")):
        with pytest.raises(DataError, match=says):
            read_library([place])


def test_a_thing_that_is_covered_has_what_is_visible(folder):
    library = read_library([folder])
    pictures = [library.cutouts["dog"][0], library.cutouts["car"][0]]
    for seed in range(8):
        scene = compose(
            random.Random(seed), pictures, (300, 300), lambda rng, size: (Image.new("RGB", size), frozenset())
        )
        drawn = np.asarray(scene.image).astype(int)
        for thing in scene.things:
            near = (np.abs(drawn - COLOURS[thing.word.name]).sum(-1) < 120).sum()
            assert thing.area == pytest.approx(near, rel=0.35)
            assert isinstance(thing, Thing) and len(thing.outline) >= 3


def test_the_same_bytes_for_any_number_of_workers(folder, tmp_path, capsys):
    settings = PictureSettings(count=4, shard_size=2, seed=1, held=0, side=256, licence="CC0-1.0", shares={"scene": 1})
    for workers in (1, 2):
        make_pictures([folder], tmp_path / str(workers), settings, workers)
    for name in ("pictures-00000.tar", "pictures-00001.jsonl"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    reader = SampleReader(tmp_path / "1")
    assert {reader[k].licence for k in range(len(reader))} == {"CC0-1.0"} and reader[0].check().task == "objects"
    report = json.loads((tmp_path / "1" / "report.json").read_text())
    assert report["cutouts"] == 5 and report["photos"] == 1 and report["samples"] == 4
    cutout((9, 9, 9)).save(folder / "horse.png")
    with pytest.raises(DataError, match="something else"):
        make_pictures([folder], tmp_path / "1", settings, 1)
    out = tmp_path / "out"
    code, told, err = run(
        "data", "pictures", folder, "-o", out, "--count", 3, "--held", 0, "--workers", 1, capsys=capsys
    )
    assert code == 0 and "3 samples" in told, err
    marked = ("data", "mark", out, "--source", "samples", "-o", tmp_path / "marks", "--workers", 1, "--inside")
    code, told, err = run(*marked, capsys=capsys)
    assert code == 0, err


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"weights": {"smell": 1}}, "no such kind of question"), ({"weights": {"name": 0}}, "no kind of question has one"),
     ({"shares": {"film": 1}}, "no such kind of picture"), ({"shares": {"photo": 1}}, "nothing can be made")],
)  # fmt: skip
def test_settings_that_make_nothing(folder, tmp_path, settings, says):
    with pytest.raises(DataError, match=says):
        make_pictures([folder], tmp_path / "out", PictureSettings(held=0, **settings), 1)
    assert set(WEIGHTS) >= set(PictureSettings().weights)
