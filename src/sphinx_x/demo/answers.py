"""SPHINX-Smol answers about a receipt, a photo, a chart and a marked picture, which are in the package."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from sphinx_x.drawing import save_picture
from sphinx_x.engines.som.marks import mark_image
from sphinx_x.engines.som.writing import written_marks
from sphinx_x.images import open_image
from sphinx_x.inference import SphinxX
from sphinx_x.inference.showing import describe_places, draw_answer

QUESTIONS = Path(__file__).parent.parent / "examples" / "questions.json"
"""Pictures with a question each, beside the pictures: a list of `file`, `question`, `truth` and, if it is asked about
marks, `marks`: boxes in pixels, of which the first is mark 1. People see them in the picture, the model in the
question."""
PANEL = (420, 460)
"""Width of a picture with its words, and height of the picture, in pixels."""
LETTERS, ROW, EDGE = 46, 24, 12
"""Letters of a row of words, its height in pixels, and the blank around everything."""


@dataclass(frozen=True)
class Shown:
    """A picture with what an answer points at, and what was asked and said."""

    picture: Image.Image
    question: str
    answer: str


def draw_answers(sphinx: SphinxX, out: Path, questions: Path = QUESTIONS) -> None:
    """Ask a question about each picture, print what is answered, and draw all of it into one image.

    Args:
        sphinx: The model.
        out: The image to write.
        questions: See `QUESTIONS`.
    """
    began, shown = time.perf_counter(), []
    for asked in json.loads(questions.read_text(encoding="utf-8")):
        picture, question = open_image(questions.parent / asked["file"]), asked["question"]
        seen = picture
        if "marks" in asked:
            seen, marked = mark_image(picture, asked["marks"])
            question = f"{question} The marks are: {written_marks(marked)}."
        answer = sphinx.answer(question, picture, max_new_tokens=40)
        print(f"\n{asked['file']}: {question}\n  {answer.text}")
        for place in describe_places(answer):
            print(f"  {place}")
        print(f"  (it is: {asked['truth']})")
        shown.append(Shown(draw_answer(seen, answer), asked["question"], answer.text))
    save_picture(panels(shown), out)
    print(f"\n{time.perf_counter() - began:.1f} s after loading; drawn to {out}")


def panels(shown: Sequence[Shown]) -> Image.Image:
    """Return pictures side by side, with questions and answers below them."""
    words = [
        [(row, "#555555") for row in textwrap.wrap(one.question, LETTERS)]
        + [(row, "black") for row in textwrap.wrap(one.answer, LETTERS)]
        for one in shown
    ]
    width, height = PANEL
    size = (width + EDGE) * len(shown) + EDGE, height + 3 * EDGE + ROW * max(map(len, words))
    out = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(size=ROW * 2 / 3)
    for number, (one, rows) in enumerate(zip(shown, words, strict=True)):
        left = EDGE + number * (width + EDGE)
        picture = one.picture.copy()
        picture.thumbnail(PANEL, Image.Resampling.LANCZOS)
        out.paste(picture, (left + (width - picture.width) // 2, EDGE + (height - picture.height) // 2))
        for k, (row, color) in enumerate(rows):
            draw.text((left, 2 * EDGE + height + k * ROW), row, color, font)
    return out
