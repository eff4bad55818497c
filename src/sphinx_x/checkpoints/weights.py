"""Weight files on the hub and in model folders: safetensors, or PyTorch's own files without their code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sphinx_x.checkpoints.pth import open_pth
from sphinx_x.checkpoints.recognise import WEIGHTS, check_file, complaint
from sphinx_x.checkpoints.writer import TYPE_NAMES
from sphinx_x.errors import CheckpointError, one_line

NAMES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
"""Possible names of a folder's weights; the first that exists counts."""
TYPES = {name: dtype for dtype, name in TYPE_NAMES.items()}


class WeightFiles:
    """The tensors of a folder or of one file, read one at a time from memory maps."""

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.name = str(path)
        self._pickled: dict[str, Tensor] = {}
        self._files: dict[str, Any] = {}
        for file in _weight_files(path):
            check_file(file)
            if file.suffix == ".safetensors":
                opened = _open_safetensors(file)
                held: Mapping[str, Any] = dict.fromkeys(opened.keys(), opened)
                where: dict[str, Any] = self._files
            else:
                held, where = open_pth(file, inner=("model", "state_dict", "teacher")), self._pickled
            twice = next((name for name in held if name in where), None)
            if twice:
                raise CheckpointError(f"{file}: {twice} lies in another file as well")
            where.update(held)
        self._shapes = {name: _outline(file, name) for name, file in self._files.items()}
        self._shapes.update({name: tensor.to("meta") for name, tensor in self._pickled.items()})

    def tensors(self) -> Mapping[str, Tensor]:
        """Return shapes and types, on the meta device."""
        return self._shapes

    def read(self, name: str) -> Tensor:
        """Return one tensor."""
        return self._files[name].get_tensor(name) if name in self._files else self._pickled[name]


def _weight_files(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix not in WEIGHTS:
            what = complaint(path) or f"no weights ({', '.join(WEIGHTS)} are read), give those or their folder"
            raise CheckpointError(f"{path}: {what}")
        return [path]
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such file or folder")
    found = next((path / name for name in NAMES if (path / name).is_file()), None)
    if found is None:
        alone = [file for file in path.iterdir() if file.suffix in WEIGHTS]
        if len(alone) != 1:
            raise CheckpointError(f"{path}: no weights in it (none of {', '.join(NAMES)})")
        return alone
    if found.suffix != ".json":
        return [found]
    check_file(found)
    try:
        names = sorted(set(json.loads(found.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{found}: not an index of weight files") from error
    files = [path / str(name) for name in names]
    missing = next((file for file in files if not file.is_file()), None)
    if missing or any(file.parent != path for file in files):
        raise CheckpointError(f"{missing or found}: missing, though {found.name} names it")
    return files


def _open_safetensors(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: cut off or no safetensors file ({one_line(error)})") from error


def _outline(file: Any, name: str) -> Tensor:
    part = file.get_slice(name)
    if part.get_dtype() not in TYPES:
        raise CheckpointError(f"{name}: numbers of the type {part.get_dtype()} are not read")
    return torch.empty(part.get_shape(), dtype=TYPES[part.get_dtype()], device="meta")
