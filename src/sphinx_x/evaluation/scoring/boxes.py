"""Where something is: a box that an answer gives, in the one frame that a model declares, against the true one."""

from __future__ import annotations

import re

from sphinx_x.boxes import centre

_BRACKETS = re.compile(r"\[(.*?)\]")
OVERLAP = 0.5


def read_box(answer: str) -> tuple[float, float, float, float] | None:
    """The first box of an answer: four numbers with commas between, in the first pair of brackets of one line.

    An answer that goes on from an opening bracket in the prompt has only the closing one. None where there is none:
    nothing is guessed.
    """
    found = _BRACKETS.search(answer)
    inside = found[1] if found else answer.split("]")[0]
    parts = inside.split(",")
    if len(parts) != 4:
        return None
    try:
        x1, y1, x2, y2 = (float(part) for part in parts)
    except ValueError:
        return None
    return x1, y1, x2, y2


_NUMBERS = re.compile(r"[\[(]\s*([-+.\d]+(?:\s*,\s*[-+.\d]+)*)\s*[\])]")


def read_point(answer: str) -> tuple[float, float] | None:
    """The first point of an answer: two numbers in brackets or parentheses, or the centre of a box of four.

    None where there is none.
    """
    found = _NUMBERS.search(answer)
    parts = found[1].split(",") if found else []
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return None
    if len(numbers) == 4:
        return centre(numbers)
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None
