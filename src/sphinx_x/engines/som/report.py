"""The report of a Set-of-Marks run: sample pages, the marked image beside the text, and what became of everything."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from pathlib import Path

from PIL import Image

from sphinx_x.conversation import Place, Text, format_places, parse_messages
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.work.files import write_atomic
from sphinx_x.work.tally import Tally

SHOWN, SIDE = 16, 640
"""Samples on the page, evenly spread; longest side of their images in pixels."""


def marked_name(sample: str) -> str:
    """The file of a sample's marked image, by its id; different for every id."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", sample)[-80:].strip("-.")
    return f"{plain}-{hashlib.sha256(sample.encode()).hexdigest()[:8]}.jpg"


def write_report(out: Path, title: str, tally: Tally) -> None:
    """Writes `report.html`, one page that needs nothing else, from the shards and marked images of a folder."""
    reader = SampleReader(out)
    count = min(SHOWN, len(reader))
    numbers = [k * len(reader) // count for k in range(count)]
    cards = "\n".join(_card(reader[number], out) for number in numbers)
    rows = [("images read", tally.records), ("samples", tally.samples), ("answers", tally.turns)]
    rows += [(f"set aside: {reason}", n) for reason, n in tally.set_aside.most_common()]
    rows += [(f"left out: {reason}", n) for reason, n in tally.left_out.most_common() if n]
    table = "".join(f"<tr><td>{html.escape(what)}</td><td>{n:,}</td></tr>" for what, n in rows)
    page = _PAGE.format(title=html.escape(title), table=table, cards=cards)
    write_atomic(out / "report.html", page.encode(errors="backslashreplace"))


def _card(sample: Sample, out: Path) -> str:
    with Image.open(out / "marked" / marked_name(sample.id)) as picture:
        image = picture.convert("RGB")
    image.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    source = base64.b64encode(content.getvalue()).decode()
    side = max(sample.images[0].width, sample.images[0].height)
    said = []
    for message in parse_messages(sample.messages):
        text = "".join(
            part.text if isinstance(part, Text) else _places(part, side) if isinstance(part, Place) else "<image> "
            for part in message.parts
        )
        said.append(f'<p class="{message.role}">{html.escape(text)}</p>')
    head = html.escape(" · ".join((sample.id, sample.source, sample.licence)))
    image_tag = f'<img src="data:image/jpeg;base64,{source}">'
    return f"<section><h2>{head}</h2><div class=pair>{image_tag}<div>{''.join(said)}</div></div></section>"


def _places(part: Place, side: int) -> str:
    return format_places([[n / side for n in place] for place in part.places])


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.3rem; }}
h2 {{ font-size: .85rem; font-weight: normal; color: #666; overflow-wrap: anywhere; }}
section {{ border-top: 1px solid #ccc; padding: .5rem 0 1.5rem; }}
td {{ padding: 0 1rem 0 0; }} td + td {{ text-align: right; }}
.pair {{ display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; align-items: start; }}
.pair img {{ max-width: 100%; border: 1px solid #ddd; }}
.pair p {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 0 .6rem; padding: .3rem .6rem; }}
.user {{ background: #f1f1f1; }} .assistant {{ background: #e2f3e7; }}
</style></head><body>
<h1>{title}</h1>
<p>Left: the image with its marks, for people. Right: what is learned, with the raw image and places relative to the
padded square. Grey: questions. Green: answers.</p>
<table>{table}</table>
{cards}
</body></html>
"""
