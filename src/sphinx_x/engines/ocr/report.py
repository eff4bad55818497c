"""The report of a run for people: sample pages with boxes drawn, what was left out and why, languages, throughput."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.drawing import draw_places
from sphinx_x.report.html import SAID_BY, Item, Paragraph, Picture, Section, Table, figures, write_html

SHOWN = 12
"""Sample pages, evenly spread over the data."""
SIDE = 900
"""Pixels of the longer side of a page in the report."""
ANSWER = 600
"""Characters of an answer to show."""
CLASS_COLORS = {
    "title": "#d62728", "text": "#1f77b4", "list": "#2ca02c", "table": "#9467bd", "figure": "#ff7f0e",
    "caption": "#8c564b",
}  # fmt: skip


def write_page(path: Path, out: Path, report: Mapping, cpu: float, pages: int, seconds: float) -> None:
    """Write the report as one HTML file.

    Args:
        path: The file.
        out: The folder of shards.
        report: The tables of report.json.
        cpu: Seconds of CPU time for `pages` pages.
        pages: Number of pages that were read.
        seconds: Wall-clock time of the last call.
    """
    tally = report["tally"]
    facts = [
        ("documents", report["documents"]),
        ("pages and unread documents", tally["records"]),
        ("samples", tally["samples"]),
        ("questions", tally["turns"]),
        ("pages per second and core", round(pages / cpu, 1) if cpu else "unknown"),
        ("seconds of the last call", round(seconds)),
    ]
    tables = [Table("The run", facts)]
    tables += figures("Set aside: something is wrong", tally["set_aside"].items())
    tables += figures("Left out on purpose", tally["left_out"].items())
    for name, table in report.items():
        if isinstance(table, Mapping) and name != "tally":
            tables += figures(name.replace("_", " ").capitalize(), table.items())
    items = (_item(sample, content) for sample, content in _chosen(out))
    write_html(path, "OCR data", [Section(tables=tables), Section("Sample pages", items=items)])


def _chosen(out: Path) -> Iterator[tuple[Sample, bytes]]:
    """Yield samples and their pictures, evenly spread."""
    reader = SampleReader(out)
    count = len(reader)
    numbers = sorted({k * count // min(SHOWN, count) for k in range(min(SHOWN, count))}) if count else []
    for number in numbers:
        sample = reader[number]
        yield sample, reader.image_bytes(sample)


def _item(sample: Sample, content: bytes) -> Item:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    named = [(region["box"], region.get("class", "")) for region in sample.regions]
    places = [(place, name, CLASS_COLORS.get(name, "#7f7f7f")) for place, name in named]
    texts = []
    for message in sample.messages:
        said = message.shown(lambda part: str([list(place) for place in part.places]))
        said = said if len(said) <= ANSWER else f"{said[:ANSWER]} ..."
        texts.append(Paragraph(said, SAID_BY[message.role]))
    classes = sorted({name for _, name in named if name})
    return Item(
        title=sample.source,
        pictures=[Picture(draw_places(image, places), "the page with its blocks", SIDE)],
        texts=texts,
        facts=[sample.id],
        labels=[("class", name) for name in classes],
    )
