"""What a run costs: operations with the visual experts, and time at the rate of steps that were tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch

from sphinx_x.data.loader import Example
from sphinx_x.data.mixture import Mixture
from sphinx_x.data.packs import PackPlan
from sphinx_x.errors import RecipeError
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.views import plan_views
from sphinx_x.planning.costs import Load, Model, count_costs
from sphinx_x.planning.outline import config_of, sizes_of
from sphinx_x.recipe import Recipe, SourceRecipe
from sphinx_x.studies.declaration import Typical
from sphinx_x.training.objective import trained_tokens

COUNTED = 24
"""Number of steps of a run whose operations are counted; the others take as many for a token."""
AVERAGED = 200
"""Number of samples in which each source has its share, for what a sample costs on average."""


@dataclass(frozen=True)
class Shapes:
    """The model of a recipe, to count with: all samples of a pack as they are computed."""

    model: Model
    config: SphinxXConfig

    @classmethod
    def of(cls, recipe: Recipe) -> Shapes:
        """Return the shapes of what a recipe trains."""
        config = config_of(recipe)
        return cls(Model(config, sizes_of(config, recipe), recipe), config)

    @property
    def parameters(self) -> int:
        """Number of parameters, without what is dropped after training."""
        return sum(size.numbers for size in self.model.sizes if ".align." not in f".{size.name}")

    def flops(self, load: Load) -> float:
        """Return the operations of a micro-batch, forward and backward."""
        found = count_costs(self.model, load)
        return found.vision_flops + found.llm_flops


def load_of(recipe: Recipe, lengths: Sequence[int], views: int, trained: int) -> Load:
    """Return a micro-batch as it is computed: without packing every sample is as long as the longest."""
    if not recipe.packed:
        lengths = [max(lengths)] * len(lengths)
    return Load(tuple(lengths), views, trained)


def pack_flops(shapes: Shapes, pack: Sequence[Example]) -> float:
    """Return the operations of a step on a pack of examples."""
    usable = [example for example in pack if not example.error]
    lengths = [len(example.ids) for example in usable]
    views = sum(example.view_count for example in usable)
    return shapes.flops(load_of(shapes.model.recipe, lengths, views, sum(map(trained_tokens, usable))))


def run_flops(recipe: Recipe, mixture: Mixture) -> float:
    """Return the operations of a run: those of some of its steps, times its tokens over theirs.

    Args:
        recipe: The recipe.
        mixture: Its mixture.
    """
    shapes, examples = Shapes.of(recipe), mixture.examples
    packs = [pack for step in steps_to_count(mixture.plan, recipe.packs_per_step) for pack in step]
    tokens, _ = examples.costs(0, recipe.total_samples)
    counted = sum(pack_flops(shapes, examples[pack]) for pack in packs)
    return counted * float(tokens.sum() / tokens[[number for pack in packs for number in pack]].sum())


def steps_to_count(plan: PackPlan, packs_per_step: int) -> list[tuple[tuple[int, ...], ...]]:
    """Return the packs of a few steps at even distances."""
    steps = [step.packs for step in plan.steps(packs_per_step)]
    chosen = sorted({round(k * (len(steps) - 1) / max(COUNTED - 1, 1)) for k in range(COUNTED)})
    return [steps[k] for k in chosen]


def typical_load(recipe: Recipe, typical: Mapping[str, Typical], count: int) -> Load:
    """Return some `count` samples of a recipe before its data is there, of every source as many as its share."""
    shapes = _shapes(_model_of(recipe))
    grid = shapes.config.view_grid()
    shares = {name: source.weight if source.weight is not None else 1.0 for name, source in recipe.sources.items()}
    lengths: list[int] = []
    views, trained = 0, 0.0
    for name, share in shares.items():
        if name not in typical:
            raise RecipeError(f"typical: {name}: no average sample of this source is declared")
        one = typical[name]
        layout = plan_views(one.width, one.height, grid)
        length = layout.views * (shapes.config.tokens_per_view + 2) + layout.skip_tokens + one.question + one.answer
        times = max(round(share / sum(shares.values()) * count), 1)
        lengths += [length] * times
        views += layout.views * times
        trained += one.answer * times
    return load_of(recipe, lengths, views, int(trained))


def sample_flops(recipe: Recipe, typical: Mapping[str, Typical]) -> float:
    """Return the operations that a recipe takes for a sample, before its data is there."""
    load = typical_load(recipe, typical, AVERAGED)
    return _counted(_model_of(recipe), load) / len(load.lengths)


@cache
def _counted(model: str, load: Load) -> float:
    return _shapes(model).flops(load)


def _model_of(recipe: Recipe) -> str:
    """Return what a recipe's model and its operations depend on."""
    plain = recipe.model_copy(update={"sources": {"any": SourceRecipe()}, "total_samples": 1})
    parts = {"member", "start", "padding", "variant", "extra_tokens", "align", "freeze", "lora", "dtype", "packed"}
    return plain.model_dump_json(include=parts | {"total_samples", "folder", "sources", "activation_checkpointing"})


@cache
def _shapes(model: str) -> Shapes:
    return Shapes.of(Recipe.model_validate_json(model))


def tried_rate(recipe: Recipe, typical: Mapping[str, Typical], device: torch.device, seconds: float = 2.0) -> float:
    """Return the operations per second of a recipe's steps on this machine as busy as it is, from a few of them."""
    from sphinx_x.planning.machine import product_rate
    from sphinx_x.training.trial import try_steps

    shapes = Shapes.of(recipe)
    rate = product_rate(device, getattr(torch, recipe.dtype), 0.2)
    load = typical_load(recipe, typical, recipe.pack.window * recipe.packs_per_step)
    trial = try_steps(recipe, shapes.config, load, device, rate, seconds)
    assert trial is not None  # a study's models are small
    return (trial.fastest + trial.slowest) / 2
