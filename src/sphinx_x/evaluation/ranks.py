"""Several processes that share one evaluation, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

LONGEST = timedelta(days=7)
"""How long a rank waits for the others: theirs may be the larger share."""


@dataclass(frozen=True, slots=True)
class Rank:
    """This process among `count`. number: from 0; local: on this machine."""

    number: int = 0
    count: int = 1
    local: int = 0

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    def device(self, named: str | None) -> str | None:
        """Where this process computes: of several on accelerators, each on that of its number, unless one is named."""
        if self.count == 1:
            return named
        kind = str(torch.accelerator.current_accelerator()) if torch.accelerator.is_available() else None
        return f"{kind}:{self.local}" if kind is not None and named in (None, kind) else named


@contextmanager
def joined() -> Iterator[Rank]:
    """This process among those that `torchrun` started; alone where it was started by itself."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Rank()
        return
    dist.init_process_group("gloo", timeout=LONGEST)
    try:
        yield Rank(dist.get_rank(), count, int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        dist.destroy_process_group()
