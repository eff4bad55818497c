"""What the experts of a mixture cost in training: ours, and the Transformers library's loop and grouped product.

Forward and backward pass of one layer's experts, in turns, with another routing in every round (sizes that do not
recur at once, as in training), after some rounds to warm up in. CPU seconds, the median of the rounds, and the ratio to
ours. The floor is the same work without any routing: all copies through the matrices of one expert.

    python benchmarks/moe_experts.py [--tokens 2048 --width 512 --inner 1792 --experts 8 --k 2 --dtype bfloat16]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralExperts

from sphinx_x.model.moe import install_experts

Layer = Callable[[Tensor, Tensor, Tensor], Tensor]


def layers_of(sizes: argparse.Namespace) -> dict[str, Layer]:
    """The layers that are compared, with the same weights."""
    config = MixtralConfig(hidden_size=sizes.width, intermediate_size=sizes.inner, num_local_experts=sizes.experts)
    holder = nn.Module()
    holder.experts = MixtralExperts(config).to(getattr(torch, sizes.dtype))
    for parameter in holder.parameters():
        nn.init.normal_(parameter, std=0.02)
    theirs = holder.experts
    install_experts(holder)

    def chosen(implementation: str) -> Layer:
        def run(*given: Tensor) -> Tensor:
            config._experts_implementation = implementation
            return theirs(*given)

        return run

    def floor(hidden: Tensor, picks: Tensor, weights: Tensor) -> Tensor:
        copies = hidden.repeat(picks.shape[1], 1)
        gate, up = F.linear(copies, theirs.gate_up_proj[0]).chunk(2, dim=-1)
        return F.linear(F.silu(gate) * up, theirs.down_proj[0])

    return {"ours": holder.experts, "loop": chosen("eager"), "grouped_mm": chosen("grouped_mm"), "floor": floor}


def seconds(layer: Layer, sizes: argparse.Namespace, seed: int) -> float:
    """CPU seconds of a forward and a backward pass; some experts are chosen more often than others."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(sizes.tokens, sizes.width, generator=generator).to(getattr(torch, sizes.dtype))
    logits = torch.randn(sizes.tokens, sizes.experts, generator=generator)
    logits = logits + torch.randn(sizes.experts, generator=generator)
    weights, picks = logits.softmax(-1).topk(sizes.k)
    hidden, weights = hidden.requires_grad_(), (weights / weights.sum(-1, keepdim=True)).requires_grad_()
    began = time.process_time()
    out = layer(hidden, picks, weights)
    out.backward(torch.ones_like(out))
    return time.process_time() - began


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Compares the experts of a mixture in training.")
    for name, default in {
        "tokens": 2048,
        "width": 512,
        "inner": 1792,
        "experts": 8,
        "k": 2,
        "warm": 20,
        "rounds": 9,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    sizes = parser.parse_args()
    torch.set_num_threads(1)
    layers = layers_of(sizes)
    every: dict[str, list[float]] = {name: [] for name in layers}
    for turn in range(sizes.warm + sizes.rounds):
        for number, (name, layer) in enumerate(layers.items()):
            # never the sizes that another has had before: it would find the kernels built
            every[name].append(seconds(layer, sizes, turn * len(layers) + number))
    taken = {name: times[sizes.warm :] for name, times in every.items()}
    medians = {name: statistics.median(times) for name, times in taken.items()}
    ratios = {name: [t / o for t, o in zip(taken[name], taken["ours"], strict=True)] for name in layers}
    print("| experts | CPU ms | times ours (median of rounds) | from | to |\n|---|---|---|---|---|")
    for name, ratio in ratios.items():
        middle = statistics.median(ratio)
        print(f"| {name} | {1000 * medians[name]:.0f} | {middle:.2f} | {min(ratio):.2f} | {max(ratio):.2f} |")


if __name__ == "__main__":
    main()
