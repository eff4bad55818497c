"""The figures of a report, drawn with matplotlib as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sphinx_x.errors import needs_extra
from sphinx_x.studies.law import Fit
from sphinx_x.studies.pairs import Effect
from sphinx_x.studies.results import Line
from sphinx_x.studies.scaling import ALL, Prediction, loss_of, optimal, per_sample
from sphinx_x.work.files import write_atomic

MARKERS = "os^Dvp*X"


def _figure(width: float, height: float) -> Any:
    with needs_extra("study", "drawing figures"):
        from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> Path:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    write_atomic(path, picture.getvalue())
    return path


def _plain(*axes: Any) -> None:
    """Label logarithmic axes of a short range with plain numbers."""
    for axis in axes:
        for label in (axis.set_major_formatter, axis.set_minor_formatter):
            label(lambda value, _: f"{value:g}")


def _by_size(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Return lines by size, the smallest first, each by amount."""
    ordered = sorted(lines, key=lambda line: (line["parameters"], line["samples"], line["seed"]))
    return {size: [x for x in ordered if x["size"] == size] for size in dict.fromkeys(x["size"] for x in ordered)}


def _millions(lines: Sequence[Line]) -> str:
    return f"{lines[0]['parameters'] / 1e6:.1f} M"


def draw_scaling(
    lines: Sequence[Line],
    fit: Fit,
    path: Path,
    shipped: tuple[int, int] | None = None,
    title: str = "mean of the skills",
) -> Path:
    """Draw the loss over operations by size, the law's curves, and its best loss for each number of operations.

    `shipped` has the parameters and samples of the shipped member.
    """
    figure = _figure(9, 4.8)
    left, right = figure.subplots(1, 2)
    each = per_sample(lines)
    for k, (_, own) in enumerate(_by_size(lines).items()):
        color = f"C{k}"
        flops = [line["flops"] for line in own]
        left.plot(flops, [loss_of(line, ALL) for line in own], MARKERS[k % 8], color=color, label=_millions(own))
        first = [line for line in own if line["seed"] == own[0]["seed"]]
        left.plot([x["flops"] for x in first], [loss_of(x, ALL) for x in first], color=color, linewidth=1.2)
        grid = np.geomspace(min(flops) / 1.3, max(flops) * 1.3, 40)
        n = own[0]["parameters"]
        left.plot(grid, fit.law.loss(n, grid / each / n), ":", color=color, linewidth=0.8)
        right.plot([n] * len(own), [line["samples"] for line in own], MARKERS[k % 8], color=color)
    grid, n, d = optimal(fit.law, lines)
    left.plot([], [], ":", color="gray", linewidth=0.8, label="the law")
    left.plot(grid, fit.law.loss(n, d), "k--", linewidth=1, label="the law's best size for each")
    right.plot(n, d, "k--", linewidth=1, label="best for each number of operations")
    if shipped is not None:
        size = {"markersize": 15, "color": "gold", "markeredgecolor": "black", "label": "the shipped member"}
        right.plot(*shipped, "*", **size)
    left.set(xscale="log", yscale="log", xlabel="operations of training, FLOP", ylabel="held-out loss, nats a token")
    right.set(xscale="log", yscale="log", xlabel="parameters", ylabel="samples")
    left.set_title(title, fontsize="medium")
    right.set_title("what was run, and the law's best", fontsize="medium")
    _plain(left.yaxis)
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
    figure.legend(loc="outside lower center", ncols=4, fontsize="small")
    return _save(figure, path)


def draw_skills(lines: Sequence[Line], skills: Sequence[str], path: Path) -> Path:
    """Draw loss and error rate of each skill over samples by size, with those of blind models and of chance."""
    figure = _figure(3.1 * len(skills), 5.6)
    axes = figure.subplots(2, len(skills), squeeze=False, sharex=True)
    for column, skill in enumerate(skills):
        for row, metric in enumerate(("loss", "error")):
            place = axes[row][column]
            for k, (_, own) in enumerate(_by_size(lines).items()):
                samples = [line["samples"] for line in own]
                style = {"color": f"C{k}", "linewidth": 0.8}
                first = [line for line in own if line["seed"] == own[0]["seed"]]
                place.plot(
                    samples, [x[metric][skill]["true"] for x in own], MARKERS[k % 8], color=f"C{k}", markersize=4
                )
                place.plot(
                    [x["samples"] for x in first],
                    [x[metric][skill]["true"] for x in first],
                    label=_millions(own),
                    **style,
                )
                blind = [x[metric][skill]["blind"] for x in first]
                place.plot([x["samples"] for x in first], blind, ":", color=f"C{k}", linewidth=0.8)
            place.axhline(lines[0]["chance"][skill][metric], color="gray", linestyle="--", linewidth=0.8)
            place.set(xscale="log")
            amounts = sorted({line["samples"] for line in lines})
            place.set_xticks(amounts, [f"{amount / 1000:.3g}" for amount in amounts])
            place.minorticks_off()
            place.grid(alpha=0.3)
        axes[0][column].set_title(skill, fontsize="medium")
        axes[1][column].set_xlabel("samples, thousands")
    axes[0][0].set_ylabel("loss, nats a token")
    axes[1][0].set_ylabel("error rate")
    axes[0][0].legend(fontsize="x-small", title="dotted: blind, dashed: chance", title_fontsize="x-small")
    return _save(figure, path)


def draw_predictions(found: dict[str, list[Prediction]], path: Path) -> Path:
    """Draw what was predicted of the largest size over what was measured."""
    figure = _figure(4.4, 4)
    axes = figure.subplots()
    for k, (skill, own) in enumerate(found.items()):
        axes.plot([x.measured for x in own], [x.predicted for x in own], MARKERS[k % 8], label=skill, markersize=5)
    values = [value for own in found.values() for x in own for value in (x.measured, x.predicted)]
    span = [min(values) / 1.2, max(values) * 1.2]
    axes.plot(span, span, color="black", linewidth=0.8)
    axes.set(
        xscale="log", yscale="log", xlabel="measured loss, nats a token", ylabel="predicted without the largest size"
    )
    _plain(axes.xaxis, axes.yaxis)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize="small")
    return _save(figure, path)


def draw_effects(effects: Sequence[Effect], title: str, path: Path) -> Path:
    """Draw the differences of a comparison in the loss of each skill, with their intervals."""
    with needs_extra("study", "drawing figures"):
        from matplotlib.ticker import MaxNLocator
    shown = [effect for effect in effects if effect.metric == "loss"]
    skills = list(dict.fromkeys(effect.skill for effect in shown))
    rows = list(dict.fromkeys((effect.arm, effect.match, effect.size) for effect in shown))
    figure = _figure(2.6 * len(skills) + 2.2, 0.32 * len(rows) + 1.3)
    axes = figure.subplots(1, len(skills), squeeze=False, sharey=True)[0]
    for place, skill in zip(axes, skills, strict=True):
        for effect in (one for one in shown if one.skill == skill):
            y = -rows.index((effect.arm, effect.match, effect.size))
            color = "C0" if effect.match == "samples" else "C1"
            place.plot([effect.low, effect.high], [y, y], color=color)
            place.plot(effect.difference, y, "o" if effect.sure else "|", color=color)
        place.axvline(0, color="black", linewidth=0.8)
        place.set_title(skill, fontsize="small")
        place.grid(alpha=0.3, axis="x")
        place.tick_params(labelsize="small")
        place.xaxis.set_major_locator(MaxNLocator(4))
    axes[0].set_yticks([-k for k in range(len(rows))], [f"{arm}, {size}, same {match}" for arm, match, size in rows])
    figure.suptitle(title, fontsize="medium")
    figure.supxlabel("difference of the loss, nats a token (below 0: better than the reference)", fontsize="small")
    return _save(figure, path)
