"""What a text line costs on different grids: why SPHINX-Nano cuts its canvas into 16 x 2 bands.

For each grid, over the packaged line set: views kept and skipped, visual tokens, pixels the experts see, and the work
of one forward pass (multiply-adds) in an LLM and experts of Nano's size. Geometry and arithmetic only: it runs in
seconds and depends on no weights.

    python benchmarks/grids.py
"""

from __future__ import annotations

import math

from sphinx_x.evaluation.lines import load_line_set
from sphinx_x.model.views import ViewGrid, plan_views

CANVAS = 768
GRIDS = ((1, 1), (4, 4), (8, 8), (12, 12), (16, 16), (24, 24), (12, 2), (16, 1), (16, 2), (16, 3), (24, 2))
COLUMN, BAND = 8, 48
"""Pixels across of a token, and the largest height that one row of tokens stands for."""
LLM_WEIGHTS, EXPERT_WORK = 3.2e6, 3.46e8 / (48 * 384)
"""Multiply-adds a token in the LLM, and a pixel in the experts (both of Nano, measured with a FLOP counter)."""
TEXT_TOKENS = 75
"""Prompt and answer of a line, about."""


def cost(rows: int, columns: int) -> tuple[float, ...]:
    """Means over the set: kept views, skipped sub-images, visual tokens, kilopixels, millions of multiply-adds, and the
    share of lines that lie in one row of views (per cent)."""
    grid = ViewGrid(rows, columns, CANVAS // rows, CANVAS // columns, global_view=False, max_upscale=1.0)
    per_view = 1 + math.ceil(grid.view_height / BAND) * math.ceil(grid.view_width / COLUMN)
    line_set = load_line_set()
    images = line_set.images(line_set.lines)
    layouts = [plan_views(image.width, image.height, grid) for image in images]
    views = sum(layout.views for layout in layouts) / len(layouts)
    skipped = sum(layout.skipped for layout in layouts) / len(layouts)
    tokens = views * (per_view + 2) + skipped
    pixels = views * grid.view_height * grid.view_width
    work = (tokens + TEXT_TOKENS) * LLM_WEIGHTS + pixels * EXPERT_WORK
    whole = sum(image.height <= grid.view_height for image in images) / len(images)
    return views, skipped, tokens, pixels / 1e3, work / 1e6, 100 * whole


def main() -> None:
    """Prints the table."""
    names = "grid|sub-image, pixels|kept|skipped|visual tokens|kilopixels|million multiply-adds|lines in one row, %"
    print(f"| {names.replace('|', ' | ')} |\n|{'---|' * 8}")
    for rows, columns in GRIDS:
        views, skipped, tokens, pixels, work, whole = cost(rows, columns)
        print(
            f"| {rows} x {columns} | {CANVAS // rows} x {CANVAS // columns} "
            f"| {views:.2f} | {skipped:.1f} | {tokens:.0f} | {pixels:.0f} | {work:.0f} | {whole:.0f} |"
        )


if __name__ == "__main__":
    main()
