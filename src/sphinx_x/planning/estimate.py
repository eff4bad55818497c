"""What a recipe needs, before anything is loaded: parameters, device memory, operations, steps, time.

Parameters are counted on a model without memory (`outline`), operations and activations in closed form (`costs`); the
rest follows from how a run lays out its weights:

- One process: weights of the recipe's dtype; for what is trained, also float32 masters (unless dtype is float32),
  gradients of the dtype (with several micro-batches a step their sums in float32 as well), two moments.
- Several: every rank has its slice of each weight (float32 if trained), of its gradient in float32, and of its moments;
  gathered from them are all weights in the recipe's dtype (`zero_stage: 2`), or those of one block and the next. A rank
  that shares matrices (`tensor`) or a mixture's experts (`expert`) only handles its part of them. With `zero_stage: 2`
  and several micro-batches a step, whole gradients accumulate in float32 as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sphinx_x.data.lengths import Limits
from sphinx_x.errors import RecipeError
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.planning.costs import BYTES, Costs, Load, Model, count_costs
from sphinx_x.planning.outline import Size, config_of, count_parts, sizes_of, slice_of
from sphinx_x.planning.workload import Tables, Workload, glance, workload
from sphinx_x.recipe import Recipe

CHUNK = 1 << 26
"""Number of weights that the optimizer updates at once: only during that time are their gradients float32."""
PROGRAM = 450_000_000
"""Bytes of a process with its libraries, before any weights (measured on a CPU)."""
SCRATCH = 1.2
"""Factor from activations to what they take including matrix libraries and allocators (measured on a CPU with
SPHINX-Nano and SPHINX-Smol: docs/training.md)."""
_BLOCK = re.compile(r"(.*(?:\.layers|\.blocks|\.stages\.\d+)\.\d+)\.")


@dataclass(frozen=True)
class Memory:
    """Bytes on one device.

    Attributes:
        program: The process and its libraries.
        weights: Weights, or slices of them.
        masters: float32 copies of what is trained.
        gathered: Whole weights gathered from slices.
        gradients: Gradients.
        moments: Adam's moments.
        activations: Activations.
        step: float32 gradients during the optimizer's step, when there are no activations.
    """

    program: int = 0
    weights: int = 0
    masters: int = 0
    gathered: int = 0
    gradients: int = 0
    moments: int = 0
    activations: int = 0
    step: int = 0

    @property
    def peak(self) -> int:
        """The most that is held at once."""
        steady = sum(getattr(self, field.name) for field in fields(self)) - self.activations - self.step
        return steady + max(self.activations, self.step)


@dataclass(frozen=True)
class Estimate:
    """What a recipe needs on a number of ranks.

    Attributes:
        parts: Maps each part to its parameters, and how many of them are trained.
        flops: Operations of a step, on all ranks together.
        rank_flops: Operations of a step on one rank.
    """

    recipe: Recipe
    ranks: int
    data_ranks: int
    parts: dict[str, tuple[int, int]]
    memory: Memory
    work: Workload
    flops: float
    rank_flops: float

    @property
    def trained(self) -> int:
        """Number of trained parameters."""
        return sum(trained for _, trained in self.parts.values())


def check_ranks(recipe: Recipe, ranks: int) -> int:
    """Return how many ranks have their own data; raise `RecipeError` if a recipe cannot be divided among so many."""
    parallel = recipe.parallel
    if ranks % (parallel.tensor * parallel.expert):
        raise RecipeError(
            f"parallel: {ranks} ranks cannot be {parallel.tensor} (tensor) x {parallel.expert} (expert) x any number; "
            f"give --ranks {parallel.tensor * parallel.expert} or a multiple of it"
        )
    return ranks // parallel.tensor


def memory_of(recipe: Recipe, sizes: Sequence[Size], ranks: int, activations: int) -> Memory:
    """Return the memory of one device, for the layout described at the top of this module."""
    size, moment = BYTES[recipe.dtype], BYTES[recipe.optimizer_state_dtype]
    if ranks == 1:
        trained = sum(s.numbers for s in sizes if s.trained)
        largest = max((s.numbers for s in sizes if s.trained), default=0)
        several = recipe.packs_per_step > recipe.micro_batch_size
        return Memory(
            program=PROGRAM,
            weights=size * sum(s.numbers for s in sizes),
            masters=0 if recipe.dtype == "float32" else 4 * trained,
            gradients=(size + (4 if several and recipe.dtype != "float32" else 0)) * trained,
            moments=2 * moment * trained,
            activations=activations,
            step=4 * min(trained, CHUNK + largest),
        )
    data_ranks, own = check_ranks(recipe, ranks), {s.name: _own(s, recipe) for s in sizes}
    trained = sum(_sliced(s, recipe, data_ranks) for s in sizes if s.trained)
    frozen = sum(_sliced(s, recipe, data_ranks) for s in sizes if not s.trained)
    largest = max((_sliced(s, recipe, data_ranks) for s in sizes if s.trained), default=0)
    blocks = _blocks(sizes, own)
    rest, greatest = blocks.pop("", 0), max(blocks.values(), default=0)
    whole = recipe.parallel.zero_stage == 2
    several = -(-recipe.packs_per_step // (data_ranks * recipe.micro_batch_size)) > 1
    gradients = 4 * trained + (4 + size) * greatest
    if whole and several:
        gradients += 4 * sum(own[s.name] for s in sizes if s.trained)
    return Memory(
        program=PROGRAM,
        weights=4 * trained + size * frozen,
        gathered=size * (sum(own.values()) if whole else rest + 2 * greatest),
        gradients=gradients,
        moments=2 * moment * trained,
        activations=activations,
        step=4 * min(trained, CHUNK + largest),
    )


def _own(size: Size, recipe: Recipe) -> int:
    """Return how many numbers of a parameter a rank computes with."""
    parallel = recipe.parallel
    shared = (parallel.tensor if size.split else 1) * min(parallel.expert, size.experts)
    return -(-size.numbers // shared)


def _sliced(size: Size, recipe: Recipe, data_ranks: int) -> int:
    """Return how many numbers of a parameter a rank keeps."""
    return -(-_own(size, recipe) // max(data_ranks // min(recipe.parallel.expert, size.experts), 1))


def _blocks(sizes: Sequence[Size], own: dict[str, int]) -> dict[str, int]:
    """Return the numbers of each block that is gathered separately; those in no block have an empty name."""
    blocks: dict[str, int] = {}
    for size in sizes:
        found = _BLOCK.match(size.name)
        key = found[1] if found else ""
        blocks[key] = blocks.get(key, 0) + own[size.name]
    return blocks


def heaviest_of(recipe: Recipe, work: Workload) -> Load:
    """Return the most that a rank computes at once."""
    load, times = work.heaviest, recipe.micro_batch_size
    return Load(load.lengths * times, load.views * times, load.trained * times)


class Estimator:
    """Estimates a recipe and variants of it with small changes.

    Args:
        index: The folder with its samples' lengths.
        short_attention: See `costs.count_costs`.
        processor: For measuring a few samples if there is no such folder.
    """

    def __init__(
        self,
        recipe: Recipe,
        index: Path | None = None,
        short_attention: bool = True,
        processor: SphinxXProcessor | None = None,
    ) -> None:
        self.config, self.index, self.short_attention = config_of(recipe), index, short_attention
        self.processor = processor
        self._glanced: dict[Limits, Tables | None] = {}
        self._counted: dict[tuple, list[Size]] = {}

    def estimate(self, recipe: Recipe, ranks: int = 1) -> Estimate:
        """Return what the recipe needs on so many ranks; raise `RecipeError` if it cannot run on them at all."""
        data_ranks = check_ranks(recipe, ranks)
        work = workload(recipe, self.config, self.index)
        if work.certainty == "bound" and (seen := self._glance(recipe)) is not None:
            work = workload(recipe, self.config, None, seen)
        load = heaviest_of(recipe, work)
        whole = self._costs(recipe, load)
        tensor = recipe.parallel.tensor
        part = whole if tensor == 1 else self._costs(recipe, load, tensor)
        sizes = self.sizes(recipe)
        # an average pack of a step, scaled from the heaviest one
        packs, at_once = recipe.packs_per_step, recipe.micro_batch_size
        tokens = work.tokens / max(load.tokens / at_once * packs, 1)
        views = work.views / max(load.views / at_once * packs, 1)
        flops, rank_flops = (
            (r.llm_flops * tokens + r.vision_flops * views) / at_once * packs / sharers
            for r, sharers in ((whole, 1), (part, data_ranks))
        )
        memory = memory_of(recipe, sizes, ranks, int(SCRATCH * part.activations))
        return Estimate(recipe, ranks, data_ranks, count_parts(sizes), memory, work, flops, rank_flops)

    def least(self, recipe: Recipe, ranks: int = 1) -> int:
        """Return the bytes that a device needs without activations."""
        return memory_of(recipe, self.sizes(recipe), ranks, 0).peak

    def sizes(self, recipe: Recipe, tensor: int = 1) -> list[Size]:
        """Return a recipe's parameters, or those that each of `tensor` ranks that share matrices computes with."""
        key = (tuple(recipe.freeze), repr(recipe.lora), tensor)
        if key not in self._counted:
            self._counted[key] = sizes_of(slice_of(self.config, tensor), recipe)
        return self._counted[key]

    def _glance(self, recipe: Recipe) -> Tables | None:
        if self.processor is None:
            return None
        if recipe.limits not in self._glanced:
            self._glanced[recipe.limits] = glance(recipe, self.processor)
        return self._glanced[recipe.limits]

    def _costs(self, recipe: Recipe, load: Load, tensor: int = 1) -> Costs:
        model = Model(slice_of(self.config, tensor), self.sizes(recipe, tensor), recipe)
        return count_costs(model, load, self.short_attention)
