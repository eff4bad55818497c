"""What a step of training minimises: a micro-batch of packed examples -> the loss of every trained token.

One module holds the model and the alignment head, so that sharding, which gathers the weights of a module when it is
called, sees one call for all of it.

Shapes: V views, N tokens of a view, n trained tokens, D width of the LLM.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.packed import PACKED
from sphinx_x.training.alignment import AlignmentHead
from sphinx_x.training.packing import IGNORED, MicroBatch


class Objective(nn.Module):
    """The model with packed attention, and the head of the alignment loss where there is one."""

    def __init__(self, model: SphinxXForConditionalGeneration, head: AlignmentHead | None) -> None:
        super().__init__()
        self.model, self.align = model, head
        self.attention(PACKED)

    def attention(self, name: str) -> None:
        """Chooses the LLM's attention, as the library names it."""
        self.model.model.language_model.config._attn_implementation = name

    def forward(self, micro: MicroBatch) -> tuple[Tensor, Tensor]:
        """The losses of the trained tokens, (n,) float32, and the alignment loss summed over its characters."""
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
        hidden = trunk.language_model(
            inputs_embeds=embeddings, position_ids=micro.pack.position_ids, use_cache=False, pack=micro.pack
        ).last_hidden_state[0]
        logits = self.model.logits(hidden.index_select(0, micro.rows)).float()
        losses = F.cross_entropy(logits, micro.targets, reduction="none", ignore_index=IGNORED)
        return losses[: micro.trained], align
