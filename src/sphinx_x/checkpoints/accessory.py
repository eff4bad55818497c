"""Official SPHINX checkpoints (the format of LLaMA2-Accessory) to model folders of this package, and back.

The reference keeps one source file for each architecture; here each is a line of `ARCHITECTURES`: the same mixture of
visual experts with other experts and views. Depths and widths are read off the tensors.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from sphinx_x.checkpoints import probe
from sphinx_x.checkpoints.experts import OFFICIAL_PARTS
from sphinx_x.checkpoints.forms import NOTHING, OFFICIAL, OTHER, expect
from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.llms import accessory_llm_rules, text_config
from sphinx_x.checkpoints.parts import Backbone, Part, convert_parts, plan_parts
from sphinx_x.checkpoints.places import expert_places, of_kind
from sphinx_x.checkpoints.recognise import check_file, read_config
from sphinx_x.checkpoints.rules import VISION, Rule, Source, renames, weight_and_bias
from sphinx_x.checkpoints.shards import AccessoryFolder, Overlay
from sphinx_x.checkpoints.writer import (
    ORIGINAL,
    finish,
    keep_tokenizer,
    new_folder,
    size_of,
    write_safetensors,
    write_weights,
)
from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.family import IMAGE_VOCABULARY
from sphinx_x.model.config import GroupConfig, ImageTokens, SphinxXConfig
from sphinx_x.model.experts import ExpertConfig
from sphinx_x.model.processing import build_processor
from sphinx_x.model.tokenizer import begin_with_bos, extend_vocabulary, read_tokenizer
from sphinx_x.model.views import ViewGrid

FACTS, EXTRA = "accessory.json", "unused.safetensors"
"""Of what a checkpoint was made, and its tensors that no model computes with, for the way back."""
SETTINGS = ("params.json", "config.json", "meta.json")
PADDING = (122, 116, 104)
"""CLIP's mean colour as the reference computes it, cut to whole numbers."""


@dataclass(frozen=True)
class Architecture:
    """image: side of its canvas; columns: of its grid of views; four: whether CLIP and the Q-Former are in it."""

    image: int
    columns: int
    four: bool

    @property
    def views(self) -> ViewGrid:
        """Its views: centred padding and nothing skipped."""
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
    # language models without eyes
    "llama": None,
    "internlm": None,
    "mixtral": None,
    "mixtral_sparse": None,
}

UNUSED = re.compile(
    r"clip\.(positional_embedding|text_projection|logit_scale|token_embedding\.weight|ln_final\.(weight|bias)"
    r"|transformer\..*|visual\.proj)|dinov2_vitg14\.mask_token|rope\.freqs|layers\.\d+\.attention\.inner_attention\.rope\.freqs"
)
"""What lies in the reference's and Meta's checkpoints though nothing is computed with it."""


@dataclass(frozen=True)
class Checkpoint:
    """An official checkpoint, understood: what to read it as.

    settings: its config.json or params.json; vocabulary: rows of its embedding table.
    """

    kind: str
    settings: dict[str, Any]
    config: SphinxXConfig
    vocabulary: int

    def rules(self, apart: Collection[str] = ()) -> list[Rule]:
        """Every tensor of the format <-> ours, but for the experts of the kinds in `apart`."""
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
        """What our names of an expert begin with."""
        found = of_kind(expert_places(self.config.group_configs()), kind)
        if not found:
            raise CheckpointError(f"an architecture {self.kind} has no expert of the kind {kind}")
        return found[0].target


def visual_groups(
    kind: str, tensors: Mapping[str, Tensor], apart: Mapping[str, ExpertConfig] | None = None
) -> tuple[GroupConfig, ...]:
    """The groups of experts of an architecture, their sizes read off the tensors. apart: those known already."""
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
    """What a checkpoint is. experts: those that are not in it. Image tokens get the first four ids after its own."""
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
    """The architecture's name and the settings of a checkpoint, from the last folder that has them.

    A folder of Meta's has no name: it is a language model. Raises `CheckpointError` where nothing tells.
    """
    last_first = list(reversed(folders))
    found = (_json(folder / name) for folder in last_first for name in SETTINGS[:2])
    settings = next((content for content in found if content), None)
    if settings is None:
        raise CheckpointError(f"{folders[-1]}: no config.json and no params.json")
    if "model_type" in settings:  # beside Meta's files, as some repositories have both forms
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


def _tokenizer(folders: Sequence[Path]) -> tuple[Path, PreTrainedTokenizerBase]:
    """The last folder that has a tokenizer, and that; sentencepiece first, and a first token always, as the reference
    has it."""
    having = [f for f in folders if (f / "tokenizer.json").is_file() or (f / "tokenizer.model").is_file()]
    if not having:
        raise CheckpointError(f"{folders[-1]}: no tokenizer.model and no tokenizer.json")
    model_first = (having[-1] / "tokenizer.model").is_file()
    check_file(having[-1] / ("tokenizer.model" if model_first else "tokenizer.json"))
    try:
        tokenizer = read_tokenizer(having[-1], model_first=True)
    except ValueError as error:
        raise CheckpointError(one_line(error)) from error
    tokenizer.bos_token = tokenizer.bos_token or tokenizer.eos_token
    begin_with_bos(tokenizer)
    return having[-1], tokenizer


@told_in_one_line
def import_accessory(
    folders: Sequence[str | Path], out: str | Path, kind: str | None = None, experts: Sequence[Backbone] = ()
) -> list[str]:
    """Turns an official checkpoint into a model folder, exactly; returns notes for the user, one line each.

    folders: the checkpoint's folder; or several, a base first: tensors of a later one take the place of an earlier
    one's, and `*.model-diff.pth` are added to them. kind: the architecture where no meta.json names it. experts: where
    the folders hold only what was trained, the visual experts (`open_expert`). Tensors stream from memory maps to the
    disk. Raises `CheckpointError` with one line; then there is no `out`.
    """
    paths = [Path(folder) for folder in folders]
    _check_experts(experts)
    for path in paths:
        expect(path, OFFICIAL, else_may_be=(NOTHING, OTHER))
    opened = [AccessoryFolder(path) for path in paths]
    source = Overlay(opened)
    kind, settings = read_settings(paths, source.tensors(), kind)
    home, tokenizer = _tokenizer(paths)
    checkpoint = understand(source, kind, settings, experts)
    try:
        extend_vocabulary(tokenizer, checkpoint.vocabulary)
    except ValueError as error:
        raise CheckpointError(f"{home}: {one_line(error)}") from error
    parts = [Part(source, checkpoint.rules({expert.kind for expert in experts}), _is_unused)]
    parts += [expert.part(checkpoint.place(expert.kind)) for expert in experts]
    outline = plan_parts(parts, checkpoint.config)
    unused = {name: tensor for name, tensor in source.tensors().items() if _is_unused(name)}
    views, length = checkpoint.config.view_grid(), checkpoint.config.tokens_per_view
    processor = build_processor(tokenizer, views, length, "sphinx", padding_color=PADDING)
    with new_folder(out, size_of(outline.values()) + size_of(unused.values()), paths) as folder:
        hashes = write_weights(folder, outline, convert_parts(parts))
        _keep_original(folder / ORIGINAL, checkpoint, opened, home)
        if unused:
            pairs = ((name, source.read(name)) for name in unused)
            hashes[f"{ORIGINAL}/{EXTRA}"] = write_safetensors(folder / ORIGINAL / EXTRA, unused, pairs)
        finish(folder, checkpoint.config, processor, outline["lm_head.weight"].dtype, hashes)
    return source.notes


def _check_experts(experts: Sequence[Backbone]) -> None:
    """Raises `CheckpointError` where two experts are of one kind, of which an architecture has one at most."""
    kinds = [expert.kind for expert in experts]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice:
        raise CheckpointError(f"two experts of the kind {twice} are given; one is wanted")
    numbered = next((expert for expert in experts if expert.place is not None), None)
    if numbered:
        raise CheckpointError(
            f"an official checkpoint has one expert of a kind; give {numbered.source.name} without a number"
        )


def _is_unused(name: str) -> bool:
    return UNUSED.fullmatch(name) is not None


def _keep_original(folder: Path, checkpoint: Checkpoint, opened: Sequence[AccessoryFolder], home: Path) -> None:
    """What the way back needs beside the weights."""
    keep_tokenizer(home, folder)
    last = opened[-1]
    facts = {
        "llama_type": checkpoint.kind,
        "config": checkpoint.settings,
        "shards": len(last.paths),
        "meta_style": last.meta_style,
        "order": list(last.tensors()),
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    for each in opened:
        for name in SETTINGS:
            if (each.folder / name).is_file():
                shutil.copyfile(each.folder / name, folder / name)
