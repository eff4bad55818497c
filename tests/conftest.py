"""What every test runs under: one quiet OpenMP thread, denormals flushed, shared test material by a fixture."""

import os
import sys
from pathlib import Path

import pytest

# Before anything imports torch, and inherited by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


@pytest.fixture(autouse=True)
def _quiet_torch() -> None:
    """Flushes denormals, which slow a backward pass thirtyfold; torch is not imported for it."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(True)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` beside the repository: golden numbers and evaluation data too large for it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{folder} is missing, though CI lays it beside the repository")
        pytest.skip(f"needs {folder}, which is not part of the repository")
    return folder
