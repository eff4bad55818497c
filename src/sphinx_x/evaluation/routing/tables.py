"""An analysis as JSON, as Markdown and as a section of the report's page. Nothing in it depends on time or machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image

from sphinx_x.evaluation.report import markdown_table
from sphinx_x.evaluation.routing.analysis import Analysis, Varied
from sphinx_x.evaluation.routing.plots import ENTROPY, SCORES, USAGE, write_plots
from sphinx_x.evaluation.routing.usage import entropies, shares
from sphinx_x.evaluation.routing.watching import Usage
from sphinx_x.evaluation.run import Row
from sphinx_x.evaluation.scores import known, shown_figure, shown_number
from sphinx_x.report.html import Item, Picture, Section, Table
from sphinx_x.work.files import write_atomic

WIDE = 16
"""Experts up to which each has a column in the Markdown."""
DIGITS = 6
"""Decimals of shares and entropies in the JSON: sums in another order differ in later ones."""
SUM_DIGITS = 3
"""Decimals of sums of weights in the JSON: a router's own weights, in single precision, differ from batch to batch."""
CAPTIONS = {
    USAGE: "How often experts are used in the first, the middle and the last layer",
    ENTROPY: "Entropy of the experts' shares, layer by layer",
    SCORES: "Scores with other numbers of active experts, and with experts removed",
}
HEADING = ("layer", "entropy")


def write_analysis(analysis: Analysis, out: Path) -> None:
    """Write `routing.json`, `routing.md` and the plots into a folder."""
    write_atomic(out / "routing.json", json.dumps(as_dict(analysis), indent=1, ensure_ascii=False) + "\n")
    write_plots(analysis, out)
    write_atomic(out / "routing.md", as_markdown(analysis))


def groups_of(analysis: Analysis) -> dict[str, dict[str, Usage]]:
    """Return the groups of tokens by what they are grouped by, in the order in which they are told."""
    return {"domain": analysis.usage.domains, "modality": analysis.usage.modalities}


def as_dict(analysis: Analysis) -> dict[str, Any]:
    """Return everything as JSON."""
    return {
        "model": analysis.model,
        "weights": analysis.digest,
        "experts": analysis.routers.experts,
        "active experts": analysis.routers.active,
        "layers": list(analysis.routers.layers),
        "limit": analysis.limit,
        "questions without usage": analysis.usage.missing,
        "usage": {
            by: {name: _usage_dict(usage, analysis.routers.layers) for name, usage in groups.items()}
            for by, groups in groups_of(analysis).items()
        },
        "active": [{"active": one.active, "scores": _scores_dict(one)} for one in analysis.active],
        "removed": [
            {
                "removed": len(one.removed[0]),
                "run": one.run,
                "experts": [list(layer) for layer in one.removed],
                "scores": _scores_dict(one),
            }
            for one in analysis.removed
        ],
    }


def _usage_dict(usage: Usage, layers: Sequence[int]) -> dict[str, Any]:
    counts, weights = usage.counts.sum(1), usage.weights.sum(1)
    by_count, by_weight = shares(usage.counts), shares(usage.weights)
    entropy = entropies(by_count)
    return {
        "tokens": int(usage.tokens.sum()),
        "layers": [
            {
                "layer": layer,
                "tokens": counts[place].tolist(),
                "share": _rounded(by_count[place]),
                "weight": _rounded(weights[place], SUM_DIGITS),
                "weight share": _rounded(by_weight[place]),
                "entropy": round(float(entropy[place]), DIGITS),
            }
            for place, layer in enumerate(layers)
        ],
    }


def _rounded(numbers: Any, digits: int = DIGITS) -> list[float]:
    return [round(float(number), digits) for number in numbers]


def _scores_dict(varied: Varied) -> dict[str, Any]:
    found = {}
    for row in varied.rows:
        name, figure = row.scored.headline
        counts = {"items": len(row.scored.items), "unreadable": len(row.scored.unreadable), "refused": len(row.refused)}
        interval = [known(figure.low), known(figure.high)]
        found[row.name] = {"metric": name, "score": known(figure.value), "interval": interval, **counts}
        found[row.name] |= {} if row.frames is None else {"frames": row.frames}
    return found


def as_markdown(analysis: Analysis) -> str:
    """Return the analysis as it is read."""
    lines = [f"# Routing of {analysis.model}", "", _intro(analysis), ""]
    for by, groups in groups_of(analysis).items():
        lines += [f"## Experts by {by}", "", *_summary(groups), ""]
    lines += ["## Score by number of active experts", "", *markdown_table(*_by_active(analysis)), ""]
    if analysis.removed:
        lines += ["## Score with random experts removed", "", *markdown_table(*_by_removed(analysis)), ""]
    lines += [f"![{caption}]({name})" for name, caption in CAPTIONS.items()]
    lines += ["", "## Experts layer by layer", ""]
    if analysis.routers.experts > WIDE:
        lines.append(f"Of {analysis.routers.experts} experts the shares are in `routing.json`.")
    else:
        lines += ["Share of the choices, in brackets of the weights, in per cent.", ""]
        for groups in groups_of(analysis).values():
            lines += _layer_tables(analysis, groups)
    return "\n".join(lines).rstrip() + "\n"


def _intro(analysis: Analysis) -> str:
    routers, usage = analysis.routers, analysis.usage
    tokens = sum(int(part.tokens.sum()) for part in usage.modalities.values())
    said = (
        f"Weights {analysis.digest}; {routers.experts} experts in each of {len(routers.layers)} layers, of which a "
        f"token goes to {routers.active}; {tokens:,} tokens, padding not counted. An entropy is 1 where all experts "
        "are equally busy and 0 where one has everything."
    )
    limit = f" {analysis.limit} items of each task at most." if analysis.limit else ""
    return said + limit + (f" {usage.missing} questions could not be asked." if usage.missing else "")


def _summary(groups: Mapping[str, Usage]) -> list[str]:
    return markdown_table(SUMMARY, [[name, f"{count:,}", *rest] for name, count, *rest in _summary_rows(groups)])


SUMMARY = ("tokens of", "number", "entropy: mean over layers", "first layer", "middle layer", "last layer")


def _summary_rows(groups: Mapping[str, Usage]) -> list[tuple[Any, ...]]:
    rows = []
    for name, usage in groups.items():
        count, entropy = int(usage.tokens.sum()), entropies(shares(usage.counts))
        told = (entropy.mean(), entropy[0], entropy[len(entropy) // 2], entropy[-1])
        rows.append((name, count, *(f"{number:.3f}" if count else "" for number in told)))
    return rows


def _layer_tables(analysis: Analysis, groups: Mapping[str, Usage]) -> Iterator[str]:
    experts = analysis.routers.experts
    for name, usage in groups.items():
        if not usage.tokens.sum():
            continue
        yield from (f"### {name} ({int(usage.tokens.sum()):,} tokens)", "")
        by_count, by_weight = shares(usage.counts), shares(usage.weights)
        entropy = entropies(by_count)
        rows = [
            [
                str(layer),
                f"{entropy[place]:.3f}",
                *(f"{100 * by_count[place, e]:.1f} ({100 * by_weight[place, e]:.1f})" for e in range(experts)),
            ]
            for place, layer in enumerate(analysis.routers.layers)
        ]
        yield from markdown_table((*HEADING, *(f"expert {number}" for number in range(experts))), rows)
        yield ""


def _by_active(analysis: Analysis) -> tuple[list[str], list[list[str]]]:
    """The heading and the rows of the scores by number of active experts."""
    rows = []
    for one in analysis.active:
        own = " (the model's own)" if one.active == analysis.routers.active else ""
        rows.append([f"{one.active}{own}", *(_cell(row) for row in one.rows)])
    return ["active experts", *(row.name for row in analysis.active[0].rows)], rows


def _cell(row: Row) -> str:
    name, figure = row.scored.headline
    unreadable = len(row.scored.unreadable)
    said = f"{name} {shown_figure(figure, row.scored.chosen.task.measure.scale)}"
    return said + (f", {unreadable} unreadable" if unreadable else "")


def _by_removed(analysis: Analysis) -> tuple[list[str], list[list[str]]]:
    """The heading and the rows of the scores without experts: a line for each task and number, a column for a run."""
    own = next(one for one in analysis.active if one.active == analysis.routers.active)
    counts = {run.run for run in analysis.removed}
    rows = []
    for place, row in enumerate(own.rows):
        scale = row.scored.chosen.task.measure.scale
        for count, runs in groupby(analysis.removed, lambda one: len(one.removed[0])):
            values = [one.rows[place].scored.headline[1].value for one in runs]
            told = (row.scored.headline[1].value, sum(values) / len(values), min(values), max(values), *values)
            rows.append([row.name, str(count), *(shown_number(value, scale) for value in told)])
    heading = ["task", "experts removed", "with all", "mean", "lowest", "highest"]
    return [*heading, *(f"run {number + 1}" for number in sorted(counts))], rows


def as_section(analysis: Analysis, out: Path) -> Section:
    """Return the section of the report's page. out: the folder that has the plots."""
    tables = [Table(f"Experts by {by}", _summary_rows(groups), SUMMARY) for by, groups in groups_of(analysis).items()]
    heading, rows = _by_active(analysis)
    tables.append(Table("Score by number of active experts", rows, heading))
    if analysis.removed:
        heading, rows = _by_removed(analysis)
        tables.append(Table("Score with random experts removed", rows, heading))
    return Section("Routing", _intro(analysis), tables, _pictures(out), below=True)


def _pictures(out: Path) -> Iterator[Item]:
    for name, caption in CAPTIONS.items():
        with Image.open(out / name) as image:
            yield Item(caption, [Picture(image.convert("RGB"), caption)])
