"""What the answers come to: figures with intervals, goals, paired differences; as JSON and as a Markdown table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smol_parts.part import Answers, Part, Rows
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import (
    ByKind,
    Figure,
    Grouped,
    Mean,
    Measure,
    cluster_sums,
    difference,
    drawn_sums,
    figures,
)
from sphinx_x.evaluation.report import markdown_table
from sphinx_x.evaluation.scores import known
from sphinx_x.evaluation.task import Reading

Z = 1.959964
"""Of the normal distribution, 95 % lie this many standard deviations around the mean."""
MODEL, BLIND, TEXT, RULES, LINES = "model", "blind", "plain", "rules", "lines"
WAYS = {
    MODEL: "the model",
    BLIND: "without the picture",
    TEXT: "RapidOCR's text, plain SmolLM2",
    RULES: "RapidOCR or the detector, rules",
    LINES: "RapidOCR's text, same adapters",
}
RATIO, MOST_RATIO = "error beside RapidOCR's own", 4 / 3


def part_rows(part: Part, answers: Mapping[str, Answers], how: Reading) -> list[dict[str, Any]]:
    """Return the figures of a part, as JSON.

    Args:
        part: The part.
        answers: The answers of every way, the model's among them.
        how: How answers are read.
    """
    judged = {way: part.judge(part, said, how) for way, said in answers.items()}
    found = []
    for rows in judged[MODEL]:
        others = {way: _like(rows, some) for way, some in judged.items() if way != MODEL}
        found += _figure_rows(part, rows, {way: other for way, other in others.items() if other})
    own = next((some[0] for way, some in judged.items() if way == RULES), None)
    if own is not None and part.name == "paragraphs":
        found.append(_error_ratio(judged[MODEL][0], own))
    return found


def _like(rows: Rows, others: Sequence[Rows]) -> Rows | None:
    """Return the same figures of another way."""
    return next((other for other in others if other.measure.headline == rows.measure.headline), None)


def _figure_rows(part: Part, rows: Rows, others: Mapping[str, Rows]) -> list[dict[str, Any]]:
    own, scale = figures(rows.measure, rows.judged), rows.measure.scale
    values = {way: figures(other.measure, other.judged) for way, other in others.items()}
    asked = [item.index for item, _ in rows.judged]
    alike = {way: o for way, o in others.items() if [item.index for item, _ in o.judged] == asked}
    less = {way: difference(rows.measure, other.judged, rows.judged) for way, other in alike.items()}
    found = []
    for name, figure in own.items():
        items = _items(rows, name)
        clusters = len({item.cluster for item in items})
        peers = {
            way: {
                **_peer(others[way], name, some[name]),
                "model_less_peer": _triple(less[way][name]) if way in less else None,
            }
            for way, some in values.items()
            if name in some
        }
        least, most = part.least.get(name), part.most.get(name)
        row = {"part": part.name, "figure": name, "scale": scale, "items": len(items), "clusters": clusters}
        value = _triple(_surer(rows.measure, name, figure, clusters))
        row |= {"least": least, "most": most, "value": value, "peers": peers}
        found.append(row | {"reached": reached(figure.value, least, most)})
    return found


def _peer(rows: Rows, name: str, figure: Figure) -> dict[str, Any]:
    """Return a peer's figure, which may be about other items than the model's: those that it had right, say."""
    items = _items(rows, name)
    clusters = len({item.cluster for item in items})
    return {"value": _triple(_surer(rows.measure, name, figure, clusters)), "items": len(items)}


def _items(rows: Rows, name: str) -> list[Item]:
    """Return what a figure is about: the items of a group, or all."""
    every = [item for item, _ in rows.judged]
    if isinstance(rows.measure, Grouped) and name in rows.measure.groups:
        of = rows.measure.of
        return [item for item in every if name in of(item)]
    return [item for item in every if item.kind == name.partition(":")[0]] or every


def _surer(measure: Measure, name: str, figure: Figure, clusters: int) -> Figure:
    """Return a share of nothing or of all with Wilson's interval: draws of what is all alike would have none."""
    share = isinstance(measure, Mean | Grouped | ByKind) or name == "accuracy" or name.endswith(": wrong")
    return Figure(figure.value, *wilson(figure.value, clusters)) if share and figure.value in (0, 1) else figure


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many (Wilson 1927)."""
    middle, spread = share + Z**2 / (2 * count), Z * math.sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    low, high = ((middle + sign * spread) / (1 + Z**2 / count) for sign in (-1, 1))
    return max(low, 0.0), min(high, 1.0)


def _error_ratio(model: Rows, own: Rows) -> dict[str, Any]:
    """Return the model's errors as a multiple of RapidOCR's own on the same pages."""
    sums = np.concatenate([_sums(model.measure, model), _sums(own.measure, own)], axis=1)
    total, drawn = sums.sum(axis=0), drawn_sums(sums)
    ratio = float(total[0] / total[2]) if total[2] else float("nan")
    some = np.maximum(drawn[:, 2], 1)  # of pages that RapidOCR reads without an error, any error is beyond measure
    draws = np.where(drawn[:, 2] > 0, drawn[:, 0] / some, np.where(drawn[:, 0] > 0, np.inf, 1.0))
    figure = Figure(ratio, *(_bounds(draws) if ratio == ratio else (ratio, ratio)))
    row = {"part": "paragraphs", "figure": RATIO, "scale": 0, "items": len(sums), "clusters": len(sums), "least": None}
    return row | {
        "most": MOST_RATIO,
        "value": _triple(figure),
        "peers": {},
        "reached": reached(ratio, None, MOST_RATIO),
    }


def _bounds(draws: np.ndarray) -> tuple[float, float]:
    """Return the bounds of the middle 95 % of draws of which some are infinite."""
    low, high = np.quantile(draws, (0.025, 0.975), method="inverted_cdf")
    return float(low), float(high)


def _sums(measure: Measure, rows: Rows) -> np.ndarray:
    return cluster_sums(measure, rows.judged)


def _triple(figure: Figure) -> list[float | None]:
    return [None if math.isinf(value) else known(value) for value in (figure.value, figure.low, figure.high)]


def reached(value: float | None, least: float | None, most: float | None) -> bool | None:
    """Return whether a goal is reached; None without a goal or a value."""
    if value is None or value != value or (least is None and most is None):
        return None
    return (least is None or value >= least) and (most is None or value <= most)


def further_rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return text alone, time and memory as rows of the table."""
    found = []

    def add(part: str, figure: str, value: Sequence[float | None], most: float, items: int, scale: int) -> None:
        row = {"part": part, "figure": figure, "scale": scale, "items": items, "clusters": items, "least": None}
        found.append(row | {"most": most, "value": list(value), "peers": {}, "reached": reached(value[0], None, most)})

    for kind, text in content.get("text", {}).items():
        add("text alone", f"{kind}, loss above that of SmolLM2", text["increase"], 0.03, text["texts"], 1)
    if speed := content.get("speed"):
        count = speed["pictures"]
        add("speed", "seconds to the first word (median, least, most)", speed["first_word_seconds"], 3.0, count, 0)
        add("speed", "memory at most, GB", [speed["peak_memory_gb"], None, None], 1.5, count, 0)
    return found


def as_markdown(content: Mapping[str, Any]) -> str:
    """Return the whole measurement as a table with what has to be known beside it."""
    ways = [way for way in content["ways"] if way != MODEL]
    heading = ("part", "figure", "goal", "answers", "model", "", *(content["ways"][way] for way in ways))
    rows = [_cells(row, ways) for row in [*content["rows"], *further_rows(content)]]
    limit = f"{content['limit']} items of each part at most" if content["limit"] else "all items"
    lines = [
        f"Model {content['model']}, weights {content['weights']}; {limit}; greedy decoding"
        f"{', in bfloat16 (--fast)' if content.get('fast') else ''}.",
        "In brackets 95 % intervals over draws of pictures (of 0 and 100 %, Wilson's); below a peer's figure, "
        "the model's less the peer's.",
        "",
        *markdown_table(heading, rows),
        "",
        *(f"- {part}: {note}" for part, note in content["notes"].items()),
        *(f"- {part}: not measured, {why}" for part, why in content["left_out"].items()),
        *(f"- {where}: {count} questions could not be asked" for where, count in content["refused"].items()),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any], ways: Sequence[str]) -> tuple[str, ...]:
    scale = row["scale"]
    goal = "" if row["least"] is None else f"{shown(row['least'], scale)} or more"
    goal = goal if row["most"] is None else f"{shown(row['most'], scale)} or less"
    peers = []
    for way in ways:
        peer = row["peers"].get(way)
        cell = "" if peer is None else triple(peer["value"], scale)
        if peer is not None and peer["items"] != row["items"]:
            cell += f", of {peer['items']}"
        less = None if peer is None else peer["model_less_peer"]
        peers.append(f"{cell}<br>{triple(less, scale, sign=True)}" if less and less[0] is not None else cell)
    mark = {True: "reached", False: "missed", None: ""}[row["reached"]]
    return (row["part"], row["figure"], goal, str(row["items"]), triple(row["value"], scale), mark, *peers)


def shown(value: float, scale: float, sign: bool = False) -> str:
    """Return a number as it is printed: shares as per cent."""
    return f"{100 * value:{'+' if sign else ''}.1f} %" if scale == 1 else f"{value:{'+' if sign else ''}.2f}"


def triple(values: Sequence[float | None], scale: float, sign: bool = False) -> str:
    """Return a number with its interval."""
    value, low, high = values
    if value is None:
        return "none"
    if low is None:
        return shown(value, scale, sign)
    around = f" ({shown(low, scale, sign)} {'or more' if high is None else f'to {shown(high, scale, sign)}'})"
    return shown(value, scale, sign) + around
