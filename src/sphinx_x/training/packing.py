"""Examples -> micro-batches: packed rows under a budget of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sphinx_x.data.loader import Example
from sphinx_x.model.packed import Pack, plan_pack


@dataclass
class MicroBatch:
    """Examples in one row. ids: (1, T); views: (V, 3, H, W) uint8; rows, targets: the positions that predict a trained
    token, and that token; padded, attended: rows that attention pads, and all rows it sees."""

    examples: list[Example]
    ids: Tensor
    views: Tensor
    rows: Tensor
    targets: Tensor
    pack: Pack

    @property
    def tokens(self) -> int:
        """Tokens of the row."""
        return self.ids.shape[1]

    @property
    def attended(self) -> int:
        """Rows that attention computes, its padding included."""
        return sum(group.count * group.longest for group in self.pack.groups)


def split_batch(examples: Sequence[Example], micro_tokens: int) -> list[list[Example]]:
    """Consecutive runs of examples of at most `micro_tokens` tokens each (a longer example stands alone)."""
    runs: list[list[Example]] = []
    room = 0
    for example in examples:
        length = len(example.ids)
        if not runs or length > room:
            runs.append([])
            room = micro_tokens
        runs[-1].append(example)
        room -= length
    return runs


def pack_examples(examples: list[Example], device: torch.device) -> MicroBatch:
    """Lays examples into one row, on `device`."""
    ids, labels = torch.cat([e.ids for e in examples]), torch.cat([e.labels for e in examples])
    # an example begins with a token that is never trained, so no position predicts across examples
    rows = (labels[1:] != -100).nonzero()[:, 0]
    return MicroBatch(
        list(examples),
        ids[None].to(device),
        torch.cat([e.views for e in examples]).to(device),
        rows.to(device),
        labels[1:][rows].to(device),
        plan_pack([len(e.ids) for e in examples], device=device),
    )
