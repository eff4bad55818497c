"""Keeping all experts of a language model busy: the reference's load-balancing loss.

Shapes: T tokens, E experts, k experts a token goes to.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def load_balancing_loss(router_logits_TE: Sequence[Tensor], k: int, real_T: Tensor | None = None) -> Tensor:
    """The mean over layers of E / (T k) * sum over experts of (tokens that go there x mean probability of going there).

    1 when all experts are equally busy, up to E / k when the same k take everything. real_T: which tokens are no
    padding; by default all.
    """
    losses = []
    for logits_TE in router_logits_TE:
        logits_TE = logits_TE.float() if real_T is None else logits_TE[real_T.to(logits_TE.device)].float()
        probabilities_TE = logits_TE.softmax(-1)
        tokens, experts = probabilities_TE.shape
        chosen_Tk = probabilities_TE.topk(k, dim=-1).indices
        busy_E = torch.bincount(chosen_Tk.flatten(), minlength=experts).to(probabilities_TE.dtype)
        losses.append(experts / (tokens * k) * (busy_E @ probabilities_TE.mean(0)))
    return torch.stack([loss.to(losses[0].device) for loss in losses]).mean()
