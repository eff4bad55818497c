"""Samples for people: as a page with images, boxes and coloured tokens, or as plain text before a run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from sphinx_x.conversation import Message, Place, Text
from sphinx_x.data.loader import Example, Examples
from sphinx_x.data.shards import SampleReader
from sphinx_x.drawing import COLORS, draw_places, draw_views
from sphinx_x.errors import DataError, one_line
from sphinx_x.images import open_image
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.prompt import PromptBuilder
from sphinx_x.model.views import Layout
from sphinx_x.report.html import Item, Paragraph, Picture, Section, Span, write_html
from sphinx_x.work.tally import UNUSABLE

logger = logging.getLogger(__name__)

SHOWN = 4000
"""Tokens of one message on the page."""
SIDE, VIEWS, LARGER = 1000, 240, 4
"""Longest side, in pixels, of a picture on the page, and of the padded square below it; largest enlargement of small
ones."""
BEFORE = 4
"""Whole characters or words before a token from which its text is told apart."""
QUESTION = 100
"""Characters of the first question on the line into which a sample is folded."""
INTRO = (
    "Green: tokens that are trained on, each in its own shade. Plain or grey: tokens that are only read. Blue: images. "
    "Behind each picture: the padded square that the model sees, skipped parts crossed out. A number beside a box is "
    "that of the words below it; grey boxes are regions."
)


@dataclass(frozen=True)
class Run:
    """Tokens that belong together.

    Attributes:
        kind: `image`, `read` or `trained`.
        texts: Text of each token, empty for images.
    """

    kind: str
    tokens: int
    texts: tuple[str, ...] = ()


def runs_of(ids: Sequence[int], trained: Sequence[bool], builder: PromptBuilder) -> list[Run]:
    """Return the ids of a sample as runs; characters that take several tokens are not split."""
    images = set(builder.image_tokens.all())
    kinds = ["image" if k in images else "trained" if t else "read" for k, t in zip(ids, trained, strict=True)]
    runs: list[Run] = []
    before: list[list[int]] = []
    start = 0
    for end in range(1, len(ids) + 1):
        if end == len(ids) or kinds[end] != kinds[start]:
            texts = () if kinds[start] == "image" else _texts(ids[start:end], before, builder)
            runs.append(Run(kinds[start], end - start, texts))
            start = end
    return runs


def _texts(ids: Sequence[int], before: list[list[int]], builder: PromptBuilder) -> tuple[str, ...]:
    """Return the text of each token: what it adds to that of the tokens `before` (whole characters).

    By itself, a token of SentencePiece loses its leading blank. The blank that the first token of any text gets (after
    a
    token that only opens it) is not part of the text. Tokens that hold only part of a character are joined.
    """
    texts: list[str] = []
    waiting: list[int] = []
    for place, number in enumerate(ids):
        if number == builder.tokenizer.bos_token_id and not before:
            texts.append(_decoded([number], builder))
            continue
        waiting.append(number)
        known = [number for whole in before[-BEFORE:] for number in whole]
        text = _decoded([*known, *waiting], builder)[len(_decoded(known, builder)) :]
        if not text.endswith("\ufffd") or len(waiting) > 8 or place == len(ids) - 1:
            texts.append(text)
            before.append(waiting)
            waiting = []
    return tuple(texts)


def _decoded(ids: Sequence[int], builder: PromptBuilder) -> str:
    return str(builder.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))


def log_samples(examples: Examples) -> None:
    """Log one sample of each source as it is learned, with what is trained in [[ ]]."""
    seen: set[int] = set()
    for index in range(len(examples)):
        source, _ = examples.blend[index]
        if source not in seen:
            seen.add(source)
            example = examples.example(index)
            name = examples.blend.sources[source].name
            logger.info("%s: %s", name, described(example, examples.builder))
        if len(seen) == sum(s.weight > 0 or bool(s.end) for s in examples.blend.sources):
            break


def described(example: Example, builder: PromptBuilder) -> str:
    """Return one line about an example: its tokens, what is trained in [[ ]], images as their number of tokens."""
    if example.error:
        return f"{example.name} cannot be used: {example.error}"
    ids, trained = example.ids.tolist(), [label >= 0 for label in example.labels.tolist()]
    written = []
    for run in runs_of(ids, trained, builder):
        text = "".join(run.texts).replace("\n", "\\n")
        text = text if len(text) <= 200 else f"{text[:150]} ... {text[-40:]}"
        written.append({"image": f"<image: {run.tokens} tokens>", "read": text, "trained": f"[[{text}]]"}[run.kind])
    return f"{len(ids)} tokens, {sum(trained)} of them trained, {example.view_count} views: " + "".join(written)


def show(
    reader: SampleReader, processor: SphinxXProcessor, out: str | Path, numbers: Iterable[int], title: str
) -> list[str]:
    """Write samples of a reader into one self-contained page, and return what was wrong with any of them."""
    wrong: list[str] = []
    write_html(out, title, [Section(intro=INTRO, items=_items(reader, processor, numbers, wrong), below=True)])
    return wrong


def _items(
    reader: SampleReader, processor: SphinxXProcessor, numbers: Iterable[int], wrong: list[str]
) -> Iterator[Item]:
    """Yield samples as items of the page, the first one unfolded; `wrong` receives those that cannot be shown."""
    for place, number in enumerate(numbers):
        try:
            yield replace(_item(reader, number, processor), folded=place > 0)
        except UNUSABLE as error:
            where = reader.where(number)
            wrong.append(f"{where}: {one_line(error).removeprefix(where + ': ')}")
            yield Item(where, problem=wrong[-1])


def _item(reader: SampleReader, number: int, processor: SphinxXProcessor) -> Item:
    sample = reader[number]
    problems = "; ".join(f"{field}: {reason}" for field, reason in sample.problems())
    if not any(message.role == "assistant" for message in sample.messages):
        raise DataError(f"{reader.where(number)}: {problems}")
    builder = processor.prompt_builder()
    images = [open_image(reader.image_bytes(sample, k)) for k in range(len(sample.images))]
    layouts = [processor.image_processor.layout(image) for image in images]
    encoded = builder.encode(sample.messages, layouts)
    places = _places(sample.messages)
    pictures, facts = [], [sample.id, sample.source, sample.licence]
    for k, (image, layout) in enumerate(zip(images, layouts, strict=True)):
        facts.append(f"{image.width} x {image.height}: {layout.views} views, {layout.skipped} skipped")
        regions = [(tuple(region["box"]), "", "#999999") for region in sample.regions] if k == 0 else []
        named = [(part, str(number), color) for number, (part, _, color) in enumerate(places, 1) if part.image == k]
        here = [(place, label, color) for part, label, color in named for place in part.places]
        pictures.append(Picture(_large(image, [*regions, *here]), f"image {k + 1} with its boxes"))
        pictures.append(Picture(_views(image, layout), f"views of image {k + 1}", VIEWS))
    facts.append(f"{len(encoded.ids)} tokens, {sum(encoded.trained)} trained")
    legend = [span for number, place in enumerate(places, 1) for span in _entry(number, *place)]
    said = [_span(run) for run in runs_of(encoded.ids, encoded.trained, builder)]
    return Item(
        title=_question(sample.messages),
        pictures=pictures,
        texts=[*([Paragraph(legend)] if legend else []), Paragraph(said, "tokens")],
        facts=[fact for fact in facts if fact],
        labels=[("task", sample.task)] if sample.task else [],
        problem=problems,
    )


def _question(messages: Sequence[Message]) -> str:
    """Return the first question, shortened."""
    asked = [message for message in messages if message.role == "user"] or list(messages)
    text = " ".join("".join(part.text for part in asked[0].parts if isinstance(part, Text)).split())
    return text if len(text) <= QUESTION else f"{text[:QUESTION]} ..."


def _places(messages: Sequence[Message]) -> list[tuple[Place, str, str]]:
    """Return every part that denotes places, with the words before it (the question if an answer begins with it)."""
    out: list[tuple[Place, str, str]] = []
    before = ""
    for message in messages:
        before = before if message.role == "assistant" else ""
        for part in message.parts:
            if isinstance(part, Place):
                out.append((part, before, COLORS[len(out) % len(COLORS)]))
                before = ""
            elif isinstance(part, Text):
                before = " ".join(part.text.split())[-60:]
    return out


def _entry(number: int, part: Place, before: str, color: str) -> tuple[Span, Span]:
    """Return an entry of the legend: the number beside a place, the words before it, its pixels."""
    pixels = "; ".join(", ".join(f"{n:.0f}" for n in place) for place in part.places[:4])
    more = f"; {len(part.places) - 4} more" if len(part.places) > 4 else ""
    return Span([str(number)], "badge", color), Span([f" {before} [{pixels}{more}]\u2003 "])


def _large(image: Image.Image, places: Iterable[tuple[tuple[float, ...], str, str]]) -> Image.Image:
    """Return an image as large as fits the page, with its places."""
    scale = min(SIDE / max(image.size), LARGER)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    factors = size[0] / image.width, size[1] / image.height
    moved = ((tuple(n * factors[k % 2] for k, n in enumerate(place)), label, color) for place, label, color in places)
    return draw_places(image.convert("RGB").resize(size), list(moved))


def _views(image: Image.Image, layout: Layout) -> Image.Image:
    cells = [(layout.cell(k), kept) for k, kept in enumerate(layout.kept)]
    return draw_views(image, layout.grid.canvas, layout.content(), cells)


def _span(run: Run) -> Span:
    if run.kind == "image":
        return Span([f"image: {run.tokens} tokens"], "image")
    more = [f" ... {len(run.texts) - SHOWN:,} more"] if len(run.texts) > SHOWN else []
    return Span([*run.texts[:SHOWN], *more], run.kind)
