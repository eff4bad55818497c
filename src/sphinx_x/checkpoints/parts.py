"""A model assembled from several sources, each with its rules, and checked as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sphinx_x.checkpoints.rules import Rule, Source, convert, plan
from sphinx_x.checkpoints.writer import TYPE_NAMES
from sphinx_x.errors import CheckpointError
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.experts import ExpertConfig


@dataclass(frozen=True)
class Part:
    """The tensors of one source and how they become ours.

    Attributes:
        source: The tensors.
        rules: The rules from their names to ours.
        ignore: Tells which names may be left over.
    """

    source: Source
    rules: list[Rule]
    ignore: Callable[[str], bool] = lambda _: False


@dataclass(frozen=True)
class Backbone:
    """A visual expert from its own file.

    Attributes:
        config: The expert's configuration.
        source: The file.
        prefix: The beginning of its names.
        ignore: Tells which other names may be in the file.
        rules: Makes the rules from (config, prefix, target).
        place: Number of the member's place that it is for, counted from 1, if specified.
    """

    config: ExpertConfig
    source: Source
    prefix: str
    ignore: Callable[[str], bool]
    rules: Callable[[Any, str, str], list[Rule]]
    place: int | None = None

    @property
    def kind(self) -> str:
        """Its kind, as configurations name it."""
        return self.config.kind

    def part(self, target: str) -> Part:
        """Return its tensors as ours, with names that begin with `target`."""
        return Part(self.source, self.rules(self.config, self.prefix, target), self.ignore)


def plan_parts(parts: Iterable[Part], config: SphinxXConfig) -> dict[str, Tensor]:
    """Return what the parts provide, on the meta device, in order; raise `CheckpointError` unless it is the model."""
    outline: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for part in parts:
        made = plan(part.rules, part.source, part.ignore)
        outline |= made
        for rule in part.rules:
            origin |= dict.fromkeys(rule.targets, f"{part.source.name}: {', '.join(rule.sources[:3])}")
    wanted = disk_outline(config)
    for name, found in outline.items():
        if name not in wanted:
            raise CheckpointError(f"{origin[name]} (here {name}) is not part of this model")
        if found.shape != wanted[name].shape:
            shapes = f"{tuple(found.shape)}, this model wants {tuple(wanted[name].shape)}"
            raise CheckpointError(f"{origin[name]} (here {name}) is {shapes}")
        if found.dtype not in TYPE_NAMES:
            raise CheckpointError(f"{origin[name]}: numbers of the type {found.dtype} cannot be written")
    missing = next((name for name in wanted if name not in outline), None)
    if missing:
        raise CheckpointError(f"nothing gives {missing}")
    return outline


def convert_parts(parts: Iterable[Part]) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors of all parts, one at a time, in the order of `plan_parts`."""
    for part in parts:
        yield from convert(part.rules, part.source.read)


def disk_outline(config: SphinxXConfig) -> dict[str, Tensor]:
    """Return names and shapes of a model's tensors on disk, on the meta device."""
    from sphinx_x.model.modeling import SphinxXForConditionalGeneration

    with torch.device("meta"):
        model = SphinxXForConditionalGeneration(config)
    outline: dict[str, Tensor] = {}
    mixtral = config.text_config.model_type == "mixtral"
    for name, tensor in model.state_dict().items():
        outline |= disk_names(name, tensor) if mixtral else {name: tensor}
    if config.tie_word_embeddings:
        del outline["lm_head.weight"]
    return outline


def disk_names(name: str, tensor: Any) -> dict[str, Tensor]:
    """Return a Mixtral's tensor in memory as the tensors on disk, where the library keeps experts apart."""
    place = name.replace(".mlp.gate.", ".block_sparse_moe.gate.").replace(".mlp.experts.", ".block_sparse_moe.experts.")
    if name.endswith(".mlp.experts.gate_up_proj"):
        base = place.removesuffix("gate_up_proj")
        halves = ((e, *part.chunk(2)) for e, part in enumerate(tensor))
        return {f"{base}{e}.w{n}.weight": half for e, *pair in halves for n, half in zip((1, 3), pair, strict=True)}
    if name.endswith(".mlp.experts.down_proj"):
        return {f"{place.removesuffix('down_proj')}{e}.w2.weight": part for e, part in enumerate(tensor)}
    return {place: tensor}
