"""Made releases of benchmarks: `write_release(NAME, folder)` writes that of task NAME; `scores_of` scores answers."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path

import releases
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.scores import Scored, read_items, score_answers
from sphinx_x.evaluation.task import Chosen, Reading, all_tasks

Write = Callable[[Path], None]


def _found() -> dict[str, Write]:
    """What all modules of `releases` declare."""
    found: dict[str, Write] = {}
    for module in pkgutil.iter_modules(releases.__path__):
        made = getattr(importlib.import_module(f"releases.{module.name}"), "RELEASES", {})
        assert not found.keys() & made.keys(), found.keys() & made.keys()
        found |= made
    return found


RELEASES = _found()
"""Name of the task -> what writes its made release."""


def write_release(name: str, folder: Path) -> None:
    """Writes the made release of task `name` into a folder: what a user gives as `--data`."""
    RELEASES[name](folder)


def made_splits(name: str, folder: Path) -> list[Chosen]:
    """The splits of a task that a folder has files of."""
    task = all_tasks()[name]
    chosen = [Chosen(task, split) for split in task.splits]
    return [one for one in chosen if one.files.find(folder) is not None]


def made_items(name: str, folder: Path, split: str | None = None) -> list[Item]:
    """The items of a task (the first of its splits, or a named one) below a folder."""
    return read_items(_chosen(name, split), folder)


def scores_of(
    name: str, folder: Path, answers: Mapping[int, str], split: str | None = None, how: Reading | None = None
) -> Scored:
    """Answers by index, scored as `sphinx-x score` does it."""
    chosen = _chosen(name, split)
    return score_answers(chosen, read_items(chosen, folder), answers, how)


def _chosen(name: str, split: str | None) -> Chosen:
    task = all_tasks()[name]
    return Chosen(task, split or next(iter(task.splits)))


def prompts_text(name: str, folder: Path) -> str:
    """Everything that a task asks of the items below a folder, for a golden file: prompt, beginning of the answer,
    pictures, true answers."""
    lines: list[str] = []
    for chosen in made_splits(name, folder):
        for item in read_items(chosen, folder):
            facts = {
                "id": item.id,
                "pictures": ", ".join(picture.name for picture in item.pictures),
                "kind": item.kind,
                "cluster": item.cluster,
                "answer begins": chosen.task.prefix,
                "true": " | ".join(item.references),
                "box": ", ".join(f"{corner:g}" for corner in item.box or ()),
            }
            lines.append(f"=== {chosen.name}, item {item.index}")
            lines += [f"{key}: {value}" for key, value in facts.items() if value]
            lines += ["---", chosen.task.ask(item)]
    return "\n".join(lines) + "\n"
