"""What a run begins with: fresh weights or a model that is there, changed as the recipe asks."""

from __future__ import annotations

from typing import Any

import torch

from sphinx_x.errors import RecipeError, one_line
from sphinx_x.family import get_member, new_model
from sphinx_x.inference import SphinxX, find_adapters, load_processor
from sphinx_x.model.abilities import Abilities
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.letters import add_letters
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.padding import with_padding
from sphinx_x.recipe import Recipe
from sphinx_x.training.lora import add_adapters


def begin(recipe: Recipe, whole: bool = True) -> tuple[SphinxXForConditionalGeneration, Any]:
    """Model, in the type of its weights, and processor.

    whole: with weights; else on the meta device, for ranks that get slices of them.
    """
    if recipe.start is None:
        model, processor = new_model(get_member(recipe.member), recipe.seed)
    elif whole:
        loaded = SphinxX.load(recipe.start, dtype="auto", device="cpu")
        model, processor = loaded.model, loaded.processor
    else:
        processor = load_processor(recipe.start)
        with torch.device("meta"):
            model = SphinxXForConditionalGeneration(SphinxXConfig.from_pretrained(find_adapters(recipe.start)[0]))
    model.config.abilities = Abilities.from_dict(recipe.abilities).to_dict()
    if recipe.padding is not None:
        with_padding(model, processor, recipe.padding)
    if recipe.extra_tokens:
        try:
            add_letters(model, processor.tokenizer, recipe.extra_tokens)
        except ValueError as error:
            raise RecipeError(f"extra_tokens: {one_line(error)}") from error
    if recipe.lora is not None:
        add_adapters(model, recipe.lora, recipe.seed)
    return model, processor
