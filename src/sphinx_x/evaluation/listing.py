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


def as_table() -> None:
    """Prints the benchmarks on the terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("task", "items", "metric", "prompt", "paper", "release", "licence", "layout from", show_lines=True)
    for task in all_tasks().values():
        items = ", ".join(f"{name} {files.items or '?'}" for name, files in task.splits.items())
        paper = "; ".join(
            " ".join([key, *(f"{member} {score:g}" for member, score in scores.items())]).strip()
            for key, scores in task.paper.items()
        )
        prompt = task.prompt + (f" [answer begins: {task.prefix}]" if task.prefix else "")
        cells = (
            task.name,
            items,
            task.measure.headline + (" (judge)" if task.judging else ""),
            prompt,
            paper,
            task.address,
            task.licence,
            task.layout,
        )
        table.add_row(*map(escape, cells))
    Console(width=None if Console().is_terminal else 200).print(table)
    print("A split is named as in refcoco_testA; --json tells all. An unverified layout could not be looked up.")
