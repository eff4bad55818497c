"""Visual experts: one backbone each, with its own resolution, its own normalisation and its own token layout.

Small plain modules with plain parameter names. What the mixture asks of an expert: `channels`, and a forward that
turns views of values between 0 and 1 into a global token and a map.

Shapes: B views, C channels, H x W pixels, h x w positions of the map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.model.attention import attend
from sphinx_x.model.config import ConvNextConfig, DinoV2Config, ExpertConfig


class Expert(nn.Module):
    """Brings views to the expert's size and colours; a subclass computes `features`. channels: width of its tokens."""

    channels: int

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self.size = (config.height, config.width)
        self.mean, self.std = config.mean, config.std

    def forward(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Views with values from 0 to 1 -> global token (B, C), map (B, C, h, w)."""
        if pixels_B3HW.shape[-2:] != self.size:
            pixels_B3HW = F.interpolate(pixels_B3HW, self.size, mode="bicubic", antialias=True)
        mean = pixels_B3HW.new_tensor(self.mean)[:, None, None]
        std = pixels_B3HW.new_tensor(self.std)[:, None, None]
        return self.features((pixels_B3HW - mean) / std)

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised views of the expert's own size -> global token (B, C), map (B, C, h, w)."""
        raise NotImplementedError("an expert defines its features")


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of a (B, C, h, w) map."""

    def forward(self, x: Tensor) -> Tensor:
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
        y_BhwC = self.norm(self.depthwise(x_BChw).permute(0, 2, 3, 1))
        y_BhwC = self.contract(F.gelu(self.expand(y_BhwC))) * self.scale
        return x_BChw + y_BhwC.permute(0, 3, 1, 2)


class ConvNext(Expert):
    """ConvNeXt (CLIP's trunk in the big members); its global token is the mean of its map."""

    def __init__(self, config: ConvNextConfig) -> None:
        super().__init__(config)
        self.channels = config.channels[-1]
        self.stages = nn.ModuleList()
        before = 3
        for number, (channels, depth, stride) in enumerate(
            zip(config.channels, config.depths, config.strides, strict=True)
        ):
            convolution = nn.Conv2d(before, channels, stride, stride)
            # the stem normalises behind its convolution, each later step before it
            norm = ChannelNorm(channels if number == 0 else before, eps=config.eps)
            step = [convolution, norm] if number == 0 else [norm, convolution]
            blocks = [ConvNextBlock(channels, config.kernel, config.eps) for _ in range(depth)]
            self.stages.append(nn.Sequential(*step, *blocks))
            before = channels
        self.norm = ChannelNorm(self.channels, eps=config.eps)

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Views -> (mean of the map, map)."""
        map_BChw = pixels_B3HW.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            map_BChw = stage(map_BChw)
        map_BChw = self.norm(map_BChw)
        return map_BChw.mean(dim=(2, 3)), map_BChw


class SwiGlu(nn.Module):
    """The giant's feed-forward layer; `gate_up` holds the gate and the value in one matrix."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(channels, 2 * hidden)
        self.down = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * value)


class Mlp(nn.Module):
    """The ordinary feed-forward layer."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(channels, hidden)
        self.down = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


class DinoBlock(nn.Module):
    """Pre-norm attention and feed-forward, each with a learned scale."""

    def __init__(self, config: DinoV2Config) -> None:
        super().__init__()
        channels = config.channels
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(channels, eps=config.eps)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.scale1 = nn.Parameter(torch.ones(channels))
        self.norm2 = nn.LayerNorm(channels, eps=config.eps)
        self.mlp = SwiGlu(channels, config.hidden) if config.swiglu else Mlp(channels, config.hidden)
        self.scale2 = nn.Parameter(torch.ones(channels))

    def forward(self, x_BNC: Tensor) -> Tensor:
        B, N, C = x_BNC.shape
        qkv = self.qkv(self.norm1(x_BNC)).view(B, N, 3, self.heads, C // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = attend(query, key, value).transpose(1, 2).reshape(B, N, C)
        x_BNC = x_BNC + self.out(mixed) * self.scale1
        return x_BNC + self.mlp(self.norm2(x_BNC)) * self.scale2


class DinoV2(Expert):
    """DINOv2; its global token is the class token."""

    def __init__(self, config: DinoV2Config) -> None:
        super().__init__(config)
        self.channels = config.channels
        self.positions = config.positions
        self.patch_embed = nn.Conv2d(3, config.channels, config.patch, config.patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.channels))
        rows, columns = config.positions
        self.position_embed = nn.Parameter(torch.zeros(1, 1 + rows * columns, config.channels))
        self.blocks = nn.ModuleList(DinoBlock(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.channels, eps=config.eps)

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Views -> (class token, map of patch tokens)."""
        map_BChw = self.patch_embed(pixels_B3HW)
        B, C, h, w = map_BChw.shape
        x_BNC = torch.cat([self.class_token.expand(B, -1, -1), map_BChw.flatten(2).transpose(1, 2)], dim=1)
        x_BNC = x_BNC + self._positions(h, w)
        for block in self.blocks:
            x_BNC = block(x_BNC)
        x_BNC = self.norm(x_BNC)
        return x_BNC[:, 0], x_BNC[:, 1:].transpose(1, 2).reshape(B, C, h, w)

    def _positions(self, h: int, w: int) -> Tensor:
        """The position embedding, resampled (bicubic, antialiased) where the map has another size."""
        if (h, w) == self.positions:
            return self.position_embed
        first, rest = self.position_embed[:, :1], self.position_embed[:, 1:]
        grid = rest.reshape(1, *self.positions, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid.float(), (h, w), mode="bicubic", antialias=True).to(rest.dtype)
        return torch.cat([first, grid.flatten(2).transpose(1, 2)], dim=1)


EXPERTS: dict[str, type[Expert]] = {"convnext": ConvNext, "dinov2": DinoV2}


def build_expert(config: ExpertConfig) -> Expert:
    """The expert that a configuration describes."""
    return EXPERTS[config.kind](config)
