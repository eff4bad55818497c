"""Counts of a data set, one row per set or document: samples, turns, tokens, views, shapes and skipped views."""

from __future__ import annotations

import io
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import needs_extra
from sphinx_x.images import open_image
from sphinx_x.model.processing import SphinxXProcessor, read_lines
from sphinx_x.model.views import plan_views
from sphinx_x.work.files import write_atomic
from sphinx_x.work.pool import run
from sphinx_x.work.tally import UNUSABLE, reason_of

CHUNK = 500
PAGE = re.compile(r"#page=\d+$")
"""The ending of a page's source, without which it is the document that is counted."""
Progress = Callable[[int], None]


@dataclass
class Counts:
    """Counts of one source.

    Attributes:
        skipped: Number of views that are not encoded.
        tokens: Of each sample, like trained and views.
        aspects: Width over height of each image.
        unusable: Number of unusable samples by reason.
    """

    samples: int = 0
    turns: int = 0
    skipped: int = 0
    tokens: array = field(default_factory=lambda: array("I"))
    trained: array = field(default_factory=lambda: array("I"))
    views: array = field(default_factory=lambda: array("H"))
    aspects: array = field(default_factory=lambda: array("f"))
    unusable: Counter[str] = field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        """Add the counts of another part of the source."""
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    def row(self, name: str) -> list[str]:
        """Return the columns of `HEADINGS`."""
        seen = sum(self.views) + self.skipped
        tokens = np.percentile(self.tokens, (50, 95, 100)) if self.tokens else np.zeros(3)
        aspects = np.percentile(self.aspects, (5, 50, 95)) if self.aspects else ()
        return [
            name,
            f"{self.samples:,}",
            f"{self.turns:,}",
            f"{sum(self.tokens):,}",
            " / ".join(f"{n:,.0f}" for n in tokens),
            f"{sum(self.trained):,}",
            f"{len(self.aspects):,}",
            " / ".join(f"{n:.2f}" for n in aspects),
            f"{sum(self.views):,}",
            f"{self.skipped / seen:.1%}" if seen else "-",
            f"{sum(self.unusable.values()):,}",
        ]


HEADINGS = (
    "source",
    "samples",
    "turns",
    "tokens",
    "a sample: half / 95 % / all below",
    "trained",
    "images",
    "width / height: 5, 50, 95 %",
    "views",
    "skipped",
    "unusable",
)


def count(
    reader: SampleReader, processor: SphinxXProcessor, workers: int | None = None, progress: Progress = lambda _: None
) -> dict[str, Counts]:
    """Count every source in a reader, as one member reads it: a set, or a document with all its pages.

    Samples without a source count under `-`.
    """
    total: dict[str, Counts] = defaultdict(Counts)
    done = 0
    for part in run(count_chunk, (reader, processor), range(0, len(reader), CHUNK), workers):
        for name, counts in part.items():
            total[name].add(counts)
            done += counts.samples + sum(counts.unusable.values())
        progress(done)
    return dict(sorted(total.items()))


def count_chunk(common: tuple[SampleReader, SphinxXProcessor], start: int) -> dict[str, Counts]:
    """Count the samples from number `start` on."""
    reader, processor = common
    builder, grid = processor.prompt_builder(), processor.image_processor.grid()
    lines = processor.image_processor.line_reader()
    out: dict[str, Counts] = defaultdict(Counts)
    for number in range(start, min(start + CHUNK, len(reader))):
        name = "-"
        try:
            sample = reader[number]
            name = PAGE.sub("", sample.source) or "-"
            sizes = reader.checked_sizes(sample, number)
            layouts = [plan_views(*size, grid) for size in sizes]
            images = (open_image(reader.image_bytes(sample, k)) for k in range(len(layouts)))
            layouts = read_lines(layouts, images, lines)
            encoded = builder.encode(sample.messages, layouts)
        except UNUSABLE as error:
            out[name].unusable[reason_of(error)] += 1
            continue
        counts = out[name]
        counts.samples += 1
        counts.turns += sample.answers
        counts.tokens.append(len(encoded.ids))
        counts.trained.append(sum(encoded.trained))
        counts.views.append(sum(layout.views for layout in layouts))
        counts.skipped += sum(layout.skipped for layout in layouts)
        counts.aspects.extend(width / height for width, height in sizes)
    return dict(out)


def draw_stats(counts: dict[str, Counts], path: str | Path) -> None:
    """Draw tokens, views and aspect ratios of every source as a PNG."""
    with needs_extra("data", "drawing plots"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullLocator

    figure = Figure(figsize=(13, 1.5 + 0.45 * max(len(counts), 3)), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    names = list(counts)
    for axis, title, of in (
        (axes[0], "tokens of a sample", lambda c: c.tokens),
        (axes[1], "views of a sample", lambda c: c.views),
        (axes[2], "width / height of an image", lambda c: c.aspects),
    ):
        values = [of(counts[name]) or [1] for name in names]  # zero cannot be drawn on a logarithmic axis
        axis.boxplot(values, orientation="horizontal", whis=(5, 95), showfliers=False)
        axis.set_title(f"{title} (5, 25, 50, 75, 95 %)", fontsize="medium")
        axis.grid(axis="x", alpha=0.3)
    for axis in (axes[0], axes[2]):
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(lambda number, _: f"{number:g}")
        axis.xaxis.set_minor_locator(NullLocator())
    axes[0].set_yticks(range(1, len(names) + 1), names)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    write_atomic(path, picture.getvalue())
