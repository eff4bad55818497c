"""What a visual expert is: one backbone each, with its own resolution, its own normalisation and its own token layout.

Small plain modules with plain parameter names. What the mixture asks of an expert: `channels`, and a forward that
turns views of values between 0 and 1 into a global token and a map.

Shapes: B views, C channels, H x W pixels, h x w positions of the map.
"""

from __future__ import annotations

from torch import Tensor, nn

from sphinx_x.model.config import ExpertConfig
from sphinx_x.model.resampling import resample
from sphinx_x.model.views import ViewGrid


class Expert(nn.Module):
    """Brings views to the expert's size and colours; a subclass computes `features`. channels: width of its tokens."""

    channels: int

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self.size, self.resample = (config.height, config.width), config.resample
        self.mean, self.std = config.mean, config.std

    def forward(self, pixels_B3HW: Tensor, grid: ViewGrid) -> tuple[Tensor, Tensor]:
        """Views of `grid` with values from 0 to 1 -> global token (B, C), map (B, C, h, w).

        Colours are computed in the precision they come in, the features in that of the weights.
        """
        pixels_B3HW = resample(pixels_B3HW, self.size, self.resample, grid)
        mean = pixels_B3HW.new_tensor(self.mean)[:, None, None]
        std = pixels_B3HW.new_tensor(self.std)[:, None, None]
        dtype = next(p.dtype for p in self.parameters() if p.is_floating_point())
        return self.features(((pixels_B3HW - mean) / std).to(dtype))

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised views of the expert's own size -> global token (B, C), map (B, C, h, w)."""
        raise NotImplementedError("an expert defines its features")
