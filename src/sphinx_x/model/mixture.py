"""The mixture of visual experts (MoV): groups of experts, fused tokens, projector (paper, section 3.1).

Shapes: B views, C channels, N tokens of a view (the global token first), D width of the LLM.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.model.config import GroupConfig
from sphinx_x.model.experts import build_expert
from sphinx_x.model.views import ViewGrid


class ExpertGroup(nn.Module):
    """Experts fused by channel at every position, and a projector (Linear, LayerNorm) to the LLM's width."""

    def __init__(self, config: GroupConfig, width: int) -> None:
        super().__init__()
        self.tokens, self.global_token, self.resize = config.tokens, config.global_token, config.resize
        experts = [build_expert(expert) for expert in config.experts]
        self.experts = nn.ModuleList(experts)
        channels = sum(expert.channels for expert in experts)
        self.projector = nn.Sequential(nn.Linear(channels, width), nn.LayerNorm(width))

    def forward(self, pixels_B3HW: Tensor, grid: ViewGrid) -> Tensor:
        """Map views of `grid` to projected tokens (B, N, D)."""
        return self.projector(self.fuse(pixels_B3HW, grid))

    def fuse(self, pixels_B3HW: Tensor, grid: ViewGrid) -> Tensor:
        """Map views of `grid` to the tokens of all experts, concatenated by channel (B, N, C)."""
        return torch.cat([self._tokens_of(expert, pixels_B3HW, grid) for expert in self.experts], dim=-1)

    def _tokens_of(self, expert: nn.Module, pixels_B3HW: Tensor, grid: ViewGrid) -> Tensor:
        first_BC, map_BChw = expert(pixels_B3HW, grid)
        if map_BChw.shape[-2:] != self.tokens:
            smooth = {"antialias": True} if self.resize == "bilinear" else {}
            # in float32, as a CPU cannot do it in bfloat16
            resized = F.interpolate(map_BChw.float(), self.tokens, mode=self.resize, **smooth)
            map_BChw = resized.to(map_BChw.dtype)
        map_BNC = map_BChw.flatten(2).transpose(1, 2)
        return torch.cat([first_BC[:, None], map_BNC], dim=1) if self.global_token else map_BNC


class MixtureOfVisualExperts(nn.Module):
    """All groups one after another: views (B, 3, H, W) with values from 0 to 1 become tokens (B, N, D)."""

    def __init__(self, groups: tuple[GroupConfig, ...], grid: ViewGrid, width: int) -> None:
        super().__init__()
        self.grid = grid
        self.groups = nn.ModuleList(ExpertGroup(group, width) for group in groups)

    def forward(self, pixels_B3HW: Tensor) -> Tensor:
        """Encode kept views only: a skipped sub-image is a token of the vocabulary, not a view."""
        return torch.cat([group(pixels_B3HW, self.grid) for group in self.groups], dim=1)
