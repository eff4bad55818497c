"""Runs of several ranks on this machine, one process each, as torchrun starts them."""

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sphinx_x.recipe import Recipe

RANK = """
import os, pickle, sys
import torch
torch.set_num_threads(1)
import sphinx_x.training.engine as engine, sphinx_x.training.trainer as trainer
member, runs, change = pickle.load(open(sys.argv[1], "rb"))
if member is not None:
    engine.get_member = lambda _: member
exec(change)
for recipe, folder, resume, port in runs:
    os.environ["MASTER_PORT"] = str(port)
    trainer.train(recipe, folder, resume=resume)
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start_ranks(
    count: int, member, runs: Sequence[tuple[Recipe, Path]], resume=False, change=""
) -> list[subprocess.Popen]:
    """Starts `count` processes that together do some runs, one after the other. change: code that each runs first."""
    folder = runs[0][1].parent
    folder.mkdir(parents=True, exist_ok=True)
    job = folder / f"job-{free_port()}.pickle"
    job.write_bytes(pickle.dumps((member, [(*run, resume, free_port()) for run in runs], change)))
    ours = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, "-W", "ignore", "-c", RANK, str(job)]
    return [
        subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ours | {"WORLD_SIZE": str(count), "RANK": str(k), "LOCAL_RANK": str(k)},
        )
        for k in range(count)
    ]


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
