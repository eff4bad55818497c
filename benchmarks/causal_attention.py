"""Causal attention of a training step on a CPU, forward and backward: in blocks, fused by the library, and as chosen.

    python benchmarks/causal_attention.py [--turns 5]

The ways are taken in turns; told are milliseconds (medians), and the time of ours over the library's. Shapes are those
of the family's language models: sequences, heads of queries, heads of keys, tokens, channels of a head.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sphinx_x.model.attention import attend
from sphinx_x.model.cpu_attention import BlockedCausalAttention

SHAPES = {
    "SPHINX-Smol, documents": (2, 9, 3, 832, 64),
    "SPHINX-Smol, short": (8, 9, 3, 256, 64),
    "SPHINX-Smol, a full page": (1, 9, 3, 3072, 64),
    "SPHINX-Nano, lines": (16, 4, 4, 60, 64),
    "SPHINX-Tiny": (1, 32, 4, 1536, 64),
}


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend by the library's kernel."""
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)


def blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend in blocks of queries."""
    return BlockedCausalAttention.apply(query, key, value, query.shape[-1] ** -0.5)


def chosen(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend as training does."""
    return attend(query, key, value, causal=True)


def milliseconds(attention: Callable[..., Tensor], inputs: list[Tensor], gradient: Tensor) -> float:
    """Return the time of one pass forward and backward."""
    began = time.perf_counter()
    torch.autograd.grad(attention(*inputs), inputs, gradient)
    return 1e3 * (time.perf_counter() - began)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    print("| shape | type | library | blocks | as chosen | chosen / library |\n|---|---|---|---|---|---|")
    for dtype in (torch.bfloat16, torch.float32):
        for title, (batch, heads, groups, tokens, width) in SHAPES.items():
            shapes = [(batch, number, tokens, width) for number in (heads, groups, groups, heads)]
            *inputs, gradient = (torch.randn(shape).to(dtype) for shape in shapes)
            for x in inputs:
                x.requires_grad_()
            times: dict[str, list[float]] = {"fused": [], "blocks": [], "chosen": []}
            for number in range(turns + 1):
                for way in (fused, blocks, chosen):
                    taken = milliseconds(way, inputs, gradient)
                    if number:  # the first turn warms up
                        times[way.__name__].append(taken)
            one, other, third = (statistics.median(times[way]) for way in times)
            kind = str(dtype).removeprefix("torch.")
            print(f"| {title} | {kind} | {one:.1f} | {other:.1f} | {third:.1f} | {third / one:.2f} |", flush=True)


if __name__ == "__main__":
    main()
