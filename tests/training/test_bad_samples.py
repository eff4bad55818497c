"""Samples that cannot be used and losses that are not finite: named, counted, and too many end the run."""

import json
from pathlib import Path

import pytest
import torch

from runs import take_step
from shards import write_lines
from sphinx_x.errors import DataError
from sphinx_x.recipe import PackRecipe, Recipe
from sphinx_x.training.engine import StepResult
from sphinx_x.training.metrics import Sums
from sphinx_x.training.trainer import Trainer
from sphinx_x.work.files import read_lines


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
