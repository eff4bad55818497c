"""One part of the measurement: what is asked, and which figures the answers come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sphinx_x.evaluation.items import UNREADABLE, Item, Verdict
from sphinx_x.evaluation.measures import Judged, Mean, Measure
from sphinx_x.evaluation.task import Reading, Task


@dataclass(frozen=True)
class Rows:
    """Verdicts that are summed up together."""

    measure: Measure
    judged: Sequence[Judged]


Answers = Mapping[int, str]
"""Answers by the index of the item; one that is not there counts as wrong."""
Judge = Callable[["Part", Answers, Reading], list[Rows]]


def made_here(*_: object) -> Iterator[Item]:
    """Stand for the reader of a task whose items do not come from a file.

    Raises:
        NotImplementedError: Always.
    """
    raise NotImplementedError("the items of this task are made, not read")


def by_task(part: Part, answers: Answers, how: Reading) -> list[Rows]:
    """Return the verdicts of the part's task."""
    return [Rows(part.task.measure, [(item, verdict_of(part.task, item, answers, how)) for item in part.items])]


def verdict_of(task: Task, item: Item, answers: Answers, how: Reading) -> Verdict:
    """Return the verdict about the answer to an item."""
    answer = answers.get(item.index)
    return UNREADABLE if answer is None else task.score(item, answer, how)


def share(name: str, rows: Sequence[tuple[Item, float]]) -> Rows:
    """Return a figure that is the mean of some scores."""
    return Rows(Mean(name), [(item, Verdict(score, "")) for item, score in rows])


@dataclass(frozen=True)
class Part:
    """A part of the measurement.

    Attributes:
        name: What it is called.
        task: How it is asked.
        items: What is asked.
        judge: From answers to figures.
        text: Whether the pictures have text, so that peers that read can answer.
        note: What whoever reads the figures has to know.
        least: Goals that are reached from a value on, by the name of the figure.
        most: Goals that are reached up to a value.
    """

    name: str
    task: Task
    items: Sequence[Item]
    judge: Judge = by_task
    text: bool = False
    note: str = ""
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)
