"""Text lines of PDF documents: crops of the rendered page with the text, the words and their boxes.

Characters, words and lines come from the PDF reader (`engines.pdf`); this module decides which of them are good
samples. Every line that is left out is counted under the name of the rule that excluded it (`judging`), and so is every
character that the reader left out.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
from PIL import Image

from sphinx_x.boxes import Box
from sphinx_x.data.sample import BoxedText, Sample, regions_of
from sphinx_x.engines.nano.judging import SCALE, judge_ink, judge_text
from sphinx_x.engines.nano.line_pieces import Piece, pieces_of
from sphinx_x.engines.nano.tasks import ask_about_line
from sphinx_x.engines.pdf.page import TO_LINES, State, characters, run_stages, with_stage
from sphinx_x.engines.pdf.text_layer import read_characters
from sphinx_x.errors import DataError

MIN_HEIGHT, MAX_HEIGHT, MAX_WIDTH = 8, 60, 1400
MARGINS = (2, 5)
MAX_PAGE_SIDE = 2600
"""Pixels; posters and slides for walls are left out."""
LEAST_SIDE = 20.0
"""Points of a page's shorter side."""
COLOUR = 24
"""Difference between channels from which a crop is kept in colour."""


@dataclass(slots=True)
class Crop:
    """One text line or run of words as a picture."""

    png: bytes
    words: list[BoxedText]
    page: int
    width: int
    height: int

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(word.text for word in self.words)


def _with_origins(state: State) -> State:
    state.chars = read_characters(state.source, state.frame, origins=True)
    return state


STAGES = with_stage(characters, _with_origins, TO_LINES)
"""The PDF reader's stages up to lines, with the characters' places on their lines."""


class RenderedPage:
    """A page as pixels and characters, from which lines and runs of words are cut.

    Attributes:
        left_out: Characters that are in no line, by the PDF reader's reason.
    """

    def __init__(self, document: pdfium.PdfDocument, number: int) -> None:
        state = run_stages(document, number, STAGES, scale=SCALE)
        self.number, self.chars, self.left_out = number, state.chars, +state.left_out
        self.pixels = np.asarray(state.image)
        self.height, self.width = self.pixels.shape[:2]
        self.shown = ~state.chars.hidden
        found = [line for lines in state.lines.values() for line in lines]
        self.lines = [piece for line in found for piece in pieces_of(line, state.chars)]

    def cut(self, piece: Piece, chosen: Piece, margins: tuple[int, int, int, int]) -> Crop | str:
        """Return a crop of some words of a piece, or the name of the rule against it.

        Args:
            piece: The piece.
            chosen: Its words to crop.
            margins: Left, top, right, bottom.
        """
        boxes = self.chars.box[chosen.members]
        tight = (boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max())
        x1 = int(np.floor(tight[0])) - margins[0]
        y1 = int(np.floor(tight[1])) - margins[1]
        x2 = int(np.ceil(tight[2])) + margins[2]
        y2 = int(np.ceil(tight[3])) + margins[3]
        rule = self._judge_place((x1, y1, x2, y2)) or self._judge_others(piece.members, tight)
        if rule:
            return rule
        part = np.ascontiguousarray(self.pixels[y1:y2, x1:x2])
        grey = np.asarray(Image.fromarray(part).convert("L"))
        rule = judge_ink(grey, boxes - np.array([x1, y1, x1, y1]))
        if rule:
            return rule
        words = [
            BoxedText(text, self._word_box(members, x1, y1, x2, y2))
            for text, members in zip(chosen.texts, chosen.chars, strict=True)
        ]
        coloured = part.ndim == 3 and int((part.max(axis=2).astype(int) - part.min(axis=2)).max()) > COLOUR
        return Crop(encode(Image.fromarray(part if coloured else grey)), words, self.number, x2 - x1, y2 - y1)

    def _judge_place(self, box: tuple[int, int, int, int]) -> str | None:
        x1, y1, x2, y2 = box
        if x1 < 0 or y1 < 0 or x2 > self.width or y2 > self.height:
            return "beyond the page"
        if y2 - y1 < MIN_HEIGHT:
            return "lower than 8 px"
        if y2 - y1 > MAX_HEIGHT:
            return "higher than 60 px"
        return "wider than 1400 px" if x2 - x1 > MAX_WIDTH else None

    def _judge_others(self, members: Sequence[int], tight: tuple) -> str | None:
        """Return the rule against other characters that reach well into a piece's box, or stand right beside it.

        They do so in formulas and in the TeX logo.
        """
        box = self.chars.box
        others = self.shown.copy()
        others[members] = False
        wide = np.minimum(box[:, 2], tight[2]) - np.maximum(box[:, 0], tight[0])
        high = np.minimum(box[:, 3], tight[3]) - np.maximum(box[:, 1], tight[1])
        inside = np.clip(wide, 0, None) * np.clip(high, 0, None)
        area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
        if (others & (inside > 0.3 * area) & (area > 0)).any():
            return "other text on top"
        near = 0.3 * self.chars.size[members[0]]
        beside = (box[:, 2] > tight[0] - near) & (box[:, 0] < tight[2] + near) & (high > 0.4 * (box[:, 3] - box[:, 1]))
        return "cut inside a word or formula" if (others & beside).any() else None

    def _word_box(self, members: Sequence[int], x1: int, y1: int, x2: int, y2: int) -> Box:
        boxes = self.chars.box[members]
        return (
            int(max(np.floor(boxes[:, 0].min()) - x1, 0)),
            int(max(np.floor(boxes[:, 1].min()) - y1, 0)),
            int(min(np.ceil(boxes[:, 2].max()), x2) - x1),
            int(min(np.ceil(boxes[:, 3].max()), y2) - y1),
        )


def encode(picture: Image.Image) -> bytes:
    """Encode a picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=5)
    return buffer.getvalue()


def line_crops(page: RenderedPage, rng: random.Random, drops: Counter, limit: int) -> Iterator[Crop]:
    """Yield up to `limit` lines of a page in random order."""
    order = list(page.lines)
    rng.shuffle(order)
    found = 0
    for piece in order:
        if found >= limit:
            return
        rule = judge_text(page.chars, piece, rng)
        crop = rule or page.cut(piece, piece, tuple(rng.randint(*MARGINS) for _ in range(4)))  # type: ignore[arg-type]
        if isinstance(crop, str):
            drops[crop] += 1
            continue
        found += 1
        yield crop


def word_crops(page: RenderedPage, rng: random.Random, drops: Counter, limit: int) -> Iterator[Crop]:
    """Yield up to `limit` runs of one to three words of a page, two per line; margins do not reach neighbours."""
    order = list(page.lines) * 2
    rng.shuffle(order)
    found = 0
    for piece in order:
        if found >= limit:
            return
        rule = judge_text(page.chars, piece, rng)
        if rule:
            drops[rule] += 1
            continue
        length = min(rng.choices((1, 2, 3), (6, 3, 2))[0], len(piece.texts))
        start = rng.randrange(len(piece.texts) - length + 1)
        chosen = piece.part(start, length)
        text = "".join(chosen.texts)
        if len(text) < 2 or not any(char.isalnum() for char in text):
            drops["no word"] += 1
            continue
        crop = page.cut(piece, chosen, _margins(page, piece, start, length, rng))
        if isinstance(crop, str):
            drops[crop] += 1
            continue
        found += 1
        yield crop


def _margins(
    page: RenderedPage, piece: Piece, start: int, length: int, rng: random.Random
) -> tuple[int, int, int, int]:
    """Return margins left, top, right, bottom of some words of a piece, which do not reach the words beside them."""
    left, top, right, bottom = (rng.randint(*MARGINS) for _ in range(4))
    box, words, end = page.chars.box, piece.chars, start + length
    if start:
        left = max(1, min(left, int(box[words[start][0], 0] - box[words[start - 1][-1], 2]) - 2))
    if end < len(words):
        right = max(1, min(right, int(box[words[end][0], 0] - box[words[end - 1][-1], 2]) - 2))
    return left, top, right, bottom


CUTTERS = {"lines": line_crops, "words": word_crops}


def read_document(
    path: Path, kind: str, seed: str, per_page: int, per_document: int, max_pages: int
) -> tuple[list[Crop], Counter]:
    """Return crops of random pages of a document, and counts of what each rule excluded, depending only on the seed."""
    rng = random.Random(seed)
    drops: Counter = Counter()
    crops: list[Crop] = []
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        raise DataError(f"{path}: not a readable PDF: {error}") from error
    document.init_forms()
    try:
        numbers = list(range(len(document)))
        rng.shuffle(numbers)
        for number in numbers[:max_pages]:
            if len(crops) >= per_document:
                break
            if too_large_or_small(document, number):
                drops["pages: very large or very small"] += 1
                continue
            page = RenderedPage(document, number)
            drops.update({f"characters: {reason}": count for reason, count in page.left_out.items()})
            crops.extend(CUTTERS[kind](page, rng, drops, min(per_page, per_document - len(crops))))
    finally:
        document.close()
    rng.shuffle(crops)
    return crops, drops


def too_large_or_small(document: pdfium.PdfDocument, number: int) -> bool:
    """Return whether a page is meant for a wall, or too small for anyone to read."""
    width, height = document.get_page_size(number)
    return max(width, height) * SCALE > MAX_PAGE_SIDE or min(width, height) < LEAST_SIDE


def crop_sample(crop: Crop, name: str, rng: random.Random, source: str, licence: str, only_read: bool) -> Sample:
    """Return a crop with questions about it, as a sample."""
    messages = ask_about_line(crop.words, rng, only_read)
    return Sample(name, [], messages, f"{source}#page={crop.page + 1}", licence, regions_of(crop.words))
