"""Reading what an expert is off the names and shapes of its tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import Tensor

from sphinx_x.errors import CheckpointError
from sphinx_x.model.experts.clip import ClipConfig
from sphinx_x.model.experts.convnext import ConvNextConfig
from sphinx_x.model.experts.dinov2 import DinoV2Config
from sphinx_x.model.experts.qformer import QFormerConfig

HEAD = 64
"""Width of an attention head in every DINOv2, in CLIP's ViT-B and ViT-L and in the Q-Former."""
EVA_HEAD = 88
XXLARGE = 3072
"""Channels at the end of the one ConvNeXt whose norms have an eps of 1e-5 instead of 1e-6."""


def count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered parts follow a prefix ("blocks."); raises `CheckpointError` where a number is left out."""
    matches = [re.match(r"[0-9]{1,9}(?=\.)", name[len(prefix) :]) for name in tensors if name.startswith(prefix)]
    numbers = {int(match[0]) for match in matches if match}
    missing = next((k for k in range(len(numbers)) if k not in numbers), None)
    if missing is not None:
        raise CheckpointError(f"{prefix}{missing} is missing, though there is {prefix}{max(numbers)}")
    return len(numbers)


def shape(tensors: Mapping[str, Tensor], name: str, dimensions: int | None = None) -> tuple[int, ...]:
    """A tensor's shape; raises `CheckpointError` where it is missing or has another number of dimensions."""
    if name not in tensors:
        raise CheckpointError(f"tensor {name} missing")
    found = tuple(tensors[name].shape)
    if dimensions is not None and (len(found) != dimensions or 0 in found):
        raise CheckpointError(
            f"tensor {name} has the shape {found}, not {dimensions} dimensions with something in them"
        )
    return found


def _width(tensors: Mapping[str, Tensor], name: str, axis: int, default: int) -> int:
    """A length of a tensor of the first block; the default where there is no block at all."""
    return tensors[name].shape[axis] if name in tensors else default


def square(positions: int, name: str) -> tuple[int, int]:
    """Rows and columns of a square of positions; raises `CheckpointError` where they are none."""
    side = math.isqrt(positions)
    if side * side != positions:
        raise CheckpointError(f"{name}: {positions} positions are no square")
    return side, side


def convnext(tensors: Mapping[str, Tensor], prefix: str, eps: float | None = None) -> ConvNextConfig:
    """From timm's names. eps: by default 1e-5 for what is as wide at its end as the xxlarge, else 1e-6."""
    stages = count(tensors, f"{prefix}stages.")
    stem = shape(tensors, f"{prefix}stem.0.weight", 4)
    steps = [stem] + [shape(tensors, f"{prefix}stages.{k}.downsample.1.weight", 4) for k in range(1, stages)]
    depths = tuple(count(tensors, f"{prefix}stages.{k}.blocks.") for k in range(stages))
    first = next((k for k, depth in enumerate(depths) if depth), 0)
    kernel = _width(tensors, f"{prefix}stages.{first}.blocks.0.conv_dw.weight", -1, ConvNextConfig.kernel)
    channels = tuple(step[0] for step in steps)
    if eps is None:
        eps = 1e-5 if channels[-1] == XXLARGE else 1e-6
    strides = tuple((step[2], step[3]) for step in steps)
    return ConvNextConfig(channels=channels, depths=depths, strides=strides, kernel=kernel, eps=eps)


def dinov2(tensors: Mapping[str, Tensor], prefix: str) -> DinoV2Config:
    """From the names of DINOv2's own code."""
    channels, _, *patch = shape(tensors, f"{prefix}patch_embed.proj.weight", 4)
    positions = shape(tensors, f"{prefix}pos_embed", 3)[1] - 1
    swiglu = f"{prefix}blocks.0.mlp.fc2.weight" not in tensors
    down = f"{prefix}blocks.0.mlp.{'w3' if swiglu else 'fc2'}.weight"
    return DinoV2Config(
        patch=(patch[0], patch[1]),
        channels=channels,
        depth=count(tensors, f"{prefix}blocks."),
        heads=channels // HEAD,
        hidden=_width(tensors, down, 1, DinoV2Config.hidden),
        swiglu=swiglu,
        positions=square(positions, f"{prefix}pos_embed"),
    )


def clip(tensors: Mapping[str, Tensor], prefix: str, head: int = HEAD) -> ClipConfig:
    """From open_clip's names of the vision transformer. head: width of an attention head."""
    channels, _, *patch = shape(tensors, f"{prefix}conv1.weight", 4)
    return ClipConfig(
        patch=(patch[0], patch[1]),
        channels=channels,
        depth=count(tensors, f"{prefix}transformer.resblocks."),
        heads=channels // head,
        hidden=_width(tensors, f"{prefix}transformer.resblocks.0.mlp.c_fc.weight", 0, ClipConfig.hidden),
        positions=square(shape(tensors, f"{prefix}positional_embedding", 2)[0] - 1, f"{prefix}positional_embedding"),
    )


def qformer(tensors: Mapping[str, Tensor], prefix: str) -> QFormerConfig:
    """From the library's names of BLIP-2."""
    eyes, layers = f"{prefix}vision_model.", f"{prefix}qformer.encoder.layer."
    vision_channels, _, *patch = shape(tensors, f"{eyes}embeddings.patch_embedding.weight", 4)
    position = f"{eyes}embeddings.position_embedding"
    queries, channels = shape(tensors, f"{prefix}query_tokens", 3)[1:]
    depth = count(tensors, layers)
    crossing = [k for k in range(depth) if f"{layers}{k}.crossattention.attention.query.weight" in tensors]
    return QFormerConfig(
        patch=(patch[0], patch[1]),
        positions=square(shape(tensors, position, 3)[1] - 1, position),
        vision_channels=vision_channels,
        vision_depth=count(tensors, f"{eyes}encoder.layers."),
        vision_heads=vision_channels // EVA_HEAD,
        vision_hidden=_width(tensors, f"{eyes}encoder.layers.0.mlp.fc1.weight", 0, QFormerConfig.vision_hidden),
        queries=queries,
        channels=channels,
        depth=depth,
        heads=channels // HEAD,
        hidden=_width(tensors, f"{layers}0.intermediate_query.dense.weight", 0, QFormerConfig.hidden),
        cross_every=crossing[1] - crossing[0] if len(crossing) > 1 else depth,
    )
