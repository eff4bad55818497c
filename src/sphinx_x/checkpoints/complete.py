"""Whether a model folder holds the weights of its config: the library fills what is missing with random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sphinx_x.errors import CheckpointError


def check_loaded(path: Path, report: Mapping[str, Any]) -> None:
    """Check what the library found while it loaded a model, its `output_loading_info`.

    Raises:
        CheckpointError: Weights are missing, unknown or of other shapes; the message names the first three.
    """
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(what):
            names = ", ".join(sorted(map(str, report[what]))[:3])
            raise CheckpointError(f"{path}: its weights are not those of its config ({what[:-5]}: {names})")
