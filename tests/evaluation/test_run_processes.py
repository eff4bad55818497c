"""Runs in processes of their own: killed at any moment, or several at once, they leave what an undisturbed one does."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from processes import Begun, begin_command
from ranks import free_port

pytestmark = pytest.mark.slow
COUNT = 36
TASK = ("--tasks", "lines", "--limit", str(COUNT), "--batch-size", "1", "--device", "cpu")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "PYTHONPATH": os.pathsep.join(sys.path)}


def start(out: Path, rank: int = 0, ranks: int = 1, port: int = 0) -> Begun:
    """`sphinx-x eval nano` on some text lines, as one rank of several."""
    among = {"WORLD_SIZE": str(ranks), "RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_PORT": str(port)}
    return begin_command("eval", "nano", *TASK, "-o", out, env={"MASTER_ADDR": "127.0.0.1"} | among)


def from_nothing(out: Path) -> subprocess.Popen:
    """The same by a new interpreter."""
    command = [sys.executable, "-m", "sphinx_x", "eval", "nano", *TASK, "-o", str(out)]
    env = os.environ | ONE_THREAD
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(processes: Sequence[subprocess.Popen | Begun]) -> None:
    for process in processes:
        said = process.communicate(timeout=500)[1]
        assert process.returncode == 0, said


def files(out: Path) -> dict[str, bytes]:
    """What a run leaves, but for the seconds of its answers."""
    found = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file() and path.name != ".lock"):
        content = path.read_bytes()
        if path.parent.name == "answers":
            content = json.dumps([{**json.loads(line), "seconds": 0} for line in content.splitlines()]).encode()
        found[str(path.relative_to(out))] = content
    return found


def answered(out: Path) -> int:
    """Answers so far."""
    return sum(path.read_bytes().count(b"\n") for path in (out / "answers").glob("*.part.jsonl"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("alone") / "run"
    finish([from_nothing(out)])
    found = files(out)
    assert {"report.md", "report.json", "report.html", "answers/lines.jsonl", "items/lines.jsonl"} <= found.keys()
    return found


def test_two_runs_leave_the_same_bytes(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    finish([start(tmp_path / "run")])
    assert files(tmp_path / "run") == undisturbed


def test_a_run_killed_ten_times_leaves_what_an_undisturbed_one_does(
    undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    draws, out = random.Random(15), tmp_path / "run"
    for _ in range(10):
        process, before = start(out), answered(out)
        # some die while they load, some between answers, some as they end
        until, deadline = before + draws.choice((0, 1, 2, 5)), time.monotonic() + 300
        while process.poll() is None and answered(out) < until and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(draws.random())
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish([start(out)])
    assert files(out) == undisturbed


@pytest.mark.parametrize("count", [2, 3])
def test_ranks_leave_what_one_process_does(count: int, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    port = free_port()
    finish([start(tmp_path / "run", rank, count, port) for rank in range(count)])
    assert files(tmp_path / "run") == undisturbed


def test_torchrun_with_a_rank_that_is_killed(undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    """The others end, and the next run, by another number of ranks, goes on with what all have said."""
    out = tmp_path / "run"
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "sphinx_x",
    ]
    with subprocess.Popen(
        [*torchrun, "eval", "nano", *TASK, "-o", str(out)],
        env=os.environ | ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        deadline = time.monotonic() + 300
        while answered(out) < 4 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        ranks = children(process.pid)
        assert len(ranks) == 2
        os.kill(ranks[-1], signal.SIGKILL)
        said = process.communicate(timeout=300)[0]
        assert process.returncode != 0, said
    before = answered(out)
    assert 4 <= before < COUNT
    finish([start(out)])
    assert files(out) == undisturbed


def children(parent: int) -> list[int]:
    """The processes that a process has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=True)
    return [int(line) for line in listed.stdout.split()]
