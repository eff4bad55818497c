"""A few short steps on made-up samples, before a run: how fast this machine really trains.

The rate of a matrix product alone is a bound that small models stay far from, so the range for a run's time comes from
steps of the very same modules, with forward pass, backward pass and optimizer. A model too large for that is cut to one
layer of its language model.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import torch

from sphinx_x.data.loader import Example
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.planning.costs import Load, Model, count_costs
from sphinx_x.planning.machine import Trial
from sphinx_x.planning.outline import count_parts, sizes_of
from sphinx_x.recipe import Recipe
from sphinx_x.training.distributed import World
from sphinx_x.training.engine import Engine
from sphinx_x.training.lora import add_adapters
from sphinx_x.training.metrics import Sums
from sphinx_x.training.objective import IGNORED

LARGEST = 300_000_000
"""Number of parameters of the largest model that steps are tried with."""
SECONDS = 4.0
"""How long steps are repeated, after one that is not counted."""
FEWEST = 3


def try_steps(
    recipe: Recipe, config: SphinxXConfig, load: Load, device: torch.device, rate: float, seconds: float = SECONDS
) -> Trial | None:
    """Try steps of a recipe on meaningless samples.

    Args:
        recipe: What is trained, and how.
        config: The model's configuration.
        load: The heaviest pack; only part of a very heavy one is tried.
        device: The device.
        rate: Operations per second of a matrix product there, which limits what is tried.
        seconds: How long to repeat.

    Returns:
        The rates of the fastest and the slowest step, or None if even one layer is too large.
    """
    numbers = _parameters(config, recipe)
    whole = numbers <= LARGEST
    if not whole:
        config = _one_layer(config)
        lora = recipe.lora and recipe.lora.model_copy(update={"whole": []})  # they are parts that it does not have
        recipe = recipe.model_copy(update={"freeze": [], "lora": lora, "lr_multipliers": {}})
        numbers = _parameters(config, recipe)
        if numbers > LARGEST:
            return None
    recipe = recipe.model_copy(update={"compile": False, "micro_batch_size": 1, "feature_cache": None})
    load = _part_of(load, config, rate * seconds / FEWEST / (6 * numbers))
    found = count_costs(Model(config, sizes_of(config, recipe), recipe), load, device.type == "cpu")
    took = _timed(recipe, config, load, device, seconds)
    rates = [(found.llm_flops + found.vision_flops) / step for step in took]
    of = "" if whole else " of one layer of the language model"
    return Trial(max(rates), min(rates), f"{len(took)} steps of {load.tokens:,} tokens{of}")


def _parameters(config: SphinxXConfig, recipe: Recipe) -> int:
    plain = recipe.model_copy(update={"freeze": [], "lora": None})
    return sum(numbers for numbers, _ in count_parts(sizes_of(config, plain)).values())


def _one_layer(config: SphinxXConfig) -> SphinxXConfig:
    config = copy.deepcopy(config)
    config.text_config.num_hidden_layers = 1
    if getattr(config.text_config, "layer_types", None):
        config.text_config.layer_types = config.text_config.layer_types[:1]
    config.groups = []
    return config


def _part_of(load: Load, config: SphinxXConfig, tokens: float) -> Load:
    """Return as many whole samples of a pack as hold about so many tokens, at least one, truncated if necessary."""
    lengths: list[int] = []
    for length in load.lengths:
        if lengths and sum(lengths) + length > tokens:
            break
        lengths.append(length)
    if len(lengths) == 1:
        least = 2 * config.tokens_per_view if config.groups else 64
        lengths = [min(lengths[0], max(int(tokens), least))]
    share = sum(lengths) / load.tokens
    views = round(load.views * share) if config.groups else 0
    return Load(tuple(lengths), views, max(round(load.trained * share), len(lengths)))


def _timed(recipe: Recipe, config: SphinxXConfig, load: Load, device: torch.device, seconds: float) -> list[float]:
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = SphinxXForConditionalGeneration(copy.deepcopy(config))
        if recipe.lora is not None:
            add_adapters(model, recipe.lora, recipe.seed)
        engine = Engine(model, recipe, World(device))
        pack, took = _samples(load, config), []
        while len(took) <= FEWEST or sum(took[1:]) < seconds:
            began = time.perf_counter()
            engine.step([pack], 1, 1e-6, Sums(), ["trial"])  # its norm is a Python number, so it waits for the device
            took.append(time.perf_counter() - began)
    return took[1:]


def _samples(load: Load, config: SphinxXConfig) -> list[Example]:
    """Return samples of these lengths, with views of noise as far as they have room for them."""
    grid, slots = config.view_grid(), config.tokens_per_view
    examples, left = [], load.views
    each = max(load.trained // len(load.lengths), 1)
    for number, length in enumerate(load.lengths):
        views = min(left // (len(load.lengths) - number), (length - 2) // slots) if config.groups else 0
        left -= views
        ids = torch.ones(length, dtype=torch.int64)
        ids[1 : 1 + views * slots] = config.image_token_id
        labels: Any = torch.full((length,), IGNORED)
        labels[-min(each, length - 1) :] = 1
        pixels = torch.randint(0, 256, (views, 3, grid.view_height, grid.view_width), dtype=torch.uint8)
        none = torch.empty(0, dtype=torch.int64)
        examples.append(Example(ids, labels, pixels, none, 0, f"trial {number}"))
    return examples
