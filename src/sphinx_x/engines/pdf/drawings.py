"""Images, drawings and ruled lines of a page: everything but text, as boxes in pixels of its picture."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from sphinx_x.boxes import Box, area, centre, contains, overlaps, sides, union
from sphinx_x.engines.pdf.text_layer import Frame, native
from sphinx_x.engines.pdf.tuned import (
    DRAWING_CELL,
    DRAWING_SHAPES,
    FIGURE_AREA,
    FIGURE_SIDE,
    FORM_DEPTH,
    MOST_OBJECTS,
    RULE_LENGTH,
    RULE_WIDTH,
    SCAN,
    TOUCHING,
)

LAYER = (ord("O"), ord("C"), 0)
"""The name of marks of optional content."""
IMAGE = 1000


@dataclass
class Shapes:
    """What a page shows besides text.

    Attributes:
        figures: Images and drawings, each with its number of shapes (`IMAGE` for an image).
        rules: Ruled lines.
        scan: Whether the page is one image.
        crowded: Whether there are more objects than are examined.
    """

    figures: list[tuple[Box, int]] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    scan: bool = False
    crowded: bool = False


@dataclass
class Painted:
    """The objects of a page in the order in which they are drawn.

    Attributes:
        texts: How many of the other objects are drawn before each text object, by its address.
        nested: Text objects in forms.
        layered: Text objects of optional content, which may be off.
        others: Addresses of objects other than text.
        kinds: Kind of each of these, empty if it is too small to count.
        places: Left, bottom, right and top of each, in points.
        covers: Whether each may hide what it lies over.
        crowded: Whether there are more objects than are examined.
    """

    texts: dict[int, int] = field(default_factory=dict)
    nested: set[int] = field(default_factory=set)
    layered: set[int] = field(default_factory=set)
    others: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    places: list[tuple[float, float, float, float]] = field(default_factory=list)
    covers: list[bool] = field(default_factory=list)
    crowded: bool = False
    marks: dict[int, bool] = field(default_factory=dict)
    """Whether each mark seen so far, by its address, is one of optional content."""


def read_painted(page: pdfium.PdfPage, over: Sequence[tuple[float, float, float, float]] = ()) -> Painted:
    """Return what is drawn on a page, in order.

    Args:
        page: The page.
        over: Places of what is drawn over everything else (see `annotations`).
    """
    count = raw.FPDFPage_CountObjects(page)
    native = ctypes.cast(page.raw, ctypes.c_void_p)
    tops = (_object_of_page(native, number) for number in range(count))
    painted = Painted()
    _walk(painted, tops, np.eye(3), FORM_DEPTH)
    painted.kinds += [""] * len(over)
    painted.places += over
    painted.covers += [True] * len(over)
    return painted


def read_shapes(painted: Painted, frame: Frame) -> Shapes:
    """Return the figures and ruled lines of a page."""
    shapes = Shapes(crowded=painted.crowded)
    named = [k for k, kind in enumerate(painted.kinds) if kind]
    if not named:
        return shapes
    boxes = frame.boxes(np.array([painted.places[k] for k in named]))
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, frame.width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, frame.height)
    found = [(painted.kinds[k], tuple(box)) for k, box in zip(named, boxes.tolist(), strict=True)]
    shapes.rules = [box for kind, box in found if kind == "rule"]
    page_area = frame.width * frame.height
    images = [box for kind, box in found if kind == "image"]
    shapes.scan = any(area(box) > SCAN * page_area for box in images)
    images = [box for box in images if 0 < area(box) <= SCAN * page_area]
    drawn = [(kind, box) for kind, box in found if kind in ("curve", "rectangle") and area(box) < 0.7 * page_area]
    curves = [box for kind, box in drawn if kind == "curve"]
    groups = [
        group for group in _groups([box for _, box in drawn], frame) if _count_in(curves, group) >= DRAWING_SHAPES
    ]
    for box in _joined(images + groups):
        if min(sides(box)) >= FIGURE_SIDE and area(box) >= FIGURE_AREA * page_area:
            shapes.figures.append((box, IMAGE if _count_in(images, box) else _count_in(curves, box)))
    return shapes


_object_of_page = native("FPDFPage_GetObject", ctypes.c_size_t)
_object_of_form = native("FPDFFormObj_GetObject", ctypes.c_size_t)
_get_type = native("FPDFPageObj_GetType", ctypes.c_int)
_count_marks = native("FPDFPageObj_CountMarks", ctypes.c_int)
_get_mark = native("FPDFPageObj_GetMark", ctypes.c_size_t)


def _walk(painted: Painted, keys: Iterator[int], matrix: np.ndarray, depth: int, layered: bool = False) -> None:
    """Add objects, given by their addresses, and those nested in them; `layered` is whether they belong to a layer."""
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    for key in keys:
        handle = ctypes.c_void_p(key)
        kind = _get_type(handle)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            painted.texts[key] = len(painted.places)
            if depth < FORM_DEPTH:
                painted.nested.add(key)
            if layered or _of_layer(painted, handle):
                painted.layered.add(key)
            continue
        whole = ctypes.cast(handle, raw.FPDF_PAGEOBJECT)
        if kind == raw.FPDF_PAGEOBJ_FORM and depth:
            inner = raw.FS_MATRIX()
            raw.FPDFPageObj_GetMatrix(whole, inner)
            own = np.array([[inner.a, inner.b, 0], [inner.c, inner.d, 0], [inner.e, inner.f, 1]])
            count = raw.FPDFFormObj_CountObjects(whole)
            children = (_object_of_form(handle, ctypes.c_ulong(number)) for number in range(max(count, 0)))
            _walk(painted, children, own @ matrix, depth - 1, layered or _of_layer(painted, handle))
            continue
        painted.others.append(key)
        if painted.crowded or not raw.FPDFPageObj_GetBounds(whole, left, bottom, right, top):
            continue
        place = (left.value, bottom.value, right.value, top.value)
        place = place if depth == FORM_DEPTH else _moved(place, matrix)
        named, covers = _shape(whole, kind, place)
        if (named or covers) and np.isfinite(place).all():
            painted.crowded = len(painted.places) >= MOST_OBJECTS
            painted.kinds.append(named)
            painted.places.append(place)
            painted.covers.append(covers)


def _moved(place: tuple[float, float, float, float], matrix: np.ndarray) -> tuple[float, float, float, float]:
    """Return the bounds on the page of a place in a form."""
    corners = np.array([(x, y, 1) for x in place[0::2] for y in place[1::2]]) @ matrix
    low, high = corners.min(0), corners.max(0)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _of_layer(painted: Painted, handle: Any) -> bool:
    """Return whether an object is marked as optional content, which may be off; each mark is examined only once."""
    for number in range(_count_marks(handle)):
        mark = _get_mark(handle, ctypes.c_ulong(number))
        if mark not in painted.marks:
            name, size = (ctypes.c_ushort * 4)(), ctypes.c_ulong()
            place = ctypes.cast(ctypes.c_void_p(mark), raw.FPDF_PAGEOBJECTMARK)
            good = raw.FPDFPageObjMark_GetName(place, name, ctypes.sizeof(name), size)
            painted.marks[mark] = bool(good) and tuple(name[:3]) == LAYER
        if painted.marks[mark]:
            return True
    return False


def _shape(handle: Any, kind: int, place: tuple[float, float, float, float]) -> tuple[str, bool]:
    """Return the kind of an object and whether it may cover text, which thin strokes do not.

    The kind is `image`, `rule`, `rectangle`, `curve` (anything else that is drawn), or empty for nothing.
    """
    if kind == raw.FPDF_PAGEOBJ_IMAGE:
        return "image", True
    if kind == raw.FPDF_PAGEOBJ_SHADING:
        return "curve", True
    if kind != raw.FPDF_PAGEOBJ_PATH:
        return "", False
    mode, stroke = ctypes.c_int(), ctypes.c_int()
    raw.FPDFPath_GetDrawMode(handle, mode, stroke)
    if not mode.value and not stroke.value:
        return "", False
    wide, high = sides(place)
    covers = bool(mode.value) or _stroke_width(handle) > RULE_WIDTH
    if min(wide, high) <= RULE_WIDTH:
        return "rule" if max(wide, high) >= RULE_LENGTH else "", True
    segments = raw.FPDFPath_CountSegments(handle)
    if segments in (4, 5) and not any(
        raw.FPDFPathSegment_GetType(raw.FPDFPath_GetPathSegment(handle, k)) == raw.FPDF_SEGMENT_BEZIERTO
        for k in range(segments)
    ):
        return "rectangle", covers
    return "curve", covers


def _stroke_width(handle: Any) -> float:
    """Return the width of a stroke in points, before any scaling by the forms around it."""
    width, matrix = ctypes.c_float(), raw.FS_MATRIX()
    raw.FPDFPageObj_GetStrokeWidth(handle, width)
    raw.FPDFPageObj_GetMatrix(handle, matrix)
    return width.value * max(math.hypot(matrix.a, matrix.b), math.hypot(matrix.c, matrix.d))


def _count_in(boxes: Sequence[Box], around: Box) -> int:
    """Return how many boxes have their centre in another box."""
    return sum(contains(around, centre(box)) for box in boxes)


def _groups(boxes: Sequence[Box], frame: Frame) -> list[Box]:
    """Return boxes around groups of close shapes: connected cells of a coarse grid that the shapes cover."""
    if not boxes:
        return []
    grid = np.zeros((frame.height // DRAWING_CELL + 3, frame.width // DRAWING_CELL + 3), bool)
    cells = np.floor(np.array(boxes) / DRAWING_CELL).astype(int)
    for x1, y1, x2, y2 in cells.tolist():
        grid[y1 : y2 + 2, x1 : x2 + 2] = True
    label = np.zeros(grid.shape, int)
    for number, seed in enumerate(dict.fromkeys((y1, x1) for x1, y1, _, _ in cells.tolist()), 1):
        if not label[seed]:
            _flood(grid, label, seed, number)
    members: dict[int, list[Box]] = {}
    for box, (x1, y1, _, _) in zip(boxes, cells.tolist(), strict=True):
        members.setdefault(int(label[y1, x1]), []).append(box)
    return [union(group) for group in members.values()]


def _flood(grid: np.ndarray, label: np.ndarray, seed: tuple[int, int], number: int) -> None:
    stack = [seed]
    label[seed] = number
    while stack:
        y, x = stack.pop()
        for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= near[0] < grid.shape[0] and 0 <= near[1] < grid.shape[1] and grid[near] and not label[near]:
                label[near] = number
                stack.append(near)


def _joined(boxes: Sequence[Box]) -> list[Box]:
    """Merge boxes that overlap or touch, and return them from top to bottom."""
    out: list[Box] = []
    for box in boxes:
        while touching := [k for k, other in enumerate(out) if overlaps(box, other, TOUCHING)]:
            box = union([box, *(out[k] for k in touching)])
            out = [other for k, other in enumerate(out) if k not in touching]
        out.append(box)
    return sorted(out, key=lambda box: (box[1], box[0]))
