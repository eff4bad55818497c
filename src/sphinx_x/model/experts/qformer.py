"""BLIP-2's Q-Former as a visual expert: learned queries that attend to a vision transformer's tokens.

Shapes: B views, N tokens of a view, Q queries, C channels of the Q-Former, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.model.attention import attend
from sphinx_x.model.experts.base import Expert, ExpertConfig, register
from sphinx_x.model.experts.vit import VisionTransformer, VitConfig


@dataclass(frozen=True)
class QFormerConfig(ExpertConfig):
    """BLIP-2's Q-Former over its own vision transformer: `queries` learned queries attend to the view.

    The fields `vision_*` describe the vision transformer (EVA-g in the reference); channels, depth, heads and hidden
    describe the Q-Former, which attends to the view in every `cross_every`-th layer.
    """

    kind: str = "qformer"
    patch: tuple[int, int] = (14, 14)
    positions: tuple[int, int] = (16, 16)
    vision_channels: int = 1408
    vision_depth: int = 39
    vision_heads: int = 16
    vision_hidden: int = 6144
    vision_eps: float = 1e-6
    queries: int = 32
    channels: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    cross_every: int = 2
    eps: float = 1e-12


class Attention(nn.Module):
    """Attention of the queries to `source` channels, a residual connection, then the norm (post-norm, as in BERT)."""

    def __init__(self, config: QFormerConfig, source: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.channels, config.channels)
        self.key = nn.Linear(source, config.channels)
        self.value = nn.Linear(source, config.channels)
        self.out = nn.Linear(config.channels, config.channels)
        self.norm = nn.LayerNorm(config.channels, eps=config.eps)

    def forward(self, x_BQC: Tensor, source_BNC: Tensor) -> Tensor:
        """Let the queries attend to the source."""
        pairs = ((self.query, x_BQC), (self.key, source_BNC), (self.value, source_BNC))
        query, key, value = (layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer, y in pairs)
        return self.norm(x_BQC + self.out(attend(query, key, value).transpose(1, 2).flatten(2)))


class Layer(nn.Module):
    """Self-attention of the queries, attention to the view if `cross`, and a feed-forward layer."""

    def __init__(self, config: QFormerConfig, cross: bool) -> None:
        super().__init__()
        self.attention = Attention(config, config.channels)
        self.cross = Attention(config, config.vision_channels) if cross else None
        self.up = nn.Linear(config.channels, config.hidden)
        self.down = nn.Linear(config.hidden, config.channels)
        self.norm = nn.LayerNorm(config.channels, eps=config.eps)

    def forward(self, x_BQC: Tensor, view_BNC: Tensor) -> Tensor:
        """Apply the layer to the queries."""
        x_BQC = self.attention(x_BQC, x_BQC)
        if self.cross is not None:
            x_BQC = self.cross(x_BQC, view_BNC)
        return self.norm(x_BQC + self.down(F.gelu(self.up(x_BQC))))


@register(QFormerConfig)
class QFormer(Expert):
    """BLIP-2's Q-Former; its map is a column of the queries' outputs, and its global token is their mean."""

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__(config)
        self.vision = VisionTransformer(
            VitConfig(
                height=config.height,
                width=config.width,
                patch=config.patch,
                channels=config.vision_channels,
                depth=config.vision_depth,
                heads=config.vision_heads,
                hidden=config.vision_hidden,
                positions=config.positions,
                eps=config.vision_eps,
            )
        )
        self.queries = nn.Parameter(torch.zeros(1, config.queries, config.channels))
        self.norm = nn.LayerNorm(config.channels, eps=config.eps)
        self.layers = nn.ModuleList(Layer(config, k % config.cross_every == 0) for k in range(config.depth))

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Map views to the mean of the queries, and the queries as a map of Q x 1."""
        view_BNC = self.vision.encode(pixels_B3HW)
        x_BQC = self.norm(self.queries).expand(len(view_BNC), -1, -1)
        for layer in self.layers:
            x_BQC = layer(x_BQC, view_BNC)
        return x_BQC.mean(1), x_BQC.transpose(1, 2)[..., None]
