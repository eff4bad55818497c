"""The training loop: one stage, all tasks in one mixture (paper, section 3.3), on one process or many.

A run has one folder: `log.jsonl`, `validation.jsonl` and `curves.png`; `state/` to resume from; `bad_samples.jsonl`
with every sample that could not be used, and `nonfinite_steps.jsonl` with those behind a loss that was not finite; at
the end, `model/` (and `best/` with a validation) is an ordinary model folder. A killed run resumes bit-identically:
everything random follows from the seed and the step.
"""

from __future__ import annotations

import json
import logging
import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch

from sphinx_x import WAITING_KNOWN
from sphinx_x.checkpoints.writer import keep_original
from sphinx_x.data.augment import Augmentation
from sphinx_x.data.loader import Example, batches
from sphinx_x.data.mixture import Mixture, check_paths, open_mixture
from sphinx_x.data.packs import Position, Step
from sphinx_x.data.readings import READINGS
from sphinx_x.data.show import log_samples
from sphinx_x.errors import CheckpointError, DataError, RecipeError, needs_extra
from sphinx_x.inference import find_adapters
from sphinx_x.planning.costs import Load, Model, count_costs
from sphinx_x.planning.machine import product_rate
from sphinx_x.planning.outline import sizes_of, slice_of
from sphinx_x.recipe import Recipe, as_of_now, shares_of
from sphinx_x.training.card import write_card
from sphinx_x.training.checkpoint import States, saved_states
from sphinx_x.training.distributed import World, join, leave
from sphinx_x.training.engine import Engine, StepResult, begin
from sphinx_x.training.lora import write_adapters
from sphinx_x.training.metrics import Progress, Sums, Tracker, Validation, draw_curves, flat, open_trackers, record_of
from sphinx_x.training.objective import trained_tokens
from sphinx_x.training.optim import learning_rate_at
from sphinx_x.training.state import StopSignal, TrainState
from sphinx_x.work.files import (
    alone_in,
    append_line,
    atomic_folder,
    check_new,
    read_lines,
    write_atomic,
    write_manifest,
)
from sphinx_x.work.quiet import without_bars

logger = logging.getLogger(__name__)

T = TypeVar("T")
DRAW_EVERY = 30
"""Seconds between two drawings of the curves."""
FEW = 10
"""Number of bad samples that do not stop a run while few were seen; over the whole run only `max_bad_samples`
counts."""
FORMER_LOGS = {"bad_samples.jsonl": "holes.jsonl", "nonfinite_steps.jsonl": "bad_steps.jsonl"}
"""Names of logs in the previous release."""
LENGTH = frozenset({"total_samples", "warmup", "cooldown"})
"""Fields of a recipe that depend on how long the run is."""
ORDERED = frozenset({"sources", "lr_multipliers"})
"""Fields whose entries count in their order: sources are drawn by number, and of rates the last that fits is taken."""
LOGS = ("log.jsonl", "validation.jsonl", "bad_samples.jsonl", "nonfinite_steps.jsonl")


class Trainer:
    """A run of a recipe in a folder.

    Args:
        resume: Whether to continue from the newest state there.
        world: The ranks, by default this process alone, on `device`.
        branch: Folder of another run from whose newest state this one begins, see `_branch`.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: str | Path,
        resume: bool = False,
        device: str | None = None,
        world: World | None = None,
        branch: Path | None = None,
    ) -> None:
        self.recipe, self.folder = recipe, Path(folder)
        if not resume and saved_states(self.folder / "state"):
            raise RecipeError(f"{self.folder}: holds a run already; add --resume to go on with it, or choose another")
        for name in ("model", "best") if not resume else ():  # its states may have been removed to save room
            if (self.folder / name).exists():
                raise RecipeError(f"{self.folder}: holds the model of a finished run ({name}); choose another folder")
        torch.set_flush_denormal(True)
        self.world = world or join(recipe.parallel, device)
        check_paths(shares_of(recipe, recipe.sources))
        if recipe.validation is not None:
            check_paths(shares_of(recipe, recipe.validation.sources))
        model, self.processor = begin(recipe, whole=self.world.first)
        padding = self.processor.image_processor.padding_color
        self.engine = Engine(model, recipe, self.world, padding)
        self.mixture = self._in_turn(self._mixture)
        self.examples = self.mixture.examples
        self.sources = [source.name for source in self.examples.blend.sources]
        self.validation = self._in_turn(self._validation) if recipe.validation else None
        self.held_out = self.validation.identity if self.validation else None
        self.data = self._data()
        self.at = TrainState()
        self.schedule = recipe.learning_rate, recipe.warmup, recipe.lr_schedule, recipe.cooldown
        self.trackers: list[Tracker] = []
        self.drawn = self.saved = time.monotonic()
        self.flops: float | None = None  # operations of a token on this rank
        self.rate = 1.0  # operations per second of a matrix product
        self.states = States(self.folder / "state", self.world, recipe.keep)
        if resume:
            self._resume()
            return
        if self.world.first:  # left by a run that ended before its first state
            for name in LOGS:
                (self.folder / name).unlink(missing_ok=True)
        if branch is not None:
            self._branch(branch)

    def _in_turn(self, work: Callable[[], T]) -> T:
        """Do work on the first rank, then on all others, which find its results in the folder."""
        done = work() if self.world.first else None
        self.world.wait()
        return work() if done is None else done

    def _mixture(self) -> Mixture:
        recipe = self.recipe
        return open_mixture(
            shares_of(recipe, recipe.sources),
            self.processor,
            recipe.limits,
            recipe.budget,
            recipe.total_samples,
            self.folder / "index",
            recipe.seed,
            Augmentation(**recipe.augment.model_dump()),
            recipe.max_bad_samples,
            progress=lambda name, tally: logger.info("measuring %s: %d samples", name, tally.records),
            store=self.engine.objective.store,
            readings=recipe.folder / READINGS,
        )

    def _validation(self) -> Validation:
        store = self.engine.objective.store
        return Validation(self.recipe, self.processor, self.folder / "index", self.world, store)

    def _load(self, states: States, apart_from: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Load the newest of states, of a run with the same recipe apart from some fields; returns its facts."""
        state, facts = states.newest()
        recipe = as_of_now(facts["recipe"])
        own = self._facts()
        folder = states.folder.parent
        if any(not _same(recipe, own, name) for name in (recipe.keys() | own.keys()) - apart_from):
            raise CheckpointError(f"{folder}: was begun with another recipe; resume it with the one it began with")
        tensors = self.engine.optimizer.tensors()
        self.states.load(state, tensors)
        self.engine.optimizer.load(tensors)
        self.at = TrainState.read(facts["at"])
        if facts.get("validation", self.held_out) != self.held_out:
            self.at.best = None  # losses of other samples: no best of these is known
        known = max(map(len, facts["data"].values()), default=0)  # earlier releases kept no weights
        if list(facts["data"].items()) != [(name, kept[:known]) for name, kept in self.data.items()]:
            raise CheckpointError(f"{folder}: the data is not what the run began with; begin a new run")
        return facts

    def _branch(self, trunk: Path) -> None:
        """Begin from the newest state of a run at a constant rate, as if this one had gone there by itself.

        A trunk from which branches cool down at several lengths stands for as many whole runs. The two may differ in
        their length, and in what depends on it.

        Raises:
            CheckpointError: The trunk is another run, or has gone beyond the begin of this run's cool-down.
        """
        recipe = self.recipe
        facts = self._load(States(trunk / "state", self.world, recipe.keep), LENGTH)
        at, long = self.at, facts["recipe"]["total_samples"]
        at.progress, at.best = at.progress * long / recipe.total_samples, None
        if recipe.lr_schedule != "constant" or at.progress > 1 - recipe.cooldown + 1e-9:
            raise CheckpointError(f"{trunk}: its {at.samples:,} samples cannot begin a run of {recipe.total_samples:,}")

    def _resume(self) -> None:
        self._load(self.states)
        for name in LOGS if self.world.first else ():
            path = self.folder / name
            before = self.folder / FORMER_LOGS.get(name, name)
            if before.exists() and not path.exists():
                before.rename(path)
            kept = [record for record in read_lines(path) if record["step"] <= self.at.step]
            if path.exists():
                write_atomic(path, "".join(json.dumps(record) + "\n" for record in kept))

    def _facts(self) -> dict[str, Any]:
        """Return the recipe as the state remembers it: what may not change between the parts of a run."""
        where = {"workers", "folder", "feature_cache", "data", "parallel", "compile"}
        where |= {"micro_batch_size", "activation_checkpointing"}
        seen = {
            "name",
            "licence",
            "save_every",
            "save_minutes",
            "keep",
            "log_every",
            "max_bad_samples",
            "max_nonfinite_steps",
            "trackers",
            "validation",
            "abilities",
        }
        facts = self.recipe.model_dump(mode="json", exclude=where | seen)
        for source in facts["sources"].values():
            del source["path"], source["root"]
        return facts

    def _data(self) -> dict[str, list[float | None]]:
        """Return pieces, tokens and weights of every source: a mixture of other data would be in another order."""
        pairs = zip(self.examples.blend.sources, self.examples.pieces, strict=True)
        return {s.name: [s.size, int(t["tokens"].sum(dtype="int64")), s.weight, s.end] for s, t in pairs}

    def run(self, until: int | None = None) -> Path:
        """Train to the end, and return the model folder; the caller's random state stays as it was.

        Args:
            until: Number of samples after which to stop with a saved state instead, in the run's folder.
        """
        device = self.world.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            return self._run(until)

    def _run(self, until: int | None) -> Path:
        recipe, at, world = self.recipe, self.at, self.world
        if until is not None and at.samples >= until:
            return self.folder
        if world.first:
            with needs_extra("train", "drawing the curves of a run"):  # reported before hours of training
                import matplotlib  # noqa: F401
            self._tell()
            self.trackers = open_trackers(recipe.trackers, self.folder, recipe.model_dump(mode="json"), at.step)
        steps = self.mixture.plan.steps(recipe.packs_per_step, Position(at.window, at.pack))
        sums = Sums()
        with Progress(recipe.total_samples, at.samples, world.first) as progress, StopSignal() as stop:
            for step, packs in batches(self.examples, steps, recipe.workers, world.data_rank, world.data_size):
                # the rate in the middle of the step
                rate = learning_rate_at((at.progress + step.progress) / 2, *self.schedule)
                at.step, at.samples = at.step + 1, at.samples + sum(map(len, step.packs))
                at.window, at.pack, at.progress = step.after.window, step.after.pack, step.progress
                norm = self._step(step, packs, rate, sums)
                last = at.progress == 1.0
                paused = until is not None and at.samples >= until and not last
                if at.step % recipe.log_every == 0 or last or paused:
                    self._log({"step": at.step, "samples": at.samples, "lr": rate, "norm": norm}, sums, progress)
                    sums = Sums()
                if recipe.validation and (at.step % recipe.validation.every == 0 or last):
                    self._validate()
                stopped = world.any(bool(stop.number))
                if at.step % recipe.save_every == 0 or last or stopped or paused or self._long_unsaved():
                    self._save(last or stopped)
                self.states.finish_if_done()
                if paused and not stopped:
                    self.states.finish()
                    return self.folder
                if stopped and not last:
                    self.states.finish()
                    if world.first:
                        logger.warning("stopped after step %d; --resume goes on from there", at.step)
                    raise SystemExit(128 + (stop.number or signal.SIGTERM))
        self.states.finish()
        for tracker in self.trackers:
            tracker.close()
        self._check_bad_samples()
        if at.bad_samples and world.first:
            where = self.folder / "bad_samples.jsonl"
            logger.warning("%d of %d samples were broken: %s", at.bad_samples, at.samples, where)
        return self.export(self.folder / "model")

    def _long_unsaved(self) -> bool:
        """Return whether `save_minutes` have passed since the last state, by the first rank's clock."""
        return self.world.any(self.world.first and time.monotonic() - self.saved >= 60 * self.recipe.save_minutes)

    def _tell(self) -> None:
        """Report on standard error what was left out of the sources, and one sample of each as it is learned."""
        if self.world.device.type == "cpu" and not WAITING_KNOWN:
            logger.warning(
                "note: PyTorch was loaded before sphinx_x, so its threads wait awake and are slow beside other work; "
                "import sphinx_x first, or set OMP_WAIT_POLICY=passive and GOMP_SPINCOUNT=20000"
            )
        for name, tally in self.mixture.tallies.items():
            for reason, count in (tally.set_aside + tally.left_out).most_common():
                logger.warning("%s: %d of %d samples: %s", name, count, tally.records, reason)
        if self.at.step == 0:
            log_samples(self.examples)

    def _step(self, step: Step, packs: Sequence[list[Example]], rate: float, sums: Sums) -> float:
        """Take one step of the engine on this rank's packs, and return the norm of the gradient."""
        usable = self._usable(packs)
        if not self.world.any(bool(usable)):
            return 0.0
        if self.world.first and self.flops is None and usable:  # only the first rank writes the log
            self._count_operations(usable[0])
        torch.manual_seed((self.recipe.seed << 32) + (self.at.step << 12) + self.world.data_rank)  # for dropout
        done = self.engine.step(usable, self.engine.micro_batches(len(step.packs)), rate, sums, self.sources)
        self._judge(done)
        return done.norm

    def _count_operations(self, pack: Sequence[Example]) -> None:
        """Count the operations for a token of this pack, and measure what this device can do."""
        config = slice_of(self.engine.objective.model.config, self.recipe.parallel.tensor)
        lengths = tuple(len(example.ids) for example in pack)
        load = Load(lengths, sum(e.view_count for e in pack), sum(map(trained_tokens, pack)))
        found = count_costs(Model(config, sizes_of(config, self.recipe), self.recipe), load)
        seen = 0.0 if self.recipe.feature_cache else found.vision_flops  # stored features cost next to nothing
        self.flops = (seen + found.llm_flops) / load.tokens
        self.rate = product_rate(self.world.device, getattr(torch, self.recipe.dtype), seconds=0.1)

    def _judge(self, done: StepResult) -> None:
        """Count and name what caused a step that changed nothing; raise `DataError` if it repeats."""
        at = self.at
        at.nonfinite_in_a_row = 0 if done.finite else at.nonfinite_in_a_row + 1
        if done.finite:
            return
        at.nonfinite += 1
        names = [name for suspects in self.world.gathered(done.suspects) for name in suspects]
        if self.world.first:
            record = {"step": at.step, "norm": str(done.norm), "samples": names}
            append_line(self.folder / "nonfinite_steps.jsonl", record)
            told = "step %d: the loss or its gradient is not finite, nothing was changed: %s"
            logger.warning(told, at.step, _few(names))
        if at.nonfinite_in_a_row >= self.recipe.max_nonfinite_steps:
            raise DataError(
                f"the loss or its gradient was not finite in {at.nonfinite_in_a_row} steps in a row; the last samples: "
                f"{_few(names)}; all are in {self.folder / 'nonfinite_steps.jsonl'} (max_nonfinite_steps)"
            )

    def _usable(self, packs: Sequence[list[Example]]) -> list[list[Example]]:
        """Return the usable examples of packs; bad ones are named in `bad_samples.jsonl`, and too many stop the run."""
        at = self.at
        found = [(e.name, e.error) for pack in packs for e in pack if e.error]
        if self.world.any(bool(found)):
            for name, error in (bad for rank in self.world.gathered(found) for bad in rank):
                at.bad_samples += 1
                if self.world.first:
                    append_line(self.folder / "bad_samples.jsonl", {"step": at.step, "sample": name, "error": error})
        self._check_bad_samples()
        usable = [[example for example in pack if not example.error] for pack in packs]
        return [pack for pack in usable if pack]

    def _check_bad_samples(self) -> None:
        """Raise `DataError` if a run can no longer end well.

        That is so if more than a share `max_bad_samples` of all its samples, or of those so far, are bad, or all of
        them.
        """
        at, most = self.at, self.recipe.max_bad_samples
        over = at.bad_samples > most * self.recipe.total_samples or at.bad_samples > max(most * at.samples, FEW)
        if over or 0 < at.bad_samples == at.samples == self.recipe.total_samples:
            raise DataError(
                f"{at.bad_samples} of {at.samples} samples could not be used, of the {self.recipe.total_samples} of "
                f"this run {most:.2%} may be broken (max_bad_samples); see {self.folder / 'bad_samples.jsonl'}"
            )

    def _log(self, facts: dict[str, Any], sums: Sums, progress: Progress) -> None:
        record = facts | record_of(self.world.gathered(sums.plain()))
        if self.world.first:
            record["mfu"] = record["tokens_per_s"] / self.world.data_size * (self.flops or 0.0) / self.rate
            append_line(self.folder / "log.jsonl", record)
            self._track(record)
            progress.show(record)

    def _track(self, record: dict[str, Any], prefix: str = "") -> None:
        for tracker in self.trackers:
            tracker.log(record["step"], dict(flat({k: v for k, v in record.items() if k != "step"}, prefix)))

    def _validate(self) -> None:
        """Measure the held-out samples, and keep the model if it is the best so far."""
        assert self.validation is not None
        record = {"step": self.at.step, "samples": self.at.samples, **self.validation.measure(self.engine)}
        if self.world.first:
            for name, error in self.validation.bad_samples:
                append_line(self.folder / "bad_samples.jsonl", {"step": self.at.step, "sample": name, "error": error})
        self.validation.check_bad_samples(self.folder / "bad_samples.jsonl")
        if self.world.first:
            append_line(self.folder / "validation.jsonl", record)
            self._track(record, "validation/")
        loss = self.world.agreed(record["loss"])
        if math.isfinite(loss) and (self.at.best is None or loss < self.at.best):
            self.at.best = loss
            self.export(self.folder / "best")

    def _save(self, last: bool) -> None:
        self.saved = time.monotonic()
        facts = {"recipe": self._facts(), "data": self.data, "at": asdict(self.at), "validation": self.held_out}
        self.states.save(self.at.step, self.engine.optimizer.tensors(), facts)
        if self.world.first and (last or time.monotonic() - self.drawn > DRAW_EVERY):
            self.drawn = time.monotonic()
            records, held_out = (read_lines(self.folder / name) for name in LOGS[:2])
            draw_curves(records, held_out, self.folder / "curves.png")

    @cached_property
    def _started_from(self) -> Path:
        """The model folder that training began with, whose files are checked once and not at each export."""
        assert self.recipe.start is not None
        return find_adapters(self.recipe.start, local_files_only=True)[0]

    def export(self, folder: Path) -> Path:
        """Write model and processor as an ordinary model folder, or adapters as an ordinary folder of adapters."""
        recipe, world = self.recipe, self.world
        adapters = self.engine.full_adapters() if recipe.lora else None
        model = self.engine.full_model() if adapters is None else self.engine.objective.model
        if world.first and model is not None:
            self.engine.objective.attention("sdpa")
            with atomic_folder(folder) as temporary:
                if adapters is not None and recipe.lora is not None and recipe.start is not None:
                    dtype = getattr(torch, recipe.lora.save_dtype)
                    write_adapters(model, temporary, recipe.start, adapters, dtype)
                else:
                    with without_bars():
                        model.save_pretrained(temporary)
                    if recipe.start is not None and not recipe.extra_tokens:  # the tokenizer is still the original one
                        keep_original(self._started_from, temporary)
                self.processor.save_pretrained(temporary)
                records, sources = read_lines(self.folder / "log.jsonl"), self.examples.blend.sources
                facts = (records, sources, model.num_parameters(), self.folder.resolve().name, self.examples.readers)
                write_card(temporary / "README.md", recipe, (self.at.samples, self.at.step), *facts)
                write_manifest(temporary)
            self.engine.objective.attention(self.engine.objective.in_training)
        world.wait()
        return folder


def _same(one: dict[str, Any], other: dict[str, Any], name: str) -> bool:
    """Return whether two recipes have the same in a field, in the same order where the order tells something."""
    first, second = one.get(name), other.get(name)
    if name in ORDERED and isinstance(first, dict) and isinstance(second, dict):
        return list(first.items()) == list(second.items())
    return first == second


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def train(
    recipe: Recipe,
    folder: str | Path,
    resume: bool = False,
    device: str | None = None,
    export: str | Path | None = None,
) -> Path:
    """Make the data a recipe asks for if it is not there yet, train, and return the model folder.

    If `torchrun` started several processes, each calls this; only the first one makes data and writes.

    Args:
        recipe: The recipe.
        folder: The run's folder.
        resume: Whether to continue a run.
        device: By default an accelerator if there is one.
        export: Instead of training, write the newest state of the run in `folder` as a model folder there.
    """
    if export is not None:
        check_new(export)
    world = join(recipe.parallel, device)
    try:
        if world.first and recipe.data is not None:
            from sphinx_x.engines.nano.prepare import check_data, prepare

            prepare(check_data(recipe.data), recipe.folder)
        world.wait()
        with alone_in(folder) if world.first else nullcontext():
            trainer = Trainer(recipe, folder, resume or export is not None, world=world)
            return trainer.run() if export is None else trainer.export(Path(export))
    finally:
        leave()
