"""What is counted between two lines of the log, on every rank, and put together by the first one."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from sphinx_x.training.objective import Losses
from sphinx_x.training.packing import MicroBatch


@dataclass
class Sums:
    """Sums since the last line of the log.

    busy: seconds in forward, backward and optimizer; routed: tokens that went to each expert of a mixture, by layer.
    """

    loss: float = 0.0
    align: float = 0.0
    characters: int = 0
    tokens: int = 0
    trained: int = 0
    views: int = 0
    rows: int = 0
    attended: int = 0
    busy: float = 0.0
    balance: float = 0.0
    routed: list[list[float]] | None = None
    by_source: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0]))
    by_task: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0]))
    began: float = field(default_factory=time.monotonic)

    def count(self, micro: MicroBatch, losses: Losses, sources: Sequence[str]) -> None:
        """Adds a micro-batch. sources: names by number."""
        self.loss += float(losses.tokens.sum())
        self.align, self.characters = self.align + float(losses.align), self.characters + micro.characters
        self.balance += float(losses.balance)
        if losses.routed.numel():
            self.routed = losses.routed.tolist() if self.routed is None else _added(self.routed, losses.routed.tolist())
        self.tokens, self.trained = self.tokens + micro.tokens, self.trained + len(losses.tokens)
        self.views, self.attended = self.views + micro.view_count, self.attended + micro.attended
        self.rows += micro.ids.shape[1]
        for example, part in micro.by_example(losses.tokens.cpu()):
            total = float(part.sum())
            for table, name in ((self.by_source, sources[example.source]), (self.by_task, example.task or "other")):
                table[name][0] += total
                table[name][1] += len(part)

    def plain(self) -> dict[str, Any]:
        """All numbers, to be sent to another rank."""
        return {key: dict(value) if isinstance(value, dict) else value for key, value in vars(self).items()}


def record_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The numbers of a log line from those of all ranks."""

    def total(key: str) -> float:
        return sum(part[key] for part in parts)

    seconds = max(time.monotonic() - part["began"] for part in parts)
    routed = [part["routed"] for part in parts if part["routed"]]
    return {
        "loss": total("loss") / max(total("trained"), 1),
        "align": total("align") / max(total("characters"), 1),
        "tokens_per_s": total("tokens") / seconds,
        "views_per_s": total("views") / seconds,
        "seconds": seconds,
        "busy": total("busy") / seconds / len(parts),
        "padding": 1 - total("tokens") / max(total("attended"), 1),
        "by_source": _means(part["by_source"] for part in parts),
        "by_task": _means(part["by_task"] for part in parts),
        **(_routing(routed, total("balance") / max(total("tokens"), 1)) if routed else {}),
    }


def _routing(routed: Sequence[list[list[float]]], balance: float) -> dict[str, float]:
    """The load-balancing loss, and how much more than its even share the busiest expert gets, the mean over layers."""
    layers = reduce(_added, routed)
    return {"balance": balance, "busiest": sum(max(layer) * len(layer) / sum(layer) for layer in layers) / len(layers)}


def _added(first: list[list[float]], second: list[list[float]]) -> list[list[float]]:
    return [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)]


def _means(tables: Iterable[Mapping[str, Sequence[float]]]) -> dict[str, float]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])
    for table in tables:
        for name, (loss, count) in table.items():
            sums[name][0] += loss
            sums[name][1] += count
    return {name: loss / count for name, (loss, count) in sorted(sums.items()) if count}
