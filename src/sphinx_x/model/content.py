"""The bytes of tensors, for hashes that tell weights apart."""

from __future__ import annotations

import torch
from torch import Tensor


def bytes_of(tensor: Tensor) -> memoryview:
    """Return the values of a tensor as they lie in memory, in order; nothing is copied if they lie so on the CPU."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def named_bytes(name: str, tensor: Tensor) -> tuple[bytes, memoryview]:
    """Return name, type and shape of a tensor, and its values."""
    return f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), bytes_of(tensor)
