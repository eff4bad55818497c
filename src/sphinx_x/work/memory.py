"""Weights in memory of their own, in place of a mapping of their file.

A model folder's weights are mapped: they become resident when they are used, and processes share them. But a processor
reads a mapping of a file more slowly than plain memory: decoding, which reads all weights of the language model for
each token, took 1.1 to 1.2 times as long (SPHINX-Tiny in bfloat16, two cores). What is read again and again is copied.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterable
from pathlib import Path

from torch import nn

MAPS = Path("/proc/self/maps")
"""The kernel's list of this process's mappings."""


def own_memory(modules: Iterable[nn.Module]) -> int:
    """Copy the parameters of modules that are mapped from files into memory of their own, one by one.

    Tables of embeddings stay as they are, as only some of their rows are read, unless they are an output layer too. The
    pages of the mapping are given back, so that no more memory is resident than if all had been used in place.
    Where the kernel does not tell what is mapped (anywhere but on Linux), nothing is done.

    Returns:
        The number of bytes that were copied.
    """
    mapped, moved = _mapped_files(), 0
    parts = (part for module in modules for part in module.modules() if not isinstance(part, nn.Embedding))
    for parameter in dict.fromkeys(p for part in parts for p in part.parameters(recurse=False)):
        old = parameter.data
        begin = old.data_ptr() if old.device.type == "cpu" else 0
        if any(low <= begin < high for low, high in mapped):
            parameter.data = old.clone()
            _give_back(begin, begin + old.nbytes)
            moved += old.nbytes
    return moved


def _mapped_files() -> list[tuple[int, int]]:
    """Return where files of weights are mapped, as addresses from and to."""
    if sys.platform != "linux" or not MAPS.exists():
        return []
    rows = (row.split(maxsplit=5) for row in MAPS.read_text(encoding="utf-8", errors="replace").splitlines())
    ranges = (row[0].split("-") for row in rows if len(row) == 6 and row[5].endswith(".safetensors"))
    return [(int(low, 16), int(high, 16)) for low, high in ranges]


def _give_back(begin: int, end: int) -> None:
    """Let the kernel drop the whole pages between two addresses of a mapping, which would be read again if used."""
    page = mmap.PAGESIZE
    begin, end = -(-begin // page) * page, end // page * page
    if begin < end:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)
