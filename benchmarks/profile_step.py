"""Where the time of one training step goes, and what it would be if nothing but matrix products took any."""

from __future__ import annotations

import time
from collections import defaultdict

import torch
from floor import counted
from torch.profiler import ProfilerActivity
from torch.profiler import profile as recorded

from sphinx_x.data.loader import batches
from sphinx_x.planning.machine import product_rate
from sphinx_x.training.metrics import Sums
from sphinx_x.training.trainer import Trainer

SHOWN = 12


def profile(trainer: Trainer) -> str:
    """Markdown: the step's operations against the machine's rate, and the kernels that took most of its time."""
    packs = next(packs for _, packs in batches(trainer.examples, trainer.mixture.plan.steps(1), 0))

    def step() -> None:
        trainer.engine.step(packs, 1, 1e-4, Sums(), trainer.sources)

    for _ in range(2):
        step()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    took = min(seconds)
    rate, flops = product_rate(trainer.world.device, getattr(torch, trainer.recipe.dtype)), counted(step)
    with recorded(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    times: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        times[event.key] += event.self_cpu_time_total
    whole = sum(times.values())
    lines = [
        f"A step of {sum(map(len, packs))} samples takes {took:.2f} s. Its products are {flops / 1e9:.0f} GFLOP; the "
        f"machine does {rate / 1e9:.0f} GFLOP/s on a large product, so the floor is "
        f"{flops / rate:.2f} s: {100 * flops / rate / took:.0f} % of the step.",
        "",
        "| kernel | share of the step |",
        "|---|---|",
    ]
    for name, spent in sorted(times.items(), key=lambda pair: -pair[1])[:SHOWN]:
        lines.append(f"| `{name}` | {100 * spent / whole:.1f} % |")
    return "\n".join(lines)
