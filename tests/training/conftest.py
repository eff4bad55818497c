"""A short run on drawn lines."""

from contextlib import nullcontext

import pytest

import sphinx_x.training.engine as engine
from ranks import quick_runs
from shards import write_lines
from sphinx_x.recipe import Recipe


@pytest.fixture(autouse=True)
def _quick_runs(request):
    """Runs draw no curves and do not count operations, which takes longer than their training, but where a test is
    slow or about that: `whole_runs`."""
    whole = request.node.get_closest_marker("slow") or "whole_runs" in request.fixturenames
    with nullcontext() if whole else quick_runs():
        yield


@pytest.fixture
def whole_runs() -> None:
    """For a test that looks at the curves of a run, or at what its device can do."""


@pytest.fixture
def recipe(tmp_path, tiny_member, monkeypatch):
    """A run of 12 steps of a tiny member on 40 drawn lines."""
    write_lines(tmp_path / "data", "lines", 40)
    monkeypatch.setattr(engine, "get_member", lambda _: tiny_member)
    settings = {
        "total_samples": 96,
        "pack": {"tokens": 700, "views": 64, "window": 32},
        "max_tokens": 200,
        "dtype": "float32",
        "freeze": [],
        "learning_rate": 3e-3,
        "max_grad_norm": 1.0,
    }
    more = {
        "align": {"weight": 0.5},
        "augment": {"scale": (0.9, 1.1), "margin": 2},
        "sources": {"lines": {"weight": 1}},
    }
    numbers = {"save_every": 4, "log_every": 2, "workers": 0, "warmup": 0.2}
    return Recipe(member="nano", folder=tmp_path / "data", **settings, **more, **numbers)
