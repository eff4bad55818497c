"""The report of a run for people: sample pages with boxes drawn, what was left out and why, languages, throughput."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from sphinx_x.conversation import PLACES
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.drawing import draw_places
from sphinx_x.work.files import write_atomic

SHOWN = 12
"""Sample pages, evenly spread over the data."""
SIDE = 900
"""Pixels of the longer side of a page in the report."""
ANSWER = 600
"""Characters of an answer that are shown."""
CLASS_COLORS = {
    "title": "#d62728", "text": "#1f77b4", "list": "#2ca02c", "table": "#9467bd", "figure": "#ff7f0e",
    "caption": "#8c564b",
}  # fmt: skip
STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}section{display:flex;gap:1.5rem;margin:2rem 0;flex-wrap:wrap}
img{border:1px solid #999;max-width:560px;height:auto}
dl{flex:1;min-width:320px;margin:0}dt{font-weight:600;margin-top:.6rem}
dd{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}h3{flex-basis:100%;margin:0}"""


def write_page(path: Path, out: Path, report: Mapping, cpu: float, pages: int, seconds: float) -> None:
    """Writes the report as one HTML file. out: the folder of shards; report: the tables of report.json; cpu: seconds of
    CPU time for `pages` pages; seconds: by the clock, of the last call."""
    parts = [
        "<!doctype html><meta charset='utf-8'><title>OCR data</title>",
        f"<style>{STYLE}</style>",
        "<h1>OCR data</h1>",
    ]
    tally = report["tally"]
    speed = f"{pages / cpu:.1f}" if cpu else "unknown"
    facts = {
        "documents": report["documents"],
        "pages and unread documents": tally["records"],
        "samples": tally["samples"],
        "questions": tally["turns"],
        "pages per second and core": speed,
        "seconds of the last call": f"{seconds:.0f}",
    }
    parts += [_table("The run", facts), _table("Set aside: something is wrong", tally["set_aside"])]
    parts.append(_table("Left out on purpose", tally["left_out"]))
    for name, table in report.items():
        if isinstance(table, Mapping) and name != "tally":
            parts.append(_table(name.replace("_", " ").capitalize(), table))
    parts.append("<h2>Sample pages</h2>")
    parts += [_sample(sample, content) for sample, content in _chosen(out)]
    write_atomic(path, "\n".join(parts).encode(errors="backslashreplace"))


def _table(title: str, table: Mapping) -> str:
    if not table:
        return ""
    order = table.items() if title == "The run" else sorted(table.items(), key=lambda item: (-item[1], item[0]))
    rows = "".join(f"<tr><td>{html.escape(str(k))}</td><td class=n>{html.escape(str(v))}</td></tr>" for k, v in order)
    return f"<h2>{html.escape(title)}</h2><table>{rows}</table>"


def _chosen(out: Path) -> list[tuple[Sample, bytes]]:
    """Samples and their pictures, evenly spread."""
    reader = SampleReader(out)
    count = len(reader)
    numbers = sorted({k * count // min(SHOWN, count) for k in range(min(SHOWN, count))}) if count else []
    return [(sample := reader[number], reader.image_bytes(sample)) for number in numbers]


def _sample(sample: Sample, content: bytes) -> str:
    image = Image.open(io.BytesIO(content)).convert("RGB")
    named = [(region["box"], region.get("class", "")) for region in sample.regions]
    places = [(place, name, CLASS_COLORS.get(name, "#7f7f7f")) for place, name in named]
    drawn = draw_places(image, places)
    drawn.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=80)
    picture = base64.b64encode(buffer.getvalue()).decode()
    turns = []
    for message in sample.messages:
        said = html.escape("".join(_said(part) for part in message["content"]))
        said = said if len(said) <= ANSWER else f"{said[:ANSWER]} ..."
        turns.append(f"<{'dt' if message['role'] == 'user' else 'dd'}>{said}")
    name = html.escape(f"{sample.source} ({sample.id})")
    return f"<section><h3>{name}</h3><img src='data:image/jpeg;base64,{picture}'><dl>{''.join(turns)}</dl></section>"


def _said(part: Mapping) -> str:
    kind = part["type"]
    if kind in PLACES:
        return str(part[kind])
    return part.get("text", "")
