"""Causal attention in training on a CPU: exact, in blocks of queries, as plain matrix products.

The library's fused kernel multiplies in float32 on processors without matrix units, and its backward pass is several
times slower than the products that it consists of. Here each block of queries meets only the keys up to its end, the
queries that share a key are rows of one product, and the backward pass computes the weights again, so that nothing of
the size of keys times queries is kept.

Shapes: B sequences, H heads of queries, G of keys, H / G = M, T tokens, N queries of a block, E keys up to its end,
W channels of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

BLOCK = 128
"""Queries of a block. Of 128, 192 and 256, the first was the fastest or within a tenth of it at 256 to 3,072 tokens."""


class BlockedCausalAttention(torch.autograd.Function):
    """Scaled dot-product attention in which each token sees itself and those before it."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Map queries (B, H, T, W), keys and values (B, G, T, W) to (B, H, T, W)."""
        query = query * scale
        out_BHTW = query.new_empty(*query.shape[:3], value.shape[-1])
        for begin, end in _blocks(query.shape[2]):
            weights = _weights(query, key, begin, end)
            _put(out_BHTW, weights @ value[..., :end, :], begin, end)
        ctx.save_for_backward(query, key, value, out_BHTW)
        ctx.scale = scale
        return out_BHTW

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of queries, keys and values; those of keys and values are summed in float32."""
        query, key, value, out_BHTW = ctx.saved_tensors
        (d_out,) = gradients
        d_query = torch.empty_like(query)
        d_key, d_value = (torch.zeros_like(x, dtype=torch.float32) for x in (key, value))
        mean_BHT1 = (d_out.float() * out_BHTW.float()).sum(-1, keepdim=True).to(query.dtype)
        for begin, end in _blocks(query.shape[2]):
            weights = _weights(query, key, begin, end)
            d_rows = _rows(d_out, key.shape[1], begin, end)
            d_value[..., :end, :] += weights.mT @ d_rows
            d_scores = d_rows @ value[..., :end, :].mT
            d_scores = d_scores.sub_(_rows(mean_BHT1, key.shape[1], begin, end)).mul_(weights)
            _put(d_query, d_scores @ key[..., :end, :], begin, end)
            d_key[..., :end, :] += d_scores.mT @ _rows(query, key.shape[1], begin, end)
        return d_query.mul_(ctx.scale), d_key.to(key.dtype), d_value.to(value.dtype), None


def _blocks(tokens: int) -> Iterator[tuple[int, int]]:
    """Yield where each block of queries begins and ends."""
    for begin in range(0, tokens, BLOCK):
        yield begin, min(begin + BLOCK, tokens)


def _rows(x_BHTW: Tensor, groups: int, begin: int, end: int) -> Tensor:
    """Return a block of queries as rows (B, G, M * N, W): all that share a key are in one product."""
    batch, heads, _, width = x_BHTW.shape
    return x_BHTW[:, :, begin:end].reshape(batch, groups, heads // groups * (end - begin), width)


def _put(x_BHTW: Tensor, rows: Tensor, begin: int, end: int) -> None:
    """Write rows (B, G, M * N, W) where the block of queries is."""
    batch, heads, _, width = x_BHTW.shape
    x_BHTW[:, :, begin:end] = rows.view(batch, heads, end - begin, width)


def _weights(query: Tensor, key: Tensor, begin: int, end: int) -> Tensor:
    """Return how much a block of scaled queries takes of each key up to its end (B, G, M * N, E)."""
    scores = (_rows(query, key.shape[1], begin, end) @ key[..., :end, :].mT).unflatten(2, (-1, end - begin))
    future = torch.full((end - begin, end - begin), float("-inf"), dtype=query.dtype, device=query.device).triu(1)
    scores[..., begin:] += future
    return scores.softmax(-1).flatten(2, 3)
