"""Where an answer stands: the true lines of a receipt, and the lines that were read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from sphinx_x.boxes import Box, iou, union
from sphinx_x.evaluation.scoring.text import letters_and_digits
from sphinx_x.inference.evidence import find_evidence
from sphinx_x.model.views import ViewGrid, plan_views
from sphinx_x.sources.spotting import parse_icdar2015
from sphinx_x.text_lines.line import Reading

PLACED, PLACED_RIGHT = "answer's box", "answer's box, of right answers"
"""Figures of where answers stand."""
OVERLAP = 0.5
TYPING_ERRORS = 0.1
MOST_LINES = 6
"""Lines of the longest value (an address)."""


def runs_with(value: str, lines: Sequence[tuple[str, Box]]) -> list[list[Box]]:
    """Return the boxes of every shortest run of lines, in order, whose letters and digits hold those of a value.

    A number is not found within a longer one: 9.00 does not stand in 49.00.
    """
    wanted = letters_and_digits(value)
    if not wanted:
        return []
    texts = [_glued(text) for text, _ in lines]
    for count in range(1, MOST_LINES + 1):
        starts = range(len(lines) - count + 1)
        found = [start for start in starts if _holds(list(chain.from_iterable(texts[start : start + count])), wanted)]
        if found:
            return [[box for _, box in lines[start : start + count]] for start in found]
    return []


def _glued(text: str) -> list[tuple[str, bool]]:
    """Return the letters and digits of a text, each with whether it goes on with the number before it."""
    found: list[tuple[str, bool]] = []
    for number in re.finditer(r"\d(?:[.,]?\d)*|[^\d]", text):
        plain = letters_and_digits(number[0])
        found += [(char, k > 0 and char.isdigit()) for k, char in enumerate(plain)]
    return found


def _holds(chars: Sequence[tuple[str, bool]], wanted: str) -> bool:
    text, start = "".join(char for char, _ in chars), -1
    while (start := text.find(wanted, start + 1)) >= 0:
        end = start + len(wanted)
        if not chars[start][1] and not (end < len(chars) and chars[end][1]):
            return True
    return False


def true_boxes(field: str, value: str, lines: Sequence[tuple[str, Box]]) -> list[Box]:
    """Return the boxes where a value of a receipt truly stands, each around all of its lines.

    A total counts only in a row that says "total", if there is one with the value in it. Labels and keys were typed by
    different people: where no run has the very letters, the one that is most like the value counts.
    """
    runs = runs_with(value, lines) or _like(value, lines)
    if field == "total":
        labels = [box for text, box in lines if "total" in text.lower()]
        beside = [run for run in runs if any(same_row(run[0], label) for label in labels)]
        runs = beside or runs
    return [union(run) for run in runs]


def _like(value: str, lines: Sequence[tuple[str, Box]]) -> list[list[Box]]:
    """Return the run of lines with the fewest typing errors, if they are a tenth of the value's letters at most."""
    wanted, plain = letters_and_digits(value), [letters_and_digits(text) for text, _ in lines]
    found = []
    for start in range(len(lines)):
        for count in range(1, min(MOST_LINES, len(lines) - start) + 1):
            errors = Levenshtein.distance("".join(plain[start : start + count]), wanted)
            found.append((errors, start, count))
    errors, start, count = min(found, default=(len(wanted), 0, 0))
    return [[box for _, box in lines[start : start + count]]] if errors <= TYPING_ERRORS * len(wanted) and count else []


def same_row(one: Box, other: Box) -> bool:
    """Return whether two boxes share more than half of the lower one's height."""
    both = min(one[3], other[3]) - max(one[1], other[1])
    return both > 0.5 * min(one[3] - one[1], other[3] - other[1])


def read_box(answer: str, question: str, reading: Reading) -> Box | None:
    """Return the box around the read lines in which an answer stands, as `Answer.evidence` has them."""
    found = find_evidence(answer, [plan_views(1, 1, ViewGrid()).with_lines(reading)], question)
    return union([one.pixels for one in found]) if found else None


def overlaps(found: Box | None, true: Sequence[Box]) -> bool:
    """Return whether a box overlaps one of the true ones by half (intersection over union)."""
    return found is not None and any(iou(found, box) >= OVERLAP for box in true)


def receipt_lines(path: Path) -> list[tuple[str, Box]]:
    """Return the labelled lines of a receipt (SROIE's folder `box`), in the order of the file."""
    return [(one.text, one.box) for one in parse_icdar2015(path) if not isinstance(one, str)]
