"""From a page of a PDF to its picture at a chosen size, and its text with boxes in reading order, figures included.

`STAGES` is everything that happens to a page, in order, each stage once. A stage is a function that takes the state
of a page and returns it, so it can be replaced:

    def by_model(state: State) -> State:
        state.regions = my_model(state.image)
        return state

    read_page(document, 0, 1024, with_stage(classified, by_model))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pypdfium2 as pdfium
from PIL import Image

from sphinx_x.engines.pdf.annotations import Annotations, flattened, read_annotations
from sphinx_x.engines.pdf.blocks import Block
from sphinx_x.engines.pdf.covers import covered
from sphinx_x.engines.pdf.drawings import Painted, Shapes, read_painted, read_shapes
from sphinx_x.engines.pdf.figures import placed, taken, with_lines
from sphinx_x.engines.pdf.initials import with_initials
from sphinx_x.engines.pdf.layout import classify
from sphinx_x.engines.pdf.order import arrange
from sphinx_x.engines.pdf.picture import render, scale_for
from sphinx_x.engines.pdf.seen import hide
from sphinx_x.engines.pdf.structure import Tag, by_element, read_tags, trusted
from sphinx_x.engines.pdf.tables import ruled_tables
from sphinx_x.engines.pdf.text_layer import OBLIQUE, VERTICAL, Characters, Frame, read_characters
from sphinx_x.engines.pdf.trust import distrusted
from sphinx_x.engines.pdf.turns import QUARTERS, turn, turn_of
from sphinx_x.engines.pdf.words import Line, Upright, mark_vertical


@dataclass
class Page:
    """A page as it is seen and read.

    Attributes:
        blocks: Blocks of text and of kind `figure`, in reading order.
        shapes: What is drawn.
    """

    image: Image.Image
    chars: Characters
    blocks: list[Block]
    shapes: Shapes
    regions: list[Block] = field(default_factory=list)
    """Regions of the layout, each with its `label`."""
    turned: int = 0
    fields: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Characters that are in no block, by reason."""

    @property
    def lines(self) -> list[Line]:
        """All lines in reading order, except those inside figures."""
        return [line for block in self.blocks if block.kind != "figure" for line in block.lines]

    @property
    def text(self) -> str:
        """The whole text, one block a line."""
        return "\n".join(block.text for block in self.blocks if block.kind != "figure" and block.lines)

    @property
    def all_text(self) -> str:
        """Every line, including those inside figures; without any, the characters as they are in the file."""
        lines = [line.text for block in self.blocks for line in block.lines]
        return "\n".join(lines) or "".join(
            f" {text}" if space else text for text, space in zip(self.chars.text, self.chars.space, strict=True)
        )


@dataclass
class State:
    """A page on its way through the stages, each of which adds what it finds.

    Attributes:
        source: The opened page, which is closed after the last stage.
        scale: Pixels per point.
        frame: That of the picture before it is turned upright.
        lines: Lines by direction (see `text_layer`), that of most characters first.
        left_out: Characters that nobody sees or that are in no line, by reason.
    """

    document: pdfium.PdfDocument
    number: int
    scale: float
    source: pdfium.PdfPage
    image: Image.Image = field(default_factory=lambda: Image.new("L", (1, 1)))
    frame: Frame = field(default_factory=lambda: Frame((0, 0, 1, 1), 0, 1, 1))
    annotations: Annotations = field(default_factory=Annotations)
    chars: Characters = field(default_factory=Characters)
    painted: Painted = field(default_factory=Painted)
    shapes: Shapes = field(default_factory=Shapes)
    turned: int = 0
    lines: dict[int, list[Line]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    tags: dict[int, Tag] = field(default_factory=dict)
    regions: list[Block] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def page(self) -> Page:
        """Return what all stages found."""
        return Page(
            self.image,
            self.chars,
            self.blocks,
            self.shapes,
            self.regions,
            self.turned,
            self.annotations.fields,
            +self.left_out,
        )


Stage = Callable[[State], State]


def rendered(state: State) -> State:
    """Render the picture, after text of drawn fields, stamps and comments has become content of the page."""
    state.image, state.frame = render(state.source, state.scale)
    state.annotations = read_annotations(state.source)
    if state.annotations.text:
        state.source = flattened(state.document, state.number, state.source)
        state.image, state.frame = render(state.source, state.scale)
    return state


def characters(state: State) -> State:
    """Read the text layer, character by character."""
    state.chars = read_characters(state.source, state.frame)
    return state


def drawn(state: State) -> State:
    """Find what is drawn besides text: images, drawings, ruled lines."""
    over = () if state.annotations.text else state.annotations.places
    state.painted = read_painted(state.source, over)
    state.shapes = read_shapes(state.painted, state.frame)
    return state


def seen(state: State) -> State:
    """Hide characters that nobody sees."""
    chars = state.chars
    under = covered(state.source, state.frame, state.painted, chars.keys, chars.box, state.scale, state.image)
    grey = state.image if state.image.mode == "L" else state.image.convert("L")
    state.left_out += hide(chars, grey, under)
    return state


def upright(state: State) -> State:
    """Turn a page that lies on its side, and mark columns that are read downwards."""
    mark_vertical(state.chars)
    state.turned = turn_of(state.chars)
    if state.turned:
        state.image = state.image.transpose(QUARTERS[state.turned - 1])
        turn(state.chars, state.shapes, state.turned, state.frame.width, state.frame.height)
    return state


def judged(state: State) -> State:
    """Mark characters whose text is not what the page shows as broken."""
    state.chars.broken |= distrusted(state.chars, state.image)
    return state


def lined(state: State) -> State:
    """Form words from characters, and lines from words, in each direction."""
    chars = state.chars
    shown = ~chars.hidden
    counts = np.bincount(chars.direction[shown], minlength=6)
    state.left_out["slanted"] += int(counts[OBLIQUE])
    for direction in sorted((d for d in range(6) if counts[d] and d != OBLIQUE), key=lambda d: -counts[d]):
        state.lines[direction] = with_initials(Upright(chars, direction, *state.image.size).lines())
    return state


def arranged(state: State) -> State:
    """Form blocks from lines in reading order: the main direction with the figures first, then those on their side."""
    if not state.lines:
        state.blocks = with_lines(state.shapes, [])[0]
        return state
    main, *others = state.lines
    figures, lines = with_lines(state.shapes, state.lines[main])
    rtl = 2 * sum(line.rtl for line in lines) > len(lines)
    tables, lines = ruled_tables(state.shapes.rules, lines) if main != VERTICAL and not rtl else ([], lines)
    blocks = arrange(lines, rtl, tables)
    blocks = placed(blocks, figures) if main != VERTICAL else blocks + figures
    for direction in others:
        blocks += arrange(taken(figures, state.lines[direction]))
    state.blocks = blocks
    return state


def tagged(state: State) -> State:
    """Cut blocks at the elements of a tagged file, if it has useful ones."""
    lines = [line for block in state.blocks for line in block.lines]
    state.tags = trusted(read_tags(state.source), lines)
    if state.tags:
        state.blocks = by_element(state.blocks, state.tags)
    return state


def classified(state: State) -> State:
    """Give every block a layout class, and form regions of what a reader sees as one."""
    state.regions = classify(state.blocks, state.tags, state.image.height, state.shapes.rules)
    return state


STAGES: tuple[Stage, ...] = (
    rendered,
    characters,
    drawn,
    seen,
    upright,
    judged,
    lined,
    arranged,
    tagged,
    classified,
)
"""What happens to a page, in order."""
TO_LINES = STAGES[: STAGES.index(lined) + 1]
"""The stages that give a page its lines, not yet in order."""


def with_stage(old: Stage, new: Stage, stages: Sequence[Stage] = STAGES) -> tuple[Stage, ...]:
    """Return the stages with one replaced by another.

    Raises:
        ValueError: `old` is not one of the stages.
    """
    place = list(stages).index(old)
    return (*stages[:place], new, *stages[place + 1 :])


def read_page(document: pdfium.PdfDocument, number: int, long_edge: int, stages: Sequence[Stage] = STAGES) -> Page:
    """Read page `number` (from 0); text that stands on its side is turned upright.

    Args:
        document: The opened document.
        number: Index of the page.
        long_edge: Longer side of the picture, in pixels.
        stages: The stages, for example from `with_stage`.

    Raises:
        UnusedError: The page has an odd size.
        PdfiumError: The page cannot be read.
    """
    return run_stages(document, number, stages, long_edge=long_edge).page()


def run_stages(
    document: pdfium.PdfDocument,
    number: int,
    stages: Sequence[Stage],
    *,
    long_edge: int | None = None,
    scale: float = 1.0,
) -> State:
    """Take a page through some stages.

    Args:
        document: The opened document.
        number: Index of the page, from 0.
        stages: The stages.
        long_edge: Longer side of the picture, in pixels.
        scale: Pixels per point, if no `long_edge` is given.
    """
    source = document[number]
    state = State(document, number, scale, source)
    try:
        if long_edge is not None:
            state.scale = scale_for(source, long_edge)
        for stage in stages:
            state = stage(state)
        return state
    finally:
        state.source.close()
