"""Which tensors of another format become which of ours, and how: both ways, bit for bit.

A rule reads a few tensors and gives a few others; its inverse gives the first ones back. A format is a list of rules:
import, export and the check that nothing is missing or left over all follow from it. Our names are those on disk
(the library stores Mixtral's experts one by one and joins them when it loads them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sphinx_x.errors import CheckpointError
from sphinx_x.model.config import GroupConfig
from sphinx_x.model.experts import ExpertConfig
from sphinx_x.model.experts.clip import ClipConfig
from sphinx_x.model.experts.convnext import ConvNextConfig
from sphinx_x.model.experts.dinov2 import DinoV2Config
from sphinx_x.model.experts.qformer import QFormerConfig

Tensors = tuple[Tensor, ...]
LLM = "model.language_model."
VISION = "model.vision.groups."


class Source(Protocol):
    """Named tensors that are read one at a time."""

    name: str
    """How messages call it."""

    def tensors(self) -> Mapping[str, Tensor]:
        """Every tensor's shape and type, as a tensor on the meta device."""
        ...

    def read(self, name: str) -> Tensor:
        """One tensor."""
        ...


def _same(*tensors: Tensor) -> Tensors:
    return tensors


@dataclass(frozen=True)
class Rule:
    """forward makes the targets from the sources, backward the sources from the targets; both must work on meta."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    forward: Callable[..., Tensors] = _same
    backward: Callable[..., Tensors] = _same


def plan(rules: Iterable[Rule], source: Source, ignore: Callable[[str], bool]) -> dict[str, Tensor]:
    """What the rules give, on the meta device, in order.

    Raises `CheckpointError` naming the first tensors that no rule reads (unless `ignore` says so) or that are missing.
    """
    found, targets, read = source.tensors(), {}, set()
    rules = list(rules)
    missing = [name for rule in rules for name in rule.sources if name not in found]
    if missing:
        raise CheckpointError(f"{source.name}: {_named(missing)} missing")
    for rule in rules:
        wrong = next((name for name in rule.sources if not found[name].dtype.is_floating_point), None)
        if wrong:
            raise CheckpointError(f"{source.name}: {wrong} has {found[wrong].dtype} numbers, not floating ones")
        try:
            made = rule.forward(*(found[name] for name in rule.sources))
        except (RuntimeError, ValueError, IndexError) as error:
            shapes = ", ".join(f"{name} {tuple(found[name].shape)}" for name in rule.sources)
            raise CheckpointError(f"{source.name}: wrong shape of {shapes}") from error
        if len(made) != len(rule.targets):
            raise CheckpointError(f"{source.name}: wrong shape of {rule.sources[0]}")
        targets.update(zip(rule.targets, made, strict=True))
        read.update(rule.sources)
    extra = [name for name in found if name not in read and not ignore(name)]
    if extra:
        raise CheckpointError(f"{source.name}: {_named(extra)} not part of this model")
    return targets


def convert(rules: Iterable[Rule], read: Callable[[str], Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The targets of all rules in order, each rule's sources read when it is its turn."""
    for rule in rules:
        yield from zip(rule.targets, rule.forward(*map(read, rule.sources)), strict=True)


def inverse(rules: Iterable[Rule]) -> list[Rule]:
    """The rules of the way back."""
    return [Rule(rule.targets, rule.sources, rule.backward, rule.forward) for rule in rules]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"tensor{'s' if len(names) > 1 else ''} {', '.join(names[:3])}{more}"


def renames(pairs: Mapping[str, str], source: str, target: str) -> list[Rule]:
    """Tensors that only have another name; the prefixes stand before every name."""
    return [Rule((source + old,), (target + new,)) for old, new in pairs.items()]


def weight_and_bias(old: str, new: str) -> dict[str, str]:
    """A layer's weight and its bias."""
    return {f"{old}.{kind}": f"{new}.{kind}" for kind in ("weight", "bias")}


def joined(sources: tuple[str, ...], target: str) -> Rule:
    """Tensors of equal height that stand above each other in one."""

    def join(*parts: Tensor) -> Tensors:
        return (torch.cat(parts),)

    return Rule(sources, (target,), join, lambda whole: whole.chunk(len(sources)))


def reshaped(source: str, target: str, old: tuple[int, ...], new: tuple[int, ...]) -> Rule:
    """The same numbers in another shape (-1 as PyTorch reads it)."""
    return Rule((source,), (target,), lambda x: (x.reshape(new),), lambda x: (x.reshape(old),))


def convnext_rules(config: ConvNextConfig, source: str, target: str) -> list[Rule]:
    """timm's names, which open_clip uses as well, without the classifier."""
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


def dinov2_rules(config: DinoV2Config, source: str, target: str) -> list[Rule]:
    """The names of DINOv2's own code."""
    pairs = {"cls_token": "class_token", "pos_embed": "position_embed"}
    pairs |= {**weight_and_bias("patch_embed.proj", "patch_embed"), **weight_and_bias("norm", "norm")}
    mlp = {"mlp.w12": "mlp.gate_up", "mlp.w3": "mlp.down"}
    if not config.swiglu:
        mlp = {"mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}
    layers = {"norm1": "norm1", "attn.qkv": "qkv", "attn.proj": "out", "norm2": "norm2", **mlp}
    for k in range(config.depth):
        pairs |= {f"blocks.{k}.ls{n}.gamma": f"blocks.{k}.scale{n}" for n in (1, 2)}
        for theirs, ours in layers.items():
            pairs |= weight_and_bias(f"blocks.{k}.{theirs}", f"blocks.{k}.{ours}")
    return renames(pairs, source, target)


def clip_rules(config: ClipConfig, source: str, target: str) -> list[Rule]:
    """open_clip's names of the vision transformer."""
    pairs = {
        "conv1.weight": "patch_embed.weight",
        **weight_and_bias("ln_pre", "pre_norm"),
        **weight_and_bias("ln_post", "norm"),
    }
    layers = {"ln_1": "norm1", "attn.out_proj": "out", "ln_2": "norm2", "mlp.c_fc": "mlp.up", "mlp.c_proj": "mlp.down"}
    for k in range(config.depth):
        old, new = f"transformer.resblocks.{k}", f"blocks.{k}"
        pairs |= {f"{old}.attn.in_proj_{kind}": f"{new}.qkv.{kind}" for kind in ("weight", "bias")}
        for theirs, ours in layers.items():
            pairs |= weight_and_bias(f"{old}.{theirs}", f"{new}.{ours}")
    channels, positions = config.channels, 1 + config.positions[0] * config.positions[1]
    return [
        reshaped(f"{source}class_embedding", f"{target}class_token", (channels,), (1, 1, channels)),
        reshaped(
            f"{source}positional_embedding",
            f"{target}position_embed",
            (positions, channels),
            (1, positions, channels),
        ),
        *renames(pairs, source, target),
    ]


def qformer_rules(config: QFormerConfig, source: str, target: str) -> list[Rule]:
    """The library's names of BLIP-2 without its language model."""
    pairs = {
        "query_tokens": "queries",
        "vision_model.embeddings.class_embedding": "vision.class_token",
        "vision_model.embeddings.position_embedding": "vision.position_embed",
        **weight_and_bias("vision_model.embeddings.patch_embedding", "vision.patch_embed"),
        **weight_and_bias("vision_model.post_layernorm", "vision.norm"),
        **weight_and_bias("qformer.layernorm", "norm"),
    }
    layers = {"layer_norm1": "norm1", "self_attn.qkv": "qkv", "self_attn.projection": "out", "layer_norm2": "norm2"}
    layers |= {"mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}
    for k in range(config.vision_depth):
        for theirs, ours in layers.items():
            pairs |= weight_and_bias(f"vision_model.encoder.layers.{k}.{theirs}", f"vision.blocks.{k}.{ours}")
    attention = {f"attention.{part}": part for part in ("query", "key", "value")}
    attention |= {"output.dense": "out", "output.LayerNorm": "norm"}
    for k in range(config.depth):
        old, new = f"qformer.encoder.layer.{k}", f"layers.{k}"
        kinds = {"attention": "attention"} | ({"crossattention": "cross"} if k % config.cross_every == 0 else {})
        for their_kind, kind in kinds.items():
            for theirs, ours in attention.items():
                pairs |= weight_and_bias(f"{old}.{their_kind}.{theirs}", f"{new}.{kind}.{ours}")
        pairs |= weight_and_bias(f"{old}.intermediate_query.dense", f"{new}.up")
        pairs |= weight_and_bias(f"{old}.output_query.dense", f"{new}.down")
        pairs |= weight_and_bias(f"{old}.output_query.LayerNorm", f"{new}.norm")
    return renames(pairs, source, target)


def expert_places(groups: Iterable[GroupConfig]) -> dict[str, tuple[ExpertConfig, str]]:
    """By kind, each expert of a model and what our names of its tensors begin with; of two of a kind the first."""
    places: dict[str, tuple[ExpertConfig, str]] = {}
    for number, group in enumerate(groups):
        for k, expert in enumerate(group.experts):
            places.setdefault(expert.kind, (expert, f"{VISION}{number}.experts.{k}."))
    return places


def expert_rules(config: ExpertConfig, source: str, target: str) -> list[Rule]:
    """The rules of one expert from the names of the code it comes from."""
    if isinstance(config, ConvNextConfig):
        return convnext_rules(config, source, target)
    if isinstance(config, DinoV2Config):
        return dinov2_rules(config, source, target)
    if isinstance(config, ClipConfig):
        return clip_rules(config, source, target)
    return qformer_rules(config, source, target)
