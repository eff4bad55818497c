"""What a run measures: sums between two lines of its log, the loss on held-out samples, and where the numbers go.

They go to a progress line, curves as an image, and TensorBoard or an experiment tracker (extra `train`).
"""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from sphinx_x.data.features import FeatureStore
from sphinx_x.data.loader import batches
from sphinx_x.data.mixture import Mixture, open_mixture, split_meta
from sphinx_x.data.packs import PackPlan
from sphinx_x.data.readings import READINGS
from sphinx_x.errors import DataError, MissingToolError, needs_extra
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.recipe import Recipe, shares_of
from sphinx_x.training.distributed import World
from sphinx_x.training.objective import Losses, MicroBatch
from sphinx_x.work.files import write_atomic

if TYPE_CHECKING:
    from sphinx_x.training.engine import Engine

logger = logging.getLogger(__name__)


@dataclass
class Sums:
    """Sums since the last line of the log.

    Attributes:
        busy: Seconds in forward pass, backward pass and optimizer.
        routed: Number of tokens that went to each expert of a mixture, by layer.
    """

    loss: float = 0.0
    align: float = 0.0
    characters: int = 0
    tokens: int = 0
    trained: int = 0
    views: int = 0
    rows: int = 0
    attended: int = 0
    busy: float = 0.0
    balance: float = 0.0
    routed: list[list[float]] | None = None
    by_source: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0]))
    by_task: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0]))
    began: float = field(default_factory=time.monotonic)

    def count(self, micro: MicroBatch, losses: Losses, sources: Sequence[str]) -> None:
        """Add a micro-batch; `sources` are their names by number."""
        self.loss += float(losses.tokens.sum())
        self.align, self.characters = self.align + float(losses.align), self.characters + micro.characters
        self.balance += float(losses.balance)
        if losses.routed.numel():
            self.routed = losses.routed.tolist() if self.routed is None else _added(self.routed, losses.routed.tolist())
        self.tokens, self.trained = self.tokens + micro.tokens, self.trained + len(losses.tokens)
        self.views, self.attended = (
            self.views + sum(example.view_count for example in micro.examples),
            self.attended + micro.attended,
        )
        self.rows += micro.ids.shape[1]
        for example, part in micro.by_example(losses.tokens.cpu()):
            total = float(part.sum())
            for table, name in ((self.by_source, sources[example.source]), (self.by_task, example.task or "other")):
                table[name][0] += total
                table[name][1] += len(part)

    def plain(self) -> dict[str, Any]:
        """Return all numbers, for sending to another rank."""
        told = {key: value for key, value in vars(self).items() if key != "began"}
        told["seconds"] = time.monotonic() - self.began  # clocks of machines begin at their own start
        return {key: dict(value) if isinstance(value, dict) else value for key, value in told.items()}


def record_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the numbers of a log line from those of all ranks."""

    def total(key: str) -> float:
        return sum(part[key] for part in parts)

    seconds = max(part["seconds"] for part in parts)
    routed = [part["routed"] for part in parts if part["routed"]]
    return {
        "loss": total("loss") / max(total("trained"), 1),
        "align": total("align") / max(total("characters"), 1),
        "tokens_per_s": total("tokens") / seconds,
        "views_per_s": total("views") / seconds,
        "seconds": seconds,
        "busy": total("busy") / seconds / len(parts),
        "padding": 1 - total("tokens") / max(total("attended"), 1),
        "by_source": _means(part["by_source"] for part in parts),
        "by_task": _means(part["by_task"] for part in parts),
        **(_routing(routed, total("balance") / max(total("tokens"), 1)) if routed else {}),
    }


def _routing(routed: Sequence[list[list[float]]], balance: float) -> dict[str, float]:
    """Return the load-balancing loss, and the busiest expert's load relative to an even share, averaged over layers."""
    layers = reduce(_added, routed)
    return {"balance": balance, "busiest": sum(max(layer) * len(layer) / sum(layer) for layer in layers) / len(layers)}


def _added(first: list[list[float]], second: list[list[float]]) -> list[list[float]]:
    return [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)]


def _means(tables: Iterable[Mapping[str, Sequence[float]]]) -> dict[str, float]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for table in tables:
        for name, (loss, count) in table.items():
            sums[name][0] += loss
            sums[name][1] += count
    return {name: loss / count for name, (loss, count) in sorted(sums.items()) if count}


class Progress:
    """A bar with loss, tokens per second, share of padding and time left.

    If the output is not a terminal, it is a plain line every half minute.

    Args:
        total: Number of samples of the run.
        first: Number of samples seen before it started.
        shown: Whether this rank shows anything.
    """

    def __init__(self, total: int, first: int, shown: bool = True) -> None:
        self.bar = RichProgress(
            TextColumn("{task.fields[numbers]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self.task = self.bar.add_task("train", total=total, completed=first, numbers="")
        self.total, self.first, self.shown = total, first, shown
        self.began = self.spoke = time.monotonic()

    def __enter__(self) -> Progress:
        if self.shown and self.bar.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.shown and self.bar.console.is_terminal:
            self.bar.stop()

    def show(self, record: dict[str, Any]) -> None:
        """Show the newest record of the log."""
        done = record["samples"]
        numbers = (
            f"loss {record['loss']:.3f}  align {record['align']:.3f}  {record['tokens_per_s']:.0f} tokens/s  "
            f"padding {100 * record['padding']:.1f} %"
        )
        self.bar.update(self.task, completed=done, numbers=numbers)
        now = time.monotonic()
        if not self.bar.console.is_terminal and now - self.spoke > 30:
            left = (now - self.began) / max(done - self.first, 1) * (self.total - done)
            told = "step %d, sample %d/%d  %s  %.0f min left"
            logger.info(told, record["step"], done, self.total, numbers, left / 60)
            self.spoke = now


def draw_curves(records: Sequence[dict[str, Any]], held_out: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Draw loss, alignment loss, loss by source and validation loss over samples, as a PNG."""
    with needs_extra("train", "drawing curves"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    samples = [record["samples"] for record in records]
    axes.plot(samples, [record["loss"] for record in records], color="black", label="loss (nats a token)")
    if any(record["align"] for record in records):
        aligned = [record["align"] for record in records]
        axes.plot(samples, aligned, color="tab:gray", label="alignment (nats a character)")
    if held_out:
        points = [(record["samples"], record["loss"]) for record in held_out]
        axes.plot(*zip(*points, strict=True), color="tab:red", marker=".", label="validation (nats a token)")
    for name in sorted({name for record in records for name in record["by_source"]}):
        points = [(r["samples"], r["by_source"][name]) for r in records if name in r["by_source"]]
        axes.plot(*zip(*points, strict=True), linewidth=0.8, label=name)
    axes.set(xlabel="samples", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_atomic(path, picture.getvalue())


class Tracker(Protocol):
    """Receives the numbers of a step."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Receive numbers by name; a slash in a name makes a group."""

    def close(self) -> None:
        """Finish: no more numbers will come."""


class TensorBoard:
    """Event files in the run's folder, in `tensorboard/`."""

    def __init__(self, folder: Path, recipe: Mapping[str, Any], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # what a run that was killed had told beyond its last state is told again
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self.writer.add_text("recipe", f"```\n{recipe}\n```")

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, number in numbers.items():
            self.writer.add_scalar(name, number, step)

    def close(self) -> None:
        """See `Tracker`."""
        self.writer.close()


class Trackio:
    """A run in the project `sphinx-x` of trackio's local store, named after the run's folder."""

    def __init__(self, folder: Path, recipe: Mapping[str, Any], step: int) -> None:
        import trackio  # pyright: ignore[reportMissingImports]

        self.run = trackio.init(project="sphinx-x", name=folder.name, config=dict(recipe), resume="allow", embed=False)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self.run.log(dict(numbers), step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self.run.finish()


KINDS: dict[str, type[TensorBoard] | type[Trackio]] = {"tensorboard": TensorBoard, "trackio": Trackio}


def open_trackers(names: Sequence[str], folder: Path, recipe: Mapping[str, Any], step: int) -> list[Tracker]:
    """Return the trackers with those names from a step on; raise `MissingToolError` if a package is not installed."""
    trackers: list[Tracker] = []
    for name in names:
        try:
            with warnings.catch_warnings(action="ignore"):
                trackers.append(KINDS[name](folder, recipe, step))
        except ImportError as error:
            raise MissingToolError(f"trackers: no {name} here (pip install 'sphinx-x[train]' {name})") from error
    return trackers


def flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the numbers of a record by name, those of tables as `table/name`."""
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)):
            yield f"{prefix}{name}", float(value)


class Validation:
    """The held-out samples of a recipe: from each source as many as it asks for, or all, each once and unchanged.

    Attributes:
        bad_samples: Names of the samples that could not be used in the last measurement, with the reason.
    """

    def __init__(
        self,
        recipe: Recipe,
        processor: SphinxXProcessor,
        folder: Path,
        world: World,
        store: FeatureStore | None = None,
    ) -> None:
        asked = recipe.validation
        assert asked is not None
        self.world, self.workers, self.max_bad_samples = world, recipe.workers, recipe.max_bad_samples
        self.samples, self.bad_samples = 0, list[tuple[str, str]]()
        folder = folder / "validation"  # a source that is trained on may have the same name
        self.sets: list[Mixture] = []
        sizes, readings = (recipe.limits, recipe.budget, asked.samples), recipe.folder / READINGS
        for source, given in shares_of(recipe, asked.sources).items():
            opened = [
                open_mixture(
                    {name: replace(share, weight=None, end=None, ratio=None)},
                    *(processor, *sizes, folder),
                    max_bad=recipe.max_bad_samples,
                    store=store,
                    readings=readings,
                )
                for name, share in split_meta({source: given}).items()  # each file of a list by itself
            ]
            there = [sum(map(len, one.examples.pieces)) for one in opened]
            part = min(asked.samples / sum(there), 1.0)
            for one, size in zip(opened, there, strict=True):
                count = max(round(part * size), 1)
                self.samples += count
                self.sets.append(replace(one, plan=PackPlan(one.examples.costs, count, recipe.budget)))

    @property
    def identity(self) -> list[Any]:
        """What tells the samples from others, as JSON: sizes and tokens of the sets, and how many are measured."""
        tables = [table for held in self.sets for table in held.examples.pieces]
        return [[[len(table), int(table["tokens"].sum(dtype="int64"))] for table in tables], self.samples]

    def measure(self, engine: Engine) -> dict[str, Any]:
        """Return `loss` over all trained tokens, `by_source`, `by_task`, and the number of unusable `bad_samples`."""
        world, sums = self.world, Sums()
        found: list[tuple[str, str]] = []
        engine.objective.eval()
        for held in self.sets:
            names = [source.name for source in held.examples.blend.sources]
            steps = held.plan.steps(world.data_size)
            for _, packs in batches(held.examples, steps, self.workers, world.data_rank, world.data_size):
                examples = [example for pack in packs for example in pack]
                found += [(example.name, example.error) for example in examples if example.error]
                engine.look([example for example in examples if not example.error], sums, names)
        engine.objective.train()
        record = record_of(world.gathered(sums.plain()))
        self.bad_samples = [bad for rank in world.gathered(found) for bad in rank]
        return {k: record[k] for k in ("loss", "by_source", "by_task")} | {"bad_samples": len(self.bad_samples)}

    def check_bad_samples(self, where: Path) -> None:
        """Check the samples of the last measurement.

        Raises:
            DataError: More than a share `max_bad_samples` of them could not be used, or none could.
        """
        bad = len(self.bad_samples)
        if bad > self.max_bad_samples * self.samples or 0 < bad == self.samples:
            raise DataError(
                f"validation: {bad} of {self.samples} samples could not be used, {self.max_bad_samples:.2%} may be "
                f"broken (max_bad_samples); see {where}"
            )
