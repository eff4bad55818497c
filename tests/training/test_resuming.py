"""Runs that are stopped, killed or begun by an older release are resumed to the same weights."""

import json
import os
import shutil
import signal
import time
from types import SimpleNamespace

import pytest
import torch

from processes import Begun, begin
from ranks import run_one
from runs import log, weights
from shards import write_lines
from sphinx_x.errors import CheckpointError, RecipeError
from sphinx_x.recipe import RENAMED, SourceRecipe
from sphinx_x.training.checkpoint import saved_states
from sphinx_x.training.trainer import Trainer, train
from sphinx_x.work.files import read_lines, write_manifest


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


def test_where_memory_is_short_a_state_is_written_without_a_copy(recipe, tmp_path, monkeypatch):
    recipe = recipe.model_copy(update={"total_samples": 24, "save_every": 1})
    whole = Trainer(recipe, tmp_path / "whole").run()
    monkeypatch.setattr("sphinx_x.training.checkpoint.available", lambda: 1)
    Trainer(recipe, tmp_path / "part").run(until=12)
    assert saved_states(tmp_path / "part" / "state")
    again = Trainer(recipe, tmp_path / "part", resume=True).run()
    assert (whole / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


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


def test_a_run_is_not_resumed_with_other_data(recipe, tmp_path):
    recipe = recipe.model_copy(update={"total_samples": 24})
    Trainer(recipe, tmp_path / "run").run()
    write_lines(recipe.folder, "lines", 39)
    with pytest.raises(CheckpointError, match="the data is not what the run began with"):
        Trainer(recipe, tmp_path / "run", resume=True)


def test_a_run_is_not_resumed_with_other_ratios_of_a_list(recipe, tmp_path):
    """They are in a file that the recipe only names."""
    listed = tmp_path / "meta.yaml"
    shard = next(recipe.folder.glob("lines-*.jsonl"))
    for ratio in (1, 5):
        write_lines(tmp_path / "more", "others", 8)
        other = next((tmp_path / "more").glob("others-*.jsonl"))
        listed.write_text(f"META: [{{path: {shard}, ratio: 1}}, {{path: {other}, ratio: {ratio}}}]")
        begun = recipe.model_copy(update={"total_samples": 24, "sources": {"mine": SourceRecipe(path=listed)}})
        if ratio == 1:
            Trainer(begun, tmp_path / "run").run()
            assert Trainer(begun, tmp_path / "run", resume=True).at.samples == 24
    with pytest.raises(CheckpointError, match="the data is not what the run began with"):
        Trainer(begun, tmp_path / "run", resume=True)


def test_a_run_is_not_resumed_with_sources_in_another_order(recipe, tmp_path):
    """They are drawn by their numbers."""
    write_lines(recipe.folder, "others", 8)
    sources = {"lines": SourceRecipe(), "others": SourceRecipe()}
    begun = recipe.model_copy(update={"total_samples": 24, "sources": sources})
    Trainer(begun, tmp_path / "run").run()
    swapped = begun.model_copy(update={"sources": dict(reversed(sources.items()))})
    with pytest.raises(CheckpointError, match="another recipe"):
        Trainer(swapped, tmp_path / "run", resume=True)


def test_no_folder_is_overwritten_with_an_exported_or_a_new_model(recipe, tmp_path):
    recipe = recipe.model_copy(update={"total_samples": 24})
    train(recipe, tmp_path / "run")
    (tmp_path / "models" / "mine").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="models: is there already"):
        train(recipe, tmp_path / "run", export=tmp_path / "models")
    assert (tmp_path / "models" / "mine").is_dir()
    shutil.rmtree(tmp_path / "run" / "state")  # it is large, and the run is over
    before = log(tmp_path / "run")
    with pytest.raises(RecipeError, match="holds the model of a finished run"):
        train(recipe, tmp_path / "run")
    assert log(tmp_path / "run") == before


def test_what_a_killed_run_left_half_written_goes(recipe, tmp_path):
    left = tmp_path / "run" / "state" / ".step-00000099.tmp"
    left.mkdir(parents=True)
    (left / "state.json").write_text("{}")
    Trainer(recipe.model_copy(update={"total_samples": 24}), tmp_path / "run").run()
    assert not left.exists() and saved_states(tmp_path / "run" / "state")


def test_a_state_of_a_release_that_kept_no_weights_is_resumed(recipe, tmp_path):
    recipe = recipe.model_copy(update={"total_samples": 24})
    trainer = Trainer(recipe, tmp_path / "run")
    trainer.data = {name: kept[:2] for name, kept in trainer.data.items()}
    trainer.run()
    assert Trainer(recipe, tmp_path / "run", resume=True).at.samples == 24


def test_a_run_is_not_overwritten_nor_resumed_with_another_recipe(recipe, tmp_path):
    recipe = recipe.model_copy(update={"total_samples": 24})
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


def start(member, recipe, folder, resume) -> Begun:
    return begin(run_one, member, [(recipe, folder, resume, 0)])


@pytest.mark.slow
def test_killed_at_any_moment_ends_the_same(recipe, tmp_path, tiny_member):
    recipe = recipe.model_copy(update={"total_samples": 1600, "save_every": 10})
    Trainer(recipe, tmp_path / "straight").run()
    folder = tmp_path / "killed"
    for _ in range(4):
        process = start(tiny_member, recipe, folder, bool(saved_states(folder / "state")))
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
    last = start(tiny_member, recipe, folder, True)
    said = last.communicate(timeout=300)[1]
    assert last.returncode == 0, said
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
    process = start(tiny_member, recipe, folder, False)
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
