"""Images, drawings and ruled lines of a page: what is no text, as boxes in pixels of its picture."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from sphinx_x.data.ocr.tasks import union
from sphinx_x.data.ocr.text_layer import Frame
from sphinx_x.data.sample import Box

MOST_OBJECTS, DEPTH = 30_000, 6
"""Objects of a page that are looked at, and how deep they may be nested in forms."""
RULE_WIDTH, RULE_LENGTH = 2.0, 12.0
"""Points; what is thinner and longer is a ruled line."""
CELL = 8
"""Pixels; shapes that are nearer than this to each other belong to one drawing."""
LEAST_SIDE, LEAST_AREA, SCAN = 24, 0.004, 0.85
"""Pixels of a figure's shorter side, its share of the page, and the share from which an image is the page itself."""
IMAGE = 1000
SHAPES = 4
"""Shapes that are no rectangles or upright lines, from which a group is a drawing and not a decoration."""


@dataclass
class Shapes:
    """What a page shows besides text.

    figures: images and drawings, each with its number of shapes (an image has `IMAGE`); rules: ruled lines; scan: one
    image is the page; crowded: more objects than are looked at.
    """

    figures: list[tuple[Box, int]] = field(default_factory=list)
    rules: list[Box] = field(default_factory=list)
    scan: bool = False
    crowded: bool = False


def read_shapes(page: pdfium.PdfPage, frame: Frame) -> Shapes:
    """The figures and ruled lines of a page."""
    shapes = Shapes()
    kinds: list[str] = []
    places: list[tuple[float, float, float, float]] = []
    for number, (kind, place) in enumerate(_objects(page)):
        if number >= MOST_OBJECTS:
            shapes.crowded = True
            break
        kinds.append(kind)
        places.append(place)
    if not places:
        return shapes
    boxes = frame.boxes(np.array(places))
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, frame.width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, frame.height)
    found = [(kind, tuple(box)) for kind, box in zip(kinds, boxes.tolist(), strict=True)]
    shapes.rules = [box for kind, box in found if kind == "rule"]
    page_area = frame.width * frame.height
    images = [box for kind, box in found if kind == "image"]
    shapes.scan = any(_area(box) > SCAN * page_area for box in images)
    images = [box for box in images if 0 < _area(box) <= SCAN * page_area]
    drawn = [(kind, box) for kind, box in found if kind in ("curve", "rectangle") and _area(box) < 0.7 * page_area]
    curves = [box for kind, box in drawn if kind == "curve"]
    groups = [group for group in _groups([box for _, box in drawn], frame) if _count_in(curves, group) >= SHAPES]
    for box in _joined(images + groups):
        if min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE and _area(box) >= LEAST_AREA * page_area:
            shapes.figures.append((box, IMAGE if _count_in(images, box) else _count_in(curves, box)))
    return shapes


def _objects(page: pdfium.PdfPage) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """Kind and bounds in points of everything on a page that is no text."""
    count = raw.FPDFPage_CountObjects(page)
    tops = (raw.FPDFPage_GetObject(page, number) for number in range(count))
    yield from _walk(tops, np.eye(3), DEPTH)


def _walk(handles: Iterator[Any], matrix: np.ndarray, depth: int) -> Iterator[tuple[str, tuple]]:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    for handle in handles:
        kind = raw.FPDFPageObj_GetType(handle)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            continue
        if kind == raw.FPDF_PAGEOBJ_FORM and depth:
            inner = raw.FS_MATRIX()
            raw.FPDFPageObj_GetMatrix(handle, inner)
            own = np.array([[inner.a, inner.b, 0], [inner.c, inner.d, 0], [inner.e, inner.f, 1]])
            count = raw.FPDFFormObj_CountObjects(handle)
            children = (raw.FPDFFormObj_GetObject(handle, number) for number in range(max(count, 0)))
            yield from _walk(children, own @ matrix, depth - 1)
            continue
        if not raw.FPDFPageObj_GetBounds(handle, left, bottom, right, top):
            continue
        sides = [(x.value, y.value, 1) for x in (left, right) for y in (bottom, top)]
        corners = np.array(sides) @ matrix
        low, high = corners.min(0), corners.max(0)
        place = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        named = "image" if kind == raw.FPDF_PAGEOBJ_IMAGE else _shape(handle, kind, place)
        if named and np.isfinite(place).all():
            yield named, place


def _shape(handle: Any, kind: int, place: tuple[float, float, float, float]) -> str | None:
    """`rule`, `rectangle` or `curve` (whatever else is drawn); None for what draws nothing."""
    if kind == raw.FPDF_PAGEOBJ_SHADING:
        return "curve"
    if kind != raw.FPDF_PAGEOBJ_PATH:
        return None
    mode, stroke = ctypes.c_int(), ctypes.c_int()
    raw.FPDFPath_GetDrawMode(handle, mode, stroke)
    if not mode.value and not stroke.value:
        return None
    wide, high = place[2] - place[0], place[3] - place[1]
    if min(wide, high) <= RULE_WIDTH:
        return "rule" if max(wide, high) >= RULE_LENGTH else None
    segments = raw.FPDFPath_CountSegments(handle)
    if segments in (4, 5) and not any(
        raw.FPDFPathSegment_GetType(raw.FPDFPath_GetPathSegment(handle, k)) == raw.FPDF_SEGMENT_BEZIERTO
        for k in range(segments)
    ):
        return "rectangle"
    return "curve"


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def _count_in(boxes: Sequence[Box], around: Box) -> int:
    x1, y1, x2, y2 = around
    return sum(x1 <= (b[0] + b[2]) / 2 <= x2 and y1 <= (b[1] + b[3]) / 2 <= y2 for b in boxes)


def _groups(boxes: Sequence[Box], frame: Frame) -> list[Box]:
    """Boxes around what is near each other: connected cells of a coarse grid that the boxes cover."""
    if not boxes:
        return []
    grid = np.zeros((frame.height // CELL + 3, frame.width // CELL + 3), bool)
    cells = np.floor(np.array(boxes) / CELL).astype(int)
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
    """Boxes that overlap or touch become one; from top to bottom."""
    out: list[Box] = []
    for box in boxes:
        while touching := [k for k, other in enumerate(out) if _touch(box, other)]:
            box = union([box, *(out[k] for k in touching)])
            out = [other for k, other in enumerate(out) if k not in touching]
        out.append(box)
    return sorted(out, key=lambda box: (box[1], box[0]))


def _touch(a: Box, b: Box, near: float = 2) -> bool:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    return across > -near and down > -near
