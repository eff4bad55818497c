"""What a step of a recipe holds: samples, tokens and views, and how many steps there are.

The numbers are exact if the lengths of the samples have been measured, which a run does first and keeps in its folder
(`index/`). Before that, either a few samples are measured, or only the budgets are known and give an upper bound.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from sphinx_x.data.blend import Blend
from sphinx_x.data.lengths import PIECE, Meter
from sphinx_x.data.meta import DataFile
from sphinx_x.data.mixture import Share, split_meta, weighted
from sphinx_x.data.packs import PackPlan
from sphinx_x.data.readings import READINGS
from sphinx_x.data.shards import SampleReader
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.planning.costs import Load
from sphinx_x.recipe import Recipe, shares_of
from sphinx_x.work.tally import UNUSABLE, Tally

GLANCED = 64
"""Number of samples of a source that are measured if only a few are."""
LARGE = 200_000_000
"""Bytes of files above which their lines are not counted for that."""
WINDOWS = 64
"""Largest number of windows of the mixture that are packed; of a longer run, this many are taken at even distances."""


@dataclass(frozen=True)
class Workload:
    """A step and its run.

    Attributes:
        steps: Number of steps of the run.
        samples: Number of samples in a step; the fewest, if the numbers are a bound.
        tokens: Number of tokens in a step; the most, if they are a bound, like all that follow.
        views: Number of views in a step.
        heaviest: A pack that is as heavy as any.
        known: How the numbers are known, in a few words.
        certainty: How certain they are.
    """

    steps: int
    samples: float
    tokens: float
    views: float
    heaviest: Load
    known: str
    certainty: Literal["exact", "sampled", "bound"]


Tables = list[tuple[str, Share, np.ndarray]]
"""For every source its name, its share, and the rows of its samples."""


def workload(recipe: Recipe, config: SphinxXConfig, index: Path | None = None, seen: Tables | None = None) -> Workload:
    """Return the workload of a recipe.

    Args:
        recipe: The recipe.
        config: The model's configuration.
        index: The folder with its samples' lengths, if there may be one.
        seen: What `glance` found.
    """
    tables = None if index is None else _tables(recipe, index)
    if tables is not None:
        return _measured(recipe, config, tables)
    if seen is None:
        return _bounded(recipe, config)
    known = f"of {sum(len(table) for _, _, table in seen)} samples that were measured now, evenly from all sources"
    return replace(_measured(recipe, config, seen), known=known, certainty="sampled")


def glance(recipe: Recipe, processor: SphinxXProcessor) -> Tables | None:
    """Measure the lengths of a few samples of every source.

    Returns:
        None if a source is missing, none of its samples can be used, or its files are so large that counting their
            lines takes long.
    """
    found: Tables = []
    try:
        shares = split_meta(shares_of(recipe, recipe.sources))
        if sum(path.stat().st_size for share in shares.values() for path in _files(share.paths)) > LARGE:
            return None
        by_ratio = any(share.ratio is not None for share in shares.values())
        for name, share in shares.items():
            reader = SampleReader(share.paths, share.root, form=share.form)
            builder, grid = processor.prompt_builder(), processor.image_processor.grid()
            lines = processor.image_processor.line_reader()
            lines = None if lines is None else replace(lines, folder=recipe.folder / READINGS)
            meter = Meter(name, reader, builder, grid, recipe.limits, Path(), lines)
            numbers = sorted(set(np.linspace(0, len(reader) - 1, min(GLANCED, len(reader))).astype(int).tolist()))
            rows = [row for number in numbers for row in _rows(meter, number)]
            if not rows:
                return None
            size = len(reader) * len(rows) / len(numbers)
            ratio = 1.0 if share.ratio is None else share.ratio
            weight = ratio * size if by_ratio else share.weight
            found.append((name, replace(share, weight=weight, ratio=None), np.array(rows, PIECE)))
    except UNUSABLE:  # the run itself reports what is wrong with its sources
        return None
    return found


def _files(paths: Iterable[Path | DataFile]) -> Iterator[Path]:
    for path in (given.path if isinstance(given, DataFile) else given for given in paths):
        yield from (file for file in path.rglob("*.jsonl")) if path.is_dir() else [path]


def _rows(meter: Meter, number: int) -> list[tuple]:
    try:
        return list(meter.pieces(meter.reader[number], number, Tally()))
    except UNUSABLE:
        return []


def _bounded(recipe: Recipe, config: SphinxXConfig) -> Workload:
    """Return what the budgets allow.

    A sample of the largest length leaves less room in a pack than another one needs, so a pack holds as many as fit of
    that length, and a window of the mixture has one pack more at most.
    """
    pack, grid = recipe.pack, config.view_grid()
    together = pack.tokens // recipe.max_tokens
    if config.groups:
        together = max(min(together, pack.views // (grid.cells + grid.global_view)), 1)
    windows = math.ceil(recipe.total_samples / pack.window)
    packs = min(math.ceil(recipe.total_samples / together) + windows, recipe.total_samples)
    full = [recipe.max_tokens] * (pack.tokens // recipe.max_tokens)
    rest = pack.tokens - sum(full)
    lengths = tuple(full + ([rest] if rest else []))
    views = pack.views if config.groups else 0
    return Workload(
        math.ceil(packs / recipe.packs_per_step),
        recipe.packs_per_step * together,
        recipe.packs_per_step * pack.tokens,
        recipe.packs_per_step * views,
        Load(lengths, views, pack.tokens),
        "by the budgets: the samples have not been measured yet",
        "bound",
    )


def _tables(recipe: Recipe, index: Path) -> Tables | None:
    """Return the lengths of every source, or None if one is not measured, of other files, or with other limits."""
    wanted = asdict(recipe.limits)
    found: Tables = []
    try:
        shares = split_meta(shares_of(recipe, recipe.sources))
        for name, share in shares.items():
            facts = json.loads((index / f"{name}.json").read_text(encoding="utf-8"))["facts"]
            table = np.load(index / f"{name}.npy", mmap_mode="r")
            changed = facts["files"] != SampleReader(share.paths, share.root, index, share.form).fingerprint()
            if not len(table) or changed or any(facts.get(key) != value for key, value in wanted.items()):
                return None
            found.append((name, share, table))
    except (*UNUSABLE, KeyError, TypeError):
        return None
    return found


def _measured(recipe: Recipe, config: SphinxXConfig, tables: Tables) -> Workload:
    shares, sizes = {name: share for name, share, _ in tables}, {name: len(table) for name, _, table in tables}
    blend = Blend(weighted(shares, sizes), recipe.total_samples, recipe.seed)

    def costs(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        chosen, numbers = blend.lookup(first, last)
        tokens, views = np.empty(len(chosen), np.int64), np.empty(len(chosen), np.int64)
        for source in np.unique(chosen).tolist():
            places = np.flatnonzero(chosen == source)
            rows = tables[source][2][numbers[places]]
            tokens[places], views[places] = rows["tokens"], rows["views"]
        return tokens, views

    budget = recipe.budget
    plan = PackPlan(costs, recipe.total_samples, budget, recipe.seed)
    chosen = sorted(set(np.linspace(0, plan.windows - 1, min(WINDOWS, plan.windows)).astype(int).tolist()))
    packs, samples, tokens, views = 0, 0, 0, 0
    heaviest: tuple[int, ...] = ()
    most_views, slots = 0, config.tokens_per_view + 2
    for window in chosen:
        first = window * budget.window
        own_tokens, own_views = costs(first, min(first + budget.window, recipe.total_samples))
        found = plan.window(window)
        packs, samples = packs + len(found), samples + len(own_tokens)
        tokens, views = tokens + int(own_tokens.sum()), views + int(own_views.sum())
        for pack in found:
            lengths = tuple(own_tokens[[k - first for k in pack]].tolist())
            heaviest = max(heaviest, lengths, key=sum)
            most_views = max(most_views, int(own_views[[k - first for k in pack]].sum()))
    steps = math.ceil(packs * recipe.total_samples / samples / recipe.packs_per_step)
    whole = len(chosen) == plan.windows
    resized = tuple(recipe.augment.scale) != (1.0, 1.0) or recipe.augment.margin > 0
    known = (
        "of the samples' measured lengths" if whole else f"of {len(chosen)} of {plan.windows} windows of the mixture"
    )
    per_step = recipe.packs_per_step / packs
    learned = max(sum(heaviest) - int(views / max(samples, 1) * slots) * len(heaviest), len(heaviest))
    return Workload(
        steps,
        samples * per_step,
        tokens * per_step,
        views * per_step,
        Load(heaviest, most_views, min(learned, sum(heaviest))),
        known + (", before pictures are scaled" if resized else ""),
        "exact" if whole and not resized else "sampled",
    )
