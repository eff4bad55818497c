"""The reference's architectures (LLaMA2-Accessory): the mixture of visual experts and the views of each.

The reference has one source file for each architecture; here each is a line of `ARCHITECTURES`: the same mixture of
visual experts with other experts and views. Depths and widths are inferred from the tensors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sphinx_x.checkpoints import probe
from sphinx_x.checkpoints.experts import OFFICIAL_PARTS
from sphinx_x.checkpoints.llms.accessory import accessory_llm_rules, text_config
from sphinx_x.checkpoints.parts import Backbone
from sphinx_x.checkpoints.places import expert_places, of_kind
from sphinx_x.checkpoints.recognise import read_config
from sphinx_x.checkpoints.rules import VISION, Rule, Source, renames, weight_and_bias
from sphinx_x.errors import CheckpointError
from sphinx_x.family import IMAGE_VOCABULARY
from sphinx_x.model.config import GroupConfig, ImageTokens, SphinxXConfig
from sphinx_x.model.experts import ExpertConfig
from sphinx_x.model.views import ViewGrid

FACTS, EXTRA = "accessory.json", "unused.safetensors"
"""Files for the way back: what a checkpoint was made of, and its tensors that no model computes with."""
SETTINGS = ("params.json", "config.json", "meta.json")
PADDING = (122, 116, 104)
"""CLIP's mean colour as the reference computes it, truncated to integers."""


@dataclass(frozen=True)
class Architecture:
    """The views and experts of an architecture.

    Attributes:
        image: Side of the canvas in pixels.
        columns: Number of columns of the grid of views.
        four: Whether it includes CLIP and the Q-Former.
    """

    image: int
    columns: int
    four: bool

    @property
    def views(self) -> ViewGrid:
        """Its views: centred padding, nothing skipped."""
        side = self.image // self.columns
        return ViewGrid(self.columns, self.columns, side, side, self.columns > 1, "center", skip=False)


ARCHITECTURES: dict[str, Architecture | None] = {
    "llama_ens_light": Architecture(512, 1, four=False),
    "llama_ens5_light": Architecture(1024, 2, four=False),
    "llama_ens": Architecture(224, 1, four=True),
    "llama_ens5": Architecture(448, 2, four=True),
    "llama_ens10": Architecture(672, 3, four=True),
    "mixtral_sparse_ens": Architecture(512, 1, four=True),
    "mixtral_sparse_ens5": Architecture(1024, 2, four=True),
    # language models without visual experts
    "llama": None,
    "internlm": None,
    "mixtral": None,
    "mixtral_sparse": None,
}

UNUSED = re.compile(
    r"clip\.(positional_embedding|text_projection|logit_scale|token_embedding\.weight|ln_final\.(weight|bias)"
    r"|transformer\..*|visual\.proj)|dinov2_vitg14\.mask_token|rope\.freqs|layers\.\d+\.attention\.inner_attention\.rope\.freqs"
)
"""Tensors in the reference's and Meta's checkpoints that nothing is computed with."""


@dataclass(frozen=True)
class Checkpoint:
    """An official checkpoint and how to read it.

    Attributes:
        kind: Name of its architecture.
        settings: Its config.json or params.json.
        config: The configuration of the model it becomes.
        vocabulary: Number of rows of its embedding table.
    """

    kind: str
    settings: dict[str, Any]
    config: SphinxXConfig
    vocabulary: int

    def rules(self, apart: Collection[str] = ()) -> list[Rule]:
        """Return the rules between the format's tensors and ours, except for the experts of the kinds in `apart`."""
        groups = self.config.group_configs()
        rules = accessory_llm_rules(self.kind, self.config.text_config, self.vocabulary, bool(groups))
        projectors = ("visual_proj",) if len(groups) == 1 else ("qformer_proj", "visual_proj")
        for number, (group, projector) in enumerate(zip(groups, projectors[: len(groups)], strict=True)):
            for expert in group.experts:
                if expert.kind not in apart:
                    part = OFFICIAL_PARTS[expert.kind]
                    rules += part.rules(expert, part.prefix, self.place(expert.kind))
            rules += renames(
                {**weight_and_bias("0", "0"), **weight_and_bias("1", "1")},
                f"{projector}.",
                f"{VISION}{number}.projector.",
            )
        return rules

    def place(self, kind: str) -> str:
        """Return the prefix of our names for an expert."""
        found = of_kind(expert_places(self.config.group_configs()), kind)
        if not found:
            raise CheckpointError(f"an architecture {self.kind} has no expert of the kind {kind}")
        return found[0].target


def visual_groups(
    kind: str, tensors: Mapping[str, Tensor], apart: Mapping[str, ExpertConfig] | None = None
) -> tuple[GroupConfig, ...]:
    """Return an architecture's groups of experts, inferring the sizes of those not in `apart` from the tensors."""
    architecture = ARCHITECTURES[kind]
    if architecture is None:
        return ()

    def expert(name: str, size: int, resample: str) -> Any:
        found = (apart or {}).get(name) or OFFICIAL_PARTS[name].config(tensors)
        return replace(found, height=size, width=size, resample=resample)

    if architecture.views.view_height == 224:
        convnext = expert("convnext", 256, "nearest")
    else:
        convnext = expert("convnext", 512, "canvas" if architecture.columns > 1 else "nearest")
    fused = (convnext, expert("dinov2", 224, "canvas"))
    if not architecture.four:
        return (GroupConfig(fused, resize="nearest"),)
    qformer = expert("qformer", 224, "canvas")
    return (
        GroupConfig((qformer,), tokens=(qformer.queries, 1), global_token=False),
        GroupConfig((expert("clip", 224, "canvas"), *fused), resize="nearest"),
    )


def understand(
    source: Source,
    kind: str,
    settings: dict[str, Any],
    experts: Sequence[Backbone] = (),
) -> Checkpoint:
    """Determine what a checkpoint is; the image tokens get the first four ids after its own.

    Args:
        source: Its tensors.
        kind: Name of its architecture.
        settings: Its config.json or params.json.
        experts: The visual experts that are not in it.
    """
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise CheckpointError(f"{source.name}: unknown architecture {kind!r}; known: {', '.join(ARCHITECTURES)}")
    tensors = source.tensors()
    vocabulary = probe.shape(tensors, "embedding.weight" if kind == "internlm" else "tok_embeddings.weight", 2)[0]
    tokens = ImageTokens(*range(vocabulary, vocabulary + IMAGE_VOCABULARY))
    architecture = ARCHITECTURES[kind]
    config = SphinxXConfig(
        text_config=text_config(kind, tensors, settings, vocabulary + IMAGE_VOCABULARY),
        groups=visual_groups(kind, tensors, {expert.kind: expert.config for expert in experts}),
        views=architecture.views if architecture else ViewGrid(),
        image_token_id=tokens.slot,
        start_token_id=tokens.start,
        end_token_id=tokens.end,
        skip_token_id=tokens.skip,
        tie_word_embeddings=False,
    )
    return Checkpoint(kind, settings, config, vocabulary)


def read_settings(
    folders: Sequence[Path], tensors: Mapping[str, Tensor], kind: str | None
) -> tuple[str, dict[str, Any]]:
    """Return the architecture's name and the settings of a checkpoint, from the last folder that has them.

    A folder in Meta's format has no name: it is a language model.

    Raises:
        CheckpointError: No folder has them.
    """
    last_first = list(reversed(folders))
    found = (_json(folder / name) for folder in last_first for name in SETTINGS[:2])
    settings = next((content for content in found if content), None)
    if settings is None:
        raise CheckpointError(f"{folders[-1]}: no config.json and no params.json")
    if "model_type" in settings:  # next to Meta's files, as some repositories have both formats
        what = "its config.json is the Transformers library's; the params.json that came with the shards is wanted"
        raise CheckpointError(f"{folders[-1]}: {what}")
    named = (_json(folder / "meta.json").get("llama_type") for folder in last_first)
    kind = kind or next((name for name in named if name is not None), None)
    if kind is None:
        if any(name.startswith(tuple(part.prefix for part in OFFICIAL_PARTS.values())) for name in tensors):
            raise CheckpointError(f"{folders[-1]}: no meta.json; name the architecture (--type)")
        kind = "mixtral" if any(".experts." in name for name in tensors) else "llama"
    return kind, settings


def _json(path: Path) -> dict[str, Any]:
    return read_config(path) if path.is_file() else {}
