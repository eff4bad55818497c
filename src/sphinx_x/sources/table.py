"""The sets as tables: for the terminal, and for the documentation."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sphinx_x.sources import SOURCES
from sphinx_x.sources.base import TASKS, UNVERIFIED, Source


def counted(source: Source) -> str:
    """Return how many raw records the release has, per split."""
    parts = [f"{split} {count:,}" for split, count in source.count.items()]
    return f"{', '.join(parts)} {source.unit}" if parts else "not known"


def short_table() -> None:
    """Print name, task, size and licence of every set."""
    table = Table("name", "set", "task", "the release holds", "licence", "layout")
    for source in SOURCES.values():
        layout = "in part" if UNVERIFIED in source.layout else "cited"
        table.add_row(source.name, source.title, source.task, counted(source), source.licence, layout)
    Console(width=max(Console().width, 150)).print(table)
    print(f"{len(SOURCES)} sets. All about one: sphinx-x data sources NAME")


def details(source: Source) -> str:
    """Return all facts about one set, as text."""
    lines = [f"{source.title} ({source.name})", f"task      {source.task}", f"home      {source.home}"]
    lines += [f"licence   {source.licence}", f"holds     {counted(source)}"]
    for number, file in enumerate(source.files):
        expected = ", ".join(f"{split} {count:,}" for split, count in file.count.items())
        lines.append(
            f"{'files' if number == 0 else '':<10}{file.pattern}: {file.what}" + (f" ({expected})" if expected else "")
        )
    for number, prompt in enumerate(source.prompts):
        shown = prompt.replace("\n", "\\n")
        lines.append(f"{'asked' if number == 0 else '':<10}{shown}")
    lines.append(f"layout    {source.layout}")
    return "\n".join([*lines, *([f"note      {source.note}"] if source.note else [])])


def _anchor(source: Source) -> str:
    """Return the anchor of a set's heading in a page, as Markdown readers form it."""
    heading = f"{source.name}: {source.title}".lower()
    return "".join(c for c in heading.replace(" ", "-") if c.isalnum() or c in "-_")


def as_markdown() -> str:
    """Return all facts about all sets, by task."""
    lines = [
        "# Public sets",
        "",
        "What `sphinx-x data convert NAME RAW -o OUT` reads. `sphinx-x data sources --markdown` prints this page.",
        "The layout of each release was taken from what is cited; `layout unverified` means that nothing was found.",
        "",
        "| name | set | task | the release holds |",
        "|---|---|---|---|",
    ]
    lines += [f"| [{s.name}](#{_anchor(s)}) | {s.title} | {s.task} | {counted(s)} |" for s in SOURCES.values()]
    for task in TASKS:
        chosen = [source for source in SOURCES.values() if source.task == task]
        if not chosen:
            continue
        lines += ["", f"## {task}"]
        for source in chosen:
            files = "; ".join(f"`{file.pattern}` ({file.what})" for file in source.files)
            prompts = "; ".join("`" + prompt.replace("\n", " / ") + "`" for prompt in source.prompts) or "its own text"
            lines += [
                "",
                f"### {source.name}: {source.title}",
                "",
                f"- from: {source.home}",
                f"- licence: {source.licence}",
                f"- holds: {counted(source)}",
                f"- files: {files}",
                f"- asked: {prompts}",
                f"- layout: {source.layout}",
            ]
            if source.note:
                lines.append(f"- note: {source.note}")
    return "\n".join(lines) + "\n"
