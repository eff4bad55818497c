"""The loader: the same examples for any number of workers, boxes that move with the picture, holes that are named."""

import gc
import io
import json
import multiprocessing
import os
import random
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shards import line_sample, write_lines
from sphinx_x.conversation import Message, Place
from sphinx_x.data.augment import Augmentation
from sphinx_x.data.features import FeatureStore
from sphinx_x.data.lengths import Limits
from sphinx_x.data.loader import STOPPING, _steps_ahead, batches, shards_of
from sphinx_x.data.mixture import Share, open_mixture
from sphinx_x.data.packs import Budget
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader, write_shard
from sphinx_x.errors import DataError
from sphinx_x.work.files import read_lines

LIMITS = Limits(500, 64)
STRONG = Augmentation(scale=(0.8, 1.2), contrast=0.5, noise=20, margin=4)


@pytest.mark.skipif(os.name != "posix", reason="a limit of open files is POSIX's")
def test_a_low_limit_of_open_files_is_raised(tmp_path, tiny):
    """Each tensor that a worker sends takes a file: a step of many samples needs more than the usual 1,024."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    write_lines(tmp_path, "lines", 6)
    mixture = mixture_of(tmp_path, tiny.processor, 6)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert list(batches(mixture.examples, mixture.plan.steps(1), 1))
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def mixture_of(folder, processor, count, augmentation=STRONG, limits=LIMITS, name="lines", **more):
    shares = {name: Share(tuple(shards_of(folder, name)), 1)}
    budget = Budget(600, 64, window=16)
    index = folder / f"index-{augmentation.margin}-{limits.tokens}"
    return open_mixture(shares, processor, limits, budget, count, index, 5, augmentation, workers=1, **more)


def same(first, second):
    return first.name == second.name and all(
        torch.equal(getattr(first, name), getattr(second, name)) for name in ("ids", "labels", "views", "line")
    )


def test_workers_ranks_and_restarts_change_nothing(tmp_path, tiny):
    """Every worker count, every rank and every place to go on from gives the examples that one process gives."""
    write_lines(tmp_path, "lines", 20)
    mixture = mixture_of(tmp_path, tiny.processor, 48)
    steps = list(mixture.plan.steps(2))
    alone = [[mixture.examples[pack] for pack in step.packs] for step in steps]
    assert sorted(i for step in steps for pack in step.packs for i in pack) == list(range(48))
    for workers, rank, ranks, begun in ((0, 0, 1, 0), (1, 0, 1, 3), (2, 0, 2, 0), (2, 1, 2, 2)):
        start = steps[begun - 1].after if begun else None
        loaded = list(batches(mixture.examples, mixture.plan.steps(2, start), workers, rank, ranks))
        assert [step for step, _ in loaded] == steps[begun:]
        for (_, packs), expected in zip(loaded, alone[begun:], strict=True):
            pairs = zip(packs, expected[rank::ranks], strict=True)
            assert all(same(a, b) for pack, other in pairs for a, b in zip(pack, other, strict=True))


def test_workers_leave_signals_to_the_process_that_started_them(tmp_path, tiny):
    """A scheduler sends SIGTERM to the whole group: the run needs its workers to end its step."""
    write_lines(tmp_path, "lines", 20)
    mixture = mixture_of(tmp_path, tiny.processor, 48)
    loaded = []
    for step in batches(mixture.examples, mixture.plan.steps(2), 2):
        loaded.append(step)
        for worker in multiprocessing.active_children():
            for number in STOPPING:
                os.kill(worker.pid or 0, number)
    assert [step for step, _ in loaded] == list(mixture.plan.steps(2))


def test_more_workers_than_cores_are_nothing_to_be_warned_of(tmp_path, tiny):
    """Each loader said so twice, of every validation too."""
    write_lines(tmp_path, "lines", 4)
    mixture = mixture_of(tmp_path, tiny.processor, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert list(batches(mixture.examples, mixture.plan.steps(1), (os.cpu_count() or 1) + 1))


def test_workers_prepare_no_more_than_memory_holds(tmp_path, tiny, monkeypatch, caplog):
    """Nor do they change what comes: as little room as a container's shared memory leaves fewer steps in advance."""
    write_lines(tmp_path, "lines", 20)
    mixture = mixture_of(tmp_path, tiny.processor, 40)
    packs = next(mixture.plan.steps(4)).packs
    views = sum(len(mixture.examples.example(number).views) for pack in packs for number in pack)
    step = views * np.prod(mixture.examples.example(0).views.shape[1:])
    for free, ahead in ((100 * step, 4), (12 * step, 3), (5 * step, 1), (step, 1)):
        monkeypatch.setattr("sphinx_x.data.loader.available", lambda free=free: int(free))
        caplog.clear()
        assert _steps_ahead(mixture.examples, packs, 2) == ahead
        assert ("take fewer (workers)" in caplog.text) == (free < 4 * step)
    alone, beside = (
        [example for _, packs in batches(mixture.examples, mixture.plan.steps(4), workers) for example in chain(*packs)]
        for workers in (0, 2)
    )
    assert all(same(one, other) for one, other in zip(alone, beside, strict=True))


def test_lengths_are_known_before_anything_is_decoded(tmp_path, tiny):
    write_lines(tmp_path, "lines", 20)
    mixture = mixture_of(tmp_path, tiny.processor, 40)
    tokens, views = mixture.examples.costs(0, 40)
    made = [mixture.examples.example(index) for index in range(40)]
    assert not any(example.error for example in made)
    assert tokens.tolist() == [len(example.ids) for example in made]
    assert views.tolist() == [len(example.views) for example in made]
    assert len(set(views.tolist())) > 1, "the augmentation changes the number of views"


def test_boxes_move_with_the_picture():
    for seed in range(30):
        pixels = np.full((40, 90, 3), 255, np.uint8)
        pixels[10:25, 30:60] = 0
        message = Message("assistant", (Place(0, ((30, 10, 60, 25),)),))
        rng = np.random.default_rng(seed)
        change = STRONG.draw(rng)
        image, moved = STRONG.apply(Image.fromarray(pixels), change, rng), change.moved(message)
        assert image.size == change.size(90, 40)
        ink = np.argwhere(np.asarray(image.convert("L")) < 128)
        (top, left), (bottom, right) = ink.min(0), ink.max(0) + 1
        assert moved.parts[0].places[0] == pytest.approx((left, top, right, bottom), abs=1.5)


def test_the_line_is_known_only_in_one_row_of_views(tmp_path, tiny):
    write_lines(tmp_path, "lines", 6)
    examples = mixture_of(tmp_path, tiny.processor, 6, Augmentation()).examples
    for index in range(6):
        example = examples.example(index)
        said = tiny.processor.tokenizer.decode(example.ids[example.labels != -100])
        assert said.startswith(tiny.processor.tokenizer.decode(example.line) + "<|eot|>")
    grown = mixture_of(tmp_path, tiny.processor, 6, Augmentation(scale=(1.25, 1.25), margin=1)).examples
    assert all(len(grown.example(index).line) == 0 for index in range(6))  # 17 pixels high: two rows


def picture() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (20, 8)).save(content, "PNG")
    return content.getvalue()


def sample(name, messages):
    return Sample(name, [], messages), [picture()]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("said", [(10, 8), (8, 20), (20, 8)])
def test_an_image_of_another_size_than_its_sample_says_is_named(tmp_path, tiny, said, stored):
    """Boxes that are fractions of its sides would be elsewhere in it."""
    (tmp_path / "a.png").write_bytes(picture())
    sizes = {"width": said[0], "height": said[1]}
    turns = [{"role": "user", "content": "<image>Read."}, {"role": "assistant", "content": "a"}]
    row = {"id": "a", "images": [{"path": "a.png", **sizes}], "messages": turns}
    (tmp_path / "sized-00000.jsonl").write_text(json.dumps(row) + "\n")
    store = FeatureStore(tmp_path / "features", "some experts", 1) if stored else None
    mixture = mixture_of(tmp_path, tiny.processor, 1, Augmentation(), Limits(500, 64), "sized", max_bad=1, store=store)
    wrong = mixture.examples.example(0).error
    assert wrong == "" if said == (20, 8) else f"is not as large as it says: 20 x 8 pixels, not {said[0]}" in wrong


def test_what_cannot_be_used_is_counted_and_named(tmp_path, tiny):
    asked = {"role": "user", "content": "<image>Read."}
    rows = [
        sample("good", [asked, {"role": "assistant", "content": "a"}]),
        sample("unanswered", [asked]),
        sample("long", [asked, {"role": "assistant", "content": "a" * 600}]),
        sample("cut", [asked, {"role": "assistant", "content": "b"}]),
    ]
    write_shard(tmp_path, "mixed-00000", rows)
    archive = tmp_path / "mixed-00000.tar"
    content = archive.read_bytes()
    place = content.rindex(b"IDAT")
    archive.write_bytes(content[:place] + b"JUNK" + content[place + 4 :])
    mixture = mixture_of(tmp_path, tiny.processor, 4, Augmentation(), Limits(500, 64), "mixed", max_bad=1)
    tally = mixture.tallies["mixed"]
    assert tally.set_aside == {"messages: no answer": 1} and tally.left_out == {"a turn of more than 500 tokens": 1}
    quarantined = read_lines(tmp_path / "index-0-500" / "mixed.quarantine.jsonl")
    assert [(line["id"], line["where"].split(": ")[1]) for line in quarantined] == [("unanswered", "line 2")]
    found = {e.name.rsplit(": ", 1)[1]: e.error for e in map(mixture.examples.example, range(2))}
    assert found["line 1"] == ""
    assert found["line 4"].startswith("image unreadable: image bytes")


def test_names_that_begin_alike_are_kept_apart(tmp_path, tiny):
    write_lines(tmp_path, "lines", 5)
    write_lines(tmp_path, "lines-more", 7)
    assert [path.name for path in shards_of(tmp_path, "lines")] == ["lines-00000.jsonl"]
    shares = {name: Share(tuple(shards_of(tmp_path, name)), 1) for name in ("lines-more", "lines")}
    mixture = open_mixture(shares, tiny.processor, LIMITS, Budget(600, 64), 9, tmp_path / "index", workers=1)
    assert [source.size for source in mixture.examples.blend.sources] == [7, 5]
    assert {path.name for path in (tmp_path / "index").glob("*.npy")} >= {"lines.npy", "lines-more.npy"}


def test_no_augmentation_makes_a_sample_longer_than_the_limits(tmp_path, tiny):
    write_lines(tmp_path, "lines", 12)
    plain = mixture_of(tmp_path, tiny.processor, 12, Augmentation())
    longest = int(plain.examples.costs(0, 12)[0].max())
    grown = Augmentation(scale=(0.8, 3.0), margin=1)
    mixture = mixture_of(tmp_path, tiny.processor, 60, grown, Limits(longest, 2))
    tokens, views = mixture.examples.costs(0, 60)
    made = [mixture.examples.example(index) for index in range(60)]
    assert tokens.tolist() == [len(example.ids) for example in made] and not any(e.error for e in made)
    assert tokens.max() <= longest and views.max() <= 2


def test_many_files_do_not_stay_open(tmp_path, tiny):
    for number in range(300):
        write_lines(tmp_path / "many", f"s{number:03d}", 1, number)
    reader = SampleReader(tmp_path / "many")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert all(reader.image_bytes(reader[index]) for index in range(300))
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 128
    del reader
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no shard lines-\*"):
        shards_of(tmp_path, "lines")


def test_lines_below_each_other_are_no_single_line(tmp_path, tiny):
    """In one row of views two lines may lie: their texts do not follow each other from left to right."""
    sample, pictures = line_sample(0, random.Random(0))
    for region in sample.regions:
        region["box"] = [5, region["box"][1], 40, region["box"][3]]
    write_shard(tmp_path, "lines-00000", [(sample, pictures)])
    examples = mixture_of(tmp_path, tiny.processor, 1, Augmentation()).examples
    assert len(examples.example(0).line) == 0
