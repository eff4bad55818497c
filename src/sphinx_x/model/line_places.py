"""Where a line of text stands in its image, as an embedding for the language model.

Shapes: L lines, D width of the LLM.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WAVES = 8
"""Number of wave lengths for each edge of a box: the longest is twice the side of the padded square, each next one half
of it; the shortest is a 64th of the side, about a line of small print."""


class LinePlaces(nn.Module):
    """Maps boxes relative to the padded square, (left, top, right, bottom) from 0 to 1, to what is added to a token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Linear(4 * (1 + 2 * WAVES), width)
        self.mix = nn.Linear(width, width)

    def forward(self, boxes_L4: Tensor) -> Tensor:
        """Return embeddings (L, D) in the type of the weights; the waves are computed in float32."""
        edges = boxes_L4.float()
        angles = edges[..., None] * math.pi * 2.0 ** torch.arange(WAVES, device=edges.device)
        waves = torch.cat([edges[..., None], angles.sin(), angles.cos()], dim=-1).flatten(1)
        return self.mix(F.gelu(self.spread(waves.to(self.spread.weight.dtype))))
