"""The passes of an analysis: watched as the model is, with other numbers of active experts, with experts removed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx_x.errors import DataError
from sphinx_x.evaluation.answers import Store, digest, model_digest
from sphinx_x.evaluation.asking import Asking, ask
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.ranks import Rank
from sphinx_x.evaluation.routing.routers import Routers, active_experts, find_routers, without_experts
from sphinx_x.evaluation.routing.usage import Counting, Groups, UsageStore, WatchedStore
from sphinx_x.evaluation.routing.watching import watched
from sphinx_x.evaluation.run import ANSWERS, DEFAULTS, Options, Row, scored_row, store_name
from sphinx_x.evaluation.task import Chosen, Reading
from sphinx_x.inference import SphinxX
from sphinx_x.work.files import alone_in

if TYPE_CHECKING:
    from sphinx_x.evaluation.judge import Judge

Questions = Sequence[tuple[Chosen, list[Item]]]
"""The items of each task."""
FOLDER = "routing"
FEW = 8
"""Experts up to which every number of them is tried (Mixtral's), beyond only powers of two."""


@dataclass(frozen=True)
class Plan:
    """What is tried.

    Attributes:
        active: Numbers of active experts; by default all from 1 to the number of experts, of more than 8 the powers of
            two. The model's own number is always among them.
        removed: Numbers of experts removed from each layer; by default, in the same way, from 1 to what leaves as many
            as a token goes to.
        runs: How often experts are drawn for each of these numbers (the paper: 3).
    """

    active: tuple[int, ...] | None = None
    removed: tuple[int, ...] | None = None
    runs: int = 3

    def variations(self, routers: Routers) -> list[Varied]:
        """Return the variations of a model that are tried, without the model as it is.

        Raises:
            DataError: A number that is out of the model's range.
        """
        spare = routers.experts - routers.active
        active = _numbers(routers.most, routers.experts) if self.active is None else self.active
        removed = _numbers(spare, routers.experts) if self.removed is None else self.removed
        for what, numbers, most in (("active experts", active, routers.most), ("removed experts", removed, spare)):
            wrong = [number for number in numbers if not 1 <= number <= most]
            if wrong:
                raise DataError(f"--routing: {what} of this model are 1 to {most}, not {wrong[0]}")
        if self.runs < 1:
            raise DataError(f"--routing: experts are drawn once at least, not {self.runs} times")
        return [
            *(Varied(k) for k in sorted({*active} - {routers.active})),
            *(
                Varied(routers.active, drawn(routers, count, run), run)
                for count in sorted({*removed})
                for run in range(self.runs)
            ),
        ]


def _numbers(most: int, experts: int) -> tuple[int, ...]:
    every = range(1, most + 1)
    return tuple(every) if experts <= FEW else tuple(number for number in every if number & (number - 1) == 0)


def drawn(routers: Routers, count: int, run: int) -> tuple[tuple[int, ...], ...]:
    """Draw the experts that each layer loses, independently, as an expert's number means nothing in another layer.

    A run's draws are nested: with more experts removed, those removed before stay removed.
    """
    found = []
    for layer in routers.layers:
        order = list(range(routers.experts))
        random.Random(f"{run} {layer}").shuffle(order)
        found.append(tuple(sorted(order[:count])))
    return tuple(found)


@dataclass(frozen=True)
class Varied:
    """A varied model and its scores.

    Attributes:
        active: Number of experts a token goes to.
        removed: The experts that each layer lost.
        run: The number of the draw, from 0.
        rows: What came out, a row for each task.
    """

    active: int
    removed: tuple[tuple[int, ...], ...] = ()
    run: int = 0
    rows: tuple[Row, ...] = ()

    @property
    def name(self) -> str:
        """What the files of its answers are called."""
        count = len(self.removed[0]) if self.removed else 0
        return f"without{count}.run{self.run}" if count else f"k{self.active}"

    @property
    def identity(self) -> str:
        """What tells it from every other variation of the model."""
        return json.dumps({"active": self.active, "removed": self.removed})

    def applied(self, routers: Routers) -> AbstractContextManager[None]:
        """Return a context in which the model is varied so."""
        return without_experts(routers, self.removed) if self.removed else active_experts(routers, self.active)


@dataclass(frozen=True)
class Analysis:
    """What came out.

    Attributes:
        model: What the report calls the model.
        digest: Of its weights.
        routers: Its routers.
        usage: Which experts its tokens went to.
        active: Scores by number of active experts, the model's own among them.
        removed: Scores without some experts.
        limit: Items of a task at most.
    """

    model: str
    digest: str
    routers: Routers
    usage: Groups
    active: tuple[Varied, ...]
    removed: tuple[Varied, ...]
    limit: int | None = None


@dataclass(frozen=True)
class Analyst:
    """Asks a model and its variations the questions of some tasks.

    Attributes:
        sphinx: The model.
        tasks: Splits of tasks.
        root: The folder of the benchmarks' files.
        out: The folder of the run. The answers of the model as it is are those of `evaluate`, in `out/answers`; all
            else is kept in `out/routing`.
        options, rank, judge, progress: As for `evaluate`; a judge is asked about the answers of all variations.
    """

    sphinx: SphinxX
    tasks: Sequence[Chosen]
    root: Path
    out: Path
    options: Options = DEFAULTS
    rank: Rank = field(default_factory=Rank)
    judge: Judge | None = None
    progress: Callable[[str, int, int], None] = lambda *_: None

    def analyse(self, plan: Plan, name: str = "") -> Analysis | None:
        """Watch the model, then vary it as planned; the model is as before afterwards.

        Args:
            plan: What is tried.
            name: What the report calls the model.

        Returns:
            What came out, on the first rank; None on others.

        Raises:
            DataError: The model has no experts, or a number of the plan is out of its range.
        """
        self.options.check(self.tasks)
        routers = find_routers(self.sphinx.model.model.language_model)
        variations = plan.variations(routers)
        for varied in variations:  # what cannot be done is told before hours of work
            with varied.applied(routers):
                pass
        weights = model_digest(self.sphinx)
        how = Asking(self.sphinx, weights, self.options.batch_size, self.options.longest)
        asked = [(chosen, self.options.items(chosen, self.root)[0]) for chosen in self.tasks]
        usage, own = self._watched(how, routers, asked)
        found = [own, *(self._varied(how, routers, asked, varied) for varied in variations)]
        if self.rank.number:
            return None
        active = sorted((one for one in found if not one.removed), key=lambda one: one.active)
        removed = tuple(one for one in found if one.removed)
        return Analysis(name or "model", weights, routers, usage, tuple(active), removed, self.options.limit)

    def _watched(self, how: Asking, routers: Routers, asked: Questions) -> tuple[Groups, Varied]:
        """The usage of the model as it is, and its scores."""
        layers, experts = len(routers.layers), routers.experts
        groups, rows = Groups.empty(layers, experts), []
        with watched(self.sphinx, routers) as watcher, self._alone(self.out / ANSWERS) as folder:
            for chosen, items in asked:
                counts = UsageStore(self.out / FOLDER / "usage", chosen.name, layers, experts)
                store = WatchedStore(folder, store_name(chosen, "images"), counts)
                counting = replace(how, around=Counting(watcher, counts, self.rank.number))
                rows += self._asked(counting, chosen, items, store, f"{chosen.name} watched")
                if self.rank.number == 0:
                    known, keys = counts.read(), {answer.index: answer.key for answer in rows[-1].answers}
                    for item in items:
                        groups.add(chosen.name, item, known.get(keys[item.index]))
        return groups, Varied(routers.active, rows=tuple(rows))

    def _varied(self, how: Asking, routers: Routers, asked: Questions, varied: Varied) -> Varied:
        """The scores of a varied model. Its answers have keys of their own."""
        how, rows = replace(how, model=digest(how.model, varied.identity)), []
        with varied.applied(routers), self._alone(self.out / FOLDER / ANSWERS) as folder:
            for chosen, items in asked:
                store = Store(folder, f"{chosen.name}.{varied.name}")
                rows += self._asked(how, chosen, items, store, f"{chosen.name} {varied.name}")
        return replace(varied, rows=tuple(rows))

    def _asked(self, how: Asking, chosen: Chosen, items: list[Item], store: Store, told: str) -> list[Row]:
        """The row of a task, on the first rank; none on others."""
        progress = partial(self.progress, told)
        found = ask(how, chosen.task, items, store, progress, self.rank.number, self.rank.count)
        store.hand_in(self.rank.number, found.values())
        self.rank.wait()
        if self.rank.number:
            return []
        reading = Reading(self.options.rule, self.sphinx.model.config.view_grid())
        answers, judged = store.finish(self.rank.count), partial(self.progress, f"{told}, judge")
        row = scored_row(chosen, items, "images", answers, reading, self.judge, judged, store.name)
        return [replace(row, frames=self.options.shown_frames(chosen))]

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[Path]:
        """A folder for the answers of this run alone."""
        folder.mkdir(parents=True, exist_ok=True)
        with alone_in(folder) if self.rank.number == 0 else nullcontext():
            self.rank.wait()
            yield folder
