"""Geometry of views: pad an image to a square, cut the square into a grid, tell which sub-images are padding only.

Nothing here looks at a pixel. The image is scaled to fit a square canvas and put into its corner (or its centre, as the
reference's checkpoints need it); the canvas is cut into rows x columns sub-images. A sub-image without any part of the
image is skipped: no visual expert sees it, and one skip token stands for it (paper, section 3.1).

Box coordinates are relative to the padded square: (0, 0) is its top left corner and (1, 1) its bottom right one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from sphinx_x.errors import ImageError
from sphinx_x.text_lines.line import Reading, TextLine

PADDINGS = ("corner", "center")


@dataclass(frozen=True)
class ViewGrid:
    """How a member cuts its canvas.

    Attributes:
        rows: Number of rows of the grid.
        columns: Number of columns of the grid.
        view_height: Height of one sub-image in pixels, at the finest expert's resolution.
        view_width: Its width.
        global_view: Whether the whole canvas, scaled to one view, comes first.
        padding: Where the image is put on the canvas, `corner` or `center`.
        max_upscale: The largest enlargement of a small image; None always fits the long edge to the canvas.
        skip: Whether sub-images that are padding only are skipped; the reference's checkpoints never learned to.
            "drop" leaves no token in their place either, so that nothing says how large the canvas is.
    """

    rows: int = 2
    columns: int = 2
    view_height: int = 512
    view_width: int = 512
    global_view: bool = True
    padding: str = "corner"
    max_upscale: float | None = None
    skip: bool | Literal["drop"] = True

    def __post_init__(self) -> None:
        if self.rows * self.view_height != self.columns * self.view_width:
            raise ValueError("rows x view_height and columns x view_width must give the same side of a square")
        if self.padding not in PADDINGS:
            raise ValueError(f"padding must be one of {PADDINGS}, not {self.padding!r}")
        if self.skip not in (True, False, "drop"):
            raise ValueError(f'skip must be true, false or "drop", not {self.skip!r}')

    @property
    def canvas(self) -> int:
        """Side of the padded square in pixels."""
        return self.rows * self.view_height

    @property
    def cells(self) -> int:
        """Number of sub-images of the grid."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Layout:
    """Where one image lies on the canvas, and which sub-images it touches.

    Attributes:
        grid: The canvas.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        side: Side of the padded square, in pixels of the image.
        left: Left edge of the image in that square, in pixels of the image.
        top: Top edge of the image in that square, in pixels of the image.
        kept: For every sub-image, row by row, whether the experts see it: whether it contains any part of the image,
            and is not one of a page of text (see `with_lines`).
        lines: Objects and lines of text, for a member that reads them, in the order of a `Reading`.
        lines_left_out: Number of further lines for which there was no room.
    """

    grid: ViewGrid
    width: int
    height: int
    side: Fraction
    left: Fraction
    top: Fraction
    kept: tuple[bool, ...]
    lines: tuple[TextLine, ...] = ()
    lines_left_out: int = 0

    @property
    def views(self) -> int:
        """Number of views that the experts see: the kept sub-images, and the global view if there is one."""
        return sum(self.kept) + self.grid.global_view

    @property
    def skipped(self) -> int:
        """Number of sub-images that no expert sees, as they are padding only or belong to a page of text."""
        return len(self.kept) - sum(self.kept)

    @property
    def skip_tokens(self) -> int:
        """Number of tokens that stand for skipped sub-images."""
        return 0 if self.grid.skip == "drop" else self.skipped

    @property
    def line_boxes(self) -> list[tuple[float, ...]]:
        """The lines' boxes, relative to the padded square."""
        return [self.to_square(line.box) for line in self.lines]

    def with_lines(self, reading: Reading) -> Layout:
        """Return the layout of an image with these lines.

        Of a page of text, which its lines tell, the sub-images are skipped as well, so that the experts see its global
        view alone. Without a global view all are kept.
        """
        kept = (False,) * len(self.kept) if reading.page and self.grid.global_view else self.kept
        return replace(self, lines=reading.lines, lines_left_out=reading.left_out, kept=kept)

    def content(self) -> tuple[int, int, int, int]:
        """Return the image's box on the canvas in canvas pixels (left, top, right, bottom), never empty."""
        scale = self.grid.canvas / self.side
        left, top = math.floor(self.left * scale), math.floor(self.top * scale)
        right, bottom = math.ceil((self.left + self.width) * scale), math.ceil((self.top + self.height) * scale)
        return left, top, right, bottom

    def cell(self, number: int) -> tuple[int, int, int, int]:
        """Return the box of sub-image `number` (row by row, from 0) on the canvas, in canvas pixels."""
        row, column = divmod(number, self.grid.columns)
        left, top = column * self.grid.view_width, row * self.grid.view_height
        return left, top, left + self.grid.view_width, top + self.grid.view_height

    def to_square(self, numbers: Sequence[float]) -> tuple[float, ...]:
        """Convert pixels of the image, (x, y) or (x1, y1, x2, y2), to coordinates relative to the padded square."""
        offsets = (float(self.left), float(self.top))
        return tuple((n + offsets[k % 2]) / float(self.side) for k, n in enumerate(numbers))

    def from_square(self, numbers: Sequence[float]) -> tuple[float, ...]:
        """Invert `to_square`."""
        offsets = (float(self.left), float(self.top))
        return tuple(n * float(self.side) - offsets[k % 2] for k, n in enumerate(numbers))


def plan_views(width: int, height: int, grid: ViewGrid) -> Layout:
    """Place an image of `width` x `height` pixels on the canvas of `grid`; raise `ImageError` if it has no area."""
    if width < 1 or height < 1:
        raise ImageError(f"an image of {width} x {height} pixels has no area")
    side = Fraction(max(width, height))
    if grid.max_upscale is not None:
        side = max(side, grid.canvas / Fraction(grid.max_upscale))
    left = top = Fraction(0)
    if grid.padding == "center":
        # whole pixels, as in the reference
        left, top = Fraction((side - width) // 2), Fraction((side - height) // 2)
    columns = _touched(left, width, side, grid.columns)
    rows = _touched(top, height, side, grid.rows)
    kept = tuple((row and column) or not grid.skip for row in rows for column in columns)
    return Layout(grid, width, height, side, left, top, kept)


def _touched(start: Fraction, length: int, side: Fraction, cells: int) -> list[bool]:
    """Return which of `cells` equal parts of `side` the interval [start, start + length) touches."""
    # in cells from the start of the square; the end is exclusive
    first, last = math.floor(start * cells / side), math.ceil((start + length) * cells / side)
    return [first <= k < last for k in range(cells)]
