"""The report of a Set-of-Marks run: sample pages, the marked image beside the text, and what became of everything."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from sphinx_x.conversation import Place, format_places
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.report.html import SAID_BY, Item, Paragraph, Picture, Section, Table, write_html
from sphinx_x.work.tally import Tally

SHOWN, SIDE = 16, 640
"""Samples on the page, evenly spread; longest side of their images in pixels."""
INTRO = (
    "The image with its marks is for people. Beside it: what is learned, with the raw image and places relative to the "
    "padded square. Grey: questions. Green: answers."
)


def marked_name(sample: str) -> str:
    """Return the file name of a sample's marked image, which differs for every id."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", sample)[-80:].strip("-.")
    return f"{plain}-{hashlib.sha256(sample.encode()).hexdigest()[:8]}.jpg"


def write_report(out: Path, title: str, tally: Tally) -> None:
    """Write `report.html`, one self-contained page, from the shards and marked images of a folder."""
    rows = [("images read", tally.records), ("samples", tally.samples), ("answers", tally.turns)]
    rows += [(f"set aside: {reason}", n) for reason, n in tally.set_aside.most_common()]
    rows += [(f"left out: {reason}", n) for reason, n in tally.left_out.most_common() if n]
    sections = [Section(tables=[Table("The run", rows)]), Section("Samples", INTRO, items=_items(out))]
    write_html(out / "report.html", title, sections)


def _items(out: Path) -> Iterator[Item]:
    reader = SampleReader(out)
    count = min(SHOWN, len(reader))
    for number in range(count):
        yield _item(reader[number * len(reader) // count], out)


def _item(sample: Sample, out: Path) -> Item:
    with Image.open(out / "marked" / marked_name(sample.id)) as picture:
        image = picture.convert("RGB")
    side = max(sample.images[0].width, sample.images[0].height)
    texts = []
    for message in sample.messages:
        texts.append(Paragraph(message.shown(partial(_places, side)), SAID_BY[message.role]))
    facts = [sample.source, sample.licence]
    return Item(sample.id, [Picture(image, "the image with its marks", SIDE)], texts, facts)


def _places(side: int, part: Place) -> str:
    return format_places([[n / side for n in place] for place in part.places])
