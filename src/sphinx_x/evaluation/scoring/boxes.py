"""Where something is: a box that an answer gives, in the one frame that a model declares, against the true one."""

from __future__ import annotations

import re

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
