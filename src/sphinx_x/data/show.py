"""Samples for people: as a page with images, boxes and coloured tokens, or as plain text before a run."""

from __future__ import annotations

import base64
import html
import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sphinx_x.conversation import Message, Place, Text, parse_messages
from sphinx_x.data.loader import Example, Examples
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.data.tally import UNUSABLE
from sphinx_x.drawing import COLORS, draw_places, draw_views
from sphinx_x.errors import DataError, one_line
from sphinx_x.images import open_image
from sphinx_x.jobs import write_atomic
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.prompt import PromptBuilder
from sphinx_x.model.views import Layout, plan_views

SHOWN = 4000
"""Tokens of one message on the page."""
SIDE, VIEWS = 560, 300
"""Longest side, in pixels, of a picture on the page, and of the padded square beside it."""


@dataclass(frozen=True)
class Run:
    """Tokens that belong together: kind is `image`, `read` or `trained`; texts: of each token, empty for images."""

    kind: str
    tokens: int
    texts: tuple[str, ...] = ()


def runs_of(ids: Sequence[int], trained: Sequence[bool], builder: PromptBuilder) -> list[Run]:
    """The ids of a sample as runs; characters that take several tokens are not split."""
    images = set(builder.image_tokens.all())
    kinds = ["image" if k in images else "trained" if t else "read" for k, t in zip(ids, trained, strict=True)]
    runs: list[Run] = []
    start = 0
    for end in range(1, len(ids) + 1):
        if end == len(ids) or kinds[end] != kinds[start]:
            texts = () if kinds[start] == "image" else _texts(ids[start:end], builder)
            runs.append(Run(kinds[start], end - start, texts))
            start = end
    return runs


def _texts(ids: Sequence[int], builder: PromptBuilder) -> tuple[str, ...]:
    """The text of each token; tokens that hold a part of a character only are joined."""
    texts: list[str] = []
    waiting: list[int] = []
    for number in ids:
        waiting.append(number)
        text = str(builder.tokenizer.decode(waiting))
        if not text.endswith("\ufffd") or len(waiting) > 8:
            texts.append(text)
            waiting = []
    return (*texts, str(builder.tokenizer.decode(waiting))) if waiting else tuple(texts)


def print_samples(examples: Examples) -> None:
    """One sample of each source as it is learned, on standard error: what is trained stands in [[ ]]."""
    seen: set[int] = set()
    for index in range(len(examples)):
        source, _ = examples.blend[index]
        if source not in seen:
            seen.add(source)
            example = examples.example(index)
            name = examples.blend.sources[source].name
            print(f"{name}: {described(example, examples.builder)}", file=sys.stderr)
        if len(seen) == sum(s.weight > 0 or bool(s.end) for s in examples.blend.sources):
            break


def described(example: Example, builder: PromptBuilder) -> str:
    """One line about an example: its tokens, what is trained in [[ ]], images as their number of tokens."""
    if example.error:
        return f"{example.name} cannot be used: {example.error}"
    ids, trained = example.ids.tolist(), [label >= 0 for label in example.labels.tolist()]
    written = []
    for run in runs_of(ids, trained, builder):
        text = "".join(run.texts).replace("\n", "\\n")
        text = text if len(text) <= 200 else f"{text[:150]} ... {text[-40:]}"
        written.append({"image": f"<image: {run.tokens} tokens>", "read": text, "trained": f"[[{text}]]"}[run.kind])
    return f"{len(ids)} tokens, {sum(trained)} of them trained, {len(example.views)} views: " + "".join(written)


def show(
    reader: SampleReader, processor: SphinxXProcessor, out: str | Path, numbers: Iterable[int], title: str
) -> list[str]:
    """Writes samples of a reader into one page that needs nothing else; gives what was wrong with any of them."""
    cards, wrong = [], []
    for number in numbers:
        try:
            cards.append(_card(reader, number, processor))
        except UNUSABLE as error:
            where = reader.where(number)
            wrong.append(f"{where}: {one_line(error).removeprefix(where + ': ')}")
            cards.append(f'<section><p class="wrong">{html.escape(wrong[-1])}</p></section>')
    page = _PAGE.format(title=html.escape(title), cards="\n".join(cards))
    write_atomic(out, page.encode(errors="backslashreplace"))
    return wrong


def _card(reader: SampleReader, number: int, processor: SphinxXProcessor) -> str:
    sample = reader[number]
    problems = "; ".join(f"{field}: {reason}" for field, reason in sample.problems())
    if not any(message["role"] == "assistant" for message in sample.messages):
        raise DataError(f"{reader.where(number)}: {problems}")
    grid, builder = processor.image_processor.grid(), processor.prompt_builder()
    images = [open_image(reader.image_bytes(sample, k)) for k in range(len(sample.images))]
    layouts = [plan_views(image.width, image.height, grid) for image in images]
    messages = parse_messages(sample.messages)
    encoded = builder.encode(messages, layouts)
    pictures, facts = [], [sample.id, sample.source, sample.task, sample.licence]
    for k, (image, layout) in enumerate(zip(images, layouts, strict=True)):
        facts.append(f"{image.width} x {image.height}: {layout.views} views, {layout.skipped} skipped")
        pictures.append(_picture(draw_places(image, _places(sample, messages, k)), SIDE))
        pictures.append(_picture(_views(image, layout), VIEWS))
    facts.append(f"{len(encoded.ids)} tokens, {sum(encoded.trained)} trained")
    head = " &middot; ".join(html.escape(fact) for fact in facts if fact)
    wrong = f'<p class="wrong">{html.escape(problems)}</p>' if problems else ""
    said = "".join(_run(run) for run in runs_of(encoded.ids, encoded.trained, builder))
    shown = f'<div class="pictures">{"".join(pictures)}</div>'
    return f'<section><h2>{head}</h2>{wrong}{shown}<p class="said">{said}</p></section>'


def _places(sample: Sample, messages: Sequence[Message], image: int) -> list[tuple[tuple[float, ...], str, str]]:
    """Every box and point of one image with its label and colour; regions are grey."""
    out: list[tuple[tuple[float, ...], str, str]] = []
    if image == 0:
        out += [(tuple(region["box"]), "", "#999999") for region in sample.regions]
    number = 0
    for message in messages:
        before = ""
        for part in message.parts:
            if isinstance(part, Place):
                if part.image == image:
                    color = COLORS[number % len(COLORS)]
                    out += [(place, before if k == 0 else "", color) for k, place in enumerate(part.places)]
                number += 1
            elif isinstance(part, Text):
                before = " ".join(part.text.split())[-24:]
    return out


def _views(image: Image.Image, layout: Layout) -> Image.Image:
    cells = [(layout.cell(k), kept) for k, kept in enumerate(layout.kept)]
    return draw_views(image, layout.grid.canvas, layout.content(), cells)


def _picture(image: Image.Image, side: int) -> str:
    image = image.copy()
    image.thumbnail((side, side))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}">'


def _run(run: Run) -> str:
    if run.kind == "image":
        return f'<span class="image">image: {run.tokens} tokens</span>'
    pieces = [f"<i>{html.escape(text)}</i>" for text in run.texts[:SHOWN]]
    more = f" ... {len(run.texts) - SHOWN:,} more" if len(run.texts) > SHOWN else ""
    return f'<span class="{run.kind}">{"".join(pieces)}{more}</span>'


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.3rem; }}
h2 {{ font-size: .85rem; font-weight: normal; color: #666; overflow-wrap: anywhere; }}
section {{ border-top: 1px solid #ccc; padding: .5rem 0 1.5rem; }}
.pictures {{ display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }}
.pictures img {{ border: 1px solid #ddd; max-width: 100%; }}
.said {{ white-space: pre-wrap; overflow-wrap: anywhere; font: 14px/1.7 ui-monospace, monospace; }}
.said i {{ font-style: normal; }}
.read i:nth-child(even) {{ background: #f1f1f1; }}
.trained {{ color: #06501d; }}
.trained i {{ background: #c9efd3; }}
.trained i:nth-child(even) {{ background: #ade3bc; }}
.image {{ background: #dbe7fb; border-radius: 3px; padding: 0 .3em; }}
.wrong {{ color: #b00020; }}
</style></head><body>
<h1>{title}</h1>
<p>Green: tokens that are trained on, each in its own shade. Grey and white: tokens that are read only. Blue: images.
Beside each picture: the padded square that the model sees, skipped parts crossed out.</p>
{cards}
</body></html>
"""
