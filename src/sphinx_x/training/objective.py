"""What a step of training minimises: a micro-batch of packed examples -> the loss of every trained token.

One module holds the model and the alignment head, so that sharding, which gathers the weights of a module when it is
called, sees one call for all of it.

Shapes: V views, N tokens of a view, n trained tokens, D width of the LLM.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.moe import install_experts
from sphinx_x.model.packed import PACKED, check_packable
from sphinx_x.model.routing import balance_from, recorded_routing, routing_sums
from sphinx_x.training.alignment import AlignmentHead
from sphinx_x.training.packing import IGNORED, MicroBatch


class Losses(NamedTuple):
    """What a micro-batch comes to. tokens: (n,) float32; align: summed over its characters; balance: the
    load-balancing loss times its tokens; routed: tokens that went to each expert, (layers, experts)."""

    tokens: Tensor
    align: Tensor
    balance: Tensor
    routed: Tensor


class Objective(nn.Module):
    """The model with packed attention and grouped experts, and the head of the alignment loss where there is one.

    balance: weight of the load-balancing loss of a mixture, by default the model's own. Raises `UnsupportedError` for a
    language model whose samples cannot be packed.
    """

    def __init__(
        self, model: SphinxXForConditionalGeneration, head: AlignmentHead | None, balance: float | None = None
    ) -> None:
        super().__init__()
        self.model, self.align = model, head
        check_packable(model.model.language_model)
        self.attention(PACKED)
        own = getattr(model.config.text_config, "router_aux_loss_coef", 0.0)
        self.mixture = install_experts(model.model.language_model) > 0
        self.balance = (own if balance is None else balance) if self.mixture else 0.0

    def attention(self, name: str) -> None:
        """Chooses the LLM's attention, as the library names it."""
        self.model.model.language_model.config._attn_implementation = name

    def recompute(self) -> None:
        """Has the activations of the LLM's layers computed again in the backward pass instead of kept."""
        llm: Any = self.model.model.language_model
        # the library renamed it, and the old name warns
        enable = getattr(llm, "activation_checkpointing_enable", None) or llm.gradient_checkpointing_enable
        enable({"use_reentrant": False})

    def forward(self, micro: MicroBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The parts of `Losses`."""
        trunk: Any = self.model.model
        features, align = None, torch.zeros((), device=micro.ids.device)
        if len(micro.views):
            features = trunk.get_image_features(micro.views.float() / 255).pooler_output
            if self.align is not None:
                align, _ = self.align(features, micro.examples)
            # nothing flows back through views that only fill up, but it must reach every weight on every rank
            align = align + 0.0 * features[micro.view_count :].sum()
            features = features[: micro.view_count] if micro.view_count else None
        embeddings = trunk.embed(micro.ids, features)
        with recorded_routing(trunk.language_model) as routers:
            hidden = trunk.language_model(
                inputs_embeds=embeddings, position_ids=micro.pack.position_ids, use_cache=False, pack=micro.pack
            ).last_hidden_state[0]
        logits = self.model.logits(hidden.index_select(0, micro.rows)).float()
        losses = F.cross_entropy(logits, micro.targets, reduction="none", ignore_index=IGNORED)
        return losses[: micro.trained], align, *self._routing(routers, micro)

    def _routing(self, routers: list[Tensor], micro: MicroBatch) -> tuple[Tensor, Tensor]:
        if not routers:
            return torch.zeros((), device=micro.ids.device), torch.empty(0, device=micro.ids.device)
        k = self.model.config.text_config.num_experts_per_tok
        sums = routing_sums(routers, k, micro.pools or [0])
        return balance_from(sums, k, tokens=1.0), sums.counts.sum(0)
