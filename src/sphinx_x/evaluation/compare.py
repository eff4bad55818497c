"""How two runs differ: paired differences on the same items, with intervals, and the items that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.measures import Figure, difference
from sphinx_x.evaluation.results import Result, read_results, row_names
from sphinx_x.evaluation.scores import NOT, known, shown_number, some


@dataclass(frozen=True)
class Change:
    """A row of two runs. pairs: the results of the same item in the first and in the second run."""

    name: str
    scale: float
    figures: dict[str, Figure]
    pairs: Sequence[tuple[Result, Result]]

    @property
    def better(self) -> list[int]:
        """Items with a higher score in the second run."""
        return [first.item.index for first, second in self.pairs if second.verdict.score > first.verdict.score]

    @property
    def worse(self) -> list[int]:
        """Items with a lower one."""
        return [first.item.index for first, second in self.pairs if second.verdict.score < first.verdict.score]

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with every item that changed."""
        changed = [(a, b) for a, b in self.pairs if a.verdict.score != b.verdict.score]
        return {
            "task": self.name,
            "differences": {name: [known(f.value), known(f.low), known(f.high)] for name, f in self.figures.items()},
            "items": len(self.pairs),
            "changed": [
                {
                    "index": first.item.index,
                    "question": first.item.question,
                    "references": list(first.item.references),
                    "answers": [first.answer, second.answer],
                    "scores": [first.verdict.score, second.verdict.score],
                }
                for first, second in changed
            ],
        }


def compare(first: Path, second: Path) -> list[Change]:
    """The rows that two runs have in common.

    Raises `DataError` where they have none, or where a row is about other items in one of them.
    """
    common = [name for name in row_names(first) if name in row_names(second)]
    if not common:
        raise DataError(f"{first} and {second} have no task in common")
    return [_change(name, first, second) for name in common]


def _change(name: str, first: Path, second: Path) -> Change:
    chosen, before = read_results(first, name)
    _, after = read_results(second, name)
    if [_asked(result) for result in before] != [_asked(result) for result in after]:
        raise DataError(f"{name}: the two runs were not asked the same items")
    ways = [sorted({_way(result) for result in results}) for results in (before, after)]
    if ways[0] != ways[1]:
        raise DataError(f"{name}: the two runs were not scored alike: {' and '.join(map('; '.join, ways))}")
    if any(result.verdict.score != result.verdict.score for result in (*before, *after)):
        raise DataError(f"{name}: {NOT} in these runs, it wants a judge (--judge)")
    measure = chosen.task.measure
    figures = difference(measure, [result.judged for result in before], [result.judged for result in after])
    return Change(name, measure.scale, figures, list(zip(before, after, strict=True)))


def _way(result: Result) -> str:
    scorer = f"version {result.scorer}" if result.scorer else "an earlier version (evaluated again, it is the new one)"
    return f"{result.judge}, scorer of {scorer}, {result.rule} rule"


def _asked(result: Result) -> tuple[Any, ...]:
    return result.item.index, result.item.id, result.item.question, result.item.references


def as_text(changes: Sequence[Change]) -> str:
    """A Markdown table of the differences, and the items that changed."""
    lines = ["| task | figure | second less first | items | better | worse |", "|---|---|---|---|---|---|"]
    for change in changes:
        counts = f"{len(change.pairs)} | {len(change.better)} | {len(change.worse)}"
        for name, figure in change.figures.items():
            value, low, high = (_signed(number, change.scale) for number in (figure.value, figure.low, figure.high))
            lines.append(f"| {change.name} | {name} | {value} ({low} to {high}) | {counts} |")
    lines += ["", "In brackets 95 % intervals over the same draws of images or documents for both runs."]
    for change in changes:
        for what, items in (("better", change.better), ("worse", change.worse)):
            if items:
                lines.append(f"- {change.name}, {what} in the second run: items {some(items)}")
    return "\n".join(lines)


def _signed(value: float, scale: float) -> str:
    return f"{'+' if value > 0 else ''}{shown_number(value, scale)}"
