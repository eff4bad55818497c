"""Broken data: every sample that cannot be used is named with its reason, and every other one is used."""

import base64
import io
import json
import os
import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sphinx_x.data.check import check
from sphinx_x.data.lengths import Limits
from sphinx_x.data.mixture import Share, open_mixture
from sphinx_x.data.packs import Budget
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError
from sphinx_x.work.files import read_lines

EACH = 8
"""Broken samples of each kind."""


def encoded(image: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


def noise(seed: int) -> Image.Image:
    return Image.frombytes("RGB", (90, 40), random.Random(seed).randbytes(90 * 40 * 3))


def bomb() -> bytes:
    """A PNG that says it is 60,000 pixels wide and high."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 4) + b"IDAT" + b"abcd" + bytes(4)


class Corpus:
    """A folder with one file of samples and the pictures they name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "good.jpg").write_bytes(encoded(noise(0), "JPEG"))
        os.mkfifo(folder / "pipe.jpg")

    def picture(self, number: int, content: bytes) -> list[dict]:
        (self.folder / f"{number}.jpg").write_bytes(content)
        return [{"path": f"{number}.jpg"}]

    def sample(self, number: int, **change) -> dict:
        """A good sample about the good picture, with something changed."""
        question = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": f"number {number}"}]
        return {"id": f"s{number}", "images": [{"path": "good.jpg"}], "messages": messages, "source": "test"} | change

    def answered(self, number: int, answer: object) -> dict:
        sample = self.sample(number)
        sample["messages"][1]["content"] = answer
        return sample


def box(numbers: object, image: int = 0) -> list[dict]:
    return [{"type": "box", "image": image, "box": numbers}]


def sized(width: int, height: int) -> list[dict]:
    return [{"path": "good.jpg", "width": width, "height": height}]


def lines(c: Corpus, n: int) -> dict[str, Callable[[], dict | bytes]]:
    """Kind of damage -> a sample (or the bytes of a line) that has it; the names are what the reason must hold."""
    text = json.dumps(c.sample(n)).encode()
    ask, said = c.sample(n)["messages"]
    return {
        "not JSON ": lambda: b"{number: 1",
        "not JSON": lambda: text[: 20 + n % 40],
        "not JSON  ": lambda: text.replace(b"What", b"Wh\xff\xfe"),
        "not a JSON object": lambda: b"[1, 2]",
        "neither messages nor conversations": lambda: {"id": "x", "text": "hello"},
        "id: must be": lambda: c.sample(n, id=""),
        "messages: must be a non-empty list": lambda: c.sample(n, messages=[]),
        "role: must be one of": lambda: c.sample(n, messages=[ask, {"role": "robot", "content": "a"}]),
        "content: must be a text": lambda: c.answered(n, 7),
        "not a text, image, box": lambda: c.answered(n, [{"type": "video"}]),
        "no answer": lambda: c.sample(n, messages=[ask]),
        "empty answer": lambda: c.answered(n, ""),
        "empty answer ": lambda: c.answered(n, " \n"),
        "empty question": lambda: c.sample(n, messages=[{"role": "user", "content": "<image>"}, said]),
        "image parts and images differ": lambda: c.sample(n, images=[]),
        "image parts and images differ ": lambda: c.sample(n, images=[{"path": "good.jpg"}] * 2),
        "must be 4 numbers": lambda: c.answered(n, box([1, 2, 3])),
        "must be 4 numbers ": lambda: c.answered(n, box([1, 2, float("nan"), 4])),
        "empty box": lambda: c.answered(n, box([9, 9, 9, 20])),
        "box outside": lambda: c.answered(n, box([9, 9, 900, 20])) | {"images": sized(90, 40)},
        "there is no such image": lambda: c.answered(n, box([1, 1, 9, 9], 3)),
        "not base64": lambda: c.sample(n, images=[{"data": "?!"}]),
        "addresses are not fetched": lambda: c.sample(n, images=["https://example.org/a.jpg"]),
        "unknown field": lambda: c.sample(n, images=[{"path": "good.jpg", "colour": 3}]),
        "image unreadable": lambda: c.sample(n, images=[{"path": "missing.jpg"}]),
        "image unreadable ": lambda: c.sample(n, images=c.picture(1000 * n + 1, b"no picture at all")),
        "image unreadable  ": lambda: c.sample(n, images=c.picture(1000 * n + 2, b"")),
        "image unreadable   ": lambda: c.sample(n, images=c.picture(1000 * n + 3, bomb())),
        "image unreadable    ": lambda: c.sample(n, images=[{"data": base64.b64encode(b"GIF89a").decode()}]),
        "ends before byte": lambda: c.sample(n, images=[{"archive": "good.jpg", "offset": 10**9 + n, "size": 5}]),
        "file cut short": lambda: c.sample(n, images=[{"archive": "good.jpg", "size": 10**15}]),
        "file unreadable": lambda: c.sample(n, images=[{"archive": "pipe.jpg", "size": 5}]),
        "image unreadable     ": lambda: c.sample(n, images=[{"path": "pipe.jpg"}]),
        "no image is as large": lambda: c.sample(n, images=sized(10**10, 4)),
        "not valid Unicode": lambda: c.answered(n, "cut in half: \ud83d"),
        "must be 4 numbers  ": lambda: c.answered(n, box([0, 0, 10**400, 9])),
        "box outside ": lambda: c.answered(n, box([-50, -50, -3, -4])),
        "stands beside messages": lambda: c.sample(n, conversations=[{"from": "human", "value": "a"}]),
        "cannot be read": lambda: c.sample(n, images=c.picture(1000 * n + 4, encoded(noise(n), "JPEG")[:-900])),
        "is not as large as it says": lambda: c.sample(n, images=sized(20, 400)),
    }


def written(tmp_path: Path) -> tuple[Path, dict[int, str]]:
    """A file of good samples and of every kind of broken one, shuffled; and which line is broken how."""
    corpus = Corpus(tmp_path / "corpus")
    rows: list[tuple[bytes, str]] = []
    for number in range(EACH):
        for kind, make in lines(corpus, number).items():
            made = make()
            rows.append((made if isinstance(made, bytes) else json.dumps(made).encode(), kind.strip()))
    rows += [(json.dumps(corpus.sample(5000 + k)).encode(), "") for k in range(300)]
    random.Random(0).shuffle(rows)
    path = corpus.folder / "corpus.jsonl"
    path.write_bytes(b"".join(row + b"\n" for row, _ in rows))
    return path, {number: kind for number, (_, kind) in enumerate(rows, 1)}


def opened(path: Path, processor, index: Path, max_bad: float = 1.0):
    limits, budget = Limits(400, 32), Budget(800, 64, 64)
    count = len(SampleReader(path))
    shares = {"corpus": Share((path,), 1)}
    return open_mixture(shares, processor, limits, budget, count, index, max_bad=max_bad, workers=1)


def test_every_broken_sample_is_named_with_its_reason(tmp_path, tiny):
    path, kinds = written(tmp_path)
    broken = {number for number, kind in kinds.items() if kind}
    assert len(broken) >= 200 and len(set(kinds.values())) > 20
    mixture = opened(path, tiny.processor, tmp_path / "index")
    found: dict[int, str] = {}
    for entry in read_lines(tmp_path / "index" / "corpus.quarantine.jsonl"):
        found[int(entry["where"].rsplit(" ", 1)[1])] = f"{entry['reason']}: {entry['detail']}"
    used = set()
    for number in range(len(mixture.examples.pieces[0])):
        line = int(mixture.examples.pieces[0][number]["sample"]) + 1
        index = next(i for i in range(len(mixture.examples)) if mixture.examples.blend[i][1] == number)
        example = mixture.examples.example(index)
        if example.error:
            found[line] = example.error
        else:
            used.add(line)
    assert used == set(kinds) - broken
    assert set(found) == broken
    wrong = {kinds[line]: said for line, said in found.items() if kinds[line] not in said}
    assert not wrong
    tally = mixture.tallies["corpus"]
    assert tally.samples + tally.bad == len(kinds)


def test_validate_names_line_field_and_reason(tmp_path):
    path, kinds = written(tmp_path)
    findings, tally = check(SampleReader(path), workers=1)
    named = {int(finding.where.rsplit(" ", 1)[1]) for finding in findings}
    assert named == {number for number, kind in kinds.items() if kind}
    assert all("\n" not in str(finding) for finding in findings)
    assert tally.records == len(kinds) and tally.samples == 300
    fields = Counter(finding.field for finding in findings)
    assert {"messages[1].role", "messages[1].content", "images[0]", "messages[1].box", "id"} <= set(fields)


def test_too_many_stop_the_run(tmp_path, tiny):
    path, _ = written(tmp_path)
    with pytest.raises(
        DataError, match=r"source corpus .*quarantine.jsonl; max_bad_samples\): \d+ of \d+ samples were set aside"
    ):
        opened(path, tiny.processor, tmp_path / "index", max_bad=0.05)
    assert len(read_lines(tmp_path / "index" / "corpus.quarantine.jsonl")) >= 200


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file cut short, with bytes flipped, a block zeroed or moved, or its head or tail replaced."""
    way, data = rng.randrange(6), bytearray(content)
    at, size = rng.randrange(len(data)), rng.randint(1, max(len(data) // 3, 2))
    if way == 0:
        del data[at:]
    elif way == 1:
        for _ in range(rng.choice((1, 10, 200))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif way == 2:
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif way == 3:
        data[at:at] = data[:size]
    elif way == 4:
        data[: rng.randint(1, 64)] = rng.randbytes(16)
    else:
        del data[at : at + size]
    return bytes(data)


def accounted(folder: Path, files: list[Path], count: int, processor) -> tuple[int, int, int]:
    """Damages real files, makes a sample of each; gives how many were used, set aside, and left as holes."""
    corpus, rng = Corpus(folder / "corpus"), random.Random(4)
    rows = []
    for number in range(count):
        content = files[number % len(files)].read_bytes()
        rows.append(corpus.sample(number, images=corpus.picture(number, damaged(content, rng))))
    path = corpus.folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    mixture = opened(path, processor, folder / "index")
    aside = {entry["id"] for entry in read_lines(folder / "index" / "corpus.quarantine.jsonl")}
    examples = [mixture.examples.example(index) for index in range(len(mixture.examples.pieces[0]))]
    holes = [example for example in examples if example.error]
    assert all("\n" not in example.error for example in holes)
    assert {row["id"] for row in rows} >= aside and len(aside) + len(examples) == count
    findings, _ = check(SampleReader(path), workers=1)
    assert len({finding.where for finding in findings}) == len(aside) + len(holes)
    return len(examples) - len(holes), len(aside), len(holes)


def test_damaged_files_are_accounted_for(tmp_path, tiny):
    files = [tmp_path / f"{k}.{kind}" for k in range(4) for kind in ("jpeg", "png")]
    for k, path in enumerate(files):
        path.write_bytes(encoded(noise(k), path.suffix[1:].upper()))
    used, aside, holes = accounted(tmp_path, files, 80, tiny.processor)
    assert aside > 5 and holes > 5 and used > 5


@pytest.mark.slow
def test_damaged_real_files_are_accounted_for(tmp_path, tiny, shared_dir):
    files = sorted((shared_dir / "data").rglob("*.jpg"))
    assert len(files) > 100
    used, aside, holes = accounted(tmp_path, files, 240, tiny.processor)
    assert aside > 10 and holes > 10 and used > 10
