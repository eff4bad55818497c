"""The outline of what a recipe trains: the shape of its model, and its parameters by name, without any weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sphinx_x.checkpoints.adapters import is_adapter, read_adapter
from sphinx_x.errors import CheckpointError, RecipeError
from sphinx_x.family import MEMBERS, build_config, get_member, vary
from sphinx_x.inference import BUILT_IN
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.packed import check_packable
from sphinx_x.model.parts import PARTS, freeze, in_part, whole_modules
from sphinx_x.recipe import LoraRecipe, Recipe


@dataclass(frozen=True)
class Size:
    """A parameter.

    Attributes:
        name: Its full name in the objective.
        part: The part that it belongs to.
        numbers: How many numbers it has.
        trained: Whether it is trained.
        split: Whether tensor-parallel ranks share it.
        experts: Number of a mixture's experts whose matrices it holds.
        matrix: Whether rows are multiplied by it.
    """

    name: str
    part: str
    numbers: int
    trained: bool
    split: bool = False
    experts: int = 1
    matrix: bool = False


def _shape_of(recipe: Recipe) -> tuple[Path | None, str]:
    """Return the folder here that tells the shape of what a recipe starts from, if there is one, and its member."""
    name, seen = recipe.start or "", set[str]()
    while name and name not in seen:
        seen.add(name)
        folder = Path(name) if Path(name).is_dir() else None
        if folder is None:
            return (BUILT_IN / name, name) if name in MEMBERS else (None, recipe.member)
        if not is_adapter(folder):
            return folder, recipe.member
        name = read_adapter(folder).base_here
    return None, recipe.member


def config_of(recipe: Recipe) -> SphinxXConfig:
    """Return the configuration of what a recipe trains: that of the model it starts from, or its member's.

    Nothing is fetched: a model of the hub is taken to be of the recipe's member.
    """
    try:
        folder, member = _shape_of(recipe)
        varied = vary(get_member(member), **recipe.variant.model_dump())
        if folder is not None and (folder / "config.json").is_file():
            config = SphinxXConfig.from_pretrained(folder)
        else:
            config = build_config(varied)
    except (OSError, ValueError, TypeError, CheckpointError) as error:
        raise RecipeError(f"start: {recipe.start}: no configuration of a model: {error}") from error
    # every byte of a letter after the first takes a row
    config.text_config.vocab_size += sum(len(letter.encode()) - 1 for letter in recipe.extra_tokens)
    return config


def sizes_of(config: SphinxXConfig, recipe: Recipe) -> list[Size]:
    """Return the parameters of what a recipe trains, each once, frozen as in the run.

    Raises:
        RecipeError: A part to freeze or to train whole, or a layer to adapt, does not exist.
    """
    text: Any = config.text_config
    with torch.device("meta"):
        model = SphinxXForConditionalGeneration(config)
        check_packable(model.model.language_model)
        trained = nn.ModuleDict({"model": model})
        if recipe.align.weight:
            scores = nn.Linear(text.hidden_size, recipe.align.frames * text.vocab_size)
            trained["align"] = nn.ModuleDict({"scores": scores})
    if recipe.lora is None:
        freeze(trained, recipe.freeze)
    else:
        model.requires_grad_(False)
        for module in whole_modules(model, recipe.lora.whole):
            model.get_submodule(module).requires_grad_(True)
    experts = getattr(text, "num_local_experts", 1)
    sizes = [_size_of(name, parameter, experts) for name, parameter in trained.named_parameters()]
    return sizes if recipe.lora is None else [*sizes, *_adapters(model.model.language_model, recipe.lora)]


def _size_of(name: str, parameter: nn.Parameter, experts: int) -> Size:
    mixture = experts if ".experts." in name and ".vision." not in name else 1
    part = next((part for part in PARTS if in_part(part, name)), "other")
    split = part == "language_model" and ".layers." in name and parameter.dim() > 1
    return Size(name, part, parameter.numel(), parameter.requires_grad, split, mixture, parameter.dim() > 1)


def _adapters(language_model: nn.Module, lora: LoraRecipe) -> Iterator[Size]:
    """Yield the two matrices of each adapter; raise `RecipeError` if there is no such layer."""
    found = set[str]()
    for name, layer in language_model.named_modules():
        named = {target for target in lora.targets if f".{name}".endswith(f".{target}")}
        if isinstance(layer, nn.Linear) and named:
            found |= named
            for half, width in (("lora_A", layer.in_features), ("lora_B", layer.out_features)):
                full = f"model.model.language_model.{name}.{half}.weight"
                yield Size(full, "lora", lora.rank * width, True, matrix=True)
    missing = [target for target in lora.targets if target not in found]
    if missing or not found:
        raise RecipeError(f"lora.targets: {', '.join(missing) or 'nothing'}: no linear layer of this language model")


def count_parts(sizes: Sequence[Size]) -> dict[str, tuple[int, int]]:
    """Return the number of parameters of each part, and how many are trained."""
    return {
        part: tuple(sum(s.numbers for s in sizes if s.part == part and (s.trained or both)) for both in (True, False))
        for part in dict.fromkeys(size.part for size in sizes)
    }  # pyright: ignore[reportReturnType]


def slice_of(config: SphinxXConfig, ranks: int) -> SphinxXConfig:
    """Return the model that each of `ranks` ranks computes if they share every layer's matrices.

    It has fewer heads and fewer hidden units; embedding and output layer stay whole.
    """
    if ranks == 1:
        return config
    config = copy.deepcopy(config)
    text: Any = config.text_config
    text.head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    text.num_attention_heads = max(text.num_attention_heads // ranks, 1)
    text.num_key_value_heads = max(text.num_key_value_heads // ranks, 1)
    text.intermediate_size = max(text.intermediate_size // ranks, 1)
    return config
