"""The table of benchmarks: what `sphinx-x eval tasks` prints."""

from __future__ import annotations

from typing import Any

from sphinx_x.evaluation.scores import NOT
from sphinx_x.evaluation.task import Task, all_tasks


def described() -> list[dict[str, Any]]:
    """Everything that the tasks declare, as JSON."""
    return [_described(task) for task in all_tasks().values()]


def _described(task: Task) -> dict[str, Any]:
    return {
        "task": task.name,
        "title": task.title,
        "aliases": list(task.aliases),
        "splits": {
            name: {"items": files.items, "annotations": list(files.annotations), "images": list(files.images)}
            for name, files in task.splits.items()
        },
        "prompt": task.prompt,
        "prefix": task.prefix,
        "max_new_tokens": task.max_new_tokens,
        "metric": task.measure.headline,
        "rules": ["official", *task.rules],
        "chance": task.chance is not None,
        "video": task.video,
        "judge": {"prompt": task.judging.prompt, "without": task.judging.offline or NOT} if task.judging else None,
        "licence": task.licence,
        "address": task.address,
        "layout": task.layout,
        "note": task.note,
        "paper": {key: dict(scores) for key, scores in task.paper.items()},
    }


COLUMNS = ("task", "items", "metric", "prompt", "paper", "release", "licence", "layout from")
NARROW = 140
"""Columns of a terminal below which eight of the table would hold a word each."""


def as_table(width: int | None = None) -> None:
    """Prints the benchmarks: a table, or below one another where the terminal is narrow. width: by default its own."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    own = Console()
    console = Console(width=width or (own.width if own.is_terminal else 200))
    rows = [_cells(task) for task in all_tasks().values()]
    if console.width < NARROW:
        for row in rows:
            console.print(Text(row[0], style="bold"))
            facts = Table.grid(padding=(0, 1))
            facts.add_column(min_width=max(map(len, COLUMNS)))
            facts.add_column(overflow="fold")
            for name, cell in zip(COLUMNS[1:], row[1:], strict=True):
                if cell:
                    facts.add_row(f"  {name}", Text(cell))
            console.print(facts)
    else:
        table = Table(show_lines=True)
        for name in COLUMNS:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    print("A split is named as in refcoco_testA; --json tells all. An unverified layout could not be looked up.")


def _cells(task: Task) -> tuple[str, ...]:
    items = ", ".join(f"{name} {files.items or '?'}" for name, files in task.splits.items())
    paper = "; ".join(
        " ".join([key, *(f"{member} {score:g}" for member, score in scores.items())]).strip()
        for key, scores in task.paper.items()
    )
    prompt = task.prompt + (f" [answer begins: {task.prefix}]" if task.prefix else "")
    metric = task.measure.headline + (" (judge)" if task.judging else "")
    return task.name, items, metric, prompt, paper, task.address, task.licence, task.layout
