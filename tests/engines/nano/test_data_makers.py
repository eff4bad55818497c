"""The makers of training data: document lines, rendered lines, emoji pictures, shards, and the run that makes them."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from messages import dicts
from sphinx_x.conversation import Text, parse_messages
from sphinx_x.data.sample import BoxedText, Sample
from sphinx_x.data.shards import SampleReader, write_shard
from sphinx_x.engines.nano import emoji, fonts, lines
from sphinx_x.engines.nano import prepare as preparing
from sphinx_x.engines.nano.judging import printable
from sphinx_x.engines.nano.line_pieces import clean
from sphinx_x.engines.nano.prepare import Counts, DataConfig, prepare
from sphinx_x.engines.nano.tasks import ask_about_line
from sphinx_x.errors import DataError, MissingToolError
from sphinx_x.work.sandbox import run_apart

GOOD = ["The quick brown fox jumps over 13 lazy dogs.", "Total: $41.99 (paid in cash)", "please Read the pages again"]
# text, x, y, rule that leaves it out
BAD = [
    ("ab", 72, 500, "shorter than 3 characters"),
    ("caf\xe9 au lait", 72, 480, "not ASCII"),
    ("x" * 3 + " long" * 20, 30, 460, "longer than 90 characters"),
    ("crossed out by a thick rule", 72, 440, "other ink in the crop"),
    ("white on white is invisible", 72, 420, "characters: without ink"),
    ("; ; ; ; = = = + + +", 72, 400, "few letters and digits"),
]


def make_pdf(path: Path, texts: list[str], bad: bool = False) -> Path:
    """A one-page PDF in Helvetica, 12 points; with `bad` also lines that must be left out."""

    def show(text: str, x: float, y: float) -> str:
        text = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        return f"BT /F1 12 Tf {x} {y} Td ({text}) Tj ET"

    ops = [show(text, 72, 700 - 20 * number) for number, text in enumerate(texts)]
    if bad:
        for text, x, y, rule in BAD:
            ops.append(f"1 g {show(text, x, y)} 0 g" if rule.startswith("characters") else show(text, x, y))
        ops += ["72 437 200 2 re f", show("left column", 72, 300), show("right column", 300, 300)]
        ops += ["BT /F1 12 Tf 0 1 -1 0 500 300 Tm (turned by a quarter) Tj ET", show("rise", 72, 250)]
        ops += ["BT /F1 8 Tf 94 254 Td (2) Tj ET", "BT /F2 12 Tf 72 230 Td (123) Tj ET"]
    stream = "\n".join(ops).encode("latin-1")
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R/F2 6 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Symbol>>",
    ]
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    data += b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        table,
        len(objects) + 1,
        len(data),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def grey(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(int)


def check_words(png: bytes, words: list[BoxedText]) -> None:
    """Boxes lie inside the crop, hold ink, and hold nearly all of it; so do they reach to the ink of their word."""
    picture = grey(png)
    height, width = picture.shape
    paper = np.bincount(picture.ravel()).argmax()
    ink = abs(picture - paper) > 60
    for word in words:
        x1, y1, x2, y2 = map(int, word.box)
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        inside = ink[y1:y2, x1:x2]
        assert inside[:, :3].any() and inside[:, -3:].any() and inside[:3].any() and inside[-3:].any()
        ink[y1:y2, x1:x2] = False
    assert ink.sum() <= 3


def test_lines_of_a_document(tmp_path):
    path = make_pdf(tmp_path / "a.pdf", GOOD, bad=True)
    crops, drops = lines.read_document(path, "lines", "seed", 60, 1500, 60)
    assert sorted(crop.text for crop in crops) == sorted([*GOOD, "left column", "right column"])
    for crop in crops:
        check_words(crop.png, crop.words)
        image = Image.open(io.BytesIO(crop.png))
        assert image.mode == "L" and image.size == (crop.width, crop.height)
    expected = Counter(rule for _, _, _, rule in BAD)
    # a line that is turned, digits in the font of symbols, and a word with an exponent (too short a piece by itself)
    expected += Counter({"rotated text": 1, "text that cannot be trusted": 1, "cut inside a word or formula": 1})
    expected["shorter than 3 characters"] += 1
    expected["characters: without ink"] = len("whiteonwhiteisinvisible")
    assert drops == expected
    again, _ = lines.read_document(path, "lines", "seed", 60, 1500, 60)
    assert [crop.png for crop in again] == [crop.png for crop in crops]


def test_words_of_a_document(tmp_path):
    path = make_pdf(tmp_path / "a.pdf", GOOD)
    crops, _ = lines.read_document(path, "words", "seed", 60, 1500, 60)
    assert len(crops) >= 4
    for crop in crops:
        assert 1 <= len(crop.words) <= 3
        assert any(f" {crop.text} " in f" {text} " for text in GOOD)
        check_words(crop.png, crop.words)


def test_broken_document(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 nothing")
    with pytest.raises(DataError, match="not a readable PDF"):
        lines.read_document(tmp_path / "a.pdf", "lines", "", 60, 1500, 60)


def test_rendered_lines():
    font = Path(ImageFont.__file__).parents[0]  # any face of this machine will do
    faces = [path for root in (Path("/usr/share/fonts"), font) if root.exists() for path in root.rglob("*.ttf")]
    faces = [str(path) for path in sorted(faces) if fonts.is_text_face(str(path))]
    if not faces:
        pytest.skip("no TrueType font on this machine")
    seen: Counter = Counter()
    for number in range(150):
        rng = random.Random(number)
        text = fonts.make_text(rng, GOOD)
        assert 3 <= len(text) <= 90 and printable(text) and text == clean(text)
        seen.update(text)
        png, words, width, height = fonts.render(text, faces[number % len(faces)], rng)
        assert text.startswith(" ".join(word.text for word in words))
        assert width <= lines.MAX_WIDTH and height >= lines.MIN_HEIGHT
        for word in words:
            x1, y1, x2, y2 = word.box
            assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
            assert np.ptp(grey(png)[int(y1) : int(y2), int(x1) : int(x2)]) > 30
    for number in range(600):
        seen.update(fonts.make_text(random.Random(number), GOOD))
    assert set(fonts.ASCII) <= set(seen)


def test_questions_about_a_line():
    texts = ["the", "cat", "and", "the", "dog", "ran"]
    words = [BoxedText(text, (10 * n, 0, 10 * n + 8, 9)) for n, text in enumerate(texts)]
    kinds: Counter = Counter()
    for seed in range(2000):
        messages = dicts(ask_about_line(words, random.Random(seed)))
        parse_messages(messages)
        question = messages[0]["content"][1]["text"]
        kinds[question.split()[0] + str(len(messages))] += 1
        if question == "Read the text.":
            assert messages[1]["content"] == [{"type": "text", "text": "the cat and the dog ran"}]
        elif question.startswith("Read"):
            box, answer = messages[0]["content"][2]["box"], messages[1]["content"][0]["text"]
            inside = [word.text for word in words if box[0] <= word.box[0] and word.box[2] <= box[2]]
            assert answer.split() == inside
        else:
            run = question.split('"')[1]
            assert "the cat and the dog ran".count(run) == 1
            first = run.split()[0]
            starts = [word.box[0] for word in words if word.text == first]
            assert messages[1]["content"][0]["box"][0] in starts
    assert 0.06 < kinds["Where2"] / 2000 < 0.12 and 0.18 < kinds["Read4"] / 2000 < 0.32
    assert len(ask_about_line(words, random.Random(1), only_read=True)) == 2


def make_samples(count: int) -> list[tuple[Sample, list[bytes]]]:
    samples = []
    for number in range(count):
        png = lines.encode(Image.new("L", (20 + number, 10), number))
        words = [BoxedText("<image>", (1, 1, 9, 9)), BoxedText("\u00e9", (10, 1, 19, 9))]
        messages = ask_about_line(words, random.Random(number))
        samples.append((Sample(f"s{number}", [], messages, "test", "CC0", [{"text": "a", "box": [1, 1, 2, 2]}]), [png]))
    return samples


def test_shards_round_trip(tmp_path):
    write_shard(tmp_path, "a", make_samples(5))
    write_shard(tmp_path, "b", make_samples(3))
    reader = SampleReader(tmp_path)
    assert len(reader) == 8
    for copy in (reader, pickle.loads(pickle.dumps(reader))):
        expected = [*enumerate(make_samples(5)), *enumerate(make_samples(3))]
        for index, (number, (sample, pictures)) in enumerate(expected):
            read = copy[index]
            assert (read.id, read.messages, read.regions) == (sample.id, sample.messages, sample.regions)
            assert copy.image_bytes(read) == pictures[0]
            assert (read.images[0].width, read.images[0].height) == (20 + number, 10)
    assert reader[-1].id == "s2"
    with pytest.raises(IndexError):
        reader[8]
    assert not list(tmp_path.glob(".*.tmp"))
    again = tmp_path / "again"
    write_shard(again, "a", make_samples(5))
    assert (again / "a.tar").read_bytes() == (tmp_path / "a.tar").read_bytes()
    start = time.perf_counter()
    for _ in range(200):
        reader.image_bytes(reader[3])
    assert (time.perf_counter() - start) / 200 < 0.003


def test_forked_readers_open_their_own_files(tmp_path):
    write_shard(tmp_path, "a", make_samples(3))
    reader = SampleReader(tmp_path)
    reader.image_bytes(reader[0])
    results = dict(run_apart(_read_id, [(reader, index) for index in range(3)], 2, 10))
    assert results == {0: "s0", 1: "s1", 2: "s2"}


def _read_id(reader: SampleReader, index: int) -> str:
    sample = reader[index]
    assert reader.image_bytes(sample)
    return sample.id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "line 2: id"),
        ({"messages": []}, "line 2: messages"),
        ({"messages": [{"role": "dog", "content": ""}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user", "content": [{"type": "box", "box": [1, 2, 3]}]}]}, r"messages\[0\].box"),
        ({"messages": [{"role": "user", "content": "no image"}]}, "image parts and images differ: 0 parts, 1 images"),
        ({"images": [{"archive": "a.tar", "offset": -1, "size": 3}]}, r"images\[0\].offset"),
        ({"images": [{"archive": "a.tar", "colour": 1}]}, "unknown field: colour"),
        ({"regions": [{"text": "a", "box": [3, 1, 2, 2]}]}, r"regions\[0\].box: empty box"),
    ],
)
def test_wrong_samples_are_named(tmp_path, change, message):
    write_shard(tmp_path, "a", make_samples(2))
    path = tmp_path / "a.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text(first + "\n" + json.dumps(json.loads(second) | change) + "\n")
    reader = SampleReader(path)
    assert reader[0].id == "s0"
    with pytest.raises(DataError, match=message) as error:
        reader[1]
    assert "a.jsonl" in str(error.value)


def test_cut_archive_is_named(tmp_path):
    write_shard(tmp_path, "a", make_samples(2))
    os.truncate(tmp_path / "a.tar", 700)
    reader = SampleReader(tmp_path)
    with pytest.raises(DataError, match=r"a\.tar: file cut short: ends before byte"):
        reader.image_bytes(reader[1])


@pytest.fixture
def folder(tmp_path) -> Path:
    for number in range(6):
        texts = [f"document {number} line {n} has its words" for n in range(5)] + ["Running head of all pages"]
        make_pdf(tmp_path / "pdfs" / f"{number}.pdf", texts)
    (tmp_path / "pdfs" / "broken.pdf").write_bytes(b"%PDF-1.4")
    return tmp_path


def contents(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(path.iterdir()) if p.suffix in (".tar", ".jsonl")}


def test_prepare_is_deterministic_and_resumable(folder, capsys):
    def config(count: int, **more: object) -> DataConfig:
        counts = Counts(lines=count, words=0, fonts=0, emoji=0)
        return DataConfig(pdf_folder=folder / "pdfs", counts=counts, shard_size=8, seed=3, **more)

    whole = contents(prepare(config(24), folder / "one"))
    assert len(whole) == 6
    prepare(config(8), folder / "two")
    prepare(config(16), folder / "two")
    (folder / "two" / "lines-00001.jsonl").unlink()  # as if killed before the shard was whole
    assert contents(prepare(config(24), folder / "two")) == whole
    before = os.stat(folder / "two" / "lines-00002.tar").st_mtime_ns
    prepare(config(24), folder / "two")
    assert os.stat(folder / "two" / "lines-00002.tar").st_mtime_ns == before

    prepare(config(1000), folder / "all")
    report = json.loads((folder / "all" / "report.json").read_text())["lines"]
    assert report["made"] == 6 * 5 + 3 and report["left_out"] == {"the same text too often": 3}
    assert list(report["bad_documents"]) == ["broken.pdf"]
    assert "no more documents" in capsys.readouterr().out
    sample = SampleReader(folder / "all")[0]
    assert sample.source.endswith(".pdf#page=1") and sample.licence == "see the source"
    with pytest.raises(DataError, match="other settings"):
        prepare(config(24, repeats=2), folder / "one")
    with pytest.raises(DataError, match="holds 24 samples of lines, and counts asks for 8"):
        prepare(config(8), folder / "one")
    (folder / "one" / "emoji-00000.jsonl").write_bytes((folder / "one" / "lines-00000.jsonl").read_bytes())
    with pytest.raises(DataError, match="holds 8 samples of emoji, and counts asks for 0"):
        prepare(config(24), folder / "one")


def test_a_larger_count_makes_the_last_shard_longer(tmp_path):
    def shards(count: int, out: Path) -> dict[str, bytes]:
        config = DataConfig(shard_size=3, workers=1, counts=Counts(emoji=count))
        tasks = [(str(out), f"emoji-{number:05d}", size) for number, size in preparing._shards(count, 3)]
        preparing._make_shards("emoji", _shard_of, tasks, config, out, preparing._Report(out / "report.json"))
        return contents(out)

    shards(4, tmp_path / "grown")
    before = os.stat(tmp_path / "grown" / "emoji-00000.tar").st_mtime_ns
    assert shards(5, tmp_path / "grown") == shards(5, tmp_path / "fresh")
    assert os.stat(tmp_path / "grown" / "emoji-00000.tar").st_mtime_ns == before


def _shard_of(out: str, name: str, size: int) -> int:
    return write_shard(out, name, make_samples(size))


def _misbehave(how: str) -> str:
    if how == "crash":
        os._exit(7)
    if how == "raise":
        raise ValueError("broken")
    while how == "spin":
        pass
    return "fine"


def test_bad_documents_do_not_stop_the_run():
    results = run_apart(_misbehave, [(how,) for how in ("fine", "crash", "raise", "spin", "fine")], 2, 1)
    assert list(results) == [
        (0, "fine"),
        (1, "crashed (exit code 7)"),
        (2, "ValueError: broken"),
        (3, "took more than 1 s of CPU time"),
        (4, "fine"),
    ]


def test_no_apt_get(tmp_path, monkeypatch):
    monkeypatch.setattr(preparing.shutil, "which", lambda name: None)
    with pytest.raises(MissingToolError, match="apt-get"):
        prepare(DataConfig(), tmp_path)


def test_nothing_that_is_there_under_a_longer_name_is_denied():
    """A dog face is a dog, too."""
    box, names = (0.0, 0.0, 9.0, 9.0), ["dog", "dog face", "face", "umbrella"]
    asked: set[tuple[str, str]] = set()
    for seed in range(200):
        messages = emoji.ask_about_picture([("dog face", box)], names, random.Random(seed))
        texts = ["".join(part.text for part in m.parts if isinstance(part, Text)) for m in messages]
        asked |= set(zip(texts[::2], texts[1::2], strict=True))
    there = {(question, answer) for question, answer in asked if question.startswith("Is there")}
    assert there == {
        ("Is there a dog face in the picture?", "Yes"),
        ("Is there an umbrella in the picture?", "No"),
    }


def test_what_a_folder_of_documents_holds_is_part_of_what_was_asked_for(tmp_path):
    """How far a run has come is told by places in its list of documents, which one more file would move."""
    (tmp_path / "pdfs").mkdir()
    (tmp_path / "pdfs" / "a.pdf").write_bytes(b"%PDF-1.4")
    config = DataConfig(pdf_folder=tmp_path / "pdfs", counts=Counts(lines=0, words=0, fonts=0, emoji=0))
    prepare(config, tmp_path / "out")
    (tmp_path / "out" / "lines-00000.jsonl").write_text("")  # a run that has begun
    prepare(config, tmp_path / "out")
    (tmp_path / "pdfs" / "b.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(DataError, match="something else"):
        prepare(config, tmp_path / "out")


def test_emoji_pictures(monkeypatch):
    names = emoji.emoji_names()
    assert 200 <= len(names) <= 300 and all(1 <= len(name.split()) <= 2 for name in names)
    sheet = object.__new__(emoji.EmojiSheet)
    sheet.pictures = {name: Image.new("RGBA", (80, 60), (10 * n, 0, 0, 255)) for n, name in enumerate(list(names)[:20])}
    sheet.names = sorted(sheet.pictures)
    for seed in range(60):
        rng = random.Random(seed)
        picture, things = emoji.draw_picture(sheet, rng)
        assert 1 <= len(things) <= 4 and picture.mode == "RGB"
        colours = np.asarray(picture)
        for name, (x1, y1, x2, y2) in things:
            assert 0 <= x1 < x2 <= picture.width and 0 <= y1 < y2 <= picture.height
            stamp = sheet.pictures[name].getpixel((5, 5))[:3]
            assert (abs(colours[y1:y2, x1:x2].astype(int) - stamp) <= 1).all()
        messages = dicts(emoji.ask_about_picture(things, sheet.names, rng))
        assert len(messages) >= 2 and len(messages) % 2 == 0
        parse_messages(messages)
