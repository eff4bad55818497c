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
class Pack:
    """How sequences lie in one row of T tokens, in order, without gaps.

    position_ids: (1, T), restarting with each sequence. groups: (count, longest) of each group of sequences of similar
    length. gather: the rows of the pack that the groups hold, one group behind the other, each count x longest, with
    a sequence's first row repeated as padding. put_back: (T,) where each row lies among those.

    A row may be longer than its sequences: what lies behind them belongs to no group, and nothing reads it.
    """

    position_ids: Tensor
    groups: tuple[tuple[int, int], ...]
    gather: Tensor
    put_back: Tensor


def round_up(number: int, multiple: int) -> int:
    """The next multiple: shapes that recur let a CPU's matrix library reuse the kernels it has built."""
    return -(-number // multiple) * multiple


def plan_pack(
    lengths: Sequence[int], group_size: int = 8, total: int | None = None, device: torch.device | str | None = None
) -> Pack:
    """The plan for sequences of these lengths, lying one behind the other in a row of `total` tokens (by default as
    many as they have)."""
    total = sum(lengths) if total is None else total
    starts = torch.tensor([0, *lengths]).cumsum(0).tolist()
    order = sorted(range(len(lengths)), key=lambda k: lengths[k])
    groups: list[tuple[int, int]] = []
    gathered: list[Tensor] = []
    put_back = torch.zeros(total, dtype=torch.int64)
    done = 0
    for first in range(0, len(order), group_size):
        members = order[first : first + group_size]
        longest = round_up(lengths[members[-1]], 32)
        for k in members:
            rows = torch.full((longest,), starts[k])
            rows[: lengths[k]] = torch.arange(starts[k], starts[k + 1])
            put_back[starts[k] : starts[k + 1]] = torch.arange(done, done + lengths[k])
            gathered.append(rows)
            done += longest
        groups.append((len(members), longest))
    behind = torch.zeros(total - starts[-1], dtype=torch.int64)
    positions = torch.cat([*[torch.arange(length) for length in lengths], behind])
    return Pack(positions[None].to(device), tuple(groups), torch.cat(gathered).to(device), put_back.to(device))


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
    sizes = [count * longest for count, longest in pack.groups]
    gathered = [x[0].transpose(0, 1).index_select(0, pack.gather).split(sizes) for x in (query, key, value)]
    pieces = []
    for group, *rows in zip(pack.groups, *gathered, strict=True):
        q, k, v = (x.unflatten(0, group).transpose(1, 2) for x in rows)
        pieces.append(attend(q, k, v, causal=True, scale=scaling).transpose(1, 2).flatten(0, 1))
    return torch.cat(pieces).index_select(0, pack.put_back)[None], None


ALL_ATTENTION_FUNCTIONS.register(PACKED, packed_attention)
