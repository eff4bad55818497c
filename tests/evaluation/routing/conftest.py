"""The small Mixtral of `known_mixture` and its questions, made once for each file of tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from known_mixture import make_mixture, make_questions
from sphinx_x.inference import SphinxX


@pytest.fixture(scope="module")
def folder(tiny_mixture: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mixture(tiny_mixture, tmp_path_factory.mktemp("mixture") / "known")


@pytest.fixture
def known(folder: Path) -> SphinxX:
    return SphinxX.load(folder, device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_questions(tmp_path_factory.mktemp("data"))
