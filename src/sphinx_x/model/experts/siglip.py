"""SigLIP's vision transformer as a visual expert: no class token; a learned probe pools its patches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from sphinx_x.model.experts.base import register
from sphinx_x.model.experts.vit import Mlp, VisionTransformer, VitConfig

TanhMlp = partial(Mlp, gelu="tanh")


@dataclass(frozen=True)
class SiglipConfig(VitConfig):
    """SigLIP, by default SO400M/14 at 384 pixels.

    Attributes:
        head: Whether it has its pooling head; without one, the map's mean takes its place.
    """

    kind: str = "siglip"
    height: int = 384
    width: int = 384
    channels: int = 1152
    depth: int = 27
    hidden: int = 4304
    positions: tuple[int, int] = (27, 27)
    eps: float = 1e-6
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    head: bool = True


class AttentionPool(nn.Module):
    """A learned probe attends to all patches; a feed-forward layer follows."""

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.zeros(1, 1, config.channels))
        self.attention = nn.MultiheadAttention(config.channels, config.heads, batch_first=True)
        self.norm = nn.LayerNorm(config.channels, eps=config.eps)
        self.mlp = TanhMlp(config.channels, config.hidden)

    def forward(self, x_BNC: Tensor) -> Tensor:
        """Pool tokens (B, N, C) to one token for each view (B, C)."""
        y_B1C = self.attention(self.probe.expand(len(x_BNC), -1, -1), x_BNC, x_BNC, need_weights=False)[0]
        return (y_B1C + self.mlp(self.norm(y_B1C)))[:, 0]


@register(SiglipConfig)
class Siglip(VisionTransformer):
    """SigLIP; its global token is the pooled one, with which captions were compared in its training."""

    stretch = 0

    def __init__(self, config: SiglipConfig) -> None:
        super().__init__(config, TanhMlp, class_token=False)
        self.head = AttentionPool(config) if config.head else None

    def pool(self, x_BNC: Tensor) -> Tensor:
        """Pool tokens (B, N, C) to (B, C)."""
        return x_BNC.mean(1) if self.head is None else self.head(x_BNC)
