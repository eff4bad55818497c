"""A run: a model on some tasks, its answers kept, scored and reported. What `sphinx-x eval MODEL --tasks ...` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx_x.errors import DataError
from sphinx_x.evaluation.answers import Answer, Store, model_digest
from sphinx_x.evaluation.asking import Asking, Shown, ask, shown_items
from sphinx_x.evaluation.clips import MIDDLE, with_frames
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import calibration_error
from sphinx_x.evaluation.ranks import Rank
from sphinx_x.evaluation.scores import Scored, known, read_items, score_answers, unlike_release
from sphinx_x.evaluation.task import Chosen, Reading, Rule, find_task
from sphinx_x.inference import SphinxX
from sphinx_x.work.files import alone_in

if TYPE_CHECKING:
    from sphinx_x.evaluation.judge import Judge

SCORER = 3
"""The version of the scoring: raised whenever a verdict about any answer may change. Answers are kept apart from
verdicts, so nothing is asked again for a new one."""
ANSWERS = "answers"
READINGS = "readings"


def store_name(chosen: Chosen, shown: Shown) -> str:
    """Name the files of a row: `docvqa`, `docvqa.blind`."""
    return chosen.name if shown == "images" else f"{chosen.name}.{shown}"


@dataclass(frozen=True)
class Row:
    """One line of the report: a split, what the model was shown, and what came out."""

    shown: Shown
    scored: Scored
    answers: Sequence[Answer]
    frames: int | None = None
    """Frames of each video; None where no videos are asked about."""
    there: int | None = None
    """Questions in the benchmark's files, before `--limit`."""

    @property
    def name(self) -> str:
        """What the row and its files are called."""
        return store_name(self.scored.chosen, self.shown)

    @cached_property
    def shown_items(self) -> list[Item]:
        """The items with the pictures that the model saw."""
        return shown_items(self.scored.items, self.shown)

    @property
    def unlike_release(self) -> str:
        """How the number of questions in the files differs from that of the release; empty where it does not."""
        return unlike_release(self.scored.chosen, len(self.scored.items) if self.there is None else self.there)

    @property
    def refused(self) -> dict[int, str]:
        """Items that could not be asked, with the reason: they count as wrong."""
        return {answer.index: answer.refused for answer in self.answers if answer.refused}

    @property
    def calibration(self) -> float | None:
        """Expected calibration error; None where no answer has a probability."""
        pairs = [
            (answer.probability, verdict.score)
            for answer, verdict in zip(self.answers, self.scored.verdicts, strict=True)
            if answer.probability is not None and known(verdict.score) is not None
        ]
        return calibration_error([sure for sure, _ in pairs], [right for _, right in pairs]) if pairs else None


@dataclass(frozen=True)
class Run:
    """A finished evaluation.

    limit: items of a task at most, spread over it; longest: tokens of an answer, in place of the task's own limit.
    """

    model: str
    digest: str
    rows: Sequence[Row]
    limit: int | None = None
    rule: Rule = "official"
    longest: int | None = None


def choose(names: Sequence[str], root: Path) -> list[Chosen]:
    """The splits that names of tasks mean, those whose files are below a folder.

    Raises `DataError` for an unknown name, and where not one split of a task is there.
    """
    if not names:
        raise DataError("no task is named (see sphinx-x eval tasks)")
    found: list[Chosen] = []
    for name in names:
        meant = find_task(name)
        there = [chosen for chosen in meant if chosen.files.find(root) is not None]
        if not there:
            wanted = "; ".join(" or ".join(chosen.files.annotations) for chosen in meant)
            raise DataError(f"{root}: holds no questions of {name} ({wanted})")
        found += [chosen for chosen in there if chosen not in found]
    return found


def missing_splits(chosen: Sequence[Chosen], names: Sequence[str]) -> list[Chosen]:
    """Return the splits that names of tasks mean and that are not among the chosen ones."""
    return [split for name in names for split in find_task(name) if split not in chosen]


def limited(items: Sequence[Item], limit: int | None, whole: bool = False) -> list[Item]:
    """`limit` items spread evenly over all; all without a limit.

    whole: as many whole clusters as have no more items together, one at least: of a question of MMBench with four
    rotations one alone would pass for all.
    """
    if limit is None or limit >= len(items):
        return list(items)
    if limit < 1:
        raise DataError(f"--limit must be at least 1, not {limit}")
    if not whole:
        return [items[place] for place in _spread(len(items), limit)]
    clusters: dict[str, list[Item]] = {}
    for item in items:
        clusters.setdefault(item.cluster or f"#{item.index}", []).append(item)
    groups = list(clusters.values())
    counts = range(min(limit, len(groups)), 0, -1)
    draws = ([groups[place] for place in _spread(len(groups), count)] for count in counts)
    chosen = next((draw for draw in draws if sum(map(len, draw)) <= limit), groups[:1])
    return sorted((item for group in chosen for item in group), key=lambda item: item.index)


@dataclass(frozen=True)
class Options:
    """What a run asks, and how it scores.

    Attributes:
        limit: Items of a task at most, spread over it.
        batch_size: Questions that are asked at once; it changes no answer.
        rule: How answers are scored where a benchmark's definition and its program differ.
        longest: Tokens of an answer, in place of the tasks' own limits.
        frames: Frames of a video, evenly spread; by default the one in its middle, as in the paper.
    """

    limit: int | None = None
    batch_size: int = 8
    rule: Rule = "official"
    longest: int | None = None
    frames: int | None = None

    def check(self, tasks: Sequence[Chosen]) -> None:
        """Raise `DataError` for a rule that a task does not have, or frames if no task is about videos."""
        if self.frames is not None and not any(chosen.task.video for chosen in tasks):
            raise DataError(f"--frames {self.frames}: none of the tasks is about videos")
        for chosen in tasks:
            chosen.task.check_rule(self.rule)

    def shown_frames(self, chosen: Chosen) -> int | None:
        """Return how many frames of each video are shown; None for a task without videos."""
        return (self.frames or MIDDLE) if chosen.task.video else None

    def items(self, chosen: Chosen, root: Path) -> tuple[list[Item], int]:
        """Return the items of a split that are asked, with the frames of videos as pictures, and how many there are."""
        every = read_items(chosen, root)
        items, count = limited(every, self.limit, chosen.task.whole), self.shown_frames(chosen)
        return (with_frames(items, count) if count else items), len(every)


DEFAULTS = Options()


def _spread(count: int, chosen: int) -> list[int]:
    """Places of `chosen` of `count` things, evenly spread."""
    step = count / chosen
    return [int(number * step) for number in range(chosen)]


def evaluate(
    sphinx: SphinxX,
    tasks: Sequence[Chosen],
    root: Path,
    out: Path,
    name: str = "",
    shown: Sequence[Shown] = ("images",),
    options: Options = DEFAULTS,
    rank: Rank | None = None,
    judge: Judge | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Run | None:
    """Ask a model the questions of some tasks and score its answers, which are kept in `out/answers`.

    Args:
        sphinx: The model.
        tasks: Splits of tasks (`choose`).
        root: The folder of the benchmarks' files.
        out: The folder of the run. Answers of an earlier run with the same model, prompts, pictures and settings are
            taken from there.
        name: What the report calls the model.
        shown: What the model sees; each is a row of the report.
        options: What is asked, and how it is scored.
        rank: This process among several (`ranks.joined`); the first one scores and reports.
        judge: Judges the answers to tasks that want a judge, asked by the first rank.
        progress: Called with the name of the task, and how many items of how many this rank has done.

    Returns:
        The run on the first rank; None on others.

    Raises:
        DataError: Questions cannot be read, a task does not have the rule, or there are frames without a task about
            videos.
    """
    options.check(tasks)
    rank = rank or Rank()
    how = Asking(sphinx, model_digest(sphinx), options.batch_size, options.longest)
    reading = Reading(options.rule, sphinx.model.config.view_grid())
    folder = out / ANSWERS
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    kept = readings_kept(sphinx, out / READINGS)
    with kept, alone_in(folder) if rank.number == 0 else nullcontext():
        rank.wait()
        plan = []
        for chosen in tasks:  # all of them first: what cannot be shown is told before anything is asked
            items, there = options.items(chosen, root)
            plan += [(chosen, items, there, kind, shown_items(items, kind)) for kind in shown]
        for chosen, items, there, kind, seen in plan:
            store = Store(folder, store_name(chosen, kind))
            found = ask(how, chosen.task, seen, store, partial(progress, store.name), rank.number, rank.count)
            store.hand_in(rank.number, found.values())
            rank.wait()
            if rank.number == 0:
                answers, judged = store.finish(rank.count), partial(progress, f"{store.name}, judge")
                row = scored_row(chosen, items, kind, answers, reading, judge, judged)
                rows.append(replace(row, frames=options.shown_frames(chosen), there=there))
    if rank.number:
        return None
    return Run(name or "model", how.model, rows, options.limit, options.rule, options.longest)


@contextmanager
def readings_kept(sphinx: SphinxX, folder: Path) -> Iterator[None]:
    """Keep what a member reads in pictures in a folder, so that no picture is read again."""
    images = sphinx.processor.image_processor
    lines = images.lines
    if lines is not None:
        images.lines = {**lines, "folder": folder}
    try:
        yield
    finally:
        images.lines = lines


def scored_row(
    chosen: Chosen,
    items: Sequence[Item],
    shown: Shown,
    answers: Sequence[Answer],
    how: Reading,
    judge: Judge | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
    name: str = "",
) -> Row:
    """The verdicts about kept answers, in the order of the items. name: of the judgements, by default the row's."""
    # a place in a picture of unknown size cannot be compared, whatever is said about it without seeing it
    unplaced = {item.index for item in items if item.box is not None and item.size is None}
    said = {answer.index: answer.answer for answer in answers if not answer.refused and answer.index not in unplaced}
    name = name or store_name(chosen, shown)
    return Row(shown, score_answers(chosen, items, said, how, judge=judge, name=name, progress=progress), answers)
