"""Scaled dot-product attention that is also fast for short sequences on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHORT = 512
"""Up to this many keys, plain matrix products beat the library's fused CPU kernel in training: its backward pass takes
two to four times as long (measured in bfloat16 with 49 and 200 keys; `benchmarks/` has the row)."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    causal: bool = False,
    scale: float | None = None,
    window: int | None = None,
) -> Tensor:
    """Compute scaled dot-product attention.

    Args:
        query: Queries (batch, heads, T, width).
        key: Keys, with as many heads as the queries or a divisor of that number.
        value: Values, shaped as the keys.
        causal: Whether each token sees only itself and earlier ones.
        scale: Factor of the products, 1 / sqrt(width) by default.
        window: In causal attention, the number of tokens that each token sees at most, itself included.

    Returns:
        A tensor in the shape of the queries.
    """
    short = query.device.type == "cpu" and torch.is_grad_enabled() and key.shape[-2] <= SHORT
    if window is not None and window >= key.shape[-2]:
        window = None
    if not short:
        seen = None if window is None else _band(key, window)
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=seen,
            is_causal=causal and seen is None,
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    if query.shape[1] != key.shape[1]:
        times = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(times, dim=1), value.repeat_interleave(times, dim=1)
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(-1, -2)
    if window is not None:
        scores = scores.masked_fill(~_band(key, window), float("-inf"))
    elif causal:
        future = torch.full(scores.shape[-2:], float("-inf"), dtype=scores.dtype, device=scores.device).triu(1)
        scores = scores + future
    return scores.softmax(-1) @ value


def _band(key: Tensor, window: int) -> Tensor:
    """Return which keys each query sees, itself and those right before it, as a mask (T, T)."""
    return torch.ones(key.shape[-2], key.shape[-2], dtype=torch.bool, device=key.device).tril().triu(1 - window)
