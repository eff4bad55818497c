"""What a run reports: the same figures as Markdown and as JSON. Nothing in it depends on time or machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sphinx_x.evaluation.run import SCORER, Row, Run
from sphinx_x.evaluation.scores import known, shown_figure, shown_number
from sphinx_x.work.files import write_atomic

SHOWN = {"images": "", "blind": " (no image)", "shuffled": " (another item's image)"}
HEADING = (
    *("task", "metric", "score", "chance", "items", "images or documents"),
    *("unreadable", "no judgement", "not asked", "calibration error", "paper"),
)
NAMED = 20
"""Items that are named one by one at most; the JSON has all."""


def write_report(run: Run, out: Path) -> None:
    """Writes `report.json` and `report.md` into a folder."""
    write_atomic(out / "report.json", json.dumps(as_dict(run), indent=1, ensure_ascii=False) + "\n")
    write_atomic(out / "report.md", as_markdown(run))


def as_dict(run: Run) -> dict[str, Any]:
    """All figures of a run, with everything that they depend on."""
    return {
        "model": run.model,
        "weights": run.digest,
        "rule": run.rule,
        "scorer": SCORER,
        "limit": run.limit,
        "generation": "greedy",
        "rows": [_row_dict(row, run.longest) for row in run.rows],
    }


def _row_dict(row: Row, longest: int | None) -> dict[str, Any]:
    task = row.scored.chosen.task
    figures = {name: [known(f.value), known(f.low), known(f.high)] for name, f in row.scored.figures.items()}
    return {
        **row.scored.to_dict(),
        "shown": row.shown,
        "questions": {"files": row.there, "release": row.scored.chosen.files.items},
        **({} if row.frames is None else {"frames": row.frames}),
        "figures": figures,
        "chance": task.chance(row.scored.items) if task.chance else None,
        "calibration error": row.calibration,
        "refused": {str(index): reason for index, reason in row.refused.items()},
        "paper": paper_scores(row),
        "prompt": task.prompt,
        "prefix": task.prefix,
        "max_new_tokens": longest or task.max_new_tokens,
    }


def paper_scores(row: Row) -> dict[str, dict[str, float]]:
    """The paper's scores that stand beside this row: of its split, or of one of its figures, by member."""
    chosen = row.scored.chosen
    names = ("", "mean", chosen.split, *row.scored.figures)
    return {name: dict(chosen.task.paper[name]) for name in names if name in chosen.task.paper}


def as_markdown(run: Run) -> str:
    """The report as it is read."""
    head = [
        f"# Evaluation of {run.model}",
        "",
        f"Weights {run.digest}; greedy decoding; rule `{run.rule}`; scorer version {SCORER}"
        + (f"; {run.limit} items of each task at most." if run.limit else "; all items."),
        "In brackets 95 % intervals over draws of images or documents. An answer that cannot be read is wrong.",
        "",
    ]
    table = markdown_table(
        HEADING,
        [_cells(row) for row in run.rows],
    )
    return "\n".join([*head, *table, *_judges(run.rows), *_further(run.rows), *_named(run.rows)]) + "\n"


def _judges(rows: Sequence[Row]) -> list[str]:
    """How the answers were scored that want a judge."""
    lines = []
    for row in rows:
        scored = row.scored
        if scored.way:
            of = ""
            if scored.judge:
                degree = scored.judge["temperature"]
                asked = "temperature of its own" if degree is None else f"temperature {degree:g}"
                of = f" at {scored.judge['endpoint']}, {asked}; prompt {', '.join(scored.judge['prompts'])}"
            lines.append(f"- {scored.chosen.name}{SHOWN[row.shown]}: {scored.way}{of}")
            lines[-1] += f"; {scored.chosen.task.note}" if scored.chosen.task.note else ""
    text = "Without a judgement an answer counts at its worst, so that a score with gaps is a lower bound."
    return ["", "## Judged", "", text, "", *lines] if lines else []


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| " + " | ".join(heading) + " |", "|---" * len(heading) + "|"]
    return [*lines, *("| " + " | ".join(cells) + " |" for cells in rows)]


def _cells(row: Row) -> tuple[str, ...]:
    scored, task = row.scored, row.scored.chosen.task
    name, figure = scored.headline
    count = len(scored.items)
    chance = shown_number(task.chance(scored.items), task.measure.scale) if task.chance else ""
    calibration = row.calibration
    return (
        scored.chosen.name + SHOWN[row.shown] + _frames(row),
        name,
        shown_figure(figure, task.measure.scale),
        chance,
        str(count),
        str(len({item.cluster or f"#{item.index}" for item in scored.items})),
        f"{len(scored.unreadable)} ({100 * len(scored.unreadable) / count:.1f} %)",
        str(len(scored.unjudged)) if scored.judge else "",
        str(len(row.refused)),
        "" if calibration is None else f"{calibration:.3f}",
        _paper(row) if row.shown == "images" else "",
    )


def _frames(row: Row) -> str:
    """What was shown of every video."""
    if row.frames is None or row.shown == "blind":
        return ""
    return " (middle frame)" if row.frames == 1 else f" ({row.frames} frames)"


def _paper(row: Row) -> str:
    found = []
    for name, members in paper_scores(row).items():
        said = ", ".join(f"{member} {score:g}" for member, score in members.items())
        found.append(f"{name}: {said}" if name not in ("", row.scored.chosen.split) else said)
    return "; ".join(found)


def _further(rows: Sequence[Row]) -> list[str]:
    """A table for each row that has more figures than one."""
    lines: list[str] = []
    for row in rows:
        if len(row.scored.figures) > 1 and row.shown == "images":
            scale = row.scored.chosen.task.measure.scale
            lines += ["", f"## {row.scored.chosen.name}", ""]
            values = [(name, shown_figure(figure, scale)) for name, figure in row.scored.figures.items()]
            lines += markdown_table(("figure", "value"), values)
    return lines


def _named(rows: Sequence[Row]) -> list[str]:
    """What went wrong, item by item."""
    lines: list[str] = []
    for row in rows:
        name, scored = row.scored.chosen.name + SHOWN[row.shown], row.scored
        facts: Mapping[str, Sequence[int]] = {"empty answers": scored.empty, "items that stand twice": scored.doubled}
        lines += [f"- {name}: {row.unlike_release}"] if row.unlike_release else []
        lines += [f"- {name}: item {index} was not asked: {reason}" for index, reason in [*row.refused.items()][:NAMED]]
        for index, reason in [*scored.unjudged.items()][:NAMED]:
            lines.append(f"- {name}: item {index} has no judgement: {reason}")
        if len(row.refused) > NAMED:
            lines.append(f"- {name}: {len(row.refused)} items were not asked")
        for what, items in facts.items():
            if items:
                more = " ..." if len(items) > NAMED else ""
                lines.append(f"- {name}: {len(items)} {what}: {', '.join(map(str, items[:NAMED]))}{more}")
    return ["", "## What was wrong", "", *lines] if lines else []
