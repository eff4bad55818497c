"""The benchmark runs, has all its rows, and both sides of it read the same."""

import os
import subprocess
import sys

import pytest

from paths import ROOT
from shards import write_lines


@pytest.mark.slow
def test_quick_benchmark(tiny_folder):
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "benchmarks/run.py", "--quick", "--model", str(tiny_folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | paths, timeout=240)
    assert done.returncode == 0, done.stderr
    for row in (
        "first piece",
        "decoding",
        "reading 8 lines",
        "encoding 10:1",
        "attention",
        "memory",
    ):
        assert f"| {row}" in done.stdout, row


def test_grid_costs():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from grids import cost

    views, skipped, tokens, *_ = cost(16, 2)
    assert views + skipped == pytest.approx(32)
    assert tokens == pytest.approx(views * 51 + skipped)
    assert cost(16, 2)[4] < cost(8, 8)[4] < cost(1, 1)[4]


@pytest.mark.slow
def test_quick_benchmark_of_training(tmp_path):
    for name in ("words", "lines", "fonts", "emoji"):
        write_lines(tmp_path, name, 30)
    command = [sys.executable, "benchmarks/training.py", str(tmp_path), "--quick"]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | paths, timeout=240)
    assert done.returncode == 0, done.stderr
    for row in ("| SPHINX-X |", "longest allowed |", "like length |", "Trainer |", "Not in forward", "the floor is"):
        assert row in done.stdout, row


@pytest.mark.slow
def test_quick_benchmark_of_the_loader(shared_dir):
    command = [sys.executable, "benchmarks/loader.py", str(shared_dir / "data"), "--quick"]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | paths, timeout=240)
    assert done.returncode == 0, done.stderr
    for row in ("JPEG photos", "scanned receipts", "lines for SPHINX-Nano"):
        assert f"| {row}" in done.stdout, row


@pytest.mark.slow
def test_the_gpu_benchmark_trains_alike_on_one_sharded_rank(monkeypatch):
    """What it does on a GPU, here on the CPU: the sharded run has the losses of the plain one."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import gpu
    import torch

    from sphinx_x.training.distributed import World

    monkeypatch.setattr(gpu, "TOKENS", 2000)
    device = torch.device("cpu")
    before, after, _ = gpu.trained(World(device), "float32")
    with gpu.one_rank(device) as world:
        assert gpu.trained(world, "float32")[:2] == pytest.approx((before, after), abs=1e-4)
    assert after < before
