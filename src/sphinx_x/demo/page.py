"""SPHINX-Nano looks at a real document page, reads regions of it and finds a text."""

from __future__ import annotations

import json
import time
from pathlib import Path

from PIL import Image

from sphinx_x.drawing import Mark, beside, draw_boxes, draw_views, save_picture
from sphinx_x.evaluation.metrics import character_error_rate
from sphinx_x.images import open_image
from sphinx_x.inference import SphinxX
from sphinx_x.reading import READ, find_text, read_region

EXAMPLES = Path(__file__).parent.parent / "examples"


def read_page(out: Path, model: str = "nano", page_file: Path = EXAMPLES / "page.json") -> None:
    """Read two regions of the packaged page, find a text on it, print both, and draw it all to `out`.

    Args:
        out: The image to write.
        model: A model that reads lines.
        page_file: JSON with `file`, `page`, `line` and `paragraph` (boxes in pixels at 150 dpi), `find` (a text) and
            `truth` (the texts in both boxes).
    """
    plan = json.loads(page_file.read_text(encoding="utf-8"))
    page = open_image(page_file.parent / plan["file"], page=plan["page"])
    sphinx = SphinxX.load(model)
    began = time.perf_counter()
    print(f"{page_file.parent / plan['file']}, page {plan['page']}: {page.width} x {page.height} pixels")
    marks = []
    for name in ("line", "paragraph"):
        print(f"\nRead the {name} at {plan[name]}:")
        text = read_region(sphinx, page, plan[name])
        print(_indented(text))
        _tell_errors(text, plan["truth"][name])
        marks.append(Mark(tuple(plan[name]), f"read: {name}"))
    print(f'\nWhere is "{plan["find"]}"?')
    found = find_text(sphinx, page, plan["find"])
    if found is None:
        print("  not found")
    else:
        print(f"  at {list(found.box)}, in the line: {found.read}")
        marks.append(Mark(found.box, f"find: {plan['find']}"))
    crop = page.crop(plan["line"])
    _tell_tokens(sphinx, crop)
    save_picture(beside(draw_boxes(page, marks), _views(sphinx, crop), height=1100), out)
    print(f"\n{time.perf_counter() - began:.1f} s after loading; drawn to {out}")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _tell_errors(text: str, truth: str) -> None:
    rate = character_error_rate([text], [truth])
    print(f"  ({100 * rate:.1f} % of {len(truth)} characters differ from the document's own text)")


def _tell_tokens(sphinx: SphinxX, crop: Image.Image) -> None:
    prompt = sphinx.prompt_for(READ, crop)
    used, full = prompt.visual_tokens, prompt.unskipped_tokens
    layout = prompt.layouts[0]
    print(
        f"\nThat line as the model sees it: {layout.views} of {layout.views + layout.skipped} views, "
        f"{used} visual tokens ({layout.skipped} of them skip tokens); "
        f"without skipping {full}, so {100 * (1 - used / full):.0f} % are saved"
    )


def _views(sphinx: SphinxX, crop: Image.Image) -> Image.Image:
    layout = sphinx.prompt_for(READ, crop).layouts[0]
    cells = [(layout.cell(number), kept) for number, kept in enumerate(layout.kept)]
    return draw_views(crop, layout.grid.canvas, layout.content(), cells)
