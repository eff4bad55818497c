"""Visual experts from files of their own: told apart by the names of their tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sphinx_x.checkpoints import probe
from sphinx_x.checkpoints.forms import EXPERT, EXPERTS, form_of, read_config
from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.llms import number
from sphinx_x.checkpoints.parts import Backbone
from sphinx_x.checkpoints.rules import Rule, Tensors, joined, renames, weight_and_bias
from sphinx_x.checkpoints.weights import WeightFiles
from sphinx_x.errors import CheckpointError
from sphinx_x.model.experts.convnext import ConvNextConfig
from sphinx_x.model.experts.dinov2 import DinoV2Config
from sphinx_x.model.resampling import IMAGENET_MEAN, IMAGENET_STD

HUB_STEM = "embeddings.patch_embeddings.weight"
HUB_PATCHES = "embeddings.patch_embeddings.projection.weight"


@told_in_one_line
def open_expert(path: str | Path) -> Backbone:
    """A visual expert from a folder or a file: ConvNeXt of timm, open_clip or the hub, DINOv2 of its own code or of the
    hub, CLIP's vision transformer of open_clip, the Q-Former of the hub. Raises `CheckpointError` where it is none."""
    source = WeightFiles(path)
    tensors = source.tensors()
    readers: dict[str, Callable[..., Backbone]] = {
        "stem.0.weight": _convnext,
        "patch_embed.proj.weight": _dinov2,
        HUB_PATCHES: _hub_dinov2,
        HUB_STEM: _hub_convnext,
        "query_tokens": _qformer,
        "conv1.weight": _clip,
    }
    for ending, reader in readers.items():
        for name in tensors:
            prefix = name.removesuffix(ending)
            if name.endswith(ending) and (not prefix or prefix.endswith(".")):
                return reader(source, tensors, prefix, _settings(Path(path)))
    form = form_of(Path(path)) if Path(path).is_dir() and (Path(path) / "config.json").is_file() else None
    told = f"; it {form.what}" if form and form.kind != EXPERT else ""
    raise CheckpointError(f"{path}: not a visual expert that is known (ConvNeXt, DINOv2, CLIP, Q-Former){told}")


def _settings(path: Path) -> dict[str, Any]:
    """What timm, open_clip and the library say beside the weights, of a folder or of a file in one."""
    folder = path if path.is_dir() else path.parent
    found = [folder / name for name in ("open_clip_config.json", "config.json") if (folder / name).is_file()]
    colors = folder / "preprocessor_config.json"
    settings = read_config(found[0]) if found else {}
    theirs = {"pretrained_cfg", "model_cfg"} & settings.keys() or settings.get("model_type") in EXPERTS
    if path.is_file() and not theirs:
        return {}  # that of something else in the same folder
    return {**read_config(colors), **settings} if found and colors.is_file() else settings


TIMM = "timm_model."
"""What the library's wrapper puts before timm's names."""


def _no_second_version(source: Any, tensors: Mapping[str, Tensor]) -> None:
    if any(".grn." in name for name in tensors):
        raise CheckpointError(
            f"{source.name}: a ConvNeXt V2 (its blocks normalise responses), which no member has; take a ConvNeXt"
        )


def _three(source: Any, values: Any) -> tuple[float, ...]:
    """A mean or a spread of the three colours."""
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3 or not all(0 < number < 10 for number in numbers):
        raise CheckpointError(f"{source.name}: {values} are no mean or spread of three colours")
    return numbers


def _outside(prefix: str, *inside: str) -> Callable[[str], bool]:
    """Names that lie in the same file but are not the expert's."""
    return lambda name: not name.startswith(tuple(prefix + part for part in inside))


def _convnext(source: Any, tensors: Mapping[str, Tensor], prefix: str, settings: dict[str, Any]) -> Backbone:
    _no_second_version(source, tensors)
    config = probe.convnext(tensors, prefix)
    colors = settings.get("preprocess_cfg") or settings.get("pretrained_cfg") or {}
    if not isinstance(colors, dict):
        raise CheckpointError(f"{source.name}: its config says {str(colors)[:40]!r} about colours")
    if not colors and prefix in ("", TIMM):  # timm's own classifiers
        config = replace(config, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    elif "mean" in colors and "std" in colors:
        config = replace(config, mean=_three(source, colors["mean"]), std=_three(source, colors["std"]))
    return Backbone(config, source, prefix, _outside(prefix, "stem.", "stages.", "head.norm."))


def _hub_convnext(source: Any, tensors: Mapping[str, Tensor], prefix: str, settings: dict[str, Any]) -> Backbone:
    """As the Transformers library names and computes it: eps is 1e-6 everywhere but in the last norm."""
    _no_second_version(source, tensors)
    if not any(name.startswith(f"{prefix}encoder.stages.") for name in tensors):
        kind = str(settings.get("model_type", "model"))[:40]
        raise CheckpointError(f"{source.name}: a {kind}, which no member has")
    if f"{prefix}layernorm.weight" not in tensors:
        raise CheckpointError(f"{source.name}: a ConvNeXt without its last norm (a backbone for detectors)")
    if settings.get("hidden_act", "gelu") != "gelu":
        raise CheckpointError(f"{source.name}: a ConvNeXt with {settings['hidden_act']}, which no member has")
    stages = probe.count(tensors, f"{prefix}encoder.stages.")
    places = [f"{prefix}encoder.stages.{k}.downsampling_layer.1.weight" for k in range(1, stages)]
    steps = [probe.shape(tensors, name, 4) for name in (prefix + HUB_STEM, *places)]
    first = f"{prefix}encoder.stages.0.layers.0."
    config = ConvNextConfig(
        channels=tuple(step[0] for step in steps),
        depths=tuple(probe.count(tensors, f"{prefix}encoder.stages.{k}.layers.") for k in range(stages)),
        strides=tuple((step[2], step[3]) for step in steps),
        kernel=probe.shape(tensors, f"{first}dwconv.weight", 4)[-1],
        eps=1e-6,
        final_eps=number(settings, "layer_norm_eps", 1e-12, 0, 1),
        mean=_three(source, settings.get("image_mean") or IMAGENET_MEAN),
        std=_three(source, settings.get("image_std") or IMAGENET_STD),
    )
    inside = ("embeddings.", "encoder.", "layernorm.")
    scaled = f"{first}layer_scale_parameter" in tensors
    rules = partial(_hub_convnext_rules, scaled=scaled)
    return Backbone(config, source, prefix, _outside(prefix, *inside), rules)


def _hub_convnext_rules(config: ConvNextConfig, source: str, target: str, scaled: bool) -> list[Rule]:
    """scaled: whether its blocks have a learned scale; else ours are ones."""
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


def _dinov2(source: Any, tensors: Mapping[str, Tensor], prefix: str, _: dict[str, Any]) -> Backbone:
    _no_registers(source, tensors, f"{prefix}register_tokens")
    inside = ("cls_token", "pos_embed", "patch_embed.", "blocks.", "norm.")
    return Backbone(probe.dinov2(tensors, prefix), source, prefix, _outside(prefix, *inside))


def _no_registers(source: Any, tensors: Mapping[str, Tensor], name: str) -> None:
    if name in tensors:
        raise CheckpointError(
            f"{source.name}: a DINOv2 with register tokens, which no member has; take the one without"
        )


def _clip(source: Any, tensors: Mapping[str, Tensor], prefix: str, settings: dict[str, Any]) -> Backbone:
    model = settings.get("model_cfg", {})
    if model.get("quick_gelu"):
        raise CheckpointError(f"{source.name}: a CLIP with QuickGELU, which no member has")
    head = model.get("vision_cfg", {}).get("head_width", probe.HEAD)
    inside = ("class_embedding", "positional_embedding", "conv1.", "ln_pre.", "ln_post.", "transformer.")
    return Backbone(probe.clip(tensors, prefix, head), source, prefix, _outside(prefix, *inside))


def _qformer(source: Any, tensors: Mapping[str, Tensor], prefix: str, _: dict[str, Any]) -> Backbone:
    inside = ("query_tokens", "vision_model.", "qformer.")
    return Backbone(probe.qformer(tensors, prefix), source, prefix, _outside(prefix, *inside))


def _hub_dinov2(source: Any, tensors: Mapping[str, Tensor], prefix: str, settings: dict[str, Any]) -> Backbone:
    _no_registers(source, tensors, f"{prefix}embeddings.register_tokens")
    channels, _three, *patch = probe.shape(tensors, prefix + HUB_PATCHES, 4)
    layer = f"{prefix}encoder.layer.0."
    if f"{layer}layer_scale1.lambda1" not in tensors:  # ViT, Swin, BEiT and others begin alike
        kind = str(settings.get("model_type", "model"))[:40]
        raise CheckpointError(f"{source.name}: a {kind} and no DINOv2, which no member has")
    if settings.get("num_attention_heads", channels // probe.HEAD) != channels // probe.HEAD:
        raise CheckpointError(f"{source.name}: heads that are not {probe.HEAD} wide, which no DINOv2 has")
    swiglu = f"{layer}mlp.fc2.weight" not in tensors
    config = DinoV2Config(
        patch=(patch[0], patch[1]),
        channels=channels,
        depth=probe.count(tensors, f"{prefix}encoder.layer."),
        heads=channels // probe.HEAD,
        hidden=probe.shape(tensors, f"{layer}mlp.{'weights_out' if swiglu else 'fc2'}.weight")[1],
        swiglu=swiglu,
        positions=probe.square(probe.shape(tensors, f"{prefix}embeddings.position_embeddings")[1] - 1, source.name),
    )
    inside = ("embeddings.cls", "embeddings.position", "embeddings.patch", "encoder.", "layernorm.")
    newer = f"{layer}attention.q_proj.weight" in tensors
    return Backbone(config, source, prefix, _outside(prefix, *inside), _newer_hub_rules if newer else _hub_rules)


def _hub_rules(config: DinoV2Config, source: str, target: str, newer: bool = False) -> list[Rule]:
    """The hub's names of DINOv2. newer: as the library's modules are called since version 5."""
    pairs = {
        "embeddings.cls_token": "class_token",
        "embeddings.position_embeddings": "position_embed",
        **weight_and_bias("embeddings.patch_embeddings.projection", "patch_embed"),
        **weight_and_bias("layernorm", "norm"),
    }
    mlp = {"mlp.weights_in": "mlp.gate_up", "mlp.weights_out": "mlp.down"}
    if not config.swiglu:
        mlp = {"mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}
    attention = [f"attention.{x}_proj" for x in "qkvo"]
    if not newer:
        attention = [*(f"attention.attention.{part}" for part in ("query", "key", "value")), "attention.output.dense"]
    layers = {"norm1": "norm1", attention[3]: "out", "norm2": "norm2", **mlp}
    rules = []
    for k in range(config.depth):
        old, new = f"encoder.layer.{k}", f"blocks.{k}"
        pairs |= {f"{old}.layer_scale{n}.lambda1": f"{new}.scale{n}" for n in (1, 2)}
        for theirs, ours in layers.items():
            pairs |= weight_and_bias(f"{old}.{theirs}", f"{new}.{ours}")
        for end in ("weight", "bias"):
            parts = tuple(f"{source}{old}.{part}.{end}" for part in attention[:3])
            rules.append(joined(parts, f"{target}{new}.qkv.{end}"))
    return [*renames(pairs, source, target), *rules]


def _newer_hub_rules(config: DinoV2Config, source: str, target: str) -> list[Rule]:
    return _hub_rules(config, source, target, newer=True)
