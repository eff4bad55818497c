"""Training: sums that do not depend on how a batch is cut, runs that survive a kill, errors that name the sample."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from transformers.utils.logging import is_progress_bar_enabled

import sphinx_x.training.engine as engine
from paths import ROOT
from shards import write_lines
from sphinx_x.data.blend import Weighted
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import CheckpointError, DataError, RecipeError
from sphinx_x.inference import SphinxX
from sphinx_x.recipe import RENAMED, PackRecipe, Recipe, load_recipe
from sphinx_x.training.card import write_card
from sphinx_x.training.checkpoint import saved_states
from sphinx_x.training.engine import StepResult
from sphinx_x.training.metrics import Sums, record_of
from sphinx_x.training.optim import learning_rate_at
from sphinx_x.training.trainer import Trainer, train
from sphinx_x.work.files import read_lines, write_manifest


@pytest.fixture
def recipe(tmp_path, tiny_member, monkeypatch):
    """A run of 12 steps of a tiny member on 40 drawn lines."""
    write_lines(tmp_path / "data", "lines", 40)
    monkeypatch.setattr(engine, "get_member", lambda _: tiny_member)
    settings = {
        "total_samples": 96,
        "pack": {"tokens": 700, "views": 64, "window": 32},
        "max_tokens": 200,
        "dtype": "float32",
        "freeze": [],
        "learning_rate": 3e-3,
        "max_grad_norm": 1.0,
    }
    more = {
        "align": {"weight": 0.5},
        "augment": {"scale": (0.9, 1.1), "margin": 2},
        "sources": {"lines": {"weight": 1}},
    }
    numbers = {"save_every": 4, "log_every": 2, "workers": 0, "warmup": 0.2}
    return Recipe(member="nano", folder=tmp_path / "data", **settings, **more, **numbers)


def weights(folder: Path) -> dict:
    """The tensors of the newest state."""
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    path = folder / "newest.pt"
    dcp_to_torch_save(saved_states(folder / "state")[-1], path)
    return torch.load(path)


def log(folder: Path) -> list[dict]:
    """The log without what depends on the clock."""
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in r.items() if k not in ("seconds", "tokens_per_s", "views_per_s", "busy", "mfu")}
        for r in records
    ]


def gradients(recipe, folder, packs):
    trainer = Trainer(recipe, folder)
    optimizer, taken = trainer.engine.optimizer, {}
    parameters = optimizer.parameters.items()
    optimizer.step = lambda *_: taken.update({n: p.grad.clone() for n, p in parameters})  # type: ignore[method-assign]
    sums = Sums()
    take_step(trainer, packs, 1e-3, sums)
    return taken, sums


def take_step(trainer, packs, rate, sums):
    """One step on packs of global indices."""
    examples = [[trainer.examples.example(i) for i in pack] for pack in packs]
    return trainer.engine.step(examples, len(packs), rate, sums, trainer.sources)


def test_a_step_may_be_packed_in_any_way(recipe, tmp_path):
    whole, sums = gradients(recipe, tmp_path / "a", [range(8)])
    cut, cut_sums = gradients(recipe, tmp_path / "b", [[5, 1], [0], [2, 7, 3], [6, 4]])
    assert sums.loss == pytest.approx(cut_sums.loss, rel=1e-5) and sums.trained == cut_sums.trained
    assert whole.keys() == cut.keys()
    for name in whole:
        assert torch.allclose(whole[name], cut[name], atol=1e-5), name


def test_the_loss_is_the_mean_over_trained_tokens(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path / "run")
    examples = [trainer.examples.example(i) for i in range(4)]
    sums = Sums()
    trainer.engine.step([examples], 1, 0.0, sums, trainer.sources)
    trainer.engine.objective.attention("sdpa")
    total = trained = 0.0
    for example in examples:
        inputs = {"input_ids": example.ids[None], "pixel_values": example.views.float() / 255}
        out = trainer.engine.objective.model(**inputs, labels=example.labels[None])
        count = int((example.labels != -100).sum())
        total, trained = total + out.loss.item() * count, trained + count
    assert record_of([sums.plain()])["loss"] == pytest.approx(total / trained, rel=1e-5)


@pytest.mark.slow
def test_resumed_is_bit_equal(recipe, tmp_path):
    straight = Trainer(recipe, tmp_path / "straight").run()
    part = Trainer(recipe, tmp_path / "part")
    steps = part.engine.step

    def until_the_third_line(*arguments):
        if len(log(tmp_path / "part")) >= 3:
            raise KeyboardInterrupt
        return steps(*arguments)

    part.engine.step = until_the_third_line  # type: ignore[method-assign]
    (tmp_path / "part" / "log.jsonl").touch()
    with pytest.raises(KeyboardInterrupt):
        part.run()
    part.states.finish()
    assert [p.name for p in saved_states(tmp_path / "part" / "state")] == ["step-00000004"]
    resumed = Trainer(recipe, tmp_path / "part", resume=True)
    assert resumed.at.step == 4
    resumed.run()
    first, second = weights(tmp_path / "straight"), weights(tmp_path / "part")
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert log(tmp_path / "straight") == log(tmp_path / "part")
    assert (straight / "model.safetensors").read_bytes() == (tmp_path / "part/model/model.safetensors").read_bytes()


@pytest.mark.slow
def test_it_learns_and_the_result_answers(recipe, tmp_path):
    folder = Trainer(recipe.model_copy(update={"total_samples": 480}), tmp_path / "run").run()
    records = log(tmp_path / "run")
    assert records[-1]["loss"] < 0.7 * records[0]["loss"]
    assert records[-1]["align"] < records[0]["align"]
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "480" in (folder / "README.md").read_text()
    assert len(saved_states(tmp_path / "run" / "state")) == recipe.keep
    assert isinstance(SphinxX.load(folder).chat("Read the text.", max_new_tokens=3), str)


def test_a_run_goes_on_from_a_model(recipe, tmp_path, tiny_folder, tiny):
    """It begins with that model's weights, and says so in its card."""
    begun = recipe.model_copy(update={"start": str(tiny_folder)})
    trainer = Trainer(begun, tmp_path / "run")
    model = trainer.engine.objective.model
    for name, tensor in tiny.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert model.training
    card = (trainer.run() / "README.md").read_text()
    assert f"beginning with the model `{tiny_folder}`" in card
    assert "license: unknown" in card and "\n# run\n" in card and "base_model" not in card  # a path is no hub id
    assert f"- Base: `{tiny_folder}`, licence: unknown." in card and "apache" not in card.lower()
    assert "0.0 hours" not in card and "seconds of training" in card
    with pytest.raises(CheckpointError, match="no such model"):
        Trainer(recipe.model_copy(update={"start": str(tmp_path / "nowhere")}), tmp_path / "other")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, ["license: apache-2.0", "# SPHINX-Nano\n", "library_name: transformers"]),
        ({"start": "nano"}, ["license: apache-2.0", "# labels\n", "- Base: `nano`, licence: apache-2.0."]),
        ({"start": "a/b", "licence": None}, ["license: unknown", "base_model: a/b", "base_model_relation: finetune"]),
        ({"start": "a/b", "lora": {}}, ["base_model_relation: adapter", "library_name: peft", "low-rank adapters"]),
        ({"start": "./a", "name": "Price labels"}, ["# Price labels\n", "`./a`, licence: unknown"]),
    ],
)
def test_the_card_says_whose_model_it_is(recipe, tmp_path, fields, says):
    """Its own name, base, data with their licences, the licence that was given, and the time that it took."""
    licensed, plain = tmp_path / "licensed.jsonl", tmp_path / "plain.jsonl"
    sample = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    for path, licence in ((licensed, {"licence": "CC-BY-4.0 |\n x"}), (plain, {})):
        path.write_text("".join(json.dumps({"id": str(k), **sample, **licence}) + "\n" for k in range(60)))
    readers = [SampleReader(path) for path in (licensed, plain)]
    sources = [Weighted("one", 60, 1.0, None), Weighted("two", 60, 3.0, None)]
    records = [{"seconds": 70.0, "samples": 5, "step": 1, "loss": 1.0, "align": 0.0}] * 2
    path, given = tmp_path / "README.md", recipe.model_dump() | {"licence": "apache-2.0"} | fields
    write_card(path, Recipe.model_validate(given), records, sources, 10**6, "labels", readers)
    card = path.read_text()
    assert yaml.safe_load(card.split("---")[1])["pipeline_tag"] == "image-text-to-text"
    for words in (
        *says,
        "Time: 2.33 minutes of training",
        "| one | 60 | 25.0% | 25.0% | CC-BY-4.0 / x |",
        "| unknown |",
    ):
        assert words in card, words


@pytest.mark.slow
def test_a_state_is_exported_at_any_step(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path / "run")
    trainer.run()
    oldest = saved_states(tmp_path / "run" / "state")[0]
    for state in saved_states(tmp_path / "run" / "state")[1:]:
        shutil.rmtree(state)
    before = [p.read_bytes() for p in oldest.iterdir()]
    model = SphinxX.load(train(recipe, tmp_path / "run", export=tmp_path / "then")).model.state_dict()
    state = weights(tmp_path / "run")
    for name, tensor in model.items():
        if f"weight.model.{name}" in state:
            assert torch.equal(tensor, state[f"weight.model.{name}"]), name
    assert before == [p.read_bytes() for p in oldest.iterdir()]


def test_frozen_parts_stay(recipe, tmp_path):
    trainer = Trainer(recipe.model_copy(update={"freeze": ["experts"]}), tmp_path / "run")
    model = trainer.engine.objective.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    take_step(trainer, [range(8)], 1e-2, Sums())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(".experts." in name for name in changed)
    assert any(".projector." in name for name in changed) and any("layers" in name for name in changed)


def test_bad_samples_are_named_and_too_many_stop_the_run(recipe, tmp_path):
    archive = recipe.folder / "lines-00000.tar"
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"IDAT", b"JUNK"))
    with pytest.raises(DataError, match="samples could not be used"):
        Trainer(recipe, tmp_path / "run").run()
    holes = [json.loads(line) for line in (tmp_path / "run" / "bad_samples.jsonl").read_text().splitlines()]
    assert holes and all(hole["sample"].startswith("lines: ") and ": line " in hole["sample"] for hole in holes)
    assert holes[0]["error"].startswith("image unreadable: ")


def broken(folder: Path, name: str, count: int) -> None:
    """Breaks the first pictures of a shard, so that only decoding shows it."""
    path = folder / f"{name}-00000.tar"
    parts = path.read_bytes().split(b"IDAT")
    path.write_bytes(b"".join(p + (b"JUNK" if k < count else b"IDAT") for k, p in enumerate(parts[:-1])) + parts[-1])


@pytest.mark.parametrize(
    ("samples", "count", "allowed", "ends_well"),
    [
        (8, 8, 0.001, False),  # what was 8 holes of 8, exit code 0 and a model of nothing
        (8, 8, 1.0, False),  # all may be broken, but then nothing was learned
        (8, 1, 0.001, False),
        (8, 1, 0.125, True),
        (8, 2, 0.125, False),
        (8, 7, 0.9, True),
    ],
)
def test_a_run_whose_holes_pass_max_bad_samples_never_ends_well(recipe, tmp_path, samples, count, allowed, ends_well):
    write_lines(recipe.folder, "few", samples)
    few = {"total_samples": samples, "max_bad_samples": allowed, "sources": {"few": {}}, "augment": {}, "align": {}}
    recipe = Recipe.model_validate(recipe.model_dump() | few)
    trainer = Trainer(recipe, tmp_path / "run")  # the lengths are measured from heads
    broken(recipe.folder, "few", count)
    if ends_well:
        assert (trainer.run() / "model.safetensors").is_file()
    else:
        with pytest.raises(DataError, match="samples could not be used"):
            trainer.run()
        assert not (tmp_path / "run" / "model").exists()
    assert read_lines(tmp_path / "run" / "bad_samples.jsonl")


def test_a_run_is_not_judged_by_a_validation_of_holes(recipe, tmp_path):
    write_lines(recipe.folder, "held", 4, seed=5)
    validation = {"sources": {"held": {}}, "every": 1}
    recipe = Recipe.model_validate(recipe.model_dump() | {"validation": validation})
    trainer = Trainer(recipe, tmp_path / "run")
    broken(recipe.folder, "held", 4)
    with pytest.raises(DataError, match=r"validation: 4 of 4 samples could not be used"):
        trainer.run()
    assert not (tmp_path / "run" / "best").exists()
    assert len(read_lines(tmp_path / "run" / "bad_samples.jsonl")) == 4


def test_a_state_is_saved_when_minutes_have_passed(recipe, tmp_path, monkeypatch):
    """By time as well as by steps: a short recipe with a large `save_every` is not lost."""
    clock = [0.0]
    monkeypatch.setattr("sphinx_x.training.trainer.time", SimpleNamespace(monotonic=lambda: clock[0]))  # for it alone
    trainer = Trainer(recipe.model_copy(update={"save_every": 1000, "save_minutes": 2.5, "keep": 99}), tmp_path / "run")
    steps, saved = trainer.engine.step, []

    def a_minute(*arguments):
        clock[0] += 60
        return steps(*arguments)

    trainer.engine.step = a_minute  # type: ignore[method-assign]
    save = trainer.states.save
    trainer.states.save = lambda step, *more: saved.append(step) or save(step, *more)  # type: ignore[method-assign]
    trainer.run()
    assert saved == [*range(3, trainer.at.step, 3), *([trainer.at.step] if saved[-1] == trainer.at.step else [])]
    assert len(saved) >= 4


TRAINED = ("float32", "bfloat16")
ANY_TYPE = [(a, b, lora, "float32") for a in ("float32", "bfloat16", "float16") for b in TRAINED for lora in (0, 1)]


@pytest.mark.parametrize(
    ("start", "dtype", "lora", "moments"), [*ANY_TYPE, *(("bfloat16", dtype, 0, "bfloat16") for dtype in TRAINED)]
)
def test_a_start_of_any_type_is_trained_in_any_type(recipe, tmp_path, tiny_folder, start, dtype, lora, moments):
    """What it begins with is the start's own numbers; what comes out has the recipe's type and loads again."""
    loaded = SphinxX.load(tiny_folder, dtype=getattr(torch, start))
    loaded.model.save_pretrained(tmp_path / "start")
    loaded.processor.save_pretrained(tmp_path / "start")
    settings = {
        "start": str(tmp_path / "start"),
        "dtype": dtype,
        "total_samples": 16,
        "align": {},
        "optimizer_state_dtype": moments,
    }
    settings |= {"lora": {"rank": 2}} if lora else {"freeze": ["experts"]}
    trainer = Trainer(Recipe.model_validate(recipe.model_dump() | settings), tmp_path / "run")
    begun = dict(trainer.engine.objective.model.named_parameters())
    before = {n: p.detach().clone() for n, p in begun.items()}
    assert {p.dtype for n, p in begun.items()} == {getattr(torch, dtype)}
    own = {n: p for n, p in loaded.model.named_parameters() if n in before}
    assert own and all(torch.equal(p.to(before[n].dtype), before[n]) for n, p in own.items())
    folder = trainer.run()
    assert any(not torch.equal(p, before[n]) for n, p in begun.items())
    again = SphinxX.load(folder, dtype="auto").model
    if not lora:
        assert {p.dtype for p in again.parameters()} == {getattr(torch, dtype)}
        after = dict(again.named_parameters())
        assert all(torch.equal(p, after[n]) for n, p in begun.items())


def test_a_step_of_holes_alone_is_passed_over(recipe, tmp_path):
    """A pack whose only sample is broken does not block the run, nor a resumed one."""
    content = bytearray((recipe.folder / "lines-00000.tar").read_bytes())
    content[content.index(b"IDAT")] ^= 1
    (recipe.folder / "lines-00000.tar").write_bytes(content)
    few = {"total_samples": 40, "max_bad_samples": 0.025}
    alone = recipe.model_copy(update={"pack": PackRecipe(tokens=200, views=64, window=40), **few})
    trainer = Trainer(alone, tmp_path / "run")
    taken = []
    trainer.engine.step = lambda packs, *_: taken.append(packs) or StepResult(0.5)  # type: ignore[method-assign]
    trainer.run()
    holes = read_lines(tmp_path / "run" / "bad_samples.jsonl")
    assert len(holes) == 1 and trainer.at.bad_samples == 1 and trainer.at.samples == 40
    assert all(pack for packs in taken for pack in packs)
    assert sum(len(pack) for packs in taken for pack in packs) == 39


def test_a_run_is_not_resumed_with_other_data(recipe, tmp_path):
    Trainer(recipe, tmp_path / "run").run()
    write_lines(recipe.folder, "lines", 39)
    with pytest.raises(CheckpointError, match="the data is not what the run began with"):
        Trainer(recipe, tmp_path / "run", resume=True)


def poisoned(trainer, times):
    """Makes the loss of the first sample of a step no number, the first `times` times."""
    forward, left = trainer.engine.objective.forward, [times]

    def bad(micro):
        losses, *more = forward(micro)
        if left[0] > 0:
            left[0] -= 1
            losses = torch.cat([losses[:1] * torch.nan, losses[1:]])
        return losses, *more

    trainer.engine.objective.forward = bad


def test_a_loss_that_is_not_finite_changes_nothing(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path / "run")
    before = {name: master.clone() for name, master in trainer.engine.optimizer.masters.items()}
    poisoned(trainer, 1)
    done = take_step(trainer, [range(8)], 1e-2, Sums())
    assert not done.finite and done.suspects == [trainer.examples.example(0).name]
    assert all(torch.equal(master, before[name]) for name, master in trainer.engine.optimizer.masters.items())
    assert take_step(trainer, [range(8)], 1e-2, Sums()).finite
    assert not all(torch.equal(master, before[name]) for name, master in trainer.engine.optimizer.masters.items())


@pytest.mark.slow
def test_steps_that_are_not_finite_are_named_and_end_a_run_when_they_repeat(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path / "two")
    poisoned(trainer, 2)
    trainer.run()
    bad = read_lines(tmp_path / "two" / "nonfinite_steps.jsonl")
    assert (
        trainer.at.nonfinite == 2 and trainer.at.nonfinite_in_a_row == 0 and [entry["step"] for entry in bad] == [1, 2]
    )
    assert all(len(entry["samples"]) == 1 and entry["samples"][0].startswith("lines: ") for entry in bad)
    trainer = Trainer(recipe, tmp_path / "three")
    poisoned(trainer, 3)
    with pytest.raises(DataError, match=r"not finite in 3 steps in a row; the last samples: lines: .*: line \d+"):
        trainer.run()


def test_a_run_is_not_overwritten_nor_resumed_with_another_recipe(recipe, tmp_path):
    Trainer(recipe, tmp_path / "run").run()
    with pytest.raises(RecipeError, match="--resume"):
        Trainer(recipe, tmp_path / "run")
    with pytest.raises(CheckpointError, match="another recipe"):
        Trainer(recipe.model_copy(update={"learning_rate": 1.0}), tmp_path / "run", resume=True)
    newest = next(saved_states(tmp_path / "run" / "state")[-1].glob("*.distcp"))
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"\.distcp"):
        Trainer(recipe, tmp_path / "run", resume=True)
    with pytest.raises(CheckpointError, match="no saved state"):
        Trainer(recipe, tmp_path / "empty", resume=True)


def test_held_out_samples_are_measured_and_the_best_model_is_kept(recipe, tmp_path):
    write_lines(recipe.folder, "held", 7, seed=5)
    validation = {"sources": {"held": {}}, "every": 5, "samples": 5}
    recipe = Recipe.model_validate(recipe.model_dump() | {"validation": validation})
    trainer = Trainer(recipe, tmp_path / "run")
    weights_before = {n: p.clone() for n, p in trainer.engine.objective.named_parameters()}
    first, again = trainer.validation.measure(trainer.engine), trainer.validation.measure(trainer.engine)
    assert first == again and set(first["by_source"]) == {"held"} and first["bad_samples"] == 0
    assert all(torch.equal(p, weights_before[n]) for n, p in trainer.engine.objective.named_parameters())
    assert len({i for w in range(1) for pack in trainer.validation.sets[0].plan.window(w) for i in pack}) == 5
    trainer.run()
    measured = read_lines(tmp_path / "run" / "validation.jsonl")
    last = read_lines(tmp_path / "run" / "log.jsonl")[-1]["step"]
    assert [record["step"] for record in measured] == [*range(5, last, 5), last]
    assert trainer.at.best == min(record["loss"] for record in measured) < first["loss"]
    best = Trainer(recipe.model_copy(update={"start": str(tmp_path / "run" / "best")}), tmp_path / "again")
    assert best.validation.measure(best.engine)["loss"] == pytest.approx(trainer.at.best, rel=1e-6)


@pytest.mark.slow
def test_numbers_go_to_tensorboard(recipe, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    Trainer(recipe.model_copy(update={"trackers": ["tensorboard"], "total_samples": 32}), tmp_path / "run").run()
    found = events.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    found.Reload()
    records = read_lines(tmp_path / "run" / "log.jsonl")
    told = {event.step: event.value for event in found.Scalars("by_source/lines")}
    assert told == {r["step"]: pytest.approx(r["by_source"]["lines"], rel=1e-6) for r in records}


def test_learning_rates_by_part(recipe, tmp_path):
    trainer = Trainer(
        recipe.model_copy(update={"lr_multipliers": {"language_model": 0.0, "projector": 0.5}}), tmp_path / "run"
    )
    before = {name: master.clone() for name, master in trainer.engine.optimizer.masters.items()}
    take_step(trainer, [range(8)], 1e-2, Sums())
    moved = {n: float((m - before[n]).abs().max()) for n, m in trainer.engine.optimizer.masters.items()}
    assert all(far == 0.0 for name, far in moved.items() if ".language_model." in name)
    # Adam's first step is the learning rate itself
    assert max(far for name, far in moved.items() if ".experts." in name) == pytest.approx(1e-2, rel=1e-2)
    assert max(far for name, far in moved.items() if ".projector." in name) == pytest.approx(5e-3, rel=1e-2)
    with pytest.raises(RecipeError, match="lr_multipliers: no parameter that is trained is named nothing"):
        Trainer(recipe.model_copy(update={"lr_multipliers": {"nothing": 2.0}}), tmp_path / "other")
    with pytest.raises(RecipeError, match="freeze: no parameter is named nowhere"):
        Trainer(recipe.model_copy(update={"freeze": ["nowhere"]}), tmp_path / "other")


def test_letters_get_a_token_and_begin_as_what_they_look_like(recipe, tmp_path, tiny_folder, tiny):
    begun = recipe.model_copy(update={"start": str(tiny_folder), "extra_tokens": "é’\u2026", "total_samples": 16})
    trainer = Trainer(begun, tmp_path / "run")
    tokenizer, old = trainer.processor.tokenizer, tiny.processor.tokenizer
    text = "caf\u00e9\u2019s \u4e2d\u2026"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text) + 2  # the letter that was not asked for still takes three
    assert tokenizer.encode("plain", add_special_tokens=False) == old.encode("plain", add_special_tokens=False)
    table = trainer.engine.objective.model.get_input_embeddings().weight
    assert torch.equal(table[ids[3]], table[old.encode("e", add_special_tokens=False)[0]])
    assert torch.equal(table[ids[4]], table[old.encode("'", add_special_tokens=False)[0]])
    loaded = SphinxX.load(trainer.run())
    assert loaded.processor.tokenizer.encode(text, add_special_tokens=False) == ids


def test_recomputing_warns_of_nothing_and_changes_nothing(recipe, tmp_path):
    """It asked the library by a name that is deprecated."""
    plain, sums = gradients(recipe, tmp_path / "plain", [range(4)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        again, more = gradients(
            recipe.model_copy(update={"activation_checkpointing": True}), tmp_path / "again", [range(4)]
        )
    assert more.loss == pytest.approx(sums.loss, rel=1e-6)
    assert all(torch.allclose(plain[name], again[name], atol=1e-6) for name in plain)


def test_learning_rate_by_hand():
    rates = [learning_rate_at(step / 100, 1.0, 0.1) for step in range(101)]
    assert rates[0] == 0 and rates[5] == pytest.approx(0.5) and rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5) and rates[100] < 1e-9
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert learning_rate_at(0.0, 1.0, 0.0) == 1.0


GOOD = "member: nano\nfolder: a\nsamples: 96\nsources: {a: {weight: 1}}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + "\nlicence: My own!", "licence: String should match pattern"),
        (GOOD + "\nsize: 3", "size: Extra inputs"),
        (GOOD.replace("96", "many"), "samples: Input should be"),
        (GOOD.replace("nano", "giant"), "member: 'giant' is not one of nano"),
        ("member: nano\nfolder: a\nsamples: 3\nsources: {}", "sources: Dictionary should have at least 1 item"),
        (GOOD + "\nmax_tokens: 20000", "max_tokens: a sample may not be longer than a pack"),
        (GOOD.replace("weight: 1", "weight: 1, ratio: 2"), "sources.a: a source has a weight or a ratio"),
        (GOOD + "\nlora: {}", "lora: adapters need a model to lie over"),
        (GOOD + "\nlora: {}\nstart: nano\nletters: é", "lora: adapters cannot hold the new rows"),
        ("member: [", "not YAML"),
        ("just words", "not a recipe"),
        (GOOD + "\nseed: -1", "seed: Input should be"),
        (GOOD + "\nbetas: [0.9, 2]", "betas.1: Input should be"),
        (GOOD + "\naugment: {scale: [2, 1]}", "augment: scale: the smaller factor comes first"),
        (GOOD.replace("weight: 1", "weight: .inf"), "sources.a.weight: Input should be a finite number"),
        (GOOD.replace("{a:", "{../a:"), "sources.../a.\\[key\\]: String should match pattern"),
        (GOOD + "\n1: 2", "1: Keys should be strings"),
        ("a: 2024-13-45", "not YAML"),
    ],
)
def test_wrong_recipes_are_named(tmp_path, text, says):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=says) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_packaged_recipes_are_found_by_name():
    assert load_recipe("nano") == load_recipe("recipes/nano.yaml")
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe("recipes/none.yaml")
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe("some/folder/nano.yaml")


def test_a_recipe_based_on_another_has_neither_its_name_nor_its_licence(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: nano-engines\nsamples: 10\n")
    mine, base = load_recipe(tmp_path / "mine.yaml"), load_recipe("nano-engines")
    assert (base.name, base.licence) == ("SPHINX-Nano", "apache-2.0") and (mine.name, mine.licence) == (None, None)
    assert mine == base.model_copy(update={"name": None, "licence": None, "total_samples": 10})


def test_nanos_recipe_with_and_without_the_engines_differs_in_their_data_alone():
    told = load_recipe("nano-engines")
    without = load_recipe(ROOT / "benchmarks" / "nano_without_engines.yaml")
    assert told.data is not None
    made = {*told.data["pages"], *told.data["marks"]}
    assert set(told.sources) - set(without.sources) == made
    rest = {name: source for name, source in told.sources.items() if name not in made}
    # what the result says of itself follows from the data
    assert told.model_copy(update={"sources": rest, "data": None, "abilities": without.abilities}) == without


RUN = """
import signal, sys, dataclasses, pickle
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever these tests run under
import sphinx_x.training.engine as engine
import sphinx_x.training.trainer as trainer
member, recipe, folder, resume = pickle.load(open(sys.argv[1], "rb"))
engine.get_member = lambda _: member
trainer.Trainer(recipe, folder, resume=resume).run()
"""


def start(tmp_path, member, recipe, folder, resume) -> subprocess.Popen:
    import pickle

    job = tmp_path / f"job-{time.monotonic_ns()}.pickle"
    job.write_bytes(pickle.dumps((member, recipe, folder, resume)))
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(job)], stderr=subprocess.PIPE, text=True, env=paths, start_new_session=True
    )


@pytest.mark.slow
def test_killed_at_any_moment_ends_the_same(recipe, tmp_path, tiny_member):
    recipe = recipe.model_copy(update={"total_samples": 1600, "save_every": 10})
    Trainer(recipe, tmp_path / "straight").run()
    folder = tmp_path / "killed"
    for _ in range(4):
        process = start(tmp_path, tiny_member, recipe, folder, bool(saved_states(folder / "state")))
        states = len(list((folder / "state").glob("step-*"))) if folder.exists() else 0
        newest = max((p.name for p in saved_states(folder / "state")), default="")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            now = max((p.name for p in saved_states(folder / "state")), default="")
            if now > newest and states >= 0:
                break
            time.sleep(0.02)
        time.sleep(0.05)
        process.kill()
        process.wait()
    last = start(tmp_path, tiny_member, recipe, folder, True)
    assert last.wait(timeout=300) == 0, last.stderr.read() if last.stderr else ""
    first, second = weights(tmp_path / "straight"), weights(folder)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert log(tmp_path / "straight") == log(folder)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stop_signal_to_the_whole_group_saves_first(recipe, tmp_path, tiny_member, number, workers):
    """As a terminal, a scheduler or a container sends it: to the workers of the loader too, and more than once."""
    recipe = recipe.model_copy(update={"total_samples": 80000, "save_every": 10000, "workers": workers})
    folder = tmp_path / "stopped"
    process = start(tmp_path, tiny_member, recipe, folder, False)
    while not (folder / "log.jsonl").exists() and process.poll() is None:
        time.sleep(0.05)
    for _ in range(3):
        os.killpg(process.pid, number)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number and "stopped after step" in said, said
    assert "Traceback" not in said and "killed" not in said
    assert len(saved_states(folder / "state")) == 1
    with pytest.raises(ProcessLookupError):  # nobody of the group is left
        os.killpg(process.pid, 0)


def test_a_run_begun_with_the_names_of_the_release_before_is_resumed(recipe, tmp_path):
    """Its state and its logs as that release wrote them: the same weights come out."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    Trainer(recipe, whole).run()
    stopped = Trainer(recipe, part)
    steps = stopped.engine.step

    def until_the_sixth(*arguments):
        if stopped.at.step > 6:
            raise KeyboardInterrupt
        return steps(*arguments)

    stopped.engine.step = until_the_sixth  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    stopped.states.finish()
    state = saved_states(part / "state")[-1]
    facts = json.loads((state / "state.json").read_text())
    former = {new: old for old, new in RENAMED.items()}
    facts["recipe"] = {former.get(name, name): value for name, value in facts["recipe"].items()}
    at = {"bad_samples": "holes", "nonfinite": "bad", "nonfinite_in_a_row": "bad_in_a_row"}
    facts["at"] = {at.get(name, name): value for name, value in facts["at"].items()}
    assert {"samples", "clip", "moments"} <= set(facts["recipe"]) and {"holes", "bad"} <= set(facts["at"])
    (state / "state.json").write_text(json.dumps(facts))
    write_manifest(state)
    (part / "holes.jsonl").write_text(json.dumps({"step": 1, "sample": "a", "error": "b"}) + "\n")
    Trainer(recipe, part, resume=True).run()
    assert [record["sample"] for record in read_lines(part / "bad_samples.jsonl")] == ["a"]
    first, second = weights(whole), weights(part)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_leaves_other_libraries_as_they_were(recipe, tmp_path):
    loggers = [logging.getLogger(name) for name in ("torch.distributed.checkpoint", "transformers", "huggingface_hub")]
    before = torch.random.get_rng_state(), [logger.level for logger in loggers], is_progress_bar_enabled()
    folder = Trainer(recipe.model_copy(update={"total_samples": 16}), tmp_path / "run").run()
    SphinxX.load(folder)
    after = torch.random.get_rng_state(), [logger.level for logger in loggers], is_progress_bar_enabled()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
