"""A run at a constant rate, from which cool-downs branch off: each is the run that it stands for."""

import pytest
import torch

from runs import weights
from sphinx_x.errors import CheckpointError, UnsupportedError
from sphinx_x.family import new_model
from sphinx_x.recipe import Recipe
from sphinx_x.training.checkpoint import saved_states
from sphinx_x.training.objective import Objective, pack_examples
from sphinx_x.training.optim import learning_rate_at
from sphinx_x.training.trainer import Trainer


@pytest.fixture
def trunk(recipe):
    """A run of steps of 8 samples at a constant rate; windows are steps, so that any run begins with the same ones."""
    pack = recipe.pack.model_copy(update={"tokens": 4096, "window": 8})
    return recipe.model_copy(
        update={"pack": pack, "lr_schedule": "constant", "warmup": 0.1, "total_samples": 80, "save_every": 100}
    )


def cooled(trunk: Recipe, samples: int) -> Recipe:
    warmup = trunk.warmup * trunk.total_samples / samples
    return trunk.model_copy(update={"total_samples": samples, "warmup": warmup, "cooldown": 0.5})


def test_the_rate_stays_and_falls_to_nothing():
    rates = [learning_rate_at(k / 100, 2.0, 0.1, "constant", 0.2) for k in range(101)]
    assert rates[5] == pytest.approx(1.0) and set(rates[10:81]) == {2.0}
    assert rates[85] == pytest.approx(1.0)  # a quarter of the cool-down: 1 - sqrt(1/4)
    assert rates[80:] == sorted(rates[80:], reverse=True) and rates[100] == pytest.approx(0)
    assert learning_rate_at(1.0, 2.0, 0.1, "constant") == 2.0


def test_a_branch_is_the_run_that_it_stands_for(trunk, tmp_path):
    """Two branches of one trunk, and the two runs that begin from nothing, have the same weights."""
    for samples in (32, 64):
        Trainer(trunk, tmp_path / "trunk", resume=bool(saved_states(tmp_path / "trunk/state"))).run(until=samples // 2)
        assert Trainer(trunk, tmp_path / "trunk", resume=True).at.samples == samples // 2
        branch = Trainer(cooled(trunk, samples), tmp_path / f"branch-{samples}", branch=tmp_path / "trunk")
        branch.run()
        Trainer(cooled(trunk, samples), tmp_path / f"alone-{samples}").run()
        one, other = weights(tmp_path / f"branch-{samples}"), weights(tmp_path / f"alone-{samples}")
        assert one.keys() == other.keys()
        assert all(torch.allclose(one[name].float(), other[name].float(), atol=1e-6) for name in one)


def test_only_a_run_of_the_same_recipe_that_is_not_too_long_begins_another(trunk, tmp_path):
    Trainer(trunk, tmp_path / "trunk").run(until=48)
    with pytest.raises(CheckpointError, match="its 48 samples cannot begin a run of 64"):
        Trainer(cooled(trunk, 64), tmp_path / "branch", branch=tmp_path / "trunk")
    other = cooled(trunk, 160).model_copy(update={"learning_rate": 1e-3})
    with pytest.raises(CheckpointError, match="another recipe"):
        Trainer(other, tmp_path / "branch", branch=tmp_path / "trunk")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cooldown": 0.2}, "cooldown: only a constant rate has one"),
        ({"lr_schedule": "constant", "cooldown": 0.7, "warmup": 0.5}, "cooldown: begins before the warm-up has ended"),
        ({"start": "nano", "variant": {"width": 0.5}}, "variant: only a member that starts from fresh weights"),
    ],
)
def test_fields_that_make_no_sense_together(fields, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**({"member": "nano", "folder": "data", "total_samples": 10, "sources": {"a": {}}} | fields))


def test_rows_of_their_own_compute_the_same(recipe, tmp_path):
    """Samples that are padded, each in a row of its own, have the losses and the gradient of packed ones."""
    found = []
    for packed in (True, False):
        trainer = Trainer(recipe.model_copy(update={"packed": packed}), tmp_path / f"{packed}")
        pack = next(iter(trainer.mixture.plan.steps(1))).packs[0]
        examples = [trainer.examples.example(index) for index in pack]
        assert len({len(example.ids) for example in examples}) > 1  # some are padded
        losses, *_ = trainer.engine.objective(pack_examples([examples], trainer.world.device))
        losses.sum().backward()
        gradients = [p.grad for p in trainer.engine.objective.parameters() if p.grad is not None]
        found.append((losses.detach(), gradients))
    (one, first), (other, second) = found
    assert torch.allclose(one, other, atol=1e-5)
    assert len(first) == len(second)
    assert all(
        torch.allclose(a, b, atol=1e-5 + 1e-4 * float(a.abs().max())) for a, b in zip(first, second, strict=True)
    )


def test_rows_of_their_own_are_not_for_a_mixture_of_experts(tiny_mixture):
    """Its load-balancing loss counts the tokens of packs."""
    with pytest.raises(UnsupportedError, match="packed"):
        Objective(new_model(tiny_mixture)[0], None, packed=False)
