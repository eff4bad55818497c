"""The machine that a run is planned for: its device, memory and speed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from sphinx_x.errors import MissingToolError, one_line

SIDE = 2048
"""Rows and columns of the matrices whose product is timed."""


@dataclass(frozen=True)
class Trial:
    """Steps that were tried.

    Attributes:
        fastest: Operations per second of the fastest step.
        slowest: Operations per second of the slowest step.
        what: What was tried, in words.
    """

    fastest: float
    slowest: float
    what: str


@dataclass(frozen=True)
class Machine:
    """One device.

    Attributes:
        device: Its name.
        memory: Bytes of memory.
        rate: Operations per second of a matrix product in the recipe's dtype.
        trial: Steps that were tried on it, if any.
    """

    device: str
    memory: int
    rate: float
    trial: Trial | None = None


def look_at(device: torch.device, dtype: torch.dtype) -> Machine:
    """Return memory and speed of a device; the speed is measured, in well under a second."""
    return Machine(device.type, memory_of_device(device), product_rate(device, dtype))


def memory_of_device(device: torch.device) -> int:
    """Return the total memory of a device in bytes; on a CPU that of the machine, or the limit of the control group."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if limit.is_file() and limit.read_text().strip().isdigit():
            total = min(total, int(limit.read_text()))
    return total


def product_rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.5) -> float:
    """Return operations per second of a large matrix product: the best of those that fit in the time, at least two."""
    side = SIDE if device.type != "cpu" else SIDE // 2
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best, began = float("inf"), time.perf_counter()
    (a @ b).sum().item()  # kernels are built on the first call
    while best == float("inf") or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def chosen_device(name: str | None) -> torch.device:
    """Return the device with that name, by default an accelerator if there is one; with several ranks, this rank's."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    try:
        device = torch.device(name or (accelerator.type if accelerator else "cpu"))
        if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)  # before anything is put on a device: all ranks would begin on the first
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise MissingToolError(f"device {name}: {one_line(error)}") from error
    return device
