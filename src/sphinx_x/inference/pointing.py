"""What an answer points at: boxes, points, key points and marks, from its text to pixels of the images.

The forms are those of the prompt builder, all relative to the padded square: `[0.12, 0.30, 0.80, 0.44]` is a box and
`[0.5, 0.2]` a point, several of a kind are parted by `;`. A key point has its name right before it (`nose[0.5, 0.2]`),
anything else a blank or a tag (`<p>a cat</p>[...]`). Marks are cited (`<Mark 1>`, `Mark 1: ...`), and are where the
conversation says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sphinx_x.boxes import nearest
from sphinx_x.conversation import Numbers
from sphinx_x.model.views import Layout

_BRACKETS = re.compile(r"\[([\d.,;\s]+)\]")
_NUMBER = re.compile(r"\d+\.?\d*|\.\d+")
_MARK = re.compile(r"<Mark (\w+)>\s*$")
_CITED = re.compile(r"<Mark (\w+)>|\bMark (\w+)(?=:)")
_PHRASE = re.compile(r"<p>([^<]*)</p>\s*$")
_ENDS = re.compile(r"[\[\].,;:!?\n<>]")
"""What parts the words before a place from what stands before them."""

Span = tuple[int, int]
"""A part of an answer: its first character, and the one behind its last."""


@dataclass(frozen=True)
class Found:
    """A place that an answer points at.

    Attributes:
        label: The name of a mark or key point; otherwise the words before the place, which may be none.
        square: x and y, or x1, y1, x2 and y2, as the answer has them: relative to the padded square, from 0 to 1.
        pixels: The same in pixels of each image of the conversation, in order. An answer does not say which of several
            images it means, so it is given for all. What lies in the padding is at the nearest edge of the image, and a
            box that lies there as a whole has no area.
        spans: Where the answer says so: the numbers between the brackets, and each citation of a mark.
    """

    label: str
    square: Numbers
    pixels: tuple[Numbers, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Places:
    """Everything that an answer points at.

    Attributes:
        boxes: Boxes, in the order of the text, as are the others.
        points: Points that are no key points.
        key_points: Key points.
        marks: Places of the marks that it cites, several for a mark that is an outline.
    """

    boxes: tuple[Found, ...] = ()
    points: tuple[Found, ...] = ()
    key_points: tuple[Found, ...] = ()
    marks: tuple[Found, ...] = ()


def find_places(answer: str, layouts: Sequence[Layout], asked: str = "") -> Places:
    """Return what an answer points at.

    Args:
        answer: Its text.
        layouts: Where the images of the conversation lie; without any, an answer points at nothing.
        asked: The text of the conversation before it, which says where marks are.
    """
    if not layouts:
        return Places()

    def found(label: str, place: _Place, *spans: Span) -> Found:
        pixels = tuple(_within(layout, place.square) for layout in layouts)
        return Found(label, place.square, pixels, tuple(sorted(spans)))

    boxes, points, key_points = [], [], []
    where: dict[str, list[tuple[_Place, tuple[Span, ...]]]] = {}
    for mark, _, places in _written(asked):
        where[mark] = [(place, ()) for place in places]
    for mark, label, places in _written(answer):
        if mark:
            where[mark] = [(place, (place.span,)) for place in places]
            continue
        square = places[0].square
        named = label is not None and not label.endswith(" ") and len(places) == 1 and len(square) == 2
        kind = boxes if len(square) == 4 else key_points if named else points
        kind += [found((label or "").strip(), place, place.span) for place in places]
    cited: dict[str, list[Span]] = {}
    for match in _CITED.finditer(answer):
        cited.setdefault(match[1] or match[2], []).append(match.span())
    marks = [found(mark, place, *own, *spans) for mark, spans in cited.items() for place, own in where.get(mark, ())]
    return Places(tuple(boxes), tuple(points), tuple(key_points), tuple(marks))


class _Place(NamedTuple):
    square: Numbers
    span: Span


def _written(text: str) -> Iterator[tuple[str, str | None, list[_Place]]]:
    """Yield the places of each pair of brackets, with the mark whose they are, or the words before them.

    The words keep the blank behind them; they are None where there are none.
    """
    end = 0
    for match in _BRACKETS.finditer(text):
        before, end = text[end : match.start()], match.end()
        places = _places(match[1], match.start(1))
        if not places:
            continue
        if mark := _MARK.search(before):
            yield mark[1], None, places
        elif phrase := _PHRASE.search(before):
            yield "", f"{phrase[1].strip()} ", places
        else:
            label = _words(before).lstrip().removeprefix("and ")
            yield "", label if label.strip() else None, places


def _words(before: str) -> str:
    """Return the words that a text ends with."""
    # from behind, as a search for words up to the end tries them from each of their characters: a question of 200,000
    # characters without a full stop took minutes
    ends = next((k for k in range(len(before), 0, -1) if _ENDS.match(before, k - 1)), 0)
    return before[ends:]


def _within(layout: Layout, place: Numbers) -> Numbers:
    """Return a box or a point in pixels of an image, within the image."""
    x_y, image = layout.from_square(place), (0.0, 0.0, float(layout.width), float(layout.height))
    return tuple(n for k in range(0, len(x_y), 2) for n in nearest(image, x_y[k : k + 2]))


def _places(inside: str, start: int) -> list[_Place]:
    """Return the boxes or the points within brackets, none where it is something else, such as a reference [12].

    Args:
        inside: What stands between the brackets.
        start: Number of the first character of it.
    """
    places: list[_Place] = []
    for one in inside.split(";"):
        parts = [part.strip() for part in one.split(",")]
        if len(parts) not in (2, 4) or not all(_NUMBER.fullmatch(part) for part in parts):
            return []
        place = tuple(float(part) for part in parts)
        turned = len(place) == 4 and (place[2] < place[0] or place[3] < place[1])
        if max(place) > 1 or turned or (places and len(place) != len(places[0].square)):
            return []
        first = start + len(one) - len(one.lstrip())
        places.append(_Place(place, (first, first + len(one.strip()))))
        start += len(one) + 1
    return places
