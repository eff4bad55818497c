"""Scaled dot-product attention that is also fast on a CPU: for short sequences, and for one token after another."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sphinx_x.model.cpu_attention import BlockedCausalAttention

SHORT = 512
"""Up to this many keys, plain matrix products beat the library's fused CPU kernel in training: its backward pass takes
two to four times as long (measured in bfloat16 with 49 and 200 keys; `benchmarks/` has the row)."""
GROUPED = "sdpa_grouped"
"""The name under which the library finds `grouped_attention`."""


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
    trained = query.device.type == "cpu" and torch.is_grad_enabled()
    short, shared = trained and key.shape[-2] <= SHORT, query.shape[1] != key.shape[1]
    if window is not None and window >= key.shape[-2]:
        window = None
    if trained and causal and window is None and not short and query.dtype == torch.bfloat16:
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        return BlockedCausalAttention.apply(query, key, value, factor)
    if not short:
        seen = None if window is None else _band(key, window)
        return F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=seen,
            is_causal=causal and seen is None,
            scale=scale,
            enable_gqa=shared,
        )
    if shared:
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


def grouped_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Compute the library's `sdpa` attention, with each key read once for all queries of a single token that share it.

    On a CPU, its fused kernel reads the keys again for every head: twelve times as long with eight heads to a key.

    Returns:
        A tensor (batch, T, heads, width), and None for the attention weights.
    """
    heads, shared = query.shape[1], key.shape[1]
    alone = query.shape[2] == 1 and attention_mask is None and options.get("position_bias") is None
    if not alone or heads == shared or key.device.type != "cpu" or options.get("dropout") or options.get("cache"):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    rows = query.view(len(query), shared, heads // shared, query.shape[-1])
    seen = F.scaled_dot_product_attention(rows, key, value, scale=options.get("scaling"))
    return seen.reshape(len(query), 1, heads, value.shape[-1]), None


def attend_in_groups(language_model: nn.Module) -> None:
    """Let a language model whose attention is the library's `sdpa` compute it by `grouped_attention`."""
    config: Any = language_model.config
    if config._attn_implementation == "sdpa":
        config._attn_implementation = GROUPED


ALL_ATTENTION_FUNCTIONS.register(GROUPED, grouped_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(GROUPED, sdpa_mask)
