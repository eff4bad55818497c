"""Pages that lie on their side: by how many quarter turns, and turning them upright."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sphinx_x.boxes import Box
from sphinx_x.engines.pdf.drawings import Shapes
from sphinx_x.engines.pdf.text_layer import Characters
from sphinx_x.engines.pdf.tuned import TURNED

QUARTERS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
"""Counterclockwise quarter turns."""


def turn_of(chars: Characters) -> int:
    """Return the counterclockwise quarter turns that bring the text of a page upright."""
    seen = chars.direction[~chars.hidden]
    if not len(seen):
        return 0
    counts = np.bincount(seen, minlength=6)
    best = int(counts[:4].argmax())
    return best if counts[best] > TURNED * len(seen) else 0


def turn_boxes(boxes: np.ndarray, quarters: int, width: float, height: float) -> np.ndarray:
    """Return boxes (N, 4) of a picture of this size after counterclockwise quarter turns."""
    for _ in range(quarters % 4):
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack([y1, width - x2, y2, width - x1], 1)
        width, height = height, width
    return boxes


def turn(chars: Characters, shapes: Shapes, quarters: int, width: int, height: int) -> None:
    """Turn everything on a page by counterclockwise quarter turns; `width` and `height` are in pixels."""
    chars.box, chars.cell = (turn_boxes(boxes, quarters, width, height) for boxes in (chars.box, chars.cell))
    if chars.origin is not None:
        chars.origin = turn_boxes(np.tile(chars.origin, 2), quarters, width, height)[:, :2]
    straight = chars.direction < 4
    chars.direction[straight] = (chars.direction[straight] - quarters) % 4
    turned = _turned_boxes([box for box, _ in shapes.figures], quarters, width, height)
    shapes.figures = [(box, count) for box, (_, count) in zip(turned, shapes.figures, strict=True)]
    shapes.rules = _turned_boxes(shapes.rules, quarters, width, height)


def _turned_boxes(boxes: Sequence[Box], quarters: int, width: int, height: int) -> list[Box]:
    array = np.array(boxes, np.float64).reshape(-1, 4)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in turn_boxes(array, quarters, width, height).tolist()]
