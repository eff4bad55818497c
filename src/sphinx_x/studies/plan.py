"""The runs of a study: what each of them trains, in which order, and where the arms of comparisons find theirs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sphinx_x.errors import RecipeError
from sphinx_x.recipe import Recipe, VariantRecipe
from sphinx_x.studies.costs import sample_flops
from sphinx_x.studies.declaration import Arm, Study

WHERE = {"workers", "folder", "data", "save_every", "save_minutes", "keep", "log_every", "trackers", "compile"}
"""Fields of a recipe that do not change a run's result."""


SAME = 0.02
"""Share by which operations may differ and still be the same: a run of its own would tell nothing more."""


@dataclass(frozen=True)
class Run:
    """What is trained at once: one recipe through all its amounts, or through its stages.

    Attributes:
        name: Its name, and that of its folder.
        size: Its size.
        seed: Its seed.
        amounts: Numbers of samples at which it is measured. Each but the last is a branch of its own that cools down.
        stages: Recipes one after another, with their numbers of samples.
    """

    name: str
    size: str
    seed: int
    amounts: tuple[int, ...]
    stages: tuple[Recipe, ...]

    @property
    def key(self) -> str:
        """A hash of what its result depends on."""
        facts = [self.amounts, [stage.model_dump(mode="json", exclude=WHERE) for stage in self.stages]]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def recipe(self) -> Recipe:
        """The recipe that it is measured with: the last stage's."""
        return self.stages[-1]

    def points(self) -> dict[int, str]:
        """Return the names of its results by amount."""
        return {amount: f"{self.name}@{amount}" for amount in self.amounts}


@dataclass(frozen=True)
class Cell:
    """An arm of a comparison at one size, with one seed, matched in one way; `run` is the run that has its result."""

    comparison: str
    arm: str
    size: str
    seed: int
    match: str
    run: str


@dataclass
class Plan:
    """The runs of a study in the order in which they are run, and the cells of its comparisons."""

    study: Study
    runs: list[Run] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    _by_key: dict[str, Run] = field(default_factory=dict)

    def add(self, run: Run) -> Run:
        """Return the run, or the one that does the same and was there before."""
        if run.key not in self._by_key:
            if any(other.name == run.name for other in self.runs):
                raise RecipeError(f"{run.name}: two different runs of this name")
            self._by_key[run.key] = run
            self.runs.append(run)
        return self._by_key[run.key]

    def named(self, name: str) -> Run:
        """Return the run of that name; raise `RecipeError` with the known ones."""
        found = next((run for run in self.runs if run.name == name), None)
        if found is None:
            raise RecipeError(f"{name}: no run of this study; there are {', '.join(run.name for run in self.runs)}")
        return found


def plan_of(study: Study) -> Plan:
    """Return the runs of a study, the first seeds of all before the second, so that a study cut short is even."""
    plan = Plan(study)
    if study.scaling is not None:
        for run in scaling_runs(study):
            plan.add(run)
    rounds = max((len(seeds) for seeds in study.repeats.values()), default=0)
    for number in range(rounds):
        for size, seeds in study.repeats.items():
            if number < len(seeds):
                _add_comparisons(plan, size, seeds[number])
    return plan


def step_of(recipe: Recipe) -> int:
    """Return the number of samples in a step; a study's packs hold one window each, whatever its arms' samples cost."""
    return recipe.pack.window * recipe.packs_per_step


def scaling_runs(study: Study) -> Iterator[Run]:
    """Yield the runs of a study's sizes by amounts."""
    scaling, sizes = study.scaling, list(study.sizes)
    assert scaling is not None
    amounts = tuple(sorted(scaling.amounts))
    for size in sizes:
        yield _run(study, f"{size}-s{scaling.seed}", size, scaling.seed, amounts, Arm())
    for seed in scaling.corner_seeds:
        for size in dict.fromkeys((sizes[0], sizes[-1])):
            yield _run(study, f"{size}-s{seed}", size, seed, (amounts[0], amounts[-1]), Arm())


def _add_comparisons(plan: Plan, size: str, seed: int) -> None:
    study, step = plan.study, step_of(plan.study.recipe_of())
    for name, comparison in study.comparisons.items():
        if comparison.sizes and size not in comparison.sizes:
            continue
        reference = comparison.arms[comparison.reference]
        for match in comparison.match:
            for arm_name, arm in comparison.arms.items():
                amount = whole = comparison.samples or study.samples
                if match == "flops":
                    each = (_flops(study, comparison.change, one, size) for one in (reference, arm))
                    amount = round(whole * next(each) / next(each))
                amount = max(round(amount / step), 1) * step
                if match == "flops" and abs(amount - whole) <= SAME * whole and arm_name != comparison.reference:
                    continue  # it costs as much as the reference
                ending = "" if match == "samples" else f"-{match}"
                called = f"{name}.{arm_name}-{size}-s{seed}{ending}"
                run = plan.add(_run(study, called, size, seed, (amount,), arm, comparison.change))
                plan.cells.append(Cell(name, arm_name, size, seed, match, run.name))


def _flops(study: Study, change: Mapping[str, Any], arm: Arm, size: str) -> float:
    """Return the operations of a sample of an arm, over its stages."""
    changes = study.sizes[size], change, arm.change
    stages = [(stage.share, stage.change) for stage in arm.stages] or [(1.0, {})]
    return sum(share * sample_flops(study.recipe_of(*changes, more), study.typical) for share, more in stages)


def _run(
    study: Study,
    name: str,
    size: str,
    seed: int,
    amounts: tuple[int, ...],
    arm: Arm,
    change: Mapping[str, Any] | None = None,
) -> Run:
    changes = study.sizes[size], change or {}, arm.change
    if not arm.stages:
        recipe = study.recipe_of(*changes, {"seed": seed, "total_samples": amounts[-1]})
        run = Run(name, size, seed, amounts, (recipe,))
    else:
        recipes, step = [], step_of(study.recipe_of(*changes))
        for number, stage in enumerate(arm.stages):
            samples = max(round(stage.share * amounts[-1] / step), 1) * step
            if number == len(arm.stages) - 1:
                samples = amounts[-1] - sum(recipe.total_samples for recipe in recipes)
            recipes.append(study.recipe_of(*changes, stage.change, {"seed": seed, "total_samples": samples}))
        run = Run(name, size, seed, amounts, tuple(recipes))
    return _checked(run)


def _checked(run: Run) -> Run:
    """Return a run whose amounts are whole steps and whose schedule can be branched."""
    for recipe in run.stages:
        step = step_of(recipe)
        if recipe.lr_schedule != "constant" or not recipe.cooldown:
            raise RecipeError(f"{run.name}: a study's runs have lr_schedule: constant and a cooldown")
        if any(source.end is not None for source in recipe.sources.values()):
            raise RecipeError(f"{run.name}: sources: a share that changes over the run (end) has no branches")
        wrong = [n for n in (*run.amounts, recipe.total_samples) if n % step or n < step]
        if wrong:
            raise RecipeError(f"{run.name}: {wrong[0]} samples are no whole number of steps of {step}")
    return run


def branch_recipe(recipe: Recipe, amount: int) -> Recipe:
    """Return the recipe of a run's branch that ends with `amount` samples.

    The warm-up is as long as that of the longest one, in samples.
    """
    warm = recipe.warmup * recipe.total_samples
    share = min(warm / amount, 1 - recipe.cooldown)
    return recipe.model_copy(update={"total_samples": amount, "warmup": share})


def trunk_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of what all branches of a run begin with: the rate stays constant."""
    return recipe.model_copy(update={"cooldown": 0.0})


def branch_point(recipe: Recipe, amount: int) -> int:
    """Return after how many samples of the trunk a branch begins: the last step before its cool-down."""
    step = step_of(recipe)
    return int((1 - recipe.cooldown) * amount / step + 1e-9) * step


def staged(run: Run, stage: int, model: str) -> Recipe:
    """Return the recipe of a further stage, which goes on from the model of the one before."""
    return run.stages[stage].model_copy(update={"start": model, "variant": VariantRecipe()})
