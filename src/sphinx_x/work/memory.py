"""Weights in memory of their own, in place of a mapping of their file.

A model folder's weights are mapped: they become resident when they are used, and processes share them. But a processor
reads a mapping of a file more slowly than plain memory: decoding, which reads all weights of the language model for
each token, took 1.1 to 1.2 times as long (SPHINX-Tiny in bfloat16, two cores). What is read again and again is copied.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from torch import Tensor, nn

MAPS = Path("/proc/self/maps")
"""The kernel's list of this process's mappings."""
MEMORY = Path("/proc/meminfo")
"""The kernel's account of memory."""


def own_memory(modules: Iterable[nn.Module], but: Collection[nn.Module] = ()) -> int:
    """Copy the weights of linear layers that are mapped from files into memory of their own, one by one.

    Tables of embeddings and the joint experts of a mixture stay mapped: a token needs few of their rows. The pages of
    the mapping are given back, so that no more memory is resident than if all had been used in place. Where that is
    more than is available, or the kernel does not tell what is mapped (anywhere but on Linux), nothing is done.

    Args:
        modules: Where to look for layers.
        but: Layers that are left alone.

    Returns:
        The number of bytes that were copied.
    """
    parts = dict.fromkeys(part for module in modules for part in module.modules())
    layers = [part for part in parts if isinstance(part, nn.Linear) and part not in but]
    found = _mapped(p for layer in layers for p in layer.parameters(recurse=False))
    size = sum(parameter.nbytes for parameter in found)
    if size > available():
        return 0
    for parameter in found:
        old = parameter.data  # its mapping lives as long as this
        parameter.data = old.clone()
        _give_back(old)
    return size


def give_back(weights: Iterable[Tensor]) -> None:
    """Let the kernel drop what it has read of weights that are mapped from files; it is read again if used.

    They have to be what their files have: what was written to them would be lost.
    """
    for tensor in _mapped(weights):
        _give_back(tensor)


def trim() -> None:
    """Give memory that was freed back to the kernel, where the C library can (glibc); otherwise nothing is done.

    An OCR engine frees what it needed for one image in pieces between others, so that the next image, of another size,
    takes new memory. After six receipts, 0.23 GB of a process of 1.31 GB were such pieces. It takes 20 ms.
    """
    give = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if give is not None:
        give(ctypes.c_size_t(0))


def available() -> int:
    """Return the bytes of memory that can be had without swapping, as the kernel estimates it."""
    rows = (row.split() for row in MEMORY.read_text(encoding="utf-8").splitlines()) if MEMORY.exists() else ()
    return next((int(row[1]) * 1024 for row in rows if row[0] == "MemAvailable:"), 0)


def _mapped_files() -> list[tuple[int, int]]:
    """Return where files are mapped, as addresses from and to."""
    if sys.platform != "linux" or not MAPS.exists():
        return []
    rows = (row.split(maxsplit=5) for row in MAPS.read_text(encoding="utf-8", errors="replace").splitlines())
    ranges = (row[0].split("-") for row in rows if len(row) == 6 and row[5].startswith("/"))
    return [(int(low, 16), int(high, 16)) for low, high in ranges]


def _mapped(weights: Iterable[Tensor]) -> list[Tensor]:
    """Return those weights that are mapped from files, each once."""
    files = _mapped_files()
    return [
        tensor
        for tensor in dict.fromkeys(weights)
        if tensor.device.type == "cpu" and any(low <= tensor.data_ptr() < high for low, high in files)
    ]


def _give_back(weights: Tensor) -> None:
    """Let the kernel drop the whole pages of weights in a mapping, which would be read again if used."""
    page, begin = mmap.PAGESIZE, weights.data_ptr()
    begin, end = -(-begin // page) * page, (begin + weights.nbytes) // page * page
    if begin < end:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)
