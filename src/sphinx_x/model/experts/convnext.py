"""ConvNeXt as a visual expert (CLIP's trunk in the big members).

Shapes: B views, C channels, H x W pixels, h x w positions of the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.model.experts.base import Expert, ExpertConfig, register


@dataclass(frozen=True)
class ConvNextConfig(ExpertConfig):
    """A ConvNeXt expert, by default CLIP's xxlarge.

    Attributes:
        channels: Channels of each stage.
        depths: Number of blocks of each stage.
        strides: (vertical, horizontal) stride of the stem and of the step into each later stage.
        kernel: Size of the depthwise kernels.
        eps: Epsilon of the norms.
        final_eps: Epsilon of the last norm, where it is not `eps`.
    """

    kind: str = "convnext"
    height: int = 512
    width: int = 512
    channels: tuple[int, ...] = (384, 768, 1536, 3072)
    depths: tuple[int, ...] = (3, 4, 30, 3)
    strides: tuple[tuple[int, int], ...] = ((4, 4), (2, 2), (2, 2), (2, 2))
    kernel: int = 7
    eps: float = 1e-5
    final_eps: float | None = None


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a (B, C, h, w) map."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a map (B, C, h, w) over its channels."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """Depthwise convolution, LayerNorm, two pointwise layers, a learned scale, residual."""

    def __init__(self, channels: int, kernel: int, eps: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=eps)
        self.expand = nn.Linear(channels, 4 * channels)
        self.contract = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x_BChw: Tensor) -> Tensor:
        """Apply the block to a map (B, C, h, w)."""
        y_BhwC = self.norm(self.depthwise(x_BChw).permute(0, 2, 3, 1))
        y_BhwC = self.contract(F.gelu(self.expand(y_BhwC))) * self.scale
        return x_BChw + y_BhwC.permute(0, 3, 1, 2)


@register(ConvNextConfig)
class ConvNext(Expert):
    """ConvNeXt; its global token is the mean of its map."""

    def __init__(self, config: ConvNextConfig) -> None:
        super().__init__(config)
        self.stages = nn.ModuleList()
        before = 3
        for number, (channels, depth, stride) in enumerate(
            zip(config.channels, config.depths, config.strides, strict=True)
        ):
            convolution = nn.Conv2d(before, channels, stride, stride)
            # the stem normalises after its convolution, each later step before it
            norm = ChannelNorm(channels if number == 0 else before, eps=config.eps)
            step = [convolution, norm] if number == 0 else [norm, convolution]
            blocks = [ConvNextBlock(channels, config.kernel, config.eps) for _ in range(depth)]
            self.stages.append(nn.Sequential(*step, *blocks))
            before = channels
        self.norm = ChannelNorm(self.channels, eps=config.eps if config.final_eps is None else config.final_eps)

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Map views to the mean of the map, and the map."""
        map_BChw = pixels_B3HW.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            map_BChw = stage(map_BChw)
        map_BChw = self.norm(map_BChw)
        return map_BChw.mean(dim=(2, 3)), map_BChw
