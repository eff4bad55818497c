"""EfficientNet-Lite as a visual expert: inverted bottlenecks without squeeze and excitation, with ReLU6.

Its batch norms are part of the convolutions before them, as in inference, so nothing depends on the other views of a
batch. Padding is that of TensorFlow, where it was trained: with a stride, more of it is below and on the right.

Shapes: B views, C channels, H x W pixels, h x w positions of the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.model.experts.base import Expert, ExpertConfig, register


@dataclass(frozen=True)
class EfficientNetConfig(ExpertConfig):
    """An EfficientNet-Lite expert, by default Lite2.

    Attributes:
        channels: Channels of the stem, of each stage, and of the head, which are those of its tokens.
        depths: Number of blocks of each stage.
        kernels: Size of the depthwise kernels of each stage.
        strides: Stride of each stage's first block; the stem has a stride of 2.
        expansions: How many times wider a block of each stage is inside.
    """

    kind: str = "efficientnet"
    height: int = 260
    width: int = 260
    channels: tuple[int, ...] = (32, 16, 24, 48, 88, 120, 208, 352, 1280)
    depths: tuple[int, ...] = (1, 3, 3, 4, 4, 5, 1)
    kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    expansions: tuple[int, ...] = (1, 6, 6, 6, 6, 6, 6)
    mean: tuple[float, ...] = (127 / 255,) * 3
    std: tuple[float, ...] = (128 / 255,) * 3


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding: the map shrinks by exactly the stride, rounded up."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', ceil(h / stride), ceil(w / stride))."""
        margins = []
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            margins += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, margins) if any(margins) else x)


class Bottleneck(nn.Module):
    """Wider by a pointwise convolution, a depthwise one, narrower again; a residual where the shape stays."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = before * expansion
        self.expand = nn.Conv2d(before, inside, 1) if expansion > 1 else None
        self.depthwise = SameConv(inside, inside, kernel, stride, groups=inside)
        self.contract = nn.Conv2d(inside, after, 1)
        self.residual = stride == 1 and before == after

    def forward(self, x_BChw: Tensor) -> Tensor:
        """Apply the block to a map (B, C, h, w)."""
        y_BChw = x_BChw if self.expand is None else F.relu6(self.expand(x_BChw))
        y_BChw = self.contract(F.relu6(self.depthwise(y_BChw)))
        return x_BChw + y_BChw if self.residual else y_BChw


@register(EfficientNetConfig)
class EfficientNet(Expert):
    """EfficientNet-Lite up to its head's map, whose mean is the global token (and what its classifier reads)."""

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__(config)
        stem, *stages, head = config.channels
        self.stem = SameConv(3, stem, 3, 2)
        blocks, before = [], stem
        settings = zip(stages, config.depths, config.kernels, config.strides, config.expansions, strict=True)
        for channels, depth, kernel, stride, expansion in settings:
            for k in range(depth):
                blocks.append(Bottleneck(before, channels, kernel, 1 if k else stride, expansion))
                before = channels
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Conv2d(before, head, 1)

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Map views to the mean of the map, and the map."""
        map_BChw = F.relu6(self.stem(pixels_B3HW.contiguous(memory_format=torch.channels_last)))
        for block in self.blocks:
            map_BChw = block(map_BChw)
        map_BChw = F.relu6(self.head(map_BChw))
        return map_BChw.mean(dim=(2, 3)), map_BChw
