"""The plots of an analysis (matplotlib, from the extra `data` or `train`)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sphinx_x.errors import needs_extra
from sphinx_x.evaluation.routing.analysis import Analysis, Varied
from sphinx_x.evaluation.routing.usage import entropies, shares
from sphinx_x.evaluation.routing.watching import Usage
from sphinx_x.work.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

USAGE, ENTROPY, SCORES = "routing_usage.png", "routing_entropy.png", "routing_scores.png"
ANNOTATED = 16
"""Experts up to which shares are written into the plot."""


def check_plots() -> None:
    """Raise `MissingToolError` where there is no matplotlib, before anything is computed."""
    with needs_extra("data", "drawing plots"):
        import matplotlib  # noqa: F401


def write_plots(analysis: Analysis, out: Path) -> None:
    """Write the plots into a folder."""
    check_plots()
    usage = analysis.usage
    groups = [
        {name: part for name, part in by.items() if part.tokens.sum()} for by in (usage.domains, usage.modalities)
    ]
    _save(_usage_figure(analysis, groups), out / USAGE)
    _save(_entropy_figure(analysis, groups), out / ENTROPY)
    _save(_score_figure(analysis), out / SCORES)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_atomic(path, picture.getvalue())


def _usage_figure(analysis: Analysis, groups: Sequence[Mapping[str, Usage]]) -> Figure:
    """Shares of the experts: a row of panels by domain, one by modality; first, middle and last layer."""
    layers = analysis.routers.layers
    places = sorted({0, len(layers) // 2, len(layers) - 1})
    heights = [1.2 + 0.34 * max(len(by), 1) for by in groups]
    figure = _figure(3 + 3.6 * len(places), sum(heights))
    axes = figure.subplots(len(groups), len(places), squeeze=False, sharey="row", height_ratios=heights)
    tables = [np.array([shares(part.counts) for part in by.values()]) for by in groups]
    most = max((float(table.max()) for table in tables if table.size), default=1.0)
    for row, by, table in zip(axes, groups, tables, strict=True):
        for axis, place in zip(row, places, strict=True):
            _heat(axis, table[:, place] if table.size else table, list(by), most)
            axis.set_title(f"layer {layers[place]}", fontsize="medium")
            axis.set_xlabel("expert (share of the choices, per cent)", fontsize="small")
    return figure


def _heat(axis: Axes, table: np.ndarray, names: list[str], most: float) -> None:
    """Draw shares (groups, experts), in shades up to the largest of the whole figure."""
    if not names:
        axis.set_axis_off()
        return
    axis.imshow(table, cmap="Blues", vmin=0, vmax=most, aspect="auto")
    axis.set_yticks(range(len(names)), names, fontsize="small")
    axis.set_xticks(range(0, table.shape[1], max(table.shape[1] // ANNOTATED, 1)))
    if table.shape[1] <= ANNOTATED:
        for (line, expert), share in np.ndenumerate(table):
            color = "white" if share > 0.6 * most else "black"
            axis.text(expert, line, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize="x-small")


def _entropy_figure(analysis: Analysis, groups: Sequence[Mapping[str, Usage]]) -> Figure:
    figure = _figure(12, 4.5)
    for axis, by, title in zip(figure.subplots(1, 2, sharey=True), groups, ("by domain", "by modality"), strict=True):
        for name, part in by.items():
            axis.plot(analysis.routers.layers, entropies(shares(part.counts)), marker=".", linewidth=1, label=name)
        axis.set(title=title, xlabel="layer", ylabel="entropy of the experts' shares", ylim=(0, 1.03))
        _finish(axis)
    return figure


def _score_figure(analysis: Analysis) -> Figure:
    """Headlines as shares of the largest possible one: against active experts, and against removed ones."""
    figure = _figure(12, 4.5)
    left, right = figure.subplots(1, 2, sharey=True)
    own = next(one for one in analysis.active if one.active == analysis.routers.active)
    for place, row in enumerate(own.rows):
        color, name = f"C{place % 10}", row.name
        points = [(one.active, _score(one, place)) for one in analysis.active]
        left.plot(*zip(*points, strict=True), marker="o", color=color, label=name)
        runs: dict[int, list[float]] = {0: [_score(own, place)]}
        for one in analysis.removed:
            runs.setdefault(len(one.removed[0]), []).append(_score(one, place))
        right.plot(list(runs), [sum(found) / len(found) for found in runs.values()], color=color, label=f"{name}, mean")
        right.plot(*_scattered(runs), linestyle="", marker="x", color=color)
    left.axvline(analysis.routers.active, color="gray", linewidth=0.8, linestyle="--")
    left.set(xlabel="active experts (dashed: the model's own)", ylabel="score, per cent of the largest")
    right.set(xlabel="experts removed from each layer (a cross for each run)")
    left.set_ylim(bottom=0)
    for axis in (left, right):
        _finish(axis)
    return figure


def _scattered(runs: Mapping[int, Sequence[float]]) -> tuple[list[int], list[float]]:
    pairs = [(count, value) for count, values in runs.items() for value in values]
    return [count for count, _ in pairs], [value for _, value in pairs]


def _score(one: Varied, place: int) -> float:
    scored = one.rows[place].scored
    return 100 * scored.headline[1].value / scored.chosen.task.measure.scale


def _finish(axis: Any) -> None:
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize="x-small", ncols=2)
