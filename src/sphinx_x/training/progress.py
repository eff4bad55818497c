"""What a run shows: a progress line, and its curves as a picture."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from sphinx_x.errors import needs_extra
from sphinx_x.work.files import write_atomic


class Progress:
    """A bar with loss, tokens a second, share of padding and time left; a plain line every half minute where the
    output is not a terminal. total: samples of the run; first: those that were seen before; shown: on this rank."""

    def __init__(self, total: int, first: int, shown: bool = True) -> None:
        self.bar = RichProgress(
            TextColumn("{task.fields[numbers]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self.task = self.bar.add_task("train", total=total, completed=first, numbers="")
        self.total, self.first, self.shown = total, first, shown
        self.began = self.spoke = time.monotonic()

    def __enter__(self) -> Progress:
        if self.shown and self.bar.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.shown and self.bar.console.is_terminal:
            self.bar.stop()

    def show(self, record: dict[str, Any]) -> None:
        """Shows the newest record of the log."""
        done = record["samples"]
        numbers = (
            f"loss {record['loss']:.3f}  align {record['align']:.3f}  {record['tokens_per_s']:.0f} tokens/s  "
            f"padding {100 * record['padding']:.1f} %"
        )
        self.bar.update(self.task, completed=done, numbers=numbers)
        now = time.monotonic()
        if not self.bar.console.is_terminal and now - self.spoke > 30:
            left = (now - self.began) / max(done - self.first, 1) * (self.total - done)
            print(f"step {record['step']}, sample {done}/{self.total}  {numbers}  {left / 60:.0f} min left", flush=True)
            self.spoke = now


def draw_curves(records: Sequence[dict[str, Any]], held_out: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Loss, alignment loss, loss by source and validation loss over samples, as a PNG."""
    with needs_extra("train", "drawing curves"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    samples = [record["samples"] for record in records]
    axes.plot(samples, [record["loss"] for record in records], color="black", label="loss (nats a token)")
    if any(record["align"] for record in records):
        aligned = [record["align"] for record in records]
        axes.plot(samples, aligned, color="tab:gray", label="alignment (nats a character)")
    if held_out:
        points = [(record["samples"], record["loss"]) for record in held_out]
        axes.plot(*zip(*points, strict=True), color="tab:red", marker=".", label="validation (nats a token)")
    for name in sorted({name for record in records for name in record["by_source"]}):
        points = [(r["samples"], r["by_source"][name]) for r in records if name in r["by_source"]]
        axes.plot(*zip(*points, strict=True), linewidth=0.8, label=name)
    axes.set(xlabel="samples", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    write_atomic(path, picture.getvalue())
