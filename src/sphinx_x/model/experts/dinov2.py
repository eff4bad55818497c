"""DINOv2 as a visual expert."""

from __future__ import annotations

from dataclasses import dataclass

from sphinx_x.model.experts.base import register
from sphinx_x.model.experts.vit import Mlp, SwiGlu, VisionTransformer, VitConfig
from sphinx_x.model.resampling import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class DinoV2Config(VitConfig):
    """A DINOv2 expert, by default the giant: a class token, layer scale and, in the giant, a SwiGLU."""

    kind: str = "dinov2"
    channels: int = 1536
    depth: int = 40
    heads: int = 24
    hidden: int = 4096
    swiglu: bool = True
    positions: tuple[int, int] = (37, 37)
    eps: float = 1e-6
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


@register(DinoV2Config)
class DinoV2(VisionTransformer):
    """DINOv2, trained with self-supervision."""

    def __init__(self, config: DinoV2Config) -> None:
        super().__init__(config, SwiGlu if config.swiglu else Mlp, scaled=True)
