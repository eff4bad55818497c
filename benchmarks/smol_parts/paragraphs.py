"""Printed paragraphs: pages drawn from Python's own documentation, to be read letter by letter."""

from __future__ import annotations

import io
import random
import textwrap
from functools import partial

from PIL import Image, ImageDraw, ImageFont

from smol_parts.part import Part, made_here
from sphinx_x.engines.documents.wordings import READ
from sphinx_x.evaluation.counts import ErrorRate
from sphinx_x.evaluation.drawn import PictureDrawn
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.metrics import character_errors
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Task

LINES = (4, 5, 6)
"""Lines of a page: the documents engine teaches to read up to six."""
ERROR = "character error rate"


def prose(least: int = 200, most: int = 1200) -> list[str]:
    """Return paragraphs of prose of the documentation that comes with Python, in a fixed order."""
    from pydoc_data.topics import topics

    found = []
    for _, text in sorted(topics.items()):
        for paragraph in text.split("\n\n"):
            plain = " ".join(paragraph.split())
            prosaic = plain[:1].isupper() and plain.endswith(".") and not any(char in plain for char in "{}<>=|\\_`*#")
            if prosaic and paragraph[:1] != " " and least <= len(plain) <= most and plain.isascii():
                found.append(plain)
    return list(dict.fromkeys(found))


def drawn(lines: tuple[str, ...], size: int) -> bytes:
    """Draw lines of print on white, in the font that Pillow has in itself."""
    font = ImageFont.load_default(size)
    wide = max(int(font.getlength(line)) for line in lines)
    page = Image.new("RGB", (wide + 4 * size, (len(lines) * 3 // 2 + 4) * size), "white")
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((2 * size, 2 * size + number * 3 * size // 2), line, "black", font)
    content = io.BytesIO()
    page.save(content, "PNG")
    return content.getvalue()


def paragraphs(count: int = 40, seed: int = 0) -> Part:
    """Return pages with one paragraph each, to be read as a whole."""
    rng, texts = random.Random(seed), prose()
    items = []
    for number, text in enumerate(rng.sample(texts, min(count, len(texts)))):
        lines = tuple(textwrap.wrap(text, 55)[: rng.choice(LINES)])
        picture = PictureDrawn(f"paragraph-{number}", partial(drawn, lines, rng.choice((18, 22, 28))))
        question = READ[0].format(len(lines))
        items.append(Item(number, question, (picture,), (" ".join(lines),), picture.name, cluster=picture.name))
    task = Task(
        "paragraphs", "", {}, made_here, verdicts.characters, ErrorRate(character_errors, ERROR), max_new_tokens=200
    )
    return Part("paragraphs", task, items, text=True, note="less is better; the goal is 4/3 of RapidOCR's own")
