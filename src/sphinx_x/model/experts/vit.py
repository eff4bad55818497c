"""The vision transformer behind several experts: one block and one trunk serve them all.

The differences between them are arguments, which each expert's own file sets.

Shapes: B views, N tokens of a view (the class token first), C channels, H x W pixels, h x w positions of the map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.model.attention import attend
from sphinx_x.model.experts.base import Expert, ExpertConfig


@dataclass(frozen=True)
class VitConfig(ExpertConfig):
    """The fields of every vision transformer, with the sizes of a ViT-L/14.

    Attributes:
        patch: (vertical, horizontal) pixels of a patch.
        channels: Width of the tokens.
        depth: Number of blocks.
        heads: Number of attention heads.
        hidden: Width of the feed-forward layers.
        positions: (rows, columns) of the learned position embedding.
        eps: Epsilon of the norms.
    """

    patch: tuple[int, int] = (14, 14)
    channels: int = 1024
    depth: int = 24
    heads: int = 16
    hidden: int = 4096
    positions: tuple[int, int] = (16, 16)
    eps: float = 1e-5


class SwiGlu(nn.Module):
    """The giant's feed-forward layer; `gate_up` joins the gate and the value in one matrix."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(channels, 2 * hidden)
        self.down = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to tokens."""
        gate, value = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * value)


class Mlp(nn.Module):
    """The ordinary feed-forward layer; `gelu` is "none" for the exact function, "tanh" for its approximation."""

    def __init__(self, channels: int, hidden: int, gelu: str = "none") -> None:
        super().__init__()
        self.gelu = gelu
        self.up = nn.Linear(channels, hidden)
        self.down = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to tokens."""
        return self.down(F.gelu(self.up(x), approximate=self.gelu))


MakeMlp = Callable[[int, int], nn.Module]
"""Builds a feed-forward layer from its width and its hidden width."""


class Block(nn.Module):
    """Pre-norm attention and feed-forward layers, each with a learned scale if `scaled`."""

    def __init__(
        self, channels: int, heads: int, hidden: int, eps: float, mlp: MakeMlp = Mlp, scaled: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels, eps=eps)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels, eps=eps)
        self.mlp = mlp(channels, hidden)
        self.scale1 = nn.Parameter(torch.ones(channels)) if scaled else None
        self.scale2 = nn.Parameter(torch.ones(channels)) if scaled else None

    def forward(self, x_BNC: Tensor) -> Tensor:
        """Apply the block to tokens."""
        B, N, C = x_BNC.shape
        qkv = self.qkv(self.norm1(x_BNC)).view(B, N, 3, self.heads, C // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = self.out(attend(query, key, value).transpose(1, 2).reshape(B, N, C))
        x_BNC = x_BNC + (mixed if self.scale1 is None else mixed * self.scale1)
        fed = self.mlp(self.norm2(x_BNC))
        return x_BNC + (fed if self.scale2 is None else fed * self.scale2)


class VisionTransformer(Expert):
    """Patches after a class token, through blocks and a final norm; its global token is the class token.

    Args:
        config: Its sizes.
        mlp: Builds a block's feed-forward layer.
        scaled: Whether blocks have DINOv2's layer scale.
        pre_norm: Whether CLIP's norm precedes the blocks; the patches then have no bias.
        class_token: Whether there is a class token; without one, a subclass defines the global token.
    """

    stretch = 0.1
    """Added to the map's size when the position embedding is resampled, as DINOv2 does."""

    def __init__(
        self,
        config: VitConfig,
        mlp: MakeMlp = Mlp,
        scaled: bool = False,
        pre_norm: bool = False,
        class_token: bool = True,
    ) -> None:
        super().__init__(config)
        channels = config.channels
        self.positions = config.positions
        self.patch_embed = nn.Conv2d(3, channels, config.patch, config.patch, bias=not pre_norm)
        self.class_token = nn.Parameter(torch.zeros(1, 1, channels)) if class_token else None
        rows, columns = config.positions
        self.position_embed = nn.Parameter(torch.zeros(1, class_token + rows * columns, channels))
        self.pre_norm = nn.LayerNorm(channels, eps=config.eps) if pre_norm else None
        block = (channels, config.heads, config.hidden, config.eps, mlp, scaled)
        self.blocks = nn.ModuleList(Block(*block) for _ in range(config.depth))
        self.norm = nn.LayerNorm(channels, eps=config.eps)

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Map views to the global token and the map of patch tokens."""
        x_BNC = self.encode(pixels_B3HW)
        h, w = (n // p for n, p in zip(pixels_B3HW.shape[-2:], self.patch_embed.kernel_size, strict=True))
        return self.pool(x_BNC), x_BNC[:, -h * w :].transpose(1, 2).unflatten(2, (h, w))

    def pool(self, x_BNC: Tensor) -> Tensor:
        """Return the global token (B, C) of tokens (B, N, C)."""
        return x_BNC[:, 0]

    def encode(self, pixels_B3HW: Tensor) -> Tensor:
        """Map normalised views to tokens (B, N, C), the class token first."""
        map_BChw = self.patch_embed(pixels_B3HW)
        B, _, h, w = map_BChw.shape
        x_BNC = map_BChw.flatten(2).transpose(1, 2)
        if self.class_token is not None:
            x_BNC = torch.cat([self.class_token.expand(B, -1, -1), x_BNC], dim=1)
        x_BNC = x_BNC + self._positions(h, w)
        if self.pre_norm is not None:
            x_BNC = self.pre_norm(x_BNC)
        for block in self.blocks:
            x_BNC = block(x_BNC)
        return self.norm(x_BNC)

    def _positions(self, h: int, w: int) -> Tensor:
        """Return the position embedding, resampled if the map has another size.

        As in DINOv2: bicubic, not antialiased, by the factor (size + 0.1) / positions; without a stretch, to the size
        itself.
        """
        if (h, w) == self.positions:
            return self.position_embed
        places = self.positions[0] * self.positions[1]
        first, rest = self.position_embed[:, :-places], self.position_embed[:, -places:]
        grid = rest.reshape(1, *self.positions, -1).permute(0, 3, 1, 2).float()
        if self.stretch:
            factor = (h + self.stretch) / self.positions[0], (w + self.stretch) / self.positions[1]
            grid = F.interpolate(grid, scale_factor=factor, mode="bicubic").to(rest.dtype)
        else:
            grid = F.interpolate(grid, (h, w), mode="bicubic").to(rest.dtype)
        assert grid.shape[-2:] == (h, w)
        return torch.cat([first, grid.flatten(2).transpose(1, 2)], dim=1)
