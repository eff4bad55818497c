"""Text lines of PDF documents: crops of the rendered page with the text, the words and their boxes.

The text layer is trusted only where the page agrees with it: every glyph must have ink in its box, the crop must show
no ink beside the boxes, and the shapes must fit the letters (a `p` goes below the line, an `o` does not). Every line
that is left out is counted under the name of the rule that left it out.
"""

from __future__ import annotations

import ctypes
import io
import itertools
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from PIL import Image

from sphinx_x.boxes import Box
from sphinx_x.data.sample import BoxedText, Sample, regions_of
from sphinx_x.engines.nano.tasks import ask_about_line
from sphinx_x.engines.pdf.annotations import read_annotations
from sphinx_x.engines.pdf.covers import covered
from sphinx_x.engines.pdf.drawings import read_painted
from sphinx_x.engines.pdf.text_layer import JOINERS, WITHOUT_WIDTH, Frame, size_and_matrix
from sphinx_x.errors import DataError

DPI = 150
SCALE = DPI / 72
MIN_CHARS, MAX_CHARS = 3, 90
MIN_HEIGHT, MAX_HEIGHT, MAX_WIDTH = 8, 60, 1400
MARGINS = (2, 5)
MAX_PAGE_SIDE = 2600
"""Pixels; posters and slides made for walls are left out."""
MIN_POINTS = 5.0
COLUMN_GAP = 2.5
"""Em; a wider gap starts another line, so that columns do not merge."""
KEEP_LEADERS = 0.3
"""Share of the lines with dot leaders (tables of contents) that is kept; there are far too many of them."""

SPACE, MONO_SPACE, NO_SPACE = 0.18, 0.38, 0.13
"""Em; the least width of a space, and the most that may lie between the letters of a word."""

SYMBOL_FONT = re.compile(
    r"cmsy|cmbsy|cmex|cmcsc|msam|msbm|euf|eus|eur[mb]|rsfs|wasy|marvo|symbol|dingbat|awesome|stmary|bbding|manfnt|logo"
    r"|mathextra|sy[ms]?\d|math|sups|caps|smallcap|[-_]sc\b|sfcc|sfxc|sc\d*$|goth|frak|fraktur|schwab|init|icons?|music|chess"
    r"|skak|tipa|braille|barcode|ean|rune|runic|greek|cyr|arab|hebr|deva|txex|txsy|pxsy|mtsy|mtex|esint|script|chancery|callig"
    r"|hand|ornament|dice|card|webd|wingd|dsfont|bbm|bbold|lasy|line\d|lcircle|fetamont|fiver|tengwar|cirth|punk|twemoji|emoji",
    re.IGNORECASE,
)
SYMBOLS_ALLOWED = frozenset("{}|\\*")
"""The few characters that TeX's text takes from its symbol font."""
ON_LINE = frozenset("acemnorsuvwxABCDEFGHIKLMNOPRSTUVWXYZbdhkl")
BELOW_LINE = frozenset("gpqy")
LOW = frozenset("acemnorsuvwxz")
TALL = frozenset("bdhkl")
LEADERS = re.compile(r"(?:\. ?){5,}|(\S)\1{5,}|(?:(\S) ){4}\2")
APART = re.compile(r"(?:^| )[A-Za-z] [A-Za-z] [A-Za-z](?: |$)")
"""Three words of one letter: those of one word that are tracked, mostly."""
COMMON = frozenset(".,:;!?'\"()-/ ")


@dataclass(slots=True)
class Glyphs:
    """The visible characters of a page in order; boxes and baselines are pixels of the rendered page."""

    text: list[str] = field(default_factory=list)
    box: Any = None  # (N, 4) float: x1, y1, x2, y2
    baseline: list[float] = field(default_factory=list)
    em: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    """Where the character's advance starts and ends, which is wider than its ink."""
    space_before: list[bool] = field(default_factory=list)
    font: list[Font] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Font:
    """What decides whether the characters of a text object can be trusted."""

    name: str
    mono: bool
    upright: bool
    em: float


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


def clean(text: str) -> str:
    """NFKC with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def printable(text: str) -> bool:
    """Whether every character is printable ASCII."""
    return all(" " <= char <= "~" for char in text)


def read_glyphs(page: pdfium.PdfPage, width: int, height: int) -> Glyphs:
    """The characters of the text layer in its order, with boxes in pixels of a rendering of this size."""
    left, bottom, right, top = page.get_bbox()
    sx, sy = width / (right - left), height / (top - bottom)
    textpage = page.get_textpage()
    glyphs = Glyphs()
    boxes: list[Box] = []
    fonts: dict[int, Font] = {}
    keys: list[int] = []
    loose = raw.FS_RECTF()
    x1, x2, y1, y2, ox, oy = (ctypes.c_double() for _ in range(6))
    space = False
    for index in range(textpage.count_chars()):
        code = raw.FPDFText_GetUnicode(textpage, index)
        if code == 2 and raw.FPDFText_IsHyphen(textpage, index):
            code = 45
        if code in (9, 10, 13, 32, 160) or raw.FPDFText_IsGenerated(textpage, index):
            space = True
            continue
        if code in WITHOUT_WIDTH or code in JOINERS:
            continue
        handle = raw.FPDFText_GetTextObject(textpage, index)
        key = ctypes.addressof(handle.contents) if handle else 0
        font = fonts.get(key)
        if font is None:
            font = fonts[key] = _read_font(textpage, index, handle if key else None, sy)
        raw.FPDFText_GetCharBox(textpage, index, x1, x2, y1, y2)
        raw.FPDFText_GetCharOrigin(textpage, index, ox, oy)
        raw.FPDFText_GetLooseCharBox(textpage, index, loose)
        char = _character(code)
        glyphs.text.append(char)
        boxes.append(((x1.value - left) * sx, (top - y2.value) * sy, (x2.value - left) * sx, (top - y1.value) * sy))
        glyphs.baseline.append((top - oy.value) * sy)
        glyphs.em.append(font.em)
        glyphs.start.append((ox.value - left) * sx)
        glyphs.end.append((loose.right - left) * sx)
        glyphs.space_before.append(space)
        glyphs.font.append(font)
        keys.append(key)
        space = False
    textpage.close()
    glyphs.box = np.array(boxes, np.float64).reshape(-1, 4)
    painted = read_painted(page, read_annotations(page).places)
    frame = Frame((left, bottom, right, top), 0, width, height)
    return _without(glyphs, covered(page, frame, painted, keys, glyphs.box, SCALE))


def _without(glyphs: Glyphs, hidden: np.ndarray) -> Glyphs:
    """The glyphs that can be seen; where others stood between them is white space."""
    if not hidden.any():
        return glyphs
    kept = np.flatnonzero(~hidden).tolist()
    out = Glyphs(box=glyphs.box[kept])
    for name in ("text", "baseline", "em", "start", "end", "font"):
        values = getattr(glyphs, name)
        setattr(out, name, [values[k] for k in kept])
    before = [-1, *kept[:-1]]
    out.space_before = [glyphs.space_before[k] or k - last > 1 for k, last in zip(kept, before, strict=True)]
    return out


def _character(code: int) -> str:
    """The NFKC form of a code of the text layer; a null character for what is not one."""
    if not 0 < code < 0x110000 or 0xD800 <= code < 0xE000:
        return "\0"
    return unicodedata.normalize("NFKC", chr(code)) or "\0"


def _read_font(textpage: pdfium.PdfTextPage, index: int, handle: Any, scale: float) -> Font:
    size, matrix = size_and_matrix(ctypes.cast(textpage.raw, ctypes.c_void_p), index)
    if matrix is None:
        return Font("", False, False, size * scale)
    upright = matrix.a > 0 and matrix.d > 0 and abs(matrix.b) < 0.01 * matrix.a
    name, mono = "", False
    if handle is not None:
        font = raw.FPDFTextObj_GetFont(handle)
        buffer = ctypes.create_string_buffer(256)
        if font and 1 < raw.FPDFFont_GetBaseFontName(font, buffer, 256) <= 256:
            name = buffer.value.decode("latin-1").split("+")[-1]
        mono = bool(font) and bool(raw.FPDFFont_GetFlags(font) & 1)
    mono = mono or bool(re.search(r"tt|mono|typewriter|courier|code|consol|hack|fixed", name, re.IGNORECASE))
    return Font(name, mono, upright, size * float(np.hypot(matrix.c, matrix.d)) * scale)


def group_lines(glyphs: Glyphs) -> list[list[int]]:
    """Glyph numbers by line: neighbours in the text layer's order on one baseline, without wide gaps or steps back."""
    lines: list[list[int]] = []
    box = glyphs.box
    for index, baseline in enumerate(glyphs.baseline):
        em = glyphs.em[index]
        if lines:
            last = lines[-1][-1]
            gap = box[index, 0] - box[last, 2]
            same = abs(baseline - glyphs.baseline[last]) <= 0.06 * em + 0.3
            forward = box[index, 0] >= box[last, 0] - 0.15 * em
            if same and forward and gap <= COLUMN_GAP * max(em, glyphs.em[last]):
                lines[-1].append(index)
                continue
        lines.append([index])
    return lines


def words_of(glyphs: Glyphs, line: list[int]) -> list[list[int]]:
    """Glyph numbers of a line by word."""
    words: list[list[int]] = []
    for number, index in enumerate(line):
        if not number or glyphs.space_before[index]:
            words.append([])
        words[-1].append(index)
    return words


def judge_text(glyphs: Glyphs, line: list[int], rng: random.Random) -> str | None:
    """The rule that leaves a line out for its text, fonts or spacing; None for a line to keep."""
    if not all(glyphs.font[index].upright for index in line):
        return "rotated text"
    text = clean(" ".join("".join(glyphs.text[i] for i in word) for word in words_of(glyphs, line)))
    if len(text) < MIN_CHARS:
        return "shorter than 3 characters"
    if len(text) > MAX_CHARS:
        return "longer than 90 characters"
    if any(unicodedata.category(char) in ("Cc", "Co", "Cn") or char == "\ufffd" for char in text):
        return "unmapped characters"
    if not printable(text):
        return "not ASCII"
    if min(glyphs.em[index] for index in line) < MIN_POINTS * SCALE:
        return "smaller than 5 points"
    for index in line:
        font = glyphs.font[index]
        if not font.name:
            return "font without a name"
        if SYMBOL_FONT.search(font.name) and glyphs.text[index] not in SYMBOLS_ALLOWED:
            return "symbol font"
    if APART.search(text):
        return "letters set apart"
    common = sum(char.isalnum() or char in COMMON for char in text)
    if common < 0.6 * len(text) or not any(char.isalnum() for char in text):
        return "few letters and digits"
    if LEADERS.search(text) and rng.random() > KEEP_LEADERS:
        return "dot leaders"
    return _judge_spacing(glyphs, line) or _judge_shapes(glyphs, line)


def _judge_spacing(glyphs: Glyphs, line: list[int]) -> str | None:
    """Between advances, a space must be wide and everything else narrow; letter-spaced text has neither."""
    box = glyphs.box
    for last, index in itertools.pairwise(line):
        if np.array_equal(box[index], box[last]):
            continue  # the letters of a ligature
        em = max(glyphs.em[index], 1e-6)
        if box[index, 0] - box[last, 2] < -0.35 * em:
            return "characters on top of each other"
        gap = (glyphs.start[index] - glyphs.end[last]) / em
        if glyphs.space_before[index]:
            mono = glyphs.font[index].mono and glyphs.font[last].mono
            if gap < (MONO_SPACE if mono else SPACE):
                return "doubtful space"
        elif gap > NO_SPACE:
            return "doubtful space"
    return None


def _judge_shapes(glyphs: Glyphs, line: list[int]) -> str | None:
    """A wrong mapping of codes to letters shows in shapes that do not fit; small capitals as well."""
    for index in line:
        char, em = glyphs.text[index], glyphs.em[index]
        _, top, _, bottom = glyphs.box[index]
        below = (bottom - glyphs.baseline[index]) / max(em, 1e-6)
        above = (glyphs.baseline[index] - top) / max(em, 1e-6)
        if (
            (char in ON_LINE and below > 0.12)
            or (char in BELOW_LINE and below < 0.10)
            or (char in LOW and above > 0.62)
            or (char in TALL and above < 0.56)
        ):
            return "shapes do not fit the letters"
    return None


class RenderedPage:
    """A page as pixels and glyphs, from which lines and runs of words are cut."""

    def __init__(self, page: pdfium.PdfPage, number: int) -> None:
        self.number = number
        bitmap = page.render(scale=SCALE, draw_annots=False, rev_byteorder=True)  # type: ignore[arg-type]
        self.pixels = bitmap.to_numpy()[..., :3]
        self.height, self.width = self.pixels.shape[:2]
        self.glyphs = read_glyphs(page, self.width, self.height)
        self.lines = group_lines(self.glyphs)

    def cut(self, line: list[int], chosen: list[int], margins: tuple[int, int, int, int]) -> Crop | str:
        """The crop of the `chosen` glyphs of a line with margins left, top, right, bottom; or the rule against it."""
        glyphs = self.glyphs
        boxes = glyphs.box[chosen]
        tight = (boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max())
        x1 = int(np.floor(tight[0])) - margins[0]
        y1 = int(np.floor(tight[1])) - margins[1]
        x2 = int(np.ceil(tight[2])) + margins[2]
        y2 = int(np.ceil(tight[3])) + margins[3]
        if x1 < 0 or y1 < 0 or x2 > self.width or y2 > self.height:
            return "beyond the page"
        if y2 - y1 < MIN_HEIGHT:
            return "lower than 8 px"
        if y2 - y1 > MAX_HEIGHT:
            return "higher than 60 px"
        if x2 - x1 > MAX_WIDTH:
            return "wider than 1400 px"
        if self._covered(line, tight):
            return "other text on top"
        if self._touched(line, tight):
            return "cut inside a word or formula"
        colour = self.pixels[y1:y2, x1:x2]
        grey = np.asarray(Image.fromarray(np.ascontiguousarray(colour)).convert("L"))
        rule = _judge_ink(grey, boxes - np.array([x1, y1, x1, y1]))
        if rule:
            return rule
        words = [
            BoxedText(clean("".join(glyphs.text[i] for i in word)), self._word_box(word, x1, y1, x2, y2))
            for word in words_of(glyphs, chosen)
        ]
        coloured = int((colour.max(axis=2).astype(int) - colour.min(axis=2)).max()) > 24
        picture = Image.fromarray(np.ascontiguousarray(colour) if coloured else grey)
        return Crop(encode(picture), words, self.number, x2 - x1, y2 - y1)

    def _covered(self, line: list[int], tight: tuple) -> bool:
        """Whether glyphs of other lines reach well into the box of this line."""
        box = self.glyphs.box
        wide = np.minimum(box[:, 2], tight[2]) - np.maximum(box[:, 0], tight[0])
        high = np.minimum(box[:, 3], tight[3]) - np.maximum(box[:, 1], tight[1])
        inside = np.clip(wide, 0, None) * np.clip(high, 0, None)
        area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
        other = np.ones(len(box), bool)
        other[line] = False
        return bool((other & (inside > 0.3 * area) & (area > 0)).any())

    def _touched(self, line: list[int], tight: tuple) -> bool:
        """Whether a glyph of another line stands right beside this one, as in formulas and the TeX logo."""
        box = self.glyphs.box
        near = 0.3 * self.glyphs.em[line[0]]
        high = np.minimum(box[:, 3], tight[3]) - np.maximum(box[:, 1], tight[1])
        beside = (box[:, 2] > tight[0] - near) & (box[:, 0] < tight[2] + near) & (high > 0.4 * (box[:, 3] - box[:, 1]))
        beside[line] = False
        return bool(beside.any())

    def _word_box(self, word: list[int], x1: int, y1: int, x2: int, y2: int) -> Box:
        boxes = self.glyphs.box[word]
        return (
            int(max(np.floor(boxes[:, 0].min()) - x1, 0)),
            int(max(np.floor(boxes[:, 1].min()) - y1, 0)),
            int(min(np.ceil(boxes[:, 2].max()), x2) - x1),
            int(min(np.ceil(boxes[:, 3].max()), y2) - y1),
        )


def _judge_ink(grey: np.ndarray, boxes: np.ndarray) -> str | None:
    """Every glyph must have ink in its box, and nearly all ink must lie in the boxes."""
    paper = int(np.bincount(grey.ravel(), minlength=256).argmax())
    strength = np.abs(grey.astype(np.int16) - paper)
    if strength.max() < 80:
        return "faint or no ink"
    ink = strength > 40
    share = ink.mean()
    if not 0.02 <= share <= 0.55:
        return "implausible share of ink"
    height, width = grey.shape
    sums = np.zeros((height + 1, width + 1), np.int32)
    sums[1:, 1:] = ink.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    low = np.clip(np.floor(boxes[:, :2] - 0.5).astype(int), 0, [width, height])
    high = np.clip(np.ceil(boxes[:, 2:] + 0.5).astype(int), 0, [width, height])
    (left, top), (right, bottom) = low.T, high.T
    filled = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    if (filled == 0).any():
        return "character without ink"
    rest = ink.copy()
    for (left, top), (right, bottom) in zip(low, high, strict=True):
        rest[top:bottom, left:right] = False
    if rest[low[:, 1].min() : high[:, 1].max()].sum() > 3 or rest.sum() > max(3, 0.015 * ink.sum()):
        return "other ink in the crop"
    return None


def encode(picture: Image.Image) -> bytes:
    """A picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=5)
    return buffer.getvalue()


def line_crops(page: RenderedPage, rng: random.Random, drops: Counter, limit: int) -> Iterator[Crop]:
    """Up to `limit` lines of a page in random order."""
    order = list(page.lines)
    rng.shuffle(order)
    found = 0
    for line in order:
        if found >= limit:
            return
        rule = judge_text(page.glyphs, line, rng)
        crop = rule or page.cut(line, line, tuple(rng.randint(*MARGINS) for _ in range(4)))  # type: ignore[arg-type]
        if isinstance(crop, str):
            drops[crop] += 1
            continue
        found += 1
        yield crop


def word_crops(page: RenderedPage, rng: random.Random, drops: Counter, limit: int) -> Iterator[Crop]:
    """Up to `limit` runs of one to three words of a page, two of a line; margins do not reach neighbours."""
    order = list(page.lines) * 2
    rng.shuffle(order)
    found = 0
    for line in order:
        if found >= limit:
            return
        rule = judge_text(page.glyphs, line, rng)
        if rule:
            drops[rule] += 1
            continue
        words = words_of(page.glyphs, line)
        length = min(rng.choices((1, 2, 3), (6, 3, 2))[0], len(words))
        start = rng.randrange(len(words) - length + 1)
        chosen = [index for word in words[start : start + length] for index in word]
        text = "".join(page.glyphs.text[index] for index in chosen)
        if len(text) < 2 or not any(char.isalnum() for char in text):
            drops["no word"] += 1
            continue
        left, top, right, bottom = (rng.randint(*MARGINS) for _ in range(4))
        box = page.glyphs.box
        if start:
            left = max(1, min(left, int(box[chosen[0], 0] - box[words[start - 1][-1], 2]) - 2))
        if start + length < len(words):
            right = max(1, min(right, int(box[words[start + length][0], 0] - box[chosen[-1], 2]) - 2))
        crop = page.cut(line, chosen, (left, top, right, bottom))
        if isinstance(crop, str):
            drops[crop] += 1
            continue
        found += 1
        yield crop


CUTTERS = {"lines": line_crops, "words": word_crops}


def read_document(
    path: Path, kind: str, seed: str, per_page: int, per_document: int, max_pages: int
) -> tuple[list[Crop], Counter]:
    """Crops of random pages of a document, and what was left out by which rule. Deterministic from the seed."""
    rng = random.Random(seed)
    drops: Counter = Counter()
    crops: list[Crop] = []
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as error:
        raise DataError(f"{path}: not a readable PDF: {error}") from error
    try:
        numbers = list(range(len(document)))
        rng.shuffle(numbers)
        for number in numbers[:max_pages]:
            if len(crops) >= per_document:
                break
            page = document[number]
            if page.get_rotation() or max(page.get_size()) * SCALE > MAX_PAGE_SIDE or min(page.get_size()) < 20:
                drops["pages: rotated, very large or very small"] += 1
                page.close()
                continue
            limit = min(per_page, per_document - len(crops))
            crops.extend(CUTTERS[kind](RenderedPage(page, number), rng, drops, limit))
            page.close()
    finally:
        document.close()
    rng.shuffle(crops)
    return crops, drops


def crop_sample(crop: Crop, name: str, rng: random.Random, source: str, licence: str, only_read: bool) -> Sample:
    """A crop with what is asked about it."""
    messages = ask_about_line(crop.words, rng, only_read)
    return Sample(name, [], messages, f"{source}#page={crop.page + 1}", licence, regions_of(crop.words))
