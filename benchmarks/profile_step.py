"""Where the time of one training step goes, and what it would be if nothing but matrix products took any."""

from __future__ import annotations

import time
from collections import defaultdict

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as recorded
from torch.utils.flop_counter import FlopCounterMode

from sphinx_x.data.loader import batches
from sphinx_x.training.metrics import Sums
from sphinx_x.training.trainer import Trainer

SIDE = 2048
"""Rows and columns of the matrices whose product gives the machine's rate."""
SHOWN = 12


def matrix_rate(dtype: torch.dtype = torch.bfloat16, times: int = 8) -> float:
    """Operations a second of a large matrix product, the best of some."""
    a, b = torch.randn(SIDE, SIDE).to(dtype), torch.randn(SIDE, SIDE).to(dtype)
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - began)
    return 2 * SIDE**3 / min(seconds)


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
    with FlopCounterMode(display=False) as counter:
        step()
    rate, flops = matrix_rate(), counter.get_total_flops()
    with recorded(activities=[ProfilerActivity.CPU]) as profiler:
        step()
    times: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        times[event.key] += event.self_cpu_time_total
    whole = sum(times.values())
    lines = [
        f"A step of {sum(map(len, packs))} samples takes {took:.2f} s. Its products are {flops / 1e9:.0f} GFLOP; the "
        f"machine does {rate / 1e9:.0f} GFLOP/s on a product of {SIDE} x {SIDE} matrices, so the floor is "
        f"{flops / rate:.2f} s: {100 * flops / rate / took:.0f} % of the step.",
        "",
        "| kernel | share of the step |",
        "|---|---|",
    ]
    for name, spent in sorted(times.items(), key=lambda pair: -pair[1])[:SHOWN]:
        lines.append(f"| `{name}` | {100 * spent / whole:.1f} % |")
    return "\n".join(lines)
