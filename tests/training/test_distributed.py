"""Runs on several ranks: the same losses in every layout, and after every kill."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ranks import run_ranks, start_ranks
from shards import write_lines, write_text
from sphinx_x.errors import RecipeError
from sphinx_x.inference import SphinxX
from sphinx_x.recipe import ParallelRecipe, Recipe
from sphinx_x.training.checkpoint import saved_states
from sphinx_x.training.distributed import join
from sphinx_x.work.files import read_lines

CLOCK = ("seconds", "tokens_per_s", "views_per_s", "busy", "mfu")


def recipe_of(folder: Path, **changes) -> Recipe:
    """A little more than 20 steps of 4 packs of drawn lines, in float32."""
    settings = {
        "member": "nano",
        "folder": folder,
        "total_samples": 320,
        "packs_per_step": 4,
        "pack": {"tokens": 420, "views": 64, "window": 64},
        "max_tokens": 200,
        "dtype": "float32",
        "freeze": [],
        "learning_rate": 3e-3,
        "max_grad_norm": 1.0,
        "warmup": 0.2,
        "align": {"weight": 0.5},
        "sources": {"lines": {"weight": 1}},
        "save_every": 1000,
        "log_every": 1,
        "workers": 0,
    }
    return Recipe.model_validate(settings | changes)


def curve(folder: Path) -> list[dict]:
    """The log without what depends on the clock."""
    return [{k: v for k, v in record.items() if k not in CLOCK} for record in read_lines(folder / "log.jsonl")]


def apart(first: Path, second: Path) -> float:
    """The largest difference of two runs' losses in any step."""
    one, two = [r["loss"] for r in curve(first)], [r["loss"] for r in curve(second)]
    assert len(one) == len(two) >= 20
    return max(abs(a - b) for a, b in zip(one, two, strict=True))


LAYOUTS = {
    1: {"cut in four": {}},
    2: {
        "sharded": {},
        "sharded, gathered twice": {"parallel": {"zero_stage": 3}},
        "shared matrices": {"parallel": {"tensor": 2}},
        "recomputed": {"activation_checkpointing": True, "micro_batch_size": 2},
    },
    4: {"sharded by four": {}, "sharded and shared": {"parallel": {"tensor": 2}}},
}
OF_MIXTURES = {
    1: {"cut in four": {}},
    2: {
        "sharded": {},
        "shared matrices and experts": {"parallel": {"tensor": 2}},
        "shared experts": {"parallel": {"expert": 2}},
        "shared experts, recomputed": {"parallel": {"expert": 2, "zero_stage": 3}, "activation_checkpointing": True},
    },
    4: {"sharded and shared experts": {"parallel": {"expert": 2}}, "all experts apart": {"parallel": {"expert": 4}}},
}
BROKEN = "import sphinx_x.training.distributed as w; w.World.total = lambda self, numbers: list(numbers)"
"""Each rank divides by its own tokens."""


@pytest.fixture(scope="module", params=["llama", "mixtral"])
def whole(request, tmp_path_factory, tiny_member, tiny_mixture):
    """The run that all others are held against (one process, four packs at once), its member, and layouts for it."""
    member, layouts = (tiny_member, LAYOUTS) if request.param == "llama" else (tiny_mixture, OF_MIXTURES)
    folder = tmp_path_factory.mktemp("layouts")
    write_lines(folder / "data", "lines", 60)
    run_ranks(1, member, [(recipe_of(folder / "data", micro_batch_size=4), folder / "whole")])
    return folder, member, layouts


@pytest.mark.slow
@pytest.mark.parametrize("ranks", LAYOUTS)
def test_every_layout_gives_the_same_losses(whole, ranks):
    folder, member, layouts = whole
    runs = {name: folder / name.replace(" ", "-") for name in layouts[ranks]}
    recipes = [(recipe_of(folder / "data", **layouts[ranks][name]), out) for name, out in runs.items()]
    run_ranks(ranks, member, recipes)
    losses = [record["loss"] for record in curve(folder / "whole")]
    assert losses[-1] < 0.9 * losses[0]
    for name, out in runs.items():
        assert apart(out, folder / "whole") < 1e-4, name
        last, first = curve(out)[-1], curve(folder / "whole")[-1]
        assert last["norm"] == pytest.approx(first["norm"], rel=1e-3), name
        if member.llm["model_type"] == "mixtral":
            assert last["balance"] == pytest.approx(first["balance"], abs=1e-4) and last["busiest"] >= 1, name
        assert (out / "model" / "model.safetensors").stat().st_size > 100_000


@pytest.mark.slow
def test_a_broken_layout_is_noticed(whole):
    folder, member, _ = whole
    run_ranks(2, member, [(recipe_of(folder / "data"), folder / "broken")], change=BROKEN)
    assert apart(folder / "broken", folder / "whole") > 1e-4


@pytest.mark.slow
def test_a_rank_without_images_or_without_samples_does_not_block_the_others(tmp_path, tiny_member):
    """Packs of text alone beside packs with images, and steps of one pack for two ranks."""
    write_lines(tmp_path / "data", "lines", 12)
    write_text(tmp_path / "data", "text", 12)
    sources = {"lines": {"weight": 1}, "text": {"weight": 1}}
    changes = {
        "sources": sources,
        "total_samples": 120,
        "packs_per_step": 2,
        "pack": {"tokens": 200, "views": 64, "window": 16},
    }
    recipe = recipe_of(tmp_path / "data", **changes)
    run_ranks(1, tiny_member, [(recipe, tmp_path / "alone")])
    run_ranks(2, tiny_member, [(recipe, tmp_path / "two")])
    assert apart(tmp_path / "alone", tmp_path / "two") < 1e-4
    assert {name for record in curve(tmp_path / "two") for name in record["by_source"]} == {"lines", "text"}


def killed_until_done(folder, member, recipe, ranks, kills, seed):
    """Runs a recipe to its end; it is killed (-9, all ranks) `kills` times at moments that chance chooses."""
    rng = random.Random(seed)
    for number in range(kills):
        processes = start_ranks(ranks[number], member, [(recipe, folder)], bool(saved_states(folder / "state")))
        before = len(read_lines(folder / "log.jsonl"))
        while len(read_lines(folder / "log.jsonl")) <= before and processes[0].poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1.2))
        assert all(process.poll() is None for process in processes), "it ended before it was killed"
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()
    run_ranks(ranks[kills], member, [(recipe, folder)], bool(saved_states(folder / "state")))


@pytest.mark.slow
def test_killed_ten_times_the_curve_is_the_same(tmp_path, tiny_member):
    """Bit-equal with the same number of ranks; within rounding where one part of the run had another number."""
    write_lines(tmp_path / "data", "lines", 60)
    recipe = recipe_of(tmp_path / "data", total_samples=2300, packs_per_step=2, save_every=7)
    run_ranks(2, tiny_member, [(recipe, tmp_path / "straight")])
    assert len(curve(tmp_path / "straight")) >= 300
    killed_until_done(tmp_path / "killed", tiny_member, recipe, [2] * 11, 10, seed=1)
    assert curve(tmp_path / "killed") == curve(tmp_path / "straight")
    models = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("straight", "killed")]
    assert models[0] == models[1]
    killed_until_done(tmp_path / "changed", tiny_member, recipe, [2, 1], 1, seed=2)
    assert apart(tmp_path / "changed", tmp_path / "straight") < 1e-3


def test_ranks_that_cannot_be_shared_out_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "6")
    with pytest.raises(RecipeError, match="6 ranks cannot be 4"):
        join(ParallelRecipe(tensor=4), "cpu")


@pytest.mark.slow
def test_torchrun_starts_a_run(tmp_path):
    """The command as the README has it, with SPHINX-Nano itself."""
    write_lines(tmp_path / "data", "lines", 12)
    recipe = recipe_of(tmp_path / "data", total_samples=24, packs_per_step=2, dtype="bfloat16", max_tokens=400)
    recipe = recipe.model_copy(update={"pack": recipe.pack.model_copy(update={"tokens": 1200, "window": 24})})
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "sphinx_x", "train"]
    arguments = [str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "run")]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=paths, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("model written to") == 1
    assert isinstance(SphinxX.load(tmp_path / "run" / "model").chat("Hello", max_new_tokens=2), str)
