"""A fresh member from base weights: a language model and visual experts of any size, joined by new weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedConfig

from sphinx_x.checkpoints import probe
from sphinx_x.checkpoints.forms import LLM as LANGUAGE_MODEL
from sphinx_x.checkpoints.forms import check_model_folder, expect
from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.llms.internlm2 import internlm2_config, internlm2_rules
from sphinx_x.checkpoints.llms.rows import embedding_rule, output_rule
from sphinx_x.checkpoints.parts import Backbone, Part, convert_parts, disk_outline, plan_parts
from sphinx_x.checkpoints.places import Place, counterparts, expert_places, fresh_places, given_places, name_of
from sphinx_x.checkpoints.recognise import check_files
from sphinx_x.checkpoints.rules import LLM, VISION, Rule, Source, renames
from sphinx_x.checkpoints.templates import template_of
from sphinx_x.checkpoints.weights import WeightFiles
from sphinx_x.checkpoints.writer import ORIGINAL, finish, keep_tokenizer, new_folder, size_of, write_weights
from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.family import Member
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.experts import ExpertConfig, build_expert
from sphinx_x.model.line_places import LinePlaces
from sphinx_x.model.modeling import scale_by_fan_in
from sphinx_x.model.processing import SphinxXProcessor, build_processor
from sphinx_x.model.prompt import find_template
from sphinx_x.model.tokenizer import extend_vocabulary, image_tokens, read_tokenizer

EMBEDDINGS = ("tok_embeddings.weight", "embed_tokens.weight")
LEARNED = ("image.start", "image.end", "image.skip")
LINE = "image.line"
PLACES = "model.line_places."
"""The beginning of our names for what embeds the places of lines."""


class Fresh:
    """New weights under our names."""

    name = "fresh weights"

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def tensors(self) -> Mapping[str, Tensor]:
        """Return shapes and types, on the meta device."""
        return {name: tensor.to("meta") for name, tensor in self._tensors.items()}

    def read(self, name: str) -> Tensor:
        """Return one tensor."""
        return self._tensors[name]


class Joint:
    """Several sources with different names, as one."""

    def __init__(self, *sources: Source) -> None:
        self.name, self._sources = sources[0].name, sources

    def tensors(self) -> Mapping[str, Tensor]:
        """Return shapes and types, on the meta device."""
        return {name: tensor for source in self._sources for name, tensor in source.tensors().items()}

    def read(self, name: str) -> Tensor:
        """Return one tensor."""
        return next(source for source in self._sources if name in source.tensors()).read(name)


def llm_config(folder: Path) -> PreTrainedConfig:
    """Return the library's configuration of a base language model; InternLM2's is read as Llama's.

    Code that comes with a folder is never run.

    Raises:
        CheckpointError: The library does not know the kind, or there is more after the last layer than the linear layer
            that a member has.
    """
    file = folder / "config.json"
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        internlm2 = fields.get("model_type") == "internlm2"
        config = internlm2_config(fields) if internlm2 else AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file}: no configuration of a language model ({one_line(error)})") from error
    for name, neutral in OUTPUT_FACTORS.items():
        value = getattr(config, name, None)
        if value not in (None, neutral):
            raise CheckpointError(f"{file}: a {config.model_type} with {name} {value}, which no member has")
    experts = next((n for n in ("num_local_experts", "num_experts", "n_routed_experts") if getattr(config, n, 0)), None)
    if not 0 < getattr(config, "num_hidden_layers", 0) <= MOST_LAYERS:
        raise CheckpointError(f"{file}: no language model of 1 to {MOST_LAYERS} layers")
    if experts and config.model_type != "mixtral":
        raise CheckpointError(f"{file}: a {config.model_type}; of mixtures of experts, Mixtral is read")
    return config


MOST_LAYERS = 10_000
OUTPUT_FACTORS = {"logits_scaling": 1, "logit_scale": 1, "final_logit_softcapping": 0, "lm_head_multiplier": 1}
"""Factors that some language models apply to their logits (Granite, Cohere, Gemma 2, Falcon-H1), and their neutral
values."""


def drawn_alike(shape: Sequence[int], deviation: float, generator: np.random.Generator) -> Tensor:
    """Return random numbers of this standard deviation around 0, the same bit for bit on every machine.

    PyTorch's normal numbers depend on the processor: adapters that know their base by its hash would fit no member that
    was made elsewhere. These are uniform, of whole numbers and one product.
    """
    step = np.float32(2 * math.sqrt(3) * deviation)
    return torch.from_numpy((generator.random(tuple(shape), np.float32) - np.float32(0.5)) * step)


class BaseLLM:
    """A language model of the hub: its configuration, its tokenizer with the image tokens, and its tensors."""

    def __init__(self, folder: Path, lines: bool = False) -> None:
        expect(folder, LANGUAGE_MODEL)
        check_files(folder)
        self.source, self.home = WeightFiles(folder), folder
        tensors = self.source.tensors()
        self.config = llm_config(folder)
        table = next((name for name in tensors if name.endswith(EMBEDDINGS)), None)
        if table is None:
            raise CheckpointError(f"{folder}: no language model ({' or '.join(EMBEDDINGS)} is missing)")
        self.table, self.prefix = table, table.removesuffix(next(e for e in EMBEDDINGS if table.endswith(e)))
        self.internlm2 = table.endswith(EMBEDDINGS[0])
        self.rows, self.dtype = probe.shape(tensors, table, 2)[0], tensors[table].dtype
        tied = getattr(self.config, "tie_word_embeddings", False) and "lm_head.weight" in tensors
        if tied and not torch.equal(self.source.read("lm_head.weight"), self.source.read(table)):
            raise CheckpointError(f"{folder}: its config ties the output layer to {table}, which is another")
        try:
            self.tokenizer = read_tokenizer(folder)
            self.tokens = extend_vocabulary(self.tokenizer, self.rows, lines)
        except ValueError as error:
            raise CheckpointError(f"{folder}: {one_line(error)}") from error
        self.learned = (*LEARNED, LINE) if lines else LEARNED
        self.config.vocab_size = self.rows + len(self.tokens.all())

    def part(self, config: SphinxXConfig, seed: int) -> Part:
        """Return its tensors as ours, with the image tokens' new rows."""
        rules = [embedding_rule(self.table, self.rows, self.learned)]
        if self.internlm2:
            rules += internlm2_rules(self.config, self.prefix)
        else:
            ours = [name for name in disk_outline(config) if name.startswith(LLM)]
            rest = [name.removeprefix(LLM) for name in ours if not name.endswith(EMBEDDINGS[1])]
            rules += renames({name: name for name in rest}, self.prefix, LLM)
        if not config.tie_word_embeddings:
            output = "output.weight" if self.internlm2 else "lm_head.weight"
            rules.append(output_rule(output, self.rows, len(self.tokens.all())))
        tied = config.tie_word_embeddings

        def ignore(name: str) -> bool:
            return name.endswith("rotary_emb.inv_freq") or (tied and name == "lm_head.weight")

        return Part(Joint(self.source, self._image_rows(seed)), rules, ignore)

    def _image_rows(self, seed: int) -> Fresh:
        """Return rows for start, end, skip and line, as large as the rows of the table."""
        table = self.source.read(self.table)
        # rounded, as the last bits depend on the order of the sum
        scale = float(f"{float(table[:: max(1, self.rows // 1000)].float().std()):.3g}")
        generator = np.random.default_rng(seed)
        rows = {name: drawn_alike((1, 1, table.shape[1]), scale, generator) for name in self.learned}
        return Fresh({name: row.to(self.dtype) for name, row in rows.items()})


class StartingMember:
    """A model folder of ours to start from: all its parts are kept unless something else is given."""

    def __init__(self, folder: Path) -> None:
        check_model_folder(folder)
        self.source, self.home = WeightFiles(folder), folder / ORIGINAL
        try:
            self.config = SphinxXConfig.from_pretrained(folder, trust_remote_code=False)
            self.processor = SphinxXProcessor.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{folder}: no model folder ({one_line(error)})") from error
        self.tokenizer, self.tokens = self.processor.tokenizer, self.config.image_tokens()
        if image_tokens(self.tokenizer, self.config.lines is not None) != self.tokens:
            raise CheckpointError(f"{folder}: its config and its tokenizer have other image tokens")
        self.groups = self.config.group_configs()
        self.dtype = self.source.tensors()[f"{LLM}norm.weight"].dtype

    def part(self, config: SphinxXConfig, seed: int) -> Part:
        """Return its language model, with the image tokens' rows and the places of lines."""
        names = [name for name in self.source.tensors() if name.startswith((LLM, "lm_head.", PLACES))]
        return Part(self.source, renames({name: name for name in names}, "", ""), lambda _: True)

    def expert(self, place: Place, target: str) -> Part:
        """Return one of its experts, under our names that begin with `target`."""
        names = [name.removeprefix(place.target) for name in self.source.tensors() if name.startswith(place.target)]
        return Part(self.source, renames({name: name for name in names}, place.target, target), lambda _: True)

    def projector(self, new: Sequence[ExpertConfig], old: Sequence[Place | None], target: str) -> Part | None:
        """Return the projector of the group that has all of `old`, without the columns of its other experts.

        Args:
            new: The experts of a group.
            old: For each of them, the expert here whose columns it takes.
            target: The prefix of our names for the new projector.

        Returns:
            None if there is no such group, or if an expert's width has changed.
        """
        taken = [place for place in old if place is not None]
        if len(taken) < len(new) or len({place.group for place in taken}) != 1:
            return None
        if any(e.token_channels != place.config.token_channels for e, place in zip(new, taken, strict=True)):
            return None
        group = taken[0].group
        whole = [place for place in expert_places(self.groups) if place.group == group]
        widths = [place.config.token_channels for place in whole]

        def columns(weight: Tensor) -> tuple[Tensor]:
            parts = weight.split(widths, dim=1)
            return (torch.cat([parts[whole.index(place)] for place in taken], dim=1),)

        source = f"{VISION}{group}.projector."
        rest = renames({name: name for name in ("0.bias", "1.weight", "1.bias")}, source, target)
        rules = [Rule((f"{source}0.weight",), (f"{target}0.weight",), columns), *rest]
        return Part(self.source, rules, lambda _: True)


@told_in_one_line
def import_backbones(
    member: Member,
    out: str | Path,
    llm: str | Path | None = None,
    experts: Sequence[Backbone] = (),
    fresh: Sequence[str] = (),
    start: str | Path | None = None,
    dtype: torch.dtype | None = None,
    template: str | None = None,
    seed: int = 0,
) -> list[str]:
    """Make a member from base weights and write its model folder.

    If an error is raised, `out` is not created.

    Args:
        member: Gives the views, the prompt template and the places for experts.
        out: The folder to write.
        llm: A language model's folder in the library's format.
        experts: Experts that fill the places, each by its kind or its `place`.
        fresh: Kinds, or numbers of places, that get new weights.
        start: Instead of `llm`, a model folder of ours that gives the language model, the projector, the image tokens,
            and the experts that are not given.
        dtype: Type of all weights; by default each keeps its own, and new ones have the language model's.
        template: A name in `TEMPLATES`, in place of the member's template.
        seed: Seed of new weights.

    Returns:
        Notes for the user, one line each.

    Raises:
        CheckpointError: Something is missing, does not fit or is unclear.
    """
    if (llm is None) == (start is None):
        raise CheckpointError("give either a language model (--llm) or a member to start from (--from)")
    try:
        find_template(template or member.template)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    begun = StartingMember(Path(start)) if start is not None else None
    if begun and begun.config.lines != member.lines:
        raise CheckpointError(f"{start}: does not read the lines of images as {member.name} does")
    base = begun or BaseLLM(Path(str(llm)), member.lines is not None)
    text = base.config.text_config if isinstance(base, StartingMember) else base.config
    assembly = Assembly(member, experts, fresh, begun)
    config = SphinxXConfig(
        text_config=text,
        groups=assembly.groups,
        views=member.views,
        image_token_id=base.tokens.slot,
        start_token_id=base.tokens.start,
        end_token_id=base.tokens.end,
        skip_token_id=base.tokens.skip,
        lines=member.lines,
        line_token_id=base.tokens.line,
    )
    parts = assembly.parts(text.hidden_size, base.dtype, seed)
    parts.append(base.part(config, seed))
    outline = plan_parts(parts, config)
    cast = {name: tensor.to(dtype or tensor.dtype) for name, tensor in outline.items()}
    written, notes = template_of(base.tokenizer, template or member.template)
    processor = build_processor(
        base.tokenizer, member.views, config.tokens_per_view, written, member.box_decimals, lines=member.lines
    )
    with new_folder(out, size_of(cast.values()), [str(llm or start)]) as folder:
        stream = ((name, tensor.to(cast[name].dtype)) for name, tensor in convert_parts(parts))
        keep_tokenizer(base.home, folder / ORIGINAL)
        finish(folder, config, processor, dtype or base.dtype, write_weights(folder, cast, stream))
    return [*notes, *assembly.notes]


class Assembly:
    """Fills a member's places for experts.

    Attributes:
        notes: What was made new, one line each.
    """

    def __init__(
        self, member: Member, given: Sequence[Backbone], fresh: Sequence[str], begun: StartingMember | None
    ) -> None:
        self.begun, self.lines = begun, member.lines
        self.notes: list[str] = []
        asked = SphinxXConfig(groups=member.groups, views=member.views).group_configs()
        self.places = expert_places(asked)
        self.fresh = fresh_places(member.name, self.places, fresh)
        self.given = given_places(member.name, self.places, given, self.fresh)
        old = expert_places(begun.groups) if begun else []
        to_fill = {place.number: place.number not in {*self.given, *self.fresh} for place in self.places}
        self.old = counterparts(member.name, self.places, old, to_fill)
        filled = iter([self._expert(place) for place in self.places])
        self.groups = [replace(group, experts=tuple(next(filled) for _ in group.experts)) for group in asked]

    def _expert(self, place: Place) -> ExpertConfig:
        """Return the expert that fills a place: the size of its source, at the place's resolution."""
        wanted, number = place.config, place.number
        if number in self.fresh:
            return wanted
        if number in self.given:
            found = self.given[number].config
        elif number in self.old:
            found = self.old[number].config
        else:
            name = name_of(place, self.places)
            one = "--expert" if name == place.kind else f"--expert {name}=PATH"
            raise CheckpointError(f"no weights for the expert {name}: give {one}, or --fresh {name}")
        return replace(found, height=wanted.height, width=wanted.width, resample=wanted.resample)

    def parts(self, llm_width: int, dtype: torch.dtype, seed: int) -> list[Part]:
        """Return the parts that the vision's tensors come from; those without a source are made new, in `dtype`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self._parts(llm_width, dtype, np.random.default_rng(seed))

    def _parts(self, llm_width: int, dtype: torch.dtype, generator: np.random.Generator) -> list[Part]:
        parts: list[Part] = []
        modules: dict[str, nn.Module] = {}
        joints: dict[str, nn.Module] = {}
        for number, group in enumerate(self.groups):
            places = [place for place in self.places if place.group == number]
            for place, expert in zip(places, group.experts, strict=True):
                if place.number in self.fresh:
                    modules[place.target] = build_expert(expert)
                    self.notes.append(f"made new: the expert {name_of(place, self.places)}")
                elif place.number in self.given:
                    parts.append(self.given[place.number].part(place.target))
                elif self.begun:
                    parts.append(self.begun.expert(self.old[place.number], place.target))
            target = f"{VISION}{number}.projector."
            old = [self.old.get(place.number) for place in places]
            taken = self.begun.projector(group.experts, old, target) if self.begun else None
            if taken:
                parts.append(taken)
            else:
                channels = sum(expert.token_channels for expert in group.experts)
                joints[target] = nn.Sequential(nn.Linear(channels, llm_width), nn.LayerNorm(llm_width))
                self.notes.append(f"made new: the projector of group {number + 1}")
        if self.lines is not None and not self.begun:
            joints[PLACES] = LinePlaces(llm_width)
            self.notes.append("made new: the places of lines")
        for module in (module for whole in modules.values() for module in whole.modules()):
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                scale_by_fan_in(module)
        for layer in (module for whole in joints.values() for module in whole.modules()):
            if isinstance(layer, nn.Linear):  # by its fan-in, as the experts' are
                layer.weight.data = drawn_alike(layer.weight.shape, 1 / math.sqrt(layer.in_features), generator)
                layer.bias.data.zero_()
        made = modules | joints
        new = {f"{place}{name}": p.detach().to(dtype) for place, m in made.items() for name, p in m.named_parameters()}
        return [*parts, Part(Fresh(new), renames({name: name for name in new}, "", ""))]
