"""Inferring sizes from the names and shapes of tensors, and reading numbers from settings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sphinx_x.errors import CheckpointError


def count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many numbered parts follow a prefix ("blocks."); raise `CheckpointError` if a number is missing."""
    matches = [re.match(r"[0-9]{1,9}(?=\.)", name[len(prefix) :]) for name in tensors if name.startswith(prefix)]
    numbers = {int(match[0]) for match in matches if match}
    missing = next((k for k in range(len(numbers)) if k not in numbers), None)
    if missing is not None:
        raise CheckpointError(f"{prefix}{missing} is missing, though there is {prefix}{max(numbers)}")
    return len(numbers)


def shape(tensors: Mapping[str, Tensor], name: str, dimensions: int | None = None) -> tuple[int, ...]:
    """Return a tensor's shape; raise `CheckpointError` if it is missing or has another number of dimensions."""
    if name not in tensors:
        raise CheckpointError(f"tensor {name} missing")
    found = tuple(tensors[name].shape)
    if dimensions is not None and (len(found) != dimensions or 0 in found):
        raise CheckpointError(
            f"tensor {name} has the shape {found}, not {dimensions} dimensions with something in them"
        )
    return found


def square(positions: int, name: str) -> tuple[int, int]:
    """Return the rows and columns of a square number of positions; raise `CheckpointError` if it is not one."""
    side = math.isqrt(positions)
    if side * side != positions:
        raise CheckpointError(f"{name}: {positions} positions are no square")
    return side, side


def number(settings: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    """Return a number of the settings, or the default if it is absent or null.

    Raises:
        CheckpointError: It is not a number, or not between `least` and `most`.
    """
    value = settings.get(name)
    if value is None:
        return float(default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise CheckpointError(f"the settings give {name} {value!r}, not a number from {least:g} to {most:g}")
    return float(value)
