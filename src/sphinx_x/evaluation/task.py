"""What a benchmark is to this package: a declaration of where its files lie, what is asked, and how answers score."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.judging import Judging
from sphinx_x.evaluation.measures import Mean, Measure
from sphinx_x.evaluation.readers import Reader
from sphinx_x.model.views import ViewGrid

Rule = Literal["official", "script", "strict"]
"""`official`: the benchmark's written definition; `script`: its released program where that differs; `strict`: only
what is written as it was asked for counts."""
RULES: tuple[Rule, ...] = ("official", "script", "strict")
UNVERIFIED = "layout unverified"
ACCURACY = Mean()
SQUARE = ViewGrid(padding="center")
"""The frame of the boxes that the released SPHINX models write: shares of the centred square around the picture."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How answers are read. frame: what the model's boxes are relative to: declared, never guessed."""

    rule: Rule = "official"
    frame: ViewGrid = SQUARE


@dataclass(frozen=True, slots=True)
class Files:
    """Where the files of one split may lie: patterns below the folder of the data, the first that is there counts.

    annotations: of the questions' file; images: folders of the pictures (the data folder itself, that of the
    questions and `images` there are looked through as well); items: how many questions the release has; read: reads
    this split, where the task's own reader cannot tell it (one file of all splits).
    """

    annotations: tuple[str, ...]
    images: tuple[str, ...] = ()
    items: int | None = None
    read: Reader | None = None

    def find(self, root: Path) -> Path | None:
        """The file (or folder) of the questions below a folder, or that folder itself; None where there is none."""
        below = (path for pattern in self.annotations for path in sorted(root.glob(pattern)))
        meant = any(fnmatchcase(root.resolve().name, pattern.rsplit("/", 1)[-1]) for pattern in self.annotations)
        return next(below, root if meant and root.is_dir() else None)

    def folders(self, root: Path, annotation: Path) -> tuple[Path, ...]:
        """The folders in which pictures are looked for."""
        beside = annotation if annotation.is_dir() else annotation.parent
        named = [path for pattern in self.images for path in sorted(root.glob(pattern)) if path.is_dir()]
        return tuple(dict.fromkeys([*named, beside, beside / "images", root]))


@dataclass(frozen=True)
class Task:
    """A benchmark.

    Attributes:
        name: What `--tasks` calls it, in small letters.
        title: Its name in print.
        splits: The files of each of its splits by name; the first is what the paper reports, or all where it reports
            several.
        read: Reads a file of questions.
        score: The verdict about one answer.
        measure: From verdicts to scores with their intervals.
        prompt: The text of the question, `{}` being what the item asks (paper, section 6 of the evaluation protocol).
        prefix: The words with which the answer begins, written for the model.
        max_new_tokens: Tokens of an answer at most.
        chance: The score of guessing, in the unit of the measure, for some items; None where there is none.
        rules: The rules that make a difference here, beside `official`.
        licence, address: Of the release.
        layout: What the layout of the files was taken from, or `UNVERIFIED`.
        paper: The paper's scores (percent, or the benchmark's own unit): by split, by member.
        aliases: Other names for it.
        note: What somebody has to know who compares scores.
        video: Whether its pictures are frames of videos (`--frames`).
        whole: Whether items of one cluster are scored together, so that a part of them says nothing: `--limit` takes
            clusters then.
        judging: How a judge (`--judge`) is asked, where the benchmark wants one; `score` is an approximation then.
    """

    name: str
    title: str
    splits: Mapping[str, Files]
    read: Reader
    score: Callable[[Item, str, Reading], Verdict]
    measure: Measure = ACCURACY
    prompt: str = "{}"
    prefix: str = ""
    max_new_tokens: int = 10
    chance: Callable[[Sequence[Item]], float] | None = None
    rules: tuple[Rule, ...] = ()
    licence: str = ""
    address: str = ""
    layout: str = UNVERIFIED
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    note: str = ""
    whole: bool = False
    video: bool = False
    judging: Judging | None = None

    def ask(self, item: Item) -> str:
        """The question as the model gets it."""
        return self.prompt.replace("{}", item.question)

    def check_rule(self, rule: str) -> None:
        """Raises `DataError` for a rule that this task does not know."""
        known = ("official", *self.rules)
        if rule not in known:
            raise DataError(f"{self.name}: no rule {rule!r} here, only {', '.join(known)}")


@cache
def all_tasks() -> dict[str, Task]:
    """Every task by its name: what the modules of `sphinx_x.evaluation.tasks` declare in `TASKS`, sorted."""
    from sphinx_x.evaluation import tasks

    found: dict[str, Task] = {}
    for module in pkgutil.iter_modules(tasks.__path__):
        for task in importlib.import_module(f"{tasks.__name__}.{module.name}").TASKS:
            assert task.name not in found, task.name
            found[task.name] = task
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A split of a task."""

    task: Task
    split: str

    @property
    def name(self) -> str:
        """The task's name with that of the split, where it has several."""
        return self.task.name if len(self.task.splits) == 1 else f"{self.task.name}_{self.split}"

    @property
    def files(self) -> Files:
        """Where its files lie."""
        return self.task.splits[self.split]

    @property
    def read(self) -> Reader:
        """Reads its file of questions."""
        return self.files.read or self.task.read


def find_task(name: str) -> list[Chosen]:
    """The splits that a name means: a task (all of its splits), or one of them as `refcoco_testA`.

    Names are read without regard to case, and `-` is `_`. Raises `DataError` naming what is close.
    """
    wanted = _plain(name)
    by_name: dict[str, list[Chosen]] = {}
    for task in all_tasks().values():
        every = [Chosen(task, split) for split in task.splits]
        for called in (task.name, *task.aliases):
            by_name[_plain(called)] = every
            by_name |= {_plain(f"{called}_{chosen.split}"): [chosen] for chosen in every}
    if wanted in by_name:
        return by_name[wanted]
    raise DataError(f"{name}: no such task (see sphinx-x eval tasks){_close(wanted, by_name)}")


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def _close(wanted: str, names: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(wanted, list(names), n=3)
    return f"; near to it: {', '.join(near)}" if near else ""
