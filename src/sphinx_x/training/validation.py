"""The loss on samples that are not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_x.data.loader import batches
from sphinx_x.data.mixture import Mixture, open_mixture
from sphinx_x.data.packs import PackPlan
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.training.engine import Engine
from sphinx_x.training.meter import Sums, record_of
from sphinx_x.training.recipe import Recipe, shares_of
from sphinx_x.training.world import World


class Validation:
    """The held-out samples of a recipe: of each source as many as it asks for, or all, each once and as they are."""

    def __init__(self, recipe: Recipe, processor: SphinxXProcessor, folder: Path, world: World) -> None:
        asked = recipe.validation
        assert asked is not None
        self.world, self.workers = world, recipe.workers
        self.sets: list[Mixture] = []
        for name, share in shares_of(recipe, asked.sources).items():
            one = {name: replace(share, weight=1.0, end=None, ratio=None)}
            opened = open_mixture(
                one, processor, recipe.limits, recipe.budget, asked.samples, folder, max_bad=recipe.max_holes
            )
            count = min(asked.samples, sum(len(table) for table in opened.examples.pieces))
            self.sets.append(replace(opened, plan=PackPlan(opened.examples.costs, count, recipe.budget)))

    def measure(self, engine: Engine) -> dict[str, Any]:
        """`loss` over all trained tokens, `by_source`, `by_task`, and `holes`: how many samples could not be used."""
        world, sums, holes = self.world, Sums(), 0
        engine.objective.eval()
        for held in self.sets:
            names = [source.name for source in held.examples.blend.sources]
            steps = held.plan.steps(world.data_size)
            for _, packs in batches(held.examples, steps, self.workers, world.data_rank, world.data_size):
                examples = [example for pack in packs for example in pack]
                holes += sum(bool(example.error) for example in examples)
                engine.look([example for example in examples if not example.error], sums, names)
        engine.objective.train()
        record = record_of(world.gathered(sums.plain()))
        return {k: record[k] for k in ("loss", "by_source", "by_task")} | {"holes": int(world.total([holes])[0])}
