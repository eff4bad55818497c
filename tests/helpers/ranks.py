"""Runs of several ranks on this machine, one process each, as torchrun starts them."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from processes import Begun, begin
from sphinx_x.recipe import Recipe


def quick_runs():
    """Runs that draw no curves and do not count operations, which takes longer than their training."""
    costs = SimpleNamespace(vision_flops=1, llm_flops=1)
    return patch.multiple(
        "sphinx_x.training.trainer",
        draw_curves=lambda *_: None,
        product_rate=lambda *_, **__: 1e11,
        count_costs=lambda *_: costs,
    )


def run_one(member, runs: Sequence[tuple[Recipe, Path, bool, int]], change: str = "") -> None:
    """What one rank does: some runs one after the other, each with its port; all of them `quick_runs`."""
    import torch

    import sphinx_x.training.engine as engine
    import sphinx_x.training.trainer as trainer

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    engine.get_member = lambda _: member
    exec(change)
    with quick_runs():
        for recipe, folder, resume, port in runs:
            os.environ["MASTER_PORT"] = str(port)
            trainer.train(recipe, folder, resume=resume)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start_ranks(count: int, member, runs: Sequence[tuple[Recipe, Path]], resume=False, change="") -> list[Begun]:
    """Starts `count` processes that together do some runs, one after the other. change: code that each runs first."""
    job = [(*run, resume, free_port()) for run in runs]
    env = {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": str(count)}
    return [begin(run_one, member, job, change, env=env | {"RANK": str(k), "LOCAL_RANK": str(k)}) for k in range(count)]


def run_ranks(count: int, member, runs: Sequence[tuple[Recipe, Path]], resume=False, change="") -> list[str]:
    """The same, to the end; gives what each said on standard error."""
    processes = start_ranks(count, member, runs, resume, change)
    try:
        said = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, text in zip(processes, said, strict=True):
        assert process.returncode == 0, text
    return said
