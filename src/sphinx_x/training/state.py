"""The state of a training run on disk: whole or not there, the latest ones kept.

`state/step-00001234/` holds the float32 weights, the optimizer's moments, the alignment head and the run's numbers;
`manifest.json` comes last. Nothing else needs to be saved: the mixture, the augmentation and the schedule are functions
of the seed and the step.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from sphinx_x.errors import CheckpointError
from sphinx_x.jobs import MANIFEST, atomic_folder, check_manifest, write_manifest

_PREFIX = "step-"


def save_state(folder: Path, step: int, tensors: dict[str, Tensor], facts: dict[str, Any], keep: int) -> Path:
    """Writes the state after `step` steps, then deletes all but the newest `keep`."""
    target = folder / f"{_PREFIX}{step:08d}"
    with atomic_folder(target) as temporary:
        save_file(tensors, temporary / "tensors.safetensors")
        (temporary / "state.json").write_text(json.dumps({"step": step, **facts}, indent=1))
        write_manifest(temporary)
    for old in saved_states(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def saved_states(folder: Path) -> list[Path]:
    """The complete states of a run, oldest first."""
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if (path / MANIFEST).is_file())


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The newest state of a run; raises `CheckpointError` where there is none or it was altered."""
    states = saved_states(folder)
    if not states:
        raise CheckpointError(f"{folder}: no saved state to resume from; begin without --resume")
    check_manifest(states[-1], full=True)
    return load_file(states[-1] / "tensors.safetensors"), json.loads((states[-1] / "state.json").read_text())
