"""The report of a run: documents with their lines and the evidence of answers in colour, and what was made."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw

from sphinx_x.conversation import Place, format_places
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.report.html import SAID_BY, Item, Paragraph, Picture, Section, Table, write_html
from sphinx_x.work.tally import Tally

SHOWN, SIDE = 20, 900
"""Documents on the page, evenly spread; longest side of their images in pixels."""
INTRO = "Grey boxes: lines. Green boxes: where answers stand. Grey text: questions. Green text: answers."
LINE, EVIDENCE = (150, 150, 160), (30, 150, 60)


def write_report(out: Path, title: str, tally: Tally, seconds: float) -> None:
    """Write `report.html`, one self-contained page, from the shards of a folder."""
    reader = SampleReader(out)
    kinds = Counter(reader[k].source.split("/")[-1] for k in range(len(reader)))
    rows = [
        ("pictures", tally.samples),
        ("answers", tally.turns),
        ("seconds", round(seconds, 1)),
    ]
    rows += [(f"set aside: {reason}", n) for reason, n in tally.set_aside.most_common()]
    tables = [Table("The run", rows), Table("Kinds", kinds.most_common())]
    write_html(
        out / "report.html",
        title,
        [Section(tables=tables), Section("Documents", INTRO, items=_items(reader))],
    )


def _items(reader: SampleReader) -> Iterator[Item]:
    count = min(SHOWN, len(reader))
    for number in range(count):
        at = number * len(reader) // count
        yield _item(reader[at], reader)


def _item(sample: Sample, reader: SampleReader) -> Item:
    image = Image.open(io.BytesIO(reader.image_bytes(sample))).convert("RGB")
    draw = ImageDraw.Draw(image)
    for region in sorted(sample.regions, key=lambda region: bool(region["answers"])):
        colour, wide = (EVIDENCE, 3) if region["answers"] else (LINE, 1)
        draw.rectangle(tuple(region["box"]), outline=colour, width=wide)
    side = max(image.size)
    texts = [Paragraph(message.shown(partial(_places, side)), SAID_BY[message.role]) for message in sample.messages]
    kind = sample.source.split("/")[-1]
    return Item(sample.id, [Picture(image, "the document with its lines", SIDE)], texts, [kind], [("kind", kind)])


def _places(side: int, part: Place) -> str:
    return format_places([[n / side for n in place] for place in part.places])
