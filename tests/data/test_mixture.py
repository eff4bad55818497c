"""From public sets to training: conversion that goes on after a stop, a mixture of many sources, over-long samples."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import sphinx_x.training.engine as training_engine
from excerpts import EXCERPTS
from excerpts.files import picture, put
from shards import write_lines
from sphinx_x.conversation import parse_messages
from sphinx_x.data import lengths
from sphinx_x.data.lengths import PIECE, Limits, Meter, cut, images_before, measure_lengths, processor_key
from sphinx_x.data.mixture import Share, check_weights, open_mixture, weighted
from sphinx_x.data.packs import Budget
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError, SphinxXError
from sphinx_x.recipe import Recipe
from sphinx_x.sources import SOURCES, get_source
from sphinx_x.sources.base import Raw
from sphinx_x.sources.convert import Job, convert
from sphinx_x.training.trainer import Trainer
from sphinx_x.work.files import alone_in, read_lines

MIXED = ("ultrachat", "vqav2", "docvqa", "chartqa", "icdar2015", "publaynet", "llava")


def test_weights_and_ratios_are_not_mixed():
    """A weight is a share of all samples, a ratio a multiple of a source's own; one with neither counts 1."""
    here = (Path("a"),)
    with pytest.raises(DataError, match="b has a weight, a share of all samples, and a a ratio"):
        check_weights({"a": Share(here, ratio=1.0), "b": Share(here, 1.0)})
    sizes = {"a": 100, "b": 7}
    blend = weighted({"a": Share(here, ratio=0.5), "b": Share(here)}, sizes)
    assert [(one.name, one.size, one.weight) for one in blend] == [("a", 100, 50.0), ("b", 7, 7.0)]
    assert [one.weight for one in weighted({"a": Share(here, 3.0), "b": Share(here)}, sizes)] == [3.0, 1.0]


def questions(root: Path, images: int) -> None:
    """A release of VQAv2 with three questions about each of many images, every 20th of which is missing."""
    asked, answered = [], []
    for image in range(images):
        if image % 20:
            picture(root / "train2014" / f"COCO_train2014_{image:012d}.jpg", 20 + image % 7, 16)
        for k in range(3):
            number = 10 * image + k
            asked.append({"image_id": image, "question": f"What is {k}?", "question_id": number})
            votes = [{"answer": f"a{k}", "answer_confidence": "yes", "answer_id": 1}]
            answered.append(
                {"multiple_choice_answer": f"a{k}", "answers": votes, "image_id": image, "question_id": number}
            )
    put(root / "v2_OpenEnded_mscoco_train2014_questions.json", {"questions": asked})
    put(root / "v2_mscoco_train2014_annotations.json", {"annotations": answered})


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".settings.json"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_conversion_goes_on(tmp_path, workers):
    questions(tmp_path / "raw", 60)
    raw = Raw(tmp_path / "raw")
    source = get_source("vqav2")
    whole = convert(Job(source, raw, tmp_path / "whole"), workers=1, shard_size=2, max_bad=0.1)
    assert (whole.records, whole.samples, whole.set_aside) == (180, 57, {"image missing": 3})
    job, calls = Job(source, raw, tmp_path / "part"), []

    def stop(_):
        calls.append(len(list(job.out.glob("*.jsonl"))))
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            convert(job, workers=workers, shard_size=2, max_bad=0.1, progress=stop)
    assert 0 < calls[0] < calls[1] < 30 or workers > 1
    again = convert(job, workers=workers, shard_size=2, max_bad=0.1)
    assert again == whole and content(tmp_path / "part") == content(tmp_path / "whole")
    assert [line["id"] for line in read_lines(tmp_path / "part" / "quarantine.jsonl")] == ["0", "20", "40"]
    with pytest.raises(DataError, match="holds what was made of something else"):
        convert(Job(get_source("okvqa"), raw, tmp_path / "part"))


def test_too_many_unusable_records_stop_a_conversion(tmp_path):
    questions(tmp_path / "raw", 120)
    with pytest.raises(DataError, match=r"6 of 120 samples were set aside \(6: image missing\), more than 1.00%"):
        convert(Job(get_source("vqav2"), Raw(tmp_path / "raw"), tmp_path / "out"), workers=1)


def test_a_release_that_is_not_what_it_says_is_told(tmp_path):
    """Pictures of another size or from another folder, no record at all, a link in the way, a changed release."""
    coco = get_source("coco")
    EXCERPTS["coco"](tmp_path / "raw")
    good = convert(Job(coco, Raw(tmp_path / "raw"), tmp_path / "good"), workers=1)
    more = Raw(tmp_path / "raw", images=[tmp_path / "raw" / "train2017"])
    assert convert(Job(coco, more, tmp_path / "more"), workers=1) == good
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far")
    convert(Job(coco, Raw(tmp_path / "raw"), tmp_path / "link" / "out"), workers=1)
    reader = SampleReader(tmp_path / "far" / "out")
    assert reader.image_bytes(reader[0])

    pictures = sorted((tmp_path / "raw" / "train2017").iterdir())
    picture(pictures[0], 7, 7)
    tally = convert(Job(coco, Raw(tmp_path / "raw"), tmp_path / "turned"), workers=1, max_bad=1)
    assert tally.set_aside == {"image is not of the size that its annotations say": 1}
    (tmp_path / "raw" / "train2017").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="image missing"):
        convert(Job(coco, Raw(tmp_path / "raw"), tmp_path / "other"), workers=1)
    with pytest.raises(DataError, match="has changed"):
        convert(Job(coco, Raw(tmp_path / "raw"), tmp_path / "good"), workers=1)
    EXCERPTS["refcoco"](tmp_path / "refs")
    with pytest.raises(DataError, match="refcoco has no split 'validation'"):
        convert(Job(get_source("refcoco"), Raw(tmp_path / "refs", "validation"), tmp_path / "none"), workers=1)


def test_folders_of_others_are_left_alone(tmp_path):
    questions(tmp_path / "raw", 3)
    raw, source = Raw(tmp_path / "raw"), get_source("vqav2")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "vqav2-00000.jsonl").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        convert(Job(source, raw, tmp_path / "own"))
    assert (tmp_path / "own" / "vqav2-00000.jsonl").read_text() == "mine"
    with pytest.raises(DataError, match="file missing"):
        convert(Job(source, Raw(tmp_path / "own"), tmp_path / "out"))
    job = Job(source, raw, tmp_path / "out")  # the failed call has not claimed the folder
    whole = convert(job, workers=1, max_bad=1)
    (tmp_path / "out" / "vqav2-00000.jsonl").unlink()
    assert convert(job, workers=1, max_bad=1) == whole and (tmp_path / "out" / "vqav2-00000.jsonl").exists()
    with alone_in(tmp_path / "out"), pytest.raises(SphinxXError, match="another process is at work in it"):
        convert(job)


def test_a_broken_line_costs_one_sample(tmp_path):
    EXCERPTS["visualmrc"](tmp_path / "raw")
    path = tmp_path / "raw" / "data" / "train.jsonl"
    path.write_text(path.read_text() + "{broken\n")
    tally = convert(Job(get_source("visualmrc"), Raw(tmp_path / "raw"), tmp_path / "out"), workers=1, max_bad=1)
    assert tally.set_aside == {"not JSON": 1} and tally.samples > 0


@pytest.mark.slow
def test_a_killed_conversion_ends_the_same(tmp_path):
    questions(tmp_path / "raw", 3000)
    convert(Job(get_source("vqav2"), Raw(tmp_path / "raw"), tmp_path / "whole"), workers=2, shard_size=50, max_bad=0.1)
    work = (
        "from sphinx_x.sources.convert import *\nfrom sphinx_x.sources import get_source\n"
        f"job = Job(get_source('vqav2'), Raw({str(tmp_path / 'raw')!r}), Path({str(tmp_path / 'killed')!r}))\n"
        "convert(job, workers=2, shard_size=50, max_bad=0.1)"
    )
    rng = random.Random(1)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", work], env={"PYTHONPATH": ":".join(sys.path)})
        time.sleep(rng.uniform(0.2, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, "-c", work], check=True, env={"PYTHONPATH": ":".join(sys.path)})
    left = {name: data for name, data in content(tmp_path / "killed").items() if not name.endswith(".tmp")}
    assert left == content(tmp_path / "whole")


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(tmp_path):
    pytest.importorskip("ray", reason="needs the extra `cluster`")
    questions(tmp_path / "raw", 100)
    raw = Raw(tmp_path / "raw")
    for engine in ("local", "ray"):
        job = Job(get_source("vqav2"), raw, tmp_path / engine)
        convert(job, workers=2, shard_size=20, max_bad=0.1, engine=engine)
    assert content(tmp_path / "ray") == content(tmp_path / "local")


@pytest.fixture
def six(tmp_path):
    """Seven public sets, converted from their excerpts, and drawn lines: sources of a recipe."""
    sources = {}
    for name in MIXED:
        EXCERPTS[name](tmp_path / "raw" / name)
        convert(Job(SOURCES[name], Raw(tmp_path / "raw" / name), tmp_path / name), workers=1, max_bad=1)
        sources[name] = {"path": tmp_path / name, "ratio": 1.0}
    write_lines(tmp_path / "lines", "lines", 30)
    return sources | {"lines": {"path": tmp_path / "lines", "ratio": 1.0}}


def recipe_of(sources: dict, samples: int, **more) -> Recipe:
    settings = {
        "pack": {"tokens": 2500, "views": 128, "window": 64},
        "freeze": [],
        "log_every": 1,
        "workers": 0,
        "save_every": 1000,
        "max_tokens": 2000,
    }
    return Recipe(member="nano", folder=Path(), total_samples=samples, sources=sources, **settings | more)


def check_run(folder: Path, said: str) -> None:
    records = read_lines(folder / "log.jsonl")
    seen = {name for record in records for name in record["by_source"]}
    assert seen == {*MIXED, "lines"} and all(np.isfinite(record["loss"]) for record in records)
    assert not (folder / "bad_samples.jsonl").exists()
    for name in seen:  # one sample of each, as it is learned
        line = next(line for line in said.splitlines() if line.startswith(f"{name}: ") and "tokens" in line)
        assert "[[" in line and "of them trained" in line
    assert (folder / "model" / "model.safetensors").exists()


@pytest.mark.slow
def test_eight_sources_in_one_run(six, tmp_path, tiny_member, monkeypatch, caplog):
    caplog.set_level("INFO", "sphinx_x")
    monkeypatch.setattr(training_engine, "get_member", lambda _: tiny_member)
    Trainer(recipe_of(six, 120, dtype="float32"), tmp_path / "run").run()
    check_run(tmp_path / "run", "\n".join(caplog.messages))


@pytest.mark.slow
def test_eight_sources_train_nano(six, tmp_path, caplog):
    caplog.set_level("INFO", "sphinx_x")
    Trainer(recipe_of(six, 60, pack={"tokens": 6000, "views": 256}), tmp_path / "run").run()
    check_run(tmp_path / "run", "\n".join(caplog.messages))


def long_dialogue(turns: int, words: int) -> dict:
    """A dialogue with an image in its second turn, whose answers say which they are."""
    messages = [{"role": "system", "content": "Be brief."}]
    for k in range(turns):
        ahead = [{"type": "image"}] if k == 1 else []
        messages.append({"role": "user", "content": [*ahead, {"type": "text", "text": f"Question {k}?"}]})
        messages.append({"role": "assistant", "content": f"<{k}" + "x" * (words * (5 if k == 4 else 1)) + ">"})
    return {"id": "long", "images": ["red.png"], "messages": messages}


@pytest.mark.parametrize(("policy", "pieces"), [("split", 3), ("aside", 0)])
def test_over_long_dialogues_are_cut_between_turns_only(tmp_path, tiny, policy, pieces):
    picture(tmp_path / "red.png", 60, 12)
    (tmp_path / "a.jsonl").write_text(json.dumps(long_dialogue(8, 60)) + "\n")
    processor, limits = tiny.processor, Limits(300, 64, policy)
    reader = SampleReader(tmp_path / "a.jsonl")
    meter = Meter("a", reader, processor.prompt_builder(), processor.image_processor.grid(), limits, tmp_path / "index")
    found = measure_lengths(meter, processor_key(processor), workers=1)
    assert len(found.pieces) == pieces and found.tally.bad == 0
    if policy == "aside":
        assert found.tally.left_out == {"more than 300 tokens": 1}
        return
    assert found.tally.left_out == {"a turn of more than 300 tokens": 1}
    shares = {"a": Share((tmp_path / "a.jsonl",), 1)}
    mixture = open_mixture(shares, processor, limits, Budget(300, 64), pieces, tmp_path / "index", workers=1)
    examples = [mixture.examples.example(k) for k in range(pieces)]
    assert not any(example.error for example in examples)
    said = "".join(processor.tokenizer.decode(e.ids[e.labels >= 0]) for e in sorted(examples, key=lambda e: e.name))
    assert [f"<{k}" in said for k in range(8)] == [k != 4 for k in range(8)]
    assert said.count("<") - said.count("<|eot|>") == said.count("x>") == 7, "no answer is cut"
    starts = [processor.tokenizer.decode(example.ids) for example in examples]
    assert all("Be brief." in text for text in starts)
    with_image = [len(example.views) > 0 for example in sorted(examples, key=lambda e: e.name)]
    assert with_image == [True] * pieces, "what comes after an image still shows it"


def test_a_piece_keeps_the_numbers_of_its_images():
    record = long_dialogue(3, 2)
    messages = parse_messages(record["messages"])
    part = cut(messages, 5, 7)
    assert [message.role for message in part] == ["system", "user", "assistant"]
    assert images_before(part, len(part)) == images_before(messages, 7) == 1
    assert images_before(messages, 3) == 0 and cut(messages, 0, 3) == messages[:3]


def test_lengths_are_measured_once_and_go_on_after_a_stop(tmp_path, tiny, monkeypatch):
    write_lines(tmp_path, "lines", 35)
    processor, limits = tiny.processor, Limits(300, 64)
    monkeypatch.setattr(lengths, "CHUNK", 10)

    def measured(folder: str, limits=limits, progress=lambda *_: None):
        reader = SampleReader(tmp_path / "lines-00000.jsonl")
        parts = (processor.prompt_builder(), processor.image_processor.grid(), limits, tmp_path / folder)
        return measure_lengths(Meter("lines", reader, *parts), processor_key(processor), 1, progress=progress)

    def stop(_, tally):
        if tally.records == 20:
            raise KeyboardInterrupt

    whole = measured("whole")
    assert whole.pieces.dtype == PIECE and whole.pieces["sample"].tolist() == list(range(35))
    with pytest.raises(KeyboardInterrupt):
        measured("part", progress=stop)
    assert len(list((tmp_path / "part").glob("*.tally.json"))) == 2
    calls: list[int] = []
    part = measured("part", progress=lambda _, tally: calls.append(tally.records))
    assert calls == [30, 35] and (part.pieces == whole.pieces).all() and part.tally == whole.tally
    measured("part", progress=lambda *_: pytest.fail("was measured already"))
    assert len(measured("part", Limits(80, 64, "aside")).pieces) < 35  # other limits: made anew


@pytest.mark.slow
def test_fifty_million_samples_cost_little_memory(tmp_path, tiny):
    """A mixture of tables of 50 million rows on disk (sparse files, as if measured) grows no process by 300 MB."""
    work = f"""
import numpy as np, time
from pathlib import Path
from sphinx_x.data.augment import Augmentation
from sphinx_x.data.blend import Blend, Weighted
from sphinx_x.data.lengths import PIECE, Limits
from sphinx_x.data.loader import Examples
from sphinx_x.data.packs import Budget, PackPlan, Position
from sphinx_x.inference import load_processor
processor = load_processor("nano")
def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1e3
folder = Path({str(tmp_path)!r})
sizes, tables = (40_000_000, 9_000_000, 1_000_000), []
for size in sizes:
    table = np.lib.format.open_memmap(folder / f"{{size}}.npy", "w+", PIECE, (size,))
    for start in range(0, size, size // 5):
        table["tokens"][start : start + 2000] = 700
    table.flush(); del table
    tables.append(np.load(folder / f"{{size}}.npy", mmap_mode="r"))
before = anonymous()
blend = Blend([Weighted(str(size), size, size) for size in sizes], 50_000_000, 1)
examples = Examples([None] * 3, tables, blend, processor, Augmentation(), Limits(4096, 64))
plan = PackPlan(examples.costs, 50_000_000, Budget(16384, 64, 2048), 1)
began = time.process_time()
steps = plan.steps(8, Position(20_000, 3))
for _ in range(60):
    next(steps)
print(anonymous() - before, time.process_time() - began)
"""
    done = subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, check=True)
    grown, seconds = map(float, done.stdout.split())
    assert grown < 300 and seconds < 30
