"""Runs of a study, one after another or some alone: each in its own folder, resumed where it was stopped.

`OUT/NAME/` holds a run: `trunk/` and a branch for each amount, or its stages, and `results.jsonl` with its lines; when
it is finished, its states are deleted. `OUT/index/` has the lengths of samples, once for all runs that have the same.
`OUT/results.jsonl` has the lines of all runs there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sphinx_x.engines.nano.prepare import check_data, prepare
from sphinx_x.errors import DataError
from sphinx_x.recipe import Recipe, shares_of
from sphinx_x.studies.costs import Shapes, run_flops
from sphinx_x.studies.declaration import Study
from sphinx_x.studies.held_out import chance, documents, hashes, make_held_out, shards
from sphinx_x.studies.measure import measured
from sphinx_x.studies.plan import WHERE, Plan, Run, branch_point, branch_recipe, plan_of, staged, trunk_recipe
from sphinx_x.studies.results import Line, join_results
from sphinx_x.training.checkpoint import saved_states
from sphinx_x.training.distributed import World, join, leave
from sphinx_x.training.trainer import Trainer
from sphinx_x.work.files import alone_in, append_line, read_lines

logger = logging.getLogger(__name__)

ORDERED = 4096
"""Number of samples whose order is hashed."""


class Runner:
    """Runs a study in a folder; of several processes, each needs a folder of its own (`join_results`).

    Args:
        study: The study.
        name: Its name in the results.
        out: The folder.
        device: A PyTorch device, by default an accelerator if there is one.
    """

    def __init__(self, study: Study, name: str, out: str | Path, device: str | None = None) -> None:
        self.study, self.name, self.out, self.device = study, name, Path(out), device
        self.plan: Plan = plan_of(study)
        self._known: dict[str, Any] = {}

    def prepare(self) -> None:
        """Make the data of all runs, and the held-out sets, where they are not there yet."""
        made = set[str]()
        for recipe in (run.stages[0] for run in self.plan.runs):
            if recipe.data is not None and (key := f"{recipe.folder} {recipe.data}") not in made:
                made.add(key)
                with alone_in(recipe.folder, wait=True):
                    prepare(check_data(recipe.data), recipe.folder)
        make_held_out(self.study.held_out)

    def run(self, names: Sequence[str] = ()) -> Path:
        """Do the runs of these names, by default all of them, and return the file of all results.

        Raises:
            RecipeError: There is no run of a name.
        """
        runs = [self.plan.named(name) for name in names] or self.plan.runs
        with alone_in(self.out):
            self.prepare()
            for number, run in enumerate(runs, 1):
                if self._missing(run):
                    logger.info("run %d of %d: %s", number, len(runs), run.name)
                    self._do(run)
                for state in (self.out / run.name).glob("*/state"):
                    shutil.rmtree(state)
            return self._gather()

    def _gather(self) -> Path:
        found = [path for run in self.plan.runs if (path := self._results(run)).exists()]
        join_results(found, self.out / "results.jsonl")
        return self.out / "results.jsonl"

    def _results(self, run: Run) -> Path:
        return self.out / run.name / "results.jsonl"

    def _missing(self, run: Run) -> list[int]:
        """Return the amounts of a run that have no line yet.

        Raises:
            DataError: Its lines are of another recipe.
        """
        lines = read_lines(self._results(run))
        if any(line["key"] != run.key for line in lines):
            raise DataError(f"{self._results(run)}: was run with another declaration; take another folder")
        there = {line["point"] for line in lines}
        return [amount for amount, point in run.points().items() if point not in there]

    def _do(self, run: Run) -> None:
        world = join(run.recipe.parallel, self.device)
        try:
            if len(run.stages) > 1:
                self._do_stages(run, world)
            else:
                for amount in self._missing(run):
                    self._do_amount(run, amount, world)
        finally:
            leave()

    def _do_amount(self, run: Run, amount: int, world: World) -> None:
        """Train to one amount: the trunk to where its branch begins, and the branch."""
        folder, recipe = self.out / run.name, branch_recipe(run.recipe, amount)
        branch, trunk = folder / f"to-{amount}", folder / "trunk"
        seconds, begin = 0.0, None
        if len(run.amounts) > 1:
            point = branch_point(run.recipe, amount)
            if not saved_states(branch / "state"):
                self._trainer(trunk_recipe(run.recipe), trunk, world).run(until=point)
                begin = trunk
            seconds = _seconds(trunk, point)
        trainer = self._trainer(recipe, branch, world, begin)
        model = trainer.run()
        flops = run_flops(trainer.recipe, trainer.mixture)
        self._finish(run, amount, trainer, model, seconds + _seconds(branch), flops)

    def _do_stages(self, run: Run, world: World) -> None:
        """Train the stages of a run, each from the model of the one before."""
        seconds, flops, model = 0.0, 0.0, Path()
        trainer = None
        for number, recipe in enumerate(run.stages):
            folder = self.out / run.name / f"stage-{number + 1}"
            trainer = self._trainer(staged(run, number, str(model)) if number else recipe, folder, world)
            model = trainer.run()
            seconds, flops = seconds + _seconds(folder), flops + run_flops(trainer.recipe, trainer.mixture)
        assert trainer is not None
        self._finish(run, run.amounts[-1], trainer, model, seconds, flops)

    def _trainer(self, recipe: Recipe, folder: Path, world: World, branch: Path | None = None) -> Trainer:
        """Return the trainer of a folder, which goes on where it was stopped."""
        facts = [recipe.variant.model_dump(exclude={"width", "experts"}), recipe.limits, recipe.extra_tokens]
        index = self.out / "index" / hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
        index.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / "index"
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(index, folder))
        resume = bool(saved_states(folder / "state"))
        return Trainer(recipe, folder, resume, world=world, branch=None if resume else branch)

    def _finish(self, run: Run, amount: int, trainer: Trainer, model: Path, seconds: float, flops: float) -> None:
        """Measure a trained model, and write its line."""
        held = self.study.held_out
        line: Line = {
            "study": self.name,
            "point": run.points()[amount],
            "run": run.name,
            "size": run.size,
            "seed": run.seed,
            "samples": amount,
            "key": run.key,
            "recipe": [_told(recipe) for recipe in run.stages],
            "data": self._hashes(run),
            "held_out": self._once("held", lambda: self._held_hashes()),
            "order": _order(trainer),
            "parameters": Shapes.of(trainer.recipe).parameters,
            "flops": flops,
            "seconds": round(seconds, 1),
            "machine": _machine(trainer.world.device),
            **measured(trainer, model, held),
            "documents": self._once("documents", lambda: documents(held)),
            "chance": self._once("chance", lambda: chance(held)),
        }
        append_line(self._results(run), line)

    def _once(self, key: str, work: Any) -> Any:
        if key not in self._known:
            self._known[key] = work()
        return self._known[key]

    def _hashes(self, run: Run) -> dict[str, str]:
        out: dict[str, str] = {}
        for recipe in run.stages:
            for name, share in shares_of(recipe, recipe.sources).items():
                paths = [path for path in share.paths if isinstance(path, Path)]
                out[name] = self._once(f"{paths}", lambda paths=paths: hashes({"": paths})[""])
        return out

    def _held_hashes(self) -> dict[str, str]:
        sets = self.study.held_out.folder / "sets" / "true"
        found = hashes({name: shards(sets, name) for name in self.study.held_out.skills})
        return found | {"longest": str(self.study.held_out.longest)}


def _told(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe for a line: what is not as by default, without places on this machine."""
    fields = recipe.model_dump(mode="json", exclude=WHERE, exclude_defaults=True)
    for source in fields["sources"].values():
        source.pop("path", None)
        source.pop("root", None)
    return fields


def _order(trainer: Trainer) -> str:
    """Return a hash of which samples come first, and in which order."""
    blend = trainer.examples.blend
    sources, numbers = blend.lookup(0, min(len(blend), ORDERED))
    seen = [
        f"{blend.sources[source].name} {trainer.examples.pieces[source][number]['sample']}"
        for source, number in zip(sources.tolist(), numbers.tolist(), strict=True)
    ]
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16]


def _seconds(folder: Path, samples: int | None = None) -> float:
    """Return the seconds of a run's steps by its log, up to a number of samples."""
    records = read_lines(folder / "log.jsonl")
    return sum(record["seconds"] for record in records if samples is None or record["samples"] <= samples)


def _machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"device": name, "threads": torch.get_num_threads()}
