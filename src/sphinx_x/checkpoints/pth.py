"""PyTorch's own files of tensors: opened as memory maps, without running any code in them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sphinx_x.checkpoints.recognise import check_file
from sphinx_x.errors import CheckpointError, one_line

PREFIX = "llma."
"""The beginning of the reference's names."""


def open_pth(path: Path, inner: Sequence[str] = ("model",)) -> dict[str, Tensor]:
    """Return the tensors of a .pth file by name (without `llma.`), memory-mapped.

    Args:
        path: The file.
        inner: Keys under which they may be grouped.

    Raises:
        CheckpointError: The file is truncated, is not such a file, or would run code when read.
    """
    check_file(path)
    try:
        content: Any = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: refused, it holds more than tensors and could run code") from error
    except Exception as error:  # a damaged directory makes PyTorch raise errors of nearly every kind
        reason = one_line(error)
        if "mmap can only be used" in reason:
            reason = "not a zip file as PyTorch has written since 1.6; load it there and save it again"
        raise CheckpointError(f"{path}: cut off or no checkpoint ({reason})") from error
    if isinstance(content, Mapping):
        content = next((content[key] for key in inner if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds no named tensors")
    other = [name for name, value in content.items() if not isinstance(value, Tensor)]
    if other or not content:
        raise CheckpointError(f"{path}: holds no tensors only ({str(other[:1] or 'nothing')[:80]})")
    named = {str(name).removeprefix(PREFIX): value for name, value in content.items()}
    if len(named) != len(content):
        raise CheckpointError(f"{path}: has a tensor twice, with and without {PREFIX}")
    _check_archive(path, named)
    return named


def _check_archive(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that every storage is one whole, uncompressed record: a memory map trusts the archive's directory."""
    odd = next((name for name, t in tensors.items() if t.layout is not torch.strided or t.device.type != "cpu"), None)
    odd = odd or next((name for name, t in tensors.items() if t.nbytes > t.untyped_storage().nbytes()), None)
    if odd:
        raise CheckpointError(f"{path}: {odd} is not a plain tensor")
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors.values() if t.nbytes}
    with zipfile.ZipFile(path) as archive:
        records = [item for item in archive.infolist() if "/data/" in item.filename and item.file_size]
        order = [archive.read(item) for item in archive.infolist() if item.filename.endswith("/byteorder")]
    packed = any(item.compress_type != zipfile.ZIP_STORED for item in records)
    sizes = [item.file_size for item in sorted(records, key=lambda item: item.header_offset)]
    if packed or sizes != [storages[start] for start in sorted(storages)] or order not in ([], [b"little"]):
        raise CheckpointError(f"{path}: cut off or damaged: its records are not its tensors")
