"""Keeping all experts of a language model busy: the load-balancing loss of a step, however it is split.

For one layer and one pool of N tokens, the loss is E / (k N^2) * sum over experts of C_e P_e: C_e of the tokens go to
expert e, and P_e is the sum of their probabilities of going there. It is 1 when all experts are equally busy, and up to
E / k when the same k take everything. The gradient flows through P_e only, as counts have none.

Which tokens make a pool? P_e is a sum over tokens and may be computed in pieces, but each piece's gradient needs the
counts of the whole pool, so these must be known before the first backward pass.

- A pack is a pool (as in training). Which samples share a pack follows from the seed, not from ranks or micro-batches,
  and each pack's loss counts by its share of the step's tokens. So the loss and its gradient are the same for any
  number of ranks, for packs computed together or one after another, and nothing is communicated between ranks. It is
  also what the reference computes: a loss over the tokens that a device holds at once.
- All tokens that the ranks compute at once are a pool (`group` of `balance_from`): milder, as experts may specialise in
  a kind of sample as long as the other ranks' samples keep the others busy. It is the same for any number of ranks that
  compute the same tokens at once; but accumulation over more micro-batches makes smaller pools, and so a different
  loss.
- The whole step as a pool would need a forward pass for the counts alone, or the counts of the previous step.

Shapes: T tokens, E experts, k experts a token goes to, L layers, G pools.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter


class RoutingSums(NamedTuple):
    """The sums over some tokens that the loss needs, all float32.

    Attributes:
        counts: How many of them go to each expert (G, L, E), without a gradient.
        probabilities: The sums of their probabilities of going there (G, L, E).
        tokens: How many there are (G,).
    """

    counts: Tensor
    probabilities: Tensor
    tokens: Tensor


def routing_sums(router_logits_TE: Sequence[Tensor], k: int, lengths: Sequence[int] | None = None) -> RoutingSums:
    """Sum the routers' probabilities, a softmax over all experts in float32, and choices by pool.

    Args:
        router_logits_TE: The router's logits of every layer.
        k: Number of experts a token goes to.
        lengths: Number of tokens of each pool. Pools are consecutive from the first row on, and rows after them are
            padding. By default all rows are one pool.
    """
    lengths = [len(router_logits_TE[0])] if lengths is None else list(lengths)
    counts, sums = [], []
    for logits_TE in router_logits_TE:
        probabilities_TE = logits_TE[: sum(lengths)].float().softmax(-1)
        chosen_Tk = probabilities_TE.detach().topk(k, dim=-1).indices
        busy_TE = torch.zeros_like(probabilities_TE, requires_grad=False).scatter_(-1, chosen_Tk, 1.0)
        counts.append(torch.stack([pool.sum(0) for pool in busy_TE.split(lengths)]))
        sums.append(torch.stack([pool.sum(0) for pool in probabilities_TE.split(lengths)]))
    device = sums[0].device
    tokens_G = torch.tensor(lengths, dtype=torch.float32, device=device)
    counts_GLE, sums_GLE = (torch.stack([layer.to(device) for layer in layers], 1) for layers in (counts, sums))
    return RoutingSums(counts_GLE, sums_GLE, tokens_G)


def balance_from(
    sums: RoutingSums, k: int, tokens: float | None = None, group: dist.ProcessGroup | None = None
) -> Tensor:
    """Return a part of a step's loss: the parts of all micro-batches and ranks add up to it, as do their gradients.

    A pool without tokens adds nothing.

    Args:
        sums: The sums of this part's pools.
        k: Number of experts a token goes to.
        tokens: Number of real tokens of the step, in all micro-batches and on all ranks; by default those of `sums`.
        group: Ranks that pools extend over, each of which must call this with as many pools.
    """
    counts_GLE, tokens_G = sums.counts, sums.tokens
    total = sums.tokens.sum() if tokens is None else tokens
    if group is not None:
        counts_GLE, tokens_G = counts_GLE.clone(), tokens_G.clone()
        dist.all_reduce(counts_GLE, group=group)
        dist.all_reduce(tokens_G, group=group)
    busy_GLE = counts_GLE / (k * tokens_G.clamp(min=1))[:, None, None]
    experts = counts_GLE.shape[2]
    return experts * (busy_GLE * sums.probabilities).sum((0, 2)).mean() / total


def load_balancing_loss(router_logits_TE: Sequence[Tensor], k: int, real_T: Tensor | None = None) -> Tensor:
    """Return the mean over layers of the loss of one pool; `real_T` tells tokens from padding."""
    if real_T is not None:
        router_logits_TE = [logits_TE[real_T.to(logits_TE.device)] for logits_TE in router_logits_TE]
    return balance_from(routing_sums(router_logits_TE, k), k)


@contextmanager
def recorded_routing(model: nn.Module) -> Iterator[list[Tensor]]:
    """Record the router's logits (T, E) of every layer, in order, during one forward pass within the context.

    The library's own way, `output_router_logits`, silently yields None once FSDP has wrapped the language model.
    Recomputation in a backward pass is not recorded again; but activations must not be recomputed in the reentrant way,
    in which the recorded logits have no gradient.
    """
    routers: list[Any] = [module for module in model.modules() if isinstance(module, MixtralTopKRouter)]
    logits: list[Tensor] = []
    for router in routers:
        # one permanent hook, as a compiled layer keeps those it was compiled with
        if not hasattr(router, "record"):
            router.register_forward_hook(_record)
        router.record = logits, len(routers)
    try:
        yield logits
    finally:
        for router in routers:
            router.record = None


@torch.compiler.disable
def _record(router: Any, _: Any, output: tuple[Tensor, ...]) -> None:
    if router.record is not None:
        logits, layers = router.record
        if len(logits) < layers:
            logits.append(output[0])
