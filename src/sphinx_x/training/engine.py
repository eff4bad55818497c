"""Model, optimizer and ranks of a run: one step on given packs, and the model as it then stands.

The loss of a step is the sum over its trained tokens divided by their number, however they are packed, split into
micro-batches and distributed over ranks. A run begins (`begin`) with fresh weights or an existing model, changed as the
recipe asks.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor

from sphinx_x.checkpoints.adapters import Adapter
from sphinx_x.checkpoints.writer import ORIGINAL
from sphinx_x.data.features import FeatureStore, identity_of
from sphinx_x.data.loader import Example
from sphinx_x.errors import RecipeError, one_line
from sphinx_x.family import get_member, new_model, vary
from sphinx_x.inference import SphinxX, find_adapters, load_processor
from sphinx_x.inference.prompts import context_of
from sphinx_x.model.abilities import Abilities
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.letters import add_letters
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.padding import with_padding
from sphinx_x.model.parts import freeze, rates_of
from sphinx_x.model.processing import WHITE
from sphinx_x.recipe import Recipe
from sphinx_x.training.distributed import World, spread
from sphinx_x.training.lora import add_adapters
from sphinx_x.training.metrics import Sums
from sphinx_x.training.objective import AlignmentHead, Losses, MicroBatch, Objective, pack_examples, trained_tokens
from sphinx_x.training.optim import MasterOptimizer
from sphinx_x.training.word_start import start_with_words

logger = logging.getLogger(__name__)


def begin(recipe: Recipe, whole: bool = True) -> tuple[SphinxXForConditionalGeneration, Any]:
    """Return the model, in the type of its weights, and the processor.

    Args:
        recipe: The recipe.
        whole: Whether to load the weights; otherwise the model is on the meta device, for ranks that get slices.
    """
    if recipe.start is None:
        member = vary(get_member(recipe.member), **recipe.variant.model_dump())
        model, processor = new_model(member, recipe.seed)
    elif whole:
        loaded = SphinxX.load(recipe.start, dtype="auto", device="cpu", subfolders=(ORIGINAL,))
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
        add_adapters(model, recipe.lora, recipe.seed, _finished(recipe))
    if recipe.projector_start == "words" and whole:
        start_with_words(model, processor.tokenizer)
    return model, processor


def _finished(recipe: Recipe) -> Adapter | None:
    """Return the adapters that training goes on with, if the recipe names some."""
    if recipe.lora is None or recipe.lora.start is None:
        return None
    found, adapters = find_adapters(recipe.lora.start, base=recipe.start)
    if not adapters:
        raise RecipeError(f"lora.start: {found} is a model, not a folder of adapters")
    if not adapters[-1].files:
        logger.warning(
            "note: %s does not say over which weights it was trained; those of %s are taken",
            *(adapters[-1].folder, recipe.start),
        )
    return adapters[-1]


def _feature_store(
    model: SphinxXForConditionalGeneration, folder: Path, world: World, padding_color: Sequence[int]
) -> FeatureStore:
    """Return the store of what a run's experts give.

    Raises:
        RecipeError: There are none, they are trained, or their weights are spread over ranks.
    """
    vision = model.model.vision
    trained = [name for name, p in vision.named_parameters() if ".experts." in name and p.requires_grad]
    if not len(vision.groups):
        raise RecipeError("feature_cache: the model has no visual experts")
    if trained:
        raise RecipeError("feature_cache: features change while experts are trained (freeze: [experts])")
    if world.mesh is not None:
        raise RecipeError("feature_cache: only a run on one rank stores features")
    return FeatureStore(folder, identity_of(vision, model.config, padding_color), len(vision.groups))


@dataclass(frozen=True)
class StepResult:
    """The result of a step.

    Attributes:
        norm: Norm of the gradient.
        suspects: If that is not finite, so that nothing was changed: names of this rank's samples whose loss is not
            finite, or of all its samples if each of their losses is finite.
    """

    norm: float
    suspects: list[str] = field(default_factory=list)

    @property
    def finite(self) -> bool:
        """Whether the weights were changed."""
        return math.isfinite(self.norm)


class Engine:
    """Takes steps; except on the first rank, the model may be on the meta device."""

    def __init__(
        self,
        model: SphinxXForConditionalGeneration,
        recipe: Recipe,
        world: World,
        padding_color: Sequence[int] = WHITE,
    ) -> None:
        self.recipe, self.world = recipe, world
        grid = model.config.view_grid()
        if recipe.align.weight and grid.global_view:
            raise RecipeError("align: only views of a member without a global view, such as Nano's bands, spell a line")
        self.view = grid.view_height, grid.view_width
        text = model.config.text_config
        context = context_of(model)
        if context is not None and recipe.max_tokens > context and world.first:
            logger.warning(
                "note: max_tokens is %d, and the language model was made for %d: the result refuses longer prompts",
                *(recipe.max_tokens, context),
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            frames = recipe.align.frames
            head = AlignmentHead(text.hidden_size, text.vocab_size, frames) if recipe.align.weight else None
        self.objective = Objective(model.train(), head, recipe.router_aux_loss_coef, packed=recipe.packed)
        if recipe.router_aux_loss_coef is not None and not getattr(text, "num_local_experts", 0):
            raise RecipeError("router_aux_loss_coef: the language model is no mixture, so nothing has to be balanced")
        if recipe.lora is None:  # otherwise everything but the adapters is frozen
            freeze(self.objective, recipe.freeze)
            if recipe.start is None and model.config.groups and "experts" in recipe.freeze and world.first:
                logger.warning(
                    "note: the visual experts have new weights and are frozen: they tell the language model little "
                    "(freeze: [] trains them)"
                )
        spread(self.objective, recipe, world)
        trained = [name for name, p in self.objective.named_parameters() if p.requires_grad]
        self.optimizer = MasterOptimizer(self.objective, recipe, world, rates_of(trained, recipe.lr_multipliers))
        if recipe.feature_cache is not None:  # after the optimizer has rounded the experts: features are theirs
            self.objective.store = _feature_store(model, recipe.feature_cache, world, padding_color)

    def micro_batches(self, packs: int) -> int:
        """Return how many micro-batches every rank computes in a step of so many packs."""
        return max(-(-packs // (self.world.data_size * self.recipe.micro_batch_size)), 1)

    def step(
        self, packs: Sequence[list[Example]], count: int, rate: float, sums: Sums, sources: Sequence[str] = ()
    ) -> StepResult:
        """Take one optimizer step.

        Args:
            packs: This rank's packs.
            count: Number of micro-batches (see `micro_batches`), which may be more than this rank has packs for.
            rate: Learning rate.
            sums: The numbers of the log, which are added to.
            sources: Names of the sources, for `sums`.
        """
        began = time.monotonic()
        at_once, sharded = self.recipe.micro_batch_size, self.world.mesh is not None
        groups = [packs[k * at_once : (k + 1) * at_once] for k in range(count)]
        examples = [example for pack in packs for example in pack]
        trained, characters, tokens = self.world.total(
            [
                sum(map(trained_tokens, examples)),
                sum(len(e.line) for e in examples),
                sum(len(e.ids) for e in examples),
            ]
        )
        seen: list[tuple[MicroBatch, Losses]] = []
        for number, group in enumerate(groups):
            micro = pack_examples(group, self.world.device, sharded, self.view)
            if (
                sharded and self.recipe.parallel.zero_stage == 2
            ):  # whole gradients accumulate, and are summed over ranks once
                self.objective.set_requires_gradient_sync(number == count - 1)  # pyright: ignore[reportCallIssue]
            losses = Losses(*self.objective(micro))
            loss = losses.tokens.sum() / max(trained, 1) + self.recipe.align.weight * losses.align / max(characters, 1)
            if self.objective.balance:
                loss = loss + self.objective.balance * losses.balance / max(tokens, 1)
            loss.backward()
            if count > 1:
                self.optimizer.collect()
            seen.append((micro, Losses(*(part.detach() for part in losses))))
        norm = self.optimizer.norm()
        if math.isfinite(norm):
            self.optimizer.step(rate, self.recipe.max_grad_norm, norm)
        else:
            self.optimizer.drop_gradients()
        for micro, losses in seen:
            sums.count(micro, losses, sources)
        sums.busy += time.monotonic() - began
        return StepResult(norm, [] if math.isfinite(norm) else _suspects(seen))

    @torch.no_grad()
    def look(self, examples: list[Example], sums: Sums, sources: Sequence[str]) -> None:
        """Add the losses of examples to `sums` without training; all ranks call this together."""
        micro = pack_examples([examples], self.world.device, self.world.mesh is not None, self.view)
        sums.count(micro, Losses(*self.objective(micro)), sources)

    def full_adapters(self) -> dict[str, Tensor]:
        """Return the current float32 adapters, whole, by their names in the model; all ranks must call this."""
        tensors = {name: t for name, t in self.optimizer.tensors().items() if name.startswith("weight.model.")}
        whole = {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in tensors.items()}
        return {name.removeprefix("weight.model."): tensor for name, tensor in whole.items()}

    def full_model(self) -> SphinxXForConditionalGeneration | None:
        """Return the current model, whole and in the recipe's dtype, on the first rank; None on the others."""
        if self.world.mesh is None:
            return self.objective.model
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        weights: dict[str, Any] = get_model_state_dict(self.objective, options=options)
        if not self.world.first:
            return None
        with torch.device("meta"):
            model = SphinxXForConditionalGeneration(self.objective.model.config)
        dtype, prefix = getattr(torch, self.recipe.dtype), "model."
        named = {k.removeprefix(prefix): v.to(dtype) for k, v in weights.items() if k.startswith(prefix)}
        model.load_state_dict(named, assign=True)
        model.tie_weights()
        return model


def _suspects(seen: Sequence[tuple[MicroBatch, Losses]]) -> list[str]:
    bad, names = [], []
    for micro, losses in seen:
        for example, part in micro.by_example(losses.tokens):
            names.append(example.name)
            if not bool(part.isfinite().all()):
                bad.append(example.name)
    return bad or names
