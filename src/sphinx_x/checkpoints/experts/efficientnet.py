"""EfficientNet-Lite's weights as EfficientNet-Lite-PyTorch (after EfficientNet-PyTorch) names them."""

from __future__ import annotations

from torch import Tensor

from sphinx_x.checkpoints.experts.base import ExpertFile, Known, form
from sphinx_x.checkpoints.rules import Rule, Tensors
from sphinx_x.model.experts.efficientnet import EfficientNetConfig

EPS = 1e-3
"""Epsilon of its batch norms."""
STRIDES = EfficientNetConfig.strides
"""Of the stages of every EfficientNet; no shape tells them."""
NORM = ("weight", "bias", "running_mean", "running_var")


def _width(file: ExpertFile, block: int) -> int:
    return file.shape(f"_blocks.{block}._project_conv.weight", 4)[0]


@form("EfficientNet-Lite", "_conv_stem.weight", "_conv_head.weight")
def lite(file: ExpertFile) -> Known:
    """Recognise the names; a stage begins where the number of channels changes."""
    if any("._se_reduce." in name for name in file.tensors):
        raise file.refused("an EfficientNet with squeeze and excitation, which no member has; take a Lite")
    count = file.count("_blocks.")
    starts = [k for k in range(count) if k == 0 or _width(file, k) != _width(file, k - 1)]
    if len(starts) != len(STRIDES):
        raise file.refused(f"{len(starts)} stages, and an EfficientNet-Lite has {len(STRIDES)}")
    channels = tuple(_width(file, k) for k in starts)
    depths = tuple(end - start for start, end in zip(starts, [*starts[1:], count], strict=True))
    stem, head = (file.shape(f"{name}.weight", 4)[0] for name in ("_conv_stem", "_conv_head"))
    before = [stem, *channels[:-1]]
    inside = [file.shape(f"_blocks.{k}._depthwise_conv.weight", 4) for k in starts]
    config = EfficientNetConfig(
        channels=(stem, *channels, head),
        depths=depths,
        kernels=tuple(shape[-1] for shape in inside),
        expansions=tuple(shape[0] // width for shape, width in zip(inside, before, strict=True)),
        mean=file.colors("mean", EfficientNetConfig.mean),
        std=file.colors("std", EfficientNetConfig.std),
    )
    return Known(config, rules, ("_conv_stem.", "_bn0.", "_blocks.", "_conv_head.", "_bn1."))


def rules(config: EfficientNetConfig, source: str, target: str) -> list[Rule]:
    """Return the rules, each of which makes one convolution of a convolution and the batch norm behind it."""
    pairs = [("_conv_stem", "_bn0", "stem")]
    number = 0
    for depth, expansion in zip(config.depths, config.expansions, strict=True):
        for _ in range(depth):
            old, new = f"_blocks.{number}.", f"blocks.{number}."
            if expansion > 1:
                pairs.append((f"{old}_expand_conv", f"{old}_bn0", f"{new}expand"))
            pairs.append((f"{old}_depthwise_conv", f"{old}_bn1", f"{new}depthwise"))
            pairs.append((f"{old}_project_conv", f"{old}_bn2", f"{new}contract"))
            number += 1
    pairs.append(("_conv_head", "_bn1", "head"))
    return [
        Rule(
            tuple(f"{source}{name}" for name in (f"{conv}.weight", *(f"{norm}.{part}" for part in NORM))),
            tuple(f"{target}{ours}.{part}" for part in ("weight", "bias")),
            _folded,
            _unfolded,
        )
        for conv, norm, ours in pairs
    ]


def _folded(weight: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensors:
    """Make the norm part of the convolution, in float64: y = (conv(x) - mean) / sqrt(variance + eps) * scale + bias."""
    factor = scale.double() / (variance.double() + EPS).sqrt()
    whole = weight.double() * factor[:, None, None, None]
    return whole.to(weight.dtype), (bias.double() - mean.double() * factor).to(weight.dtype)


def _unfolded(weight: Tensor, bias: Tensor) -> Tensors:
    """Return a convolution and a norm that only adds: what was folded cannot be told apart again."""
    ones = weight.new_ones(len(weight))
    return weight, ones, bias, weight.new_zeros(len(weight)), ones - EPS
