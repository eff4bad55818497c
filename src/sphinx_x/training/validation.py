"""The loss on samples that are not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_x.data.loader import batches
from sphinx_x.data.mixture import Mixture, open_mixture
from sphinx_x.data.packs import PackPlan
from sphinx_x.errors import DataError
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.recipe import Recipe, shares_of
from sphinx_x.training.engine import Engine
from sphinx_x.training.meter import Sums, record_of
from sphinx_x.training.world import World


class Validation:
    """The held-out samples of a recipe: of each source as many as it asks for, or all, each once and as they are.

    bad_samples: names of the samples that could not be used when they were last measured, with the reason.
    """

    def __init__(self, recipe: Recipe, processor: SphinxXProcessor, folder: Path, world: World) -> None:
        asked = recipe.validation
        assert asked is not None
        self.world, self.workers, self.max_bad_samples = world, recipe.workers, recipe.max_bad_samples
        self.samples, self.bad_samples = 0, list[tuple[str, str]]()
        self.sets: list[Mixture] = []
        for name, share in shares_of(recipe, asked.sources).items():
            one = {name: replace(share, weight=1.0, end=None, ratio=None)}
            opened = open_mixture(
                one, processor, recipe.limits, recipe.budget, asked.samples, folder, max_bad=recipe.max_bad_samples
            )
            count = min(asked.samples, sum(len(table) for table in opened.examples.pieces))
            self.samples += count
            self.sets.append(replace(opened, plan=PackPlan(opened.examples.costs, count, recipe.budget)))

    def measure(self, engine: Engine) -> dict[str, Any]:
        """`loss` over all trained tokens, `by_source`, `by_task`, and `bad_samples`: how many could not be used."""
        world, sums = self.world, Sums()
        found: list[tuple[str, str]] = []
        engine.objective.eval()
        for held in self.sets:
            names = [source.name for source in held.examples.blend.sources]
            steps = held.plan.steps(world.data_size)
            for _, packs in batches(held.examples, steps, self.workers, world.data_rank, world.data_size):
                examples = [example for pack in packs for example in pack]
                found += [(example.name, example.error) for example in examples if example.error]
                engine.look([example for example in examples if not example.error], sums, names)
        engine.objective.train()
        record = record_of(world.gathered(sums.plain()))
        self.bad_samples = [bad for rank in world.gathered(found) for bad in rank]
        return {k: record[k] for k in ("loss", "by_source", "by_task")} | {"bad_samples": len(self.bad_samples)}

    def check_bad_samples(self, where: Path) -> None:
        """Raises `DataError` where more than a share `max_bad_samples` of the samples last measured could not be used,
        or none could."""
        bad = len(self.bad_samples)
        if bad > self.max_bad_samples * self.samples or 0 < bad == self.samples:
            raise DataError(
                f"validation: {bad} of {self.samples} samples could not be used, {self.max_bad_samples:.2%} may be "
                f"broken (max_bad_samples); see {where}"
            )
