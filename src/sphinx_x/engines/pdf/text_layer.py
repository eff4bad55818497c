"""The characters of a page's text layer as arrays: text, boxes in pixels of the picture, direction, font, visibility.

Everything that PDF leaves open is settled here once: page rotation, ligatures, presentation forms, soft hyphens, and
which characters no reader can see. `words` and `order` make words, lines and blocks of these characters.
"""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from sphinx_x.engines.pdf.tuned import FLAT

MONO = re.compile(
    r"tt\d|mono|nimbusmon|typewriter|courier|code|consol|hack|fixed|^cmtt|sftt|ectt|menlo|monaco", re.IGNORECASE
)
NAMELESS = "#"
"""Prefix of the names given to fonts without one, which are mostly bitmap fonts."""
INVISIBLE = 3
"""The text rendering mode of what OCR programs lay over a scan."""
SPACES = frozenset((9, 10, 12, 13, 32, 160, 0x2002, 0x2003, 0x2009, 0x3000))
OBLIQUE, VERTICAL = 4, 5
"""Directions besides the four quarter turns: slanted text, and columns of Chinese or Japanese read downwards."""
BOLD = re.compile(
    r"bold|black|heavy|semib|[-_]bd\b|cmbx|cmb\d|sfbx|ecbx|cmssbx|[a-z]b8t|demi(?:\d|$|ital)|cmssdc|-medi(?:$|ital)",
    re.IGNORECASE,
)
SOFT_HYPHEN = 0xAD
HYPHENS = (2, SOFT_HYPHEN)
"""Codes of a hyphen that is there only because the line ends: pdfium's own mark for it, and the soft hyphen."""
PLAIN_HYPHENS, MANY = frozenset((0x2D, 0x2010, 0x2011)), 3
"""Codes of other hyphens, and the number of soft ones inside words from which they are meant as ordinary hyphens."""

JOINERS = (0x200C, 0x200D)
"""The non-joiner and the joiner, which change how letters look in scripts that join them."""
JOINING = ((0x600, 0xE00), (0x1F000, 0x20000))
"""Codes of such letters: from Arabic to the scripts of India, and emoji of people."""
WITHOUT_WIDTH = frozenset(
    (0x34F, 0x61C, 0x115F, 0x1160, 0x200B, 0x200E, 0x200F, 0x3164, 0xFEFF, 0xFFA0, *range(0x180B, 0x1810))
) | frozenset((*range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000)))
"""Codes of what cannot be seen: zero-width spaces and joiners, direction marks, variation selectors."""
FIRST_ODD = min(WITHOUT_WIDTH)
PLAIN_SPACES = tuple(code for code in sorted(SPACES) if code < FIRST_ODD)


@dataclass(slots=True)
class Font:
    """What the characters of one text object share.

    Attributes:
        size: Em in pixels.
        direction: Quarter turns clockwise.
    """

    name: str
    size: float
    direction: int
    bold: bool
    mono: bool
    hidden: bool
    mark: int


@dataclass(slots=True)
class Characters:
    """N characters in the order of the text layer, without white space.

    Attributes:
        text: One character, or the letters of a ligature.
        box: (N, 4) of the ink, in pixels of the picture.
        cell: (N, 4) of the advance, in pixels of the picture.
        origin: (N, 2) where each stands on its line; None unless requested.
        space: White space before it: 2 if the file has it, 1 if pdfium inferred it, 0 for none.
        broken: Its text cannot be trusted.
        hidden: It is invisible or transparent.
    """

    text: list[str] = field(default_factory=list)
    box: Any = None
    cell: Any = None
    origin: Any = None
    font: list[Font] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    """Addresses of their text objects, 0 for none; valid while the page is open."""
    runs: list[int] = field(default_factory=list)
    """Where another text object begins; all characters up to the next have one font."""
    space: list[int] = field(default_factory=list)
    soft: list[bool] = field(default_factory=list)
    shy: list[bool] = field(default_factory=list)
    """Soft hyphens that are in the file; those that pdfium inferred may be of either kind."""
    broken: Any = None
    hidden: Any = None
    direction: Any = None
    size: Any = None

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True)
class Frame:
    """The mapping from points of a page to pixels of its picture.

    Attributes:
        bounds: Left, bottom, right, top of the visible page, in points.
        quarters: Clockwise quarter turns of the picture.
        width: Width of the picture, in pixels.
        height: Its height, in pixels.
    """

    bounds: tuple[float, float, float, float]
    quarters: int
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Pixels per point."""
        left, bottom, right, top = self.bounds
        return max(self.width, self.height) / max(right - left, top - bottom)

    def points(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Map points of the page to pixels."""
        left, bottom, right, top = self.bounds
        u, v = (x - left) / (right - left), (top - y) / (top - bottom)
        for _ in range(self.quarters % 4):
            u, v = 1 - v, u
        return u * self.width, v * self.height

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Map boxes (N, 4) of left, bottom, right, top in points to x1, y1, x2, y2 in pixels."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        x, y = self.points(boxes[:, 0], boxes[:, 1])
        u, v = self.points(boxes[:, 2], boxes[:, 3])
        return np.stack([np.minimum(x, u), np.minimum(y, v), np.maximum(x, u), np.maximum(y, v)], 1)


def native(name: str, result: Any) -> Any:
    """Return a function of pdfium without checks of its arguments, which cost most of a small call."""
    return ctypes.CFUNCTYPE(result)(ctypes.cast(getattr(raw, name), ctypes.c_void_p).value)  # type: ignore[arg-type]


_get_code = native("FPDFText_GetUnicode", ctypes.c_uint)
_get_object = native("FPDFText_GetTextObject", ctypes.c_size_t)
_get_box = native("FPDFText_GetCharBox", ctypes.c_int)
_get_cell = native("FPDFText_GetLooseCharBox", ctypes.c_int)
_get_origin = native("FPDFText_GetCharOrigin", ctypes.c_int)
_is_generated = native("FPDFText_IsGenerated", ctypes.c_int)
_get_size = native("FPDFText_GetFontSize", ctypes.c_double)
_get_matrix = native("FPDFText_GetMatrix", ctypes.c_int)
_get_font = native("FPDFTextObj_GetFont", ctypes.c_size_t)
_get_colour = native("FPDFPageObj_GetFillColor", ctypes.c_int)
_get_mode = native("FPDFTextObj_GetTextRenderMode", ctypes.c_int)
_get_mark = native("FPDFPageObj_GetMarkedContentID", ctypes.c_int)


def read_characters(page: pdfium.PdfPage, frame: Frame, origins: bool = False) -> Characters:
    """Return the characters of a page's text layer.

    Args:
        page: The page.
        frame: From its points to pixels.
        origins: Whether to read the characters' origins too.

    Raises:
        PdfiumError: pdfium cannot read the text layer.
    """
    textpage = page.get_textpage()
    try:
        return _read(textpage, frame, origins)
    finally:
        textpage.close()


def _read(textpage: Any, frame: Frame, origins: bool) -> Characters:
    native, count = ctypes.cast(textpage.raw, ctypes.c_void_p), textpage.count_chars()
    members, codes, space = _members(native, count)
    out = Characters(list(map(character, codes)), space=space)
    any_soft = any(code in codes for code in HYPHENS)
    out.soft = [code in HYPHENS for code in codes] if any_soft else [False] * len(codes)
    out.shy = _soft_hyphens(codes, space)
    fonts: dict[int, Font] = {}
    names: dict[int, str] = {}
    out.keys = list(map(_get_object, repeat(native), members))
    objects = np.array(out.keys, np.uint64)
    out.runs = [0, *(np.flatnonzero(objects[1:] != objects[:-1]) + 1).tolist()] if members else []
    for start, end in pairwise([*out.runs, len(members)]):
        key = out.keys[start]
        font = fonts.get(key)
        if font is None:
            font = fonts[key] = _read_font(native, members[start], key, frame, names)
        out.font += [font] * (end - start)
    box, cell = (ctypes.c_double * 4)(), raw.FS_RECTF()
    corners = (ctypes.byref(box, 8 * side) for side in (0, 2, 1, 3))  # pdfium gives left, right, bottom, top
    out.box = frame.boxes(_filled(map(_get_box, repeat(native), members, *map(repeat, corners)), box, np.float64))
    cells = _filled(map(_get_cell, repeat(native), members, repeat(ctypes.byref(cell))), cell, np.float32)
    out.cell = frame.boxes(cells[:, [0, 3, 2, 1]])
    if origins:
        x, y = (ctypes.byref(box, 8 * side) for side in (0, 1))
        places = _filled(map(_get_origin, repeat(native), members, repeat(x), repeat(y)), box, np.float64)
        out.origin = np.stack(frame.points(places[:, 0], places[:, 1]), 1)
    _finish(out)
    return out


def _members(native: Any, count: int) -> tuple[list[int], list[int], list[int]]:
    """Return the indices and codes of the characters that are not white space, and the white space before each."""
    members, codes, spaces = [], [], []
    space, high = 0, 0
    every = list(map(_get_code, repeat(native), range(count)))
    told = np.array(every, np.uint32)
    special = np.flatnonzero((told >= FIRST_ODD) | np.isin(told, PLAIN_SPACES)).tolist()
    begin = 0
    for index in [*special, count]:
        if index > begin:  # letters of which nothing is to be settled: most of them in Latin
            members += range(begin, index)
            codes += every[begin:index]
            spaces += [space, *[0] * (index - begin - 1)]
            space = high = 0
        begin = index + 1
        if index == count:
            break
        code = every[index]
        if code in SPACES:
            space = max(space, 1 if _is_generated(native, index) == 1 else 2)
            continue
        if code >= FIRST_ODD:
            if 0xD800 <= code < 0xE000:
                if code < 0xDC00:  # the first half of a character outside the basic plane
                    high = code
                    continue
                if high:
                    code = 0x10000 + ((high - 0xD800) << 10) + code - 0xDC00
            if code in JOINERS and not (codes and not space and _joins(codes[-1])):
                continue
            if code in WITHOUT_WIDTH:
                if not _has_width(native, index):
                    continue
                code = 0xFFFD  # as of a font whose map is wrong
        members.append(index)
        codes.append(code)
        spaces.append(space)
        space = high = 0
    return members, codes, spaces


def _has_width(native: Any, index: int) -> bool:
    box = (ctypes.c_double * 4)()
    _get_box(native, index, *(ctypes.byref(box, 8 * side) for side in range(4)))  # left, right, bottom, top
    return min(box[1] - box[0], box[3] - box[2]) > FLAT


def _soft_hyphens(codes: list[int], space: list[int]) -> list[bool]:
    """Return which codes are soft hyphens: none if a file has no other hyphens and many of these inside words."""
    shy = [code == SOFT_HYPHEN for code in codes]
    if SOFT_HYPHEN not in codes:
        return shy
    inside = sum(one and not after for one, after in zip(shy, space[1:], strict=False))
    return [False] * len(codes) if inside >= MANY and not PLAIN_HYPHENS & set(codes) else shy


def _joins(code: int) -> bool:
    return any(start <= code < end for start, end in JOINING)


def _filled(calls: Iterator[int], place: Any, kind: type) -> np.ndarray:
    """Return what each of N native calls writes into `place`, four numbers of type `kind`, as (N, 4)."""
    take = memoryview(place).cast("B").tobytes
    return np.frombuffer(b"".join([take() for _ in calls]), kind).reshape(-1, 4)


def _finish(out: Characters) -> None:
    sides = out.box[:, 2:] - out.box[:, :2]
    empty = sides.min(1, initial=math.inf) < FLAT
    out.box[empty] = out.cell[empty]
    out.broken = np.array([text == "\ufffd" for text in out.text], bool)
    counts = np.diff([*out.runs, len(out)])
    fonts = [out.font[start] for start in out.runs]
    out.hidden = np.repeat(np.array([font.hidden for font in fonts], bool), counts)
    out.direction = np.repeat(np.array([font.direction for font in fonts], np.int8), counts)
    out.size = np.repeat(np.array([font.size for font in fonts], np.float64), counts)
    high = np.where(out.direction % 2 == 1, out.cell[:, 2] - out.cell[:, 0], out.cell[:, 3] - out.cell[:, 1])
    unknown = out.size < 0.3 * high  # bitmap fonts have units of their own
    out.size[unknown] = 0.75 * high[unknown]


@lru_cache(maxsize=65_536)
def character(code: int) -> str:
    """Return the text of a code: ligatures and presentation forms as letters, U+FFFD if it is not a character."""
    if code in HYPHENS or code == 0x2010 or code == 0x2011:
        return "-"
    if code <= 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
        return "\ufffd"
    char = chr(code)
    if 0x20 < code < 0x7F:
        return char
    if 0xFB00 <= code <= 0xFDFF or 0xFE70 <= code <= 0xFEFC or 0xF900 <= code <= 0xFAFF:
        return unicodedata.normalize("NFKC", char).strip() or "\ufffd"
    return "\ufffd" if unicodedata.category(char) in ("Cc", "Co", "Cn", "Cs") else char


def size_and_matrix(native: Any, index: int) -> tuple[float, raw.FS_MATRIX | None]:
    """Return the size of a character's font, and its matrix if it has one.

    A negative size rotates and mirrors what the matrix says; it is folded into the matrix.
    """
    size, matrix = _get_size(native, index), raw.FS_MATRIX()
    if not _get_matrix(native, index, ctypes.byref(matrix)):
        return abs(size), None
    if size < 0:
        matrix.a, matrix.b, matrix.c, matrix.d = -matrix.a, -matrix.b, -matrix.c, -matrix.d
    return abs(size), matrix


def _read_font(native: Any, index: int, key: int, frame: Frame, names: dict[int, str]) -> Font:
    """Return the font of a character, of the text object at the address `key` (0 for none)."""
    size, matrix = size_and_matrix(native, index)
    if matrix is None:
        return Font("", size * frame.scale, 0, False, False, False, -1)
    high = math.hypot(matrix.c, matrix.d)
    angle = math.degrees(math.atan2(-matrix.b, matrix.a)) / 90 + frame.quarters  # clockwise turns of the picture
    turns = round(angle)
    direction = turns % 4 if abs(angle - turns) < 0.06 else OBLIQUE
    name, hidden, mark = "", False, -1
    if key:
        handle = ctypes.c_void_p(key)
        name = _font_name(_get_font(handle), names)
        alpha, unused = ctypes.c_uint(255), ctypes.byref(ctypes.c_uint())
        _get_colour(handle, unused, unused, unused, ctypes.byref(alpha))
        hidden = _get_mode(handle) == INVISIBLE or alpha.value < 10
        mark = _get_mark(handle)
    return Font(name, size * high * frame.scale, direction, *_looks(name), hidden, mark)


@lru_cache(maxsize=4096)
def _looks(name: str) -> tuple[bool, bool]:
    """Return whether a font is bold, and whether it is monospaced, judging by its name."""
    return bool(BOLD.search(name)), bool(MONO.search(name))


def _font_name(font: int, names: dict[int, str]) -> str:
    """Return the name of the font at an address; fonts without one are numbered."""
    if font and font not in names:
        buffer = ctypes.create_string_buffer(256)
        good = 1 < raw.FPDFFont_GetBaseFontName(ctypes.cast(font, raw.FPDF_FONT), buffer, 256) <= 256
        names[font] = buffer.value.decode("latin-1").split("+")[-1] if good else f"{NAMELESS}{len(names)}"
    return names.get(font, "")
