"""What a study takes before it starts: its runs, their operations, and their time by steps tried on this machine."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sphinx_x.planning.machine import chosen_device
from sphinx_x.planning.report import duration, operations
from sphinx_x.recipe import Recipe
from sphinx_x.studies.costs import sample_flops, tried_rate
from sphinx_x.studies.declaration import HeldOut, Study
from sphinx_x.studies.held_out import SHOWN
from sphinx_x.studies.plan import Run, branch_point, plan_of

MORE = 1.15
"""Allowance for what a run does besides steps: reading samples, saving, starting."""
ANSWERED = 0.05
"""Seconds that an answer takes in a batch on two cores: most of them go into the number of steps, not into the size."""


def trained_samples(run: Run) -> int:
    """Return how many samples a run is trained on: the longest amount, and the cool-downs of all others."""
    recipe, amounts = run.recipe, sorted(run.amounts)
    return amounts[-1] + sum(amount - branch_point(recipe, amount) for amount in amounts[:-1])


def run_cost(study: Study, run: Run) -> float:
    """Return the operations of a run's training, before its data is there."""
    if len(run.stages) == 1:
        return sample_flops(run.recipe, study.typical) * trained_samples(run)
    return sum(sample_flops(recipe, study.typical) * recipe.total_samples for recipe in run.stages)


def measuring(held: HeldOut, points: int, flops: float, rate: float) -> float:
    """Return the seconds that measuring takes: losses at the cost of a forward pass, and answers.

    Args:
        held: What is measured.
        points: How often.
        flops: Operations of a sample in training, three times those of a forward pass.
        rate: Operations per second.
    """
    items, asked = (len(held.skills) * len(SHOWN) * count for count in (held.items, held.asked))
    return points * (items * flops / 3 / rate + asked * ANSWERED)


class Rates:
    """Measured rates of recipes on a device, each shape once."""

    def __init__(self, study: Study, device: torch.device) -> None:
        self.study, self.device = study, device
        self.known: dict[str, float] = {}

    def of(self, recipe: Recipe) -> float:
        """Return the operations per second of a recipe's steps."""
        key = repr([recipe.variant, recipe.packed])
        if key not in self.known:
            self.known[key] = tried_rate(recipe, self.study.typical, self.device, 1.0)
        return self.known[key]


def outlook(study: Study, names: Sequence[str] = (), device: str | None = None) -> str:
    """Return a table of runs with operations and time, and the sums."""
    plan = plan_of(study)
    runs = [plan.named(name) for name in names] or plan.runs
    rates = Rates(study, chosen_device(device))
    rows, flops, seconds = [], 0.0, 0.0
    for run in runs:
        cost, recipe = run_cost(study, run), run.stages[0]
        rate = rates.of(recipe)
        took = MORE * cost / rate
        took += measuring(study.held_out, len(run.amounts), sample_flops(recipe, study.typical), rate)
        rows.append((run.name, f"{trained_samples(run):,}", f"{operations(cost)}", duration(took)))
        flops, seconds = flops + cost, seconds + took
    rows.append((f"{len(runs)} runs", "", operations(flops), duration(seconds)))
    heads = ("run", "samples", "operations", "time")
    widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(4)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]
    ]
    threads = f"{torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}"
    told = f"time: by steps tried now on this {rates.device.type} ({threads}) as busy as it is, without making the data"
    return "\n".join([*lines, told])
