"""Attention over packed samples: many sequences in one row, no padding outside of attention itself.

The library calls attention functions by name; `packed` is one more of them. Everything but attention runs on the
packed row [1, T, D]. Attention gathers the sequences into groups of similar length, pads inside a group only, runs
causal scaled-dot-product attention, and puts the rows back. So samples never see each other, and no mask is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sphinx_x.model.attention import attend

PACKED = "packed"


@dataclass(frozen=True)
class PackGroup:
    """Sequences of similar length. gather: (count x longest,) rows of the pack; put_back: where real rows lie in it."""

    count: int
    longest: int
    gather: Tensor
    put_back: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Pack:
    """How sequences lie in one row, in order, without gaps. position_ids: (1, T), restarting with each sequence."""

    position_ids: Tensor
    groups: tuple[PackGroup, ...]


def plan_pack(lengths: Sequence[int], group_size: int = 8, device: torch.device | str | None = None) -> Pack:
    """The plan for sequences of these lengths, lying one behind the other in a row of sum(lengths) tokens."""
    starts = torch.tensor([0, *lengths]).cumsum(0)[:-1].tolist()
    order = sorted(range(len(lengths)), key=lambda k: lengths[k])
    groups = []
    for first in range(0, len(order), group_size):
        members = order[first : first + group_size]
        longest = lengths[members[-1]]
        offsets = torch.arange(longest)
        inside = offsets < torch.tensor([lengths[k] for k in members])[:, None]
        rows = torch.tensor([starts[k] for k in members])[:, None] + offsets
        # padding repeats a real row; whatever it computes is never put back
        gather = torch.where(inside, rows, rows[:, :1]).flatten()
        put_back = inside.flatten().nonzero()[:, 0]
        groups.append(
            PackGroup(len(members), longest, gather.to(device), put_back.to(device), gather[put_back].to(device))
        )
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    return Pack(positions.to(device), tuple(groups))


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    pack: Pack | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as the library calls it: (1, heads, T, width) each -> (1, T, heads, width), kept apart by `pack`."""
    if pack is None or query.shape[0] != 1 or dropout:
        raise ValueError("packed attention needs one row of samples and its pack, and knows no dropout")
    rows = [x[0].transpose(0, 1) for x in (query, key, value)]  # (T, heads, width)
    mixed = torch.empty_like(rows[0], memory_format=torch.contiguous_format)
    pieces, places = [], []
    for group in pack.groups:
        shape = (group.count, group.longest)
        q, k, v = (x.index_select(0, group.gather).unflatten(0, shape).transpose(1, 2) for x in rows)
        out = attend(q, k, v, causal=True, scale=scaling)
        pieces.append(out.transpose(1, 2).flatten(0, 1).index_select(0, group.put_back))
        places.append(group.rows)
    return mixed.index_copy(0, torch.cat(places), torch.cat(pieces))[None], None


ALL_ATTENTION_FUNCTIONS.register(PACKED, packed_attention)
