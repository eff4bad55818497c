"""`sphinx-x train RECIPE --dry-run`: what a run needs, whether this machine has it, and what would fit if not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, ValidationError

from sphinx_x.data.meta import DataFile
from sphinx_x.errors import CheckpointError, DataError, RecipeError, SphinxXError
from sphinx_x.family import get_member, new_model, vary
from sphinx_x.inference import find_adapters, load_processor
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.planning.costs import Load
from sphinx_x.planning.estimate import Estimate, Estimator, heaviest_of
from sphinx_x.planning.machine import Machine, Trial, chosen_device, look_at
from sphinx_x.planning.outline import Size
from sphinx_x.recipe import LoraRecipe, Recipe, SourceRecipe, shares_of

MOST_OFFERED = 6
USABLE = 0.95
"""Share of a device's memory that a run may take: the rest is for the system, and for what an estimate misses."""
SLOWER = 1.5
"""Allowance for what a run does besides steps: reading samples, saving, validation."""
MOST_MISSING = 5


def number(value: float, giga: str = "B") -> str:
    """Format a number with three digits: 1234567 becomes 1.23 M."""
    for size, letter in ((1e15, "P"), (1e12, "T"), (1e9, giga), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g} "


def operations(value: float) -> str:
    """Format a number of floating-point operations, as `number` does."""
    return f"{number(value, 'G')}FLOP"


def duration(seconds: float) -> str:
    """Format seconds as seconds, minutes, hours or days, whichever reads best."""
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            value = seconds / size
            return f"{value:,.0f} {name}" if value >= 100 else f"{value:.3g} {name}"
    return f"{seconds:.3g} seconds"


def gigabytes(size: float) -> str:
    """Format bytes in GB (10^9)."""
    return f"{size / 1e9:.3g} GB" if size >= 1e8 else f"{size / 1e6:.3g} MB"


def format_estimate(estimate: Estimate, machine: Machine | None = None) -> str:
    """Format an estimate as a short table; with a machine, also the time and the share of its memory that is needed."""
    total = sum(numbers for numbers, _ in estimate.parts.values())
    lines = [("parameters", f"{number(total)}, {number(estimate.trained)} of them trained")]
    for part, (numbers, trained) in estimate.parts.items():
        kind = "trained" if trained == numbers else "frozen" if not trained else f"{number(trained)} trained"
        lines.append((f"  {part}", f"{number(numbers)}, {kind}"))
    lines += _memory_lines(estimate) + _work_lines(estimate)
    if machine is not None:
        lines += _time_lines(estimate, machine)
        usable = gigabytes(USABLE * machine.memory)
        lines.append(("this device", f"{gigabytes(machine.memory)} of memory, {usable} may be used"))
    width = max(len(name) for name, _ in lines) + 2
    return "\n".join(f"{name:<{width}}{text}" for name, text in lines)


def _time_lines(estimate: Estimate, machine: Machine) -> list[tuple[str, str]]:
    """Return how long a step and the run take: a range if steps were tried, else the time for the operations alone."""
    work, trial, flops = estimate.work, machine.trial, estimate.rank_flops
    bound = work.certainty == "bound"
    if trial is None:
        seconds = flops / machine.rate
        full = ", with full packs," if bound else ","
        rate = f"{operations(machine.rate)}/s of a matrix product on this {machine.device}"
        every = f"{duration(seconds)} a step, {duration(seconds * work.steps)} in all"
        return [("time", f"{every}{full} if all operations ran at"), ("", f"the {rate}; real steps take longer")]
    low, high = flops / trial.fastest, SLOWER * flops / trial.slowest
    rates = f"{number(trial.slowest, 'G')} to {operations(trial.fastest)}/s"
    lines = [
        ("time", f"{span(low, high)} a step, {span(low * work.steps, high * work.steps)} in all, on this"),
        ("", f"{machine.device} as busy as it is now: {trial.what} were tried, at {rates}"),
    ]
    return [*lines, ("", "with full packs: less where samples leave room in them")] if bound else lines


def span(low: float, high: float) -> str:
    """Format two durations, with a common unit only once."""
    (first, unit), (second, other) = (duration(value).split() for value in (low, high))
    return f"{first} to {second} {other}" if unit == other else f"{first} {unit} to {second} {other}"


def _memory_lines(estimate: Estimate) -> list[tuple[str, str]]:
    recipe, memory = estimate.recipe, estimate.memory
    ranks = f"{estimate.ranks} ranks, {estimate.data_ranks} with data of their own" if estimate.ranks > 1 else "1 rank"
    names = {
        "weights": f"weights ({recipe.dtype})" if estimate.ranks == 1 else "slices of weights",
        "masters": "float32 masters",
        "gathered": f"whole weights ({recipe.dtype})",
        "gradients": "gradients",
        "moments": f"moments ({recipe.optimizer_state_dtype})",
        "activations": "activations" + (", computed again" if recipe.activation_checkpointing else ""),
        "step": "or float32 gradients",
        "program": "program and libraries",
    }
    needs = [(words, getattr(memory, name)) for name, words in names.items()]
    first = ("memory of a device", f"{gigabytes(memory.peak)} ({ranks})")
    return [first, *((f"  {words}", gigabytes(need)) for words, need in needs if need)]


def _sign(estimate: Estimate) -> str:
    """Return the sign before the numbers of a step: exact, sampled or a bound."""
    return {"exact": "", "bound": "<= ", "sampled": "about "}[estimate.work.certainty]


def _work_lines(estimate: Estimate) -> list[tuple[str, str]]:
    recipe, work, sign = estimate.recipe, estimate.work, _sign(estimate)
    views = f", {sign}{work.views:,.0f} views" if work.views else ""
    samples = f"{sign.replace('<', '>')}{work.samples:,.0f} samples"
    packs = f"{recipe.packs_per_step} pack{'s' if recipe.packs_per_step > 1 else ''}"
    return [
        ("a step", f"{packs}: {sign}{work.tokens:,.0f} tokens{views}, {samples}"),
        ("", f"{operations(estimate.flops)}, {operations(estimate.rank_flops)} a rank"),
        ("steps", f"{sign}{work.steps:,} for {recipe.total_samples:,} samples"),
        ("", work.known),
    ]


def alternatives(recipe: Recipe, ranks: int, sizes: list[Size]) -> Iterator[tuple[str, Recipe, int]]:
    """Yield changes that need less memory, the smallest first: in words, the recipe, the number of ranks."""
    small, again, packs = (
        {"optimizer_state_dtype": "bfloat16"},
        {"activation_checkpointing": True},
        _smaller_packs(recipe),
    )
    kept = {"parallel": recipe.parallel.model_copy(update={"zero_stage": 3})}
    counts = [ranks * 2**k for k in range(1, 7)]
    tried = [(change, ranks) for change in (small, again, small | again, small | again | packs)]
    tried += [(again, count) for count in counts]
    tried += [(small | again | kept, count) for count in counts]
    if recipe.lora is None and recipe.parallel.tensor == 1:
        mixture = any(size.experts > 1 for size in sizes)  # whose experts are not layers that take adapters
        lora = {"lora": LoraRecipe(targets=["q_proj", "k_proj", "v_proj", "o_proj"]) if mixture else LoraRecipe()}
        tried += [(change, ranks) for change in (lora, lora | again, lora | again | packs)]
    known = [(recipe, ranks)]
    for change, count in tried:
        changed = recipe.model_copy(update=change)
        try:
            Recipe.model_validate(changed.model_dump())
        except ValidationError:  # as adapters where the tokenizer or the padding are changed
            continue
        if (changed, count) not in known:
            known.append((changed, count))
            yield _in_words(recipe, change, count if count != ranks else None), changed, count


def _smaller_packs(recipe: Recipe) -> dict[str, Any]:
    """Return fields for more packs that hold little more than the longest sample; empty if they are so already."""
    factor = recipe.pack.tokens // recipe.max_tokens
    if factor <= 1 and recipe.micro_batch_size == 1:
        return {}
    smaller = {"tokens": recipe.pack.tokens // factor, "views": max(recipe.pack.views // factor, 1)}
    return {
        "pack": recipe.pack.model_copy(update=smaller),
        "packs_per_step": recipe.packs_per_step * factor,
        "micro_batch_size": 1,
    }


def _in_words(recipe: Recipe, change: dict[str, Any], ranks: int | None) -> str:
    """Return the lines to write in a recipe, and the number of ranks to start it with."""
    words = []
    for name, value in change.items():
        if getattr(recipe, name) != value:
            plain = value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value
            words.append(f"{name}: {yaml.safe_dump(plain, default_flow_style=True, width=1000).split(chr(10))[0]}")
    return ", ".join(words + ([f"{ranks} ranks"] if ranks else []))


def what_fits(estimator: Estimator, recipe: Recipe, ranks: int, memory: float) -> list[tuple[str, int]]:
    """Return changes with which the recipe fits into `memory` bytes per device, and the bytes it then needs.

    Of changes that differ only in the number of ranks, the one with the fewest ranks is returned.
    """
    found: list[tuple[str, int]] = []
    told: set[str] = set()
    for words, changed, count in alternatives(recipe, ranks, estimator.sizes(recipe)):
        kind = words.removesuffix(f"{count} ranks") if count != ranks else words
        if kind in told or len(found) >= MOST_OFFERED or estimator.least(changed, count) > memory:
            continue
        peak = estimator.estimate(changed, count).memory.peak
        if peak <= memory:
            found.append((words, peak))
            told.add(kind)
    return found


def missing(recipe: Recipe) -> list[str]:
    """Return what a run of a recipe would not find: the model that it starts from, and files of its sources."""
    found = []
    adapters = recipe.lora.start if recipe.lora else None
    for field, start in (("start", recipe.start), ("lora.start", adapters)):
        if start is None:
            continue
        try:
            name = find_adapters(start)[0]
            if isinstance(name, str) and not _in_cache(name):
                found.append(f"{field}: {name}: no folder here, and no model of that id in the hub's cache")
        except CheckpointError as error:
            found.append(f"{field}: {error}")
    validation = recipe.validation.sources if recipe.validation else {}
    for kind, sources in (("sources", recipe.sources), ("validation.sources", validation)):
        for name, source in sources.items():
            found += [f"{kind}.{name}: {what}" for what in _missing_files(recipe, name, source)]
    return found


def _processor(recipe: Recipe) -> SphinxXProcessor | None:
    """Return the processor that a run would start with, if it is available and the recipe does not change it."""
    if recipe.padding is not None or recipe.extra_tokens:
        return None
    try:
        if recipe.start is None:
            return new_model(vary(get_member(recipe.member), **recipe.variant.model_dump()))[1]
        name = find_adapters(recipe.start)[0]
        return load_processor(recipe.start) if isinstance(name, Path) or _in_cache(name) else None
    except SphinxXError:  # `missing` reports it
        return None


def _in_cache(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(name, "config.json"), str)


def _missing_files(recipe: Recipe, name: str, source: SourceRecipe) -> Iterator[str]:
    later = " yet; the run makes it (data)" if recipe.data is not None else ""
    try:
        given = shares_of(recipe, {name: source})[name].paths
        paths = [path.path if isinstance(path, DataFile) else path for path in given]
        yield from (f"{path}: not there{later}" for path in paths if not path.exists())
    except DataError as error:
        yield f"{error}{later}"
    if source.root is not None and not source.root.is_dir():
        yield f"root: {source.root}: no such folder"


def _with_missing(table: str, found: list[str]) -> str:
    """Return the table, after what is missing."""
    more = [f"and {len(found) - MOST_MISSING} more"] if len(found) > MOST_MISSING else []
    return "\n".join([*(f"missing: {what}" for what in [*found[:MOST_MISSING], *more]), table])


TrySteps = Callable[[Recipe, SphinxXConfig, Load, torch.device, float], Trial | None]
"""Tries a few steps of a recipe, see `sphinx_x.training.trial.try_steps`."""


def dry_run(
    recipe: Recipe,
    folder: Path,
    ranks: int | None = None,
    device: str | None = None,
    memory: float | None = None,
    try_steps: TrySteps | None = None,
) -> str:
    """Report what a recipe needs, after what it would not find.

    Args:
        recipe: The recipe.
        folder: The run's folder, where its samples may have been measured.
        ranks: Number of ranks, by default one, or as many as the recipe's `parallel` needs.
        device: By default an accelerator if there is one.
        memory: GB of each device, by default those of this machine's.
        try_steps: Tries a few steps if the run is for this machine alone (`sphinx_x.training.trial.try_steps`); without
            it, the time is a lower bound.

    Returns:
        The table.

    Raises:
        CannotFitError: It cannot fit; the message says what would.
    """
    ranks = ranks or recipe.parallel.tensor * recipe.parallel.expert
    chosen = chosen_device(device)
    machine = look_at(chosen, getattr(torch, recipe.dtype))
    if memory is not None:
        machine = Machine(machine.device, int(memory * 1e9), machine.rate)
    estimator = Estimator(recipe, folder / "index", chosen.type == "cpu", _processor(recipe))
    estimate = estimator.estimate(recipe, ranks)
    if try_steps and ranks == 1 and memory is None and estimate.memory.peak <= USABLE * machine.memory:
        tried = try_steps(recipe, estimator.config, heaviest_of(recipe, estimate.work), chosen, machine.rate)
        machine = replace(machine, trial=tried)
    table = _with_missing(format_estimate(estimate, machine), missing(recipe))
    if estimate.memory.peak <= USABLE * machine.memory:
        return table
    raise CannotFitError(
        table, refusal(estimate, machine, what_fits(estimator, recipe, ranks, USABLE * machine.memory))
    )


def refusal(estimate: Estimate, machine: Machine, fitting: list[tuple[str, int]]) -> str:
    """Return why a run is impossible, and what would fit, in one line."""
    llm = estimate.parts.get("language_model", (0, 0))[1]
    why = (
        f"{gigabytes(estimate.memory.peak)} are needed on each device, {gigabytes(USABLE * machine.memory)} may be used"
    )
    if llm:
        exact = gigabytes((4 + 4 + 8) * llm)
        why += f" (float32 weights, gradients and moments of the language model alone are {exact})"
    if not fitting:
        return f"{why}; nothing that was tried fits: take a smaller member, or freeze language_model"
    offers = "; ".join(f"{words} ({gigabytes(peak)})" for words, peak in fitting)
    return f"{why}; what fits: {offers}"


class CannotFitError(RecipeError):
    """A run needs more memory than there is.

    Attributes:
        table: The estimate.
    """

    def __init__(self, table: str, text: str) -> None:
        super().__init__(text)
        self.table = table
