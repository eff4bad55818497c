"""The loader: the same examples for any number of workers, boxes that move with the picture, holes that are named."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from shards import write_lines
from sphinx_x.conversation import Message, Place
from sphinx_x.data.blend import Blend, Source
from sphinx_x.data.loader import Augmentation, Examples, batches, open_source
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import write_shard
from sphinx_x.errors import DataError

STRONG = Augmentation(scale=(0.8, 1.2), contrast=0.5, noise=20, margin=4)


def examples_of(folder, processor, count, augmentation=STRONG, max_tokens=500, name="lines"):
    reader = open_source(folder, name)
    blend = Blend([Source(name, len(reader), 1)], count, seed=5)
    return Examples([reader], blend, processor, augmentation, max_tokens)


def same(first, second):
    return first.name == second.name and all(
        torch.equal(getattr(first, name), getattr(second, name)) for name in ("ids", "labels", "views", "line")
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(tmp_path, tiny, workers):
    write_lines(tmp_path, "lines", 20)
    examples = examples_of(tmp_path, tiny.processor, 48)
    alone = [examples[i] for i in range(12, 48)]
    loaded = [example for batch in batches(examples, 12, 1, 4, workers) for example in batch]
    assert len(loaded) == 36
    assert all(same(a, b) for a, b in zip(alone, loaded, strict=True))


def test_boxes_move_with_the_picture():
    for seed in range(30):
        pixels = np.full((40, 90, 3), 255, np.uint8)
        pixels[10:25, 30:60] = 0
        message = Message("assistant", (Place(0, ((30, 10, 60, 25),)),))
        image, moved = STRONG.apply(Image.fromarray(pixels), [message], np.random.default_rng(seed))
        ink = np.argwhere(np.asarray(image.convert("L")) < 128)
        (top, left), (bottom, right) = ink.min(0), ink.max(0) + 1
        assert moved[0].parts[0].places[0] == pytest.approx((left, top, right, bottom), abs=1.5)


def test_the_line_is_known_only_in_one_row_of_views(tmp_path, tiny):
    write_lines(tmp_path, "lines", 6)
    plain = Augmentation()
    for index in range(6):
        example = examples_of(tmp_path, tiny.processor, 6, plain)[index]
        said = tiny.processor.tokenizer.decode(example.ids[example.labels != -100])
        assert said.startswith(tiny.processor.tokenizer.decode(example.line) + "<|eot|>")
    grown = examples_of(tmp_path, tiny.processor, 6, Augmentation(scale=(1.25, 1.25)))
    assert all(len(grown[index].line) == 0 for index in range(6))  # 17 pixels high: two rows


def picture() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (20, 8)).save(content, "PNG")
    return content.getvalue()


def sample(name, messages):
    return Sample(name, [], messages), [picture()]


def test_what_cannot_be_used_is_a_named_hole(tmp_path, tiny):
    asked = {"role": "user", "content": "<image>Read."}
    rows = [
        sample("good", [asked, {"role": "assistant", "content": "a"}]),
        sample("unanswered", [asked]),
        sample("long", [asked, {"role": "assistant", "content": "a" * 600}]),
    ]
    write_shard(tmp_path, "mixed-00000", rows)
    path = tmp_path / "mixed-00000.jsonl"
    broken = json.loads(path.read_text().splitlines()[0])
    broken["images"][0]["offset"] += 5
    with path.open("a") as file:
        file.write(json.dumps(broken) + "\n")
    examples = examples_of(tmp_path, tiny.processor, 4, name="mixed")
    found = {examples[i].name: examples[i].error for i in range(4)}
    assert sorted(found) == [f"mixed[{k}]" for k in range(4)]
    assert found["mixed[0]"] == ""
    assert "an answer is missing or empty" in found["mixed[1]"]
    assert "more than 500" in found["mixed[2]"]
    assert "UnidentifiedImageError" in found["mixed[3]"]


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no shard lines-\*"):
        open_source(tmp_path, "lines")
