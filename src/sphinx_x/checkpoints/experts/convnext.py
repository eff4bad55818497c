"""ConvNeXt's weights as timm (and open_clip with it) and the Transformers library name them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from sphinx_x.checkpoints.experts.base import ExpertFile, Known, form, official
from sphinx_x.checkpoints.probe import number
from sphinx_x.checkpoints.rules import Rule, Tensors, renames, weight_and_bias
from sphinx_x.model.experts.convnext import ConvNextConfig
from sphinx_x.model.resampling import IMAGENET_MEAN, IMAGENET_STD

XXLARGE = 3072
"""Last channels of the only ConvNeXt whose norms have an eps of 1e-5 instead of 1e-6."""
WRAPPER = "timm_model."
"""The prefix that the library's wrapper adds to timm's names."""


def sizes(file: ExpertFile, eps: float | None = None) -> ConvNextConfig:
    """Infer the configuration from timm's names; eps is by default 1e-5 for the xxlarge's last width, else 1e-6."""
    stages = file.count("stages.")
    steps = [file.patch("stem.0.weight")]
    steps += [file.patch(f"stages.{k}.downsample.1.weight") for k in range(1, stages)]
    depths = tuple(file.count(f"stages.{k}.blocks.") for k in range(stages))
    first = next((k for k, depth in enumerate(depths) if depth), 0)
    kernel = file.length(f"stages.{first}.blocks.0.conv_dw.weight", -1, ConvNextConfig.kernel)
    channels = tuple(step[0] for step in steps)
    if eps is None:
        eps = 1e-5 if channels[-1] == XXLARGE else 1e-6
    strides = tuple(step[1] for step in steps)
    return ConvNextConfig(channels=channels, depths=depths, strides=strides, kernel=kernel, eps=eps)


def rules(config: ConvNextConfig, source: str, target: str) -> list[Rule]:
    """Return the rules for timm's names, which open_clip shares, without the classifier."""
    pairs = {
        **weight_and_bias("stem.0", "stages.0.0"),
        **weight_and_bias("stem.1", "stages.0.1"),
        **weight_and_bias("head.norm", "norm"),
    }
    block = {"conv_dw": "depthwise", "norm": "norm", "mlp.fc1": "expand", "mlp.fc2": "contract"}
    for stage, depth in enumerate(config.depths):
        if stage:
            for k in (0, 1):
                pairs |= weight_and_bias(f"stages.{stage}.downsample.{k}", f"stages.{stage}.{k}")
        for k in range(depth):
            old, new = f"stages.{stage}.blocks.{k}", f"stages.{stage}.{2 + k}"
            pairs[f"{old}.gamma"] = f"{new}.scale"
            for theirs, ours in block.items():
                pairs |= weight_and_bias(f"{old}.{theirs}", f"{new}.{ours}")
    return renames(pairs, source, target)


# the reference uses the xxlarge, whose eps is 1e-5; its small test checkpoints have that eps as well
official("convnext", "openclip_convnext_xxl.", partial(sizes, eps=1e-5), rules)


@form("ConvNeXt", "stem.0.weight", model_types=("timm_wrapper",))
def timm(file: ExpertFile) -> Known:
    """Recognise timm's names: by themselves, in open_clip's files, in the library's wrapper."""
    _no_second_version(file)
    config = sizes(file)
    colors = file.settings.get("preprocess_cfg") or file.settings.get("pretrained_cfg") or {}
    if not isinstance(colors, dict):
        raise file.refused(f"its config says {str(colors)[:40]!r} about colours")
    mean, std = config.mean, config.std
    if not colors and file.prefix in ("", WRAPPER):  # timm's own classifiers
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    elif "mean" in colors and "std" in colors:
        mean, std = file.colors("mean", mean, colors), file.colors("std", std, colors)
    return Known(replace(config, mean=mean, std=std), rules, ("stem.", "stages.", "head.norm."))


def _no_second_version(file: ExpertFile) -> None:
    if any(".grn." in name for name in file.tensors):
        raise file.refused("a ConvNeXt V2 (its blocks normalise responses), which no member has; take a ConvNeXt")


@form("ConvNeXt", "embeddings.patch_embeddings.weight", model_types=("convnext",))
def hub(file: ExpertFile) -> Known:
    """Recognise the Transformers library's names; there, eps is 1e-6 everywhere except in the last norm."""
    _no_second_version(file)
    if not any(name.startswith(f"{file.prefix}encoder.stages.") for name in file.tensors):
        raise file.refused(f"a {file.model_type}, which no member has")
    if not file.has("layernorm.weight"):
        raise file.refused("a ConvNeXt without its last norm (a backbone for detectors)")
    if file.settings.get("hidden_act", "gelu") != "gelu":
        raise file.refused(f"a ConvNeXt with {file.settings['hidden_act']}, which no member has")
    stages = file.count("encoder.stages.")
    steps = [file.patch("embeddings.patch_embeddings.weight")]
    steps += [file.patch(f"encoder.stages.{k}.downsampling_layer.1.weight") for k in range(1, stages)]
    first = "encoder.stages.0.layers.0."
    config = ConvNextConfig(
        channels=tuple(step[0] for step in steps),
        depths=tuple(file.count(f"encoder.stages.{k}.layers.") for k in range(stages)),
        strides=tuple(step[1] for step in steps),
        kernel=file.shape(f"{first}dwconv.weight", 4)[-1],
        eps=1e-6,
        final_eps=number(file.settings, "layer_norm_eps", 1e-12, 0, 1),
        mean=file.colors("image_mean", IMAGENET_MEAN),
        std=file.colors("image_std", IMAGENET_STD),
    )
    scaled = file.has(f"{first}layer_scale_parameter")
    return Known(config, partial(_hub_rules, scaled=scaled), ("embeddings.", "encoder.", "layernorm."))


def _hub_rules(config: ConvNextConfig, source: str, target: str, scaled: bool) -> list[Rule]:
    """Return the rules for the library's names; unless `scaled`, its blocks have no learned scale and ours are ones."""
    pairs = {
        **weight_and_bias("embeddings.patch_embeddings", "stages.0.0"),
        **weight_and_bias("embeddings.layernorm", "stages.0.1"),
        **weight_and_bias("layernorm", "norm"),
    }
    block = {"dwconv": "depthwise", "layernorm": "norm", "pwconv1": "expand", "pwconv2": "contract"}
    rules = []
    for stage, depth in enumerate(config.depths):
        old, new = f"encoder.stages.{stage}", f"stages.{stage}"
        for k in (0, 1) if stage else ():
            pairs |= weight_and_bias(f"{old}.downsampling_layer.{k}", f"{new}.{k}")
        for k in range(depth):
            for theirs, ours in block.items():
                pairs |= weight_and_bias(f"{old}.layers.{k}.{theirs}", f"{new}.{2 + k}.{ours}")
            if scaled:
                pairs[f"{old}.layers.{k}.layer_scale_parameter"] = f"{new}.{2 + k}.scale"
            else:
                bias = f"{new}.{2 + k}.contract.bias"
                del pairs[f"{old}.layers.{k}.pwconv2.bias"]
                targets = (f"{target}{bias}", f"{target}{new}.{2 + k}.scale")
                rules.append(Rule((f"{source}{old}.layers.{k}.pwconv2.bias",), targets, _and_ones, _first))
    return [*renames(pairs, source, target), *rules]


def _and_ones(tensor: Tensor) -> Tensors:
    return tensor, torch.ones_like(tensor)


def _first(tensor: Tensor, _: Tensor) -> Tensors:
    return (tensor,)
