"""CLIP's vision transformer as a visual expert."""

from __future__ import annotations

from dataclasses import dataclass

from sphinx_x.model.experts.base import register
from sphinx_x.model.experts.vit import VisionTransformer, VitConfig


@dataclass(frozen=True)
class ClipConfig(VitConfig):
    """CLIP's vision transformer (ViT-L/14 in the reference), without its projection into the text space."""

    kind: str = "clip"


@register(ClipConfig)
class Clip(VisionTransformer):
    """CLIP's vision transformer, trained on captions; its final norm covers all tokens."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__(config, pre_norm=True)
