"""How views are resized for an expert.

Our members scale each view by itself, antialiased ("antialias"). The reference's checkpoints were trained differently,
and their weights need exactly that: the whole canvas is scaled before it is cut ("canvas"), or a view is scaled by
nearest neighbour ("nearest"), both on colours that are CLIP-normalised and rounded to half precision.

Shapes: V views, I images, H x W pixels of a view, S side of the canvas.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sphinx_x.model.views import ViewGrid

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

RESAMPLING = ("antialias", "canvas", "nearest")
"""How views are resized for an expert; a field of every expert's configuration."""


def resample(pixels_V3HW: Tensor, size: tuple[int, int], how: str, grid: ViewGrid) -> Tensor:
    """Resize views with values from 0 to 1.

    Args:
        pixels_V3HW: The views.
        size: Height and width of the result in pixels.
        how: "antialias", "canvas" or "nearest". The last two need all views of every image, the global one first.
        grid: The model's views.

    Returns:
        A tensor (V, 3, *size), also with values from 0 to 1.
    """
    if how == "antialias":
        if pixels_V3HW.shape[-2:] == size:
            return pixels_V3HW
        return F.interpolate(pixels_V3HW, size, mode="bicubic", antialias=True)
    mean, std = (pixels_V3HW.new_tensor(x)[:, None, None] for x in (CLIP_MEAN, CLIP_STD))
    colors_V3HW = (pixels_V3HW - mean) / std
    if how == "canvas":
        colors_V3HW = _from_canvas(colors_V3HW, size, grid)
    else:
        colors_V3HW = _from_canvas(colors_V3HW, (grid.view_height, grid.view_width), grid)
        colors_V3HW = F.interpolate(round_to_half(colors_V3HW), size, mode="nearest")
    return colors_V3HW * std + mean


def _from_canvas(colors_V3HW: Tensor, size: tuple[int, int], grid: ViewGrid) -> Tensor:
    """Return views of another size, cut from the whole canvas; colours are not rounded where the size stays.

    Views after the last complete image, which pad a batch in training, become zeros.
    """
    count, (rows, columns) = grid.cells + grid.global_view, (grid.rows, grid.columns)
    filling = len(colors_V3HW) % count
    views = colors_V3HW[: len(colors_V3HW) - filling].unflatten(0, (-1, count))
    cells = views[:, -grid.cells :].unflatten(1, (rows, columns))
    canvas_I3SS = cells.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    whole = half_bicubic(canvas_I3SS, (rows * size[0], columns * size[1]))
    cut = whole.unflatten(3, (columns, size[1])).unflatten(2, (rows, size[0])).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    if grid.global_view:
        cut = torch.cat([half_bicubic(canvas_I3SS, size)[:, None], cut], dim=1)
    return F.pad(cut.flatten(0, 1), (0, 0, 0, 0, 0, 0, 0, filling))


def round_to_half(colors: Tensor) -> Tensor:
    """Round to half-precision values, in the tensor's own type."""
    return colors.half().to(colors.dtype)


def half_bicubic(colors: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize bicubically without antialiasing as the reference's GPUs do: half precision in and out, float sums."""
    if colors.shape[-2:] == size:
        return colors
    return round_to_half(F.interpolate(round_to_half(colors), size, mode="bicubic", align_corners=False))
