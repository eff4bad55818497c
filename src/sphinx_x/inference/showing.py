"""What an answer points at, for people: in words, and drawn into the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from PIL import Image

from sphinx_x.conversation import Numbers
from sphinx_x.drawing import COLORS, Line, Spot, draw_places
from sphinx_x.inference.answer import Answer
from sphinx_x.inference.pointing import Found

LEFT, RIGHT, MIDDLE = "#2ca02c", "#ff7f0e", "#1f77b4"
"""Colours of key points, by the side of the body that their names tell."""
LIMBS = (
    *(("nose", "left eye"), ("nose", "right eye"), ("left eye", "right eye"), ("left eye", "left ear")),
    *(("right eye", "right ear"), ("left ear", "left shoulder"), ("right ear", "right shoulder")),
    *(("left shoulder", "right shoulder"), ("left hip", "right hip")),
    *(
        (f"{side} {one}", f"{side} {other}")
        for side in ("left", "right")
        for one, other in (("shoulder", "elbow"), ("elbow", "wrist"), ("shoulder", "hip"), ("hip", "knee"))
    ),
    *(("left knee", "left ankle"), ("right knee", "right ankle")),
)
"""Key points of a person that a skeleton joins: COCO's names and limbs."""


def describe_places(answer: Answer, image: int = 0) -> Iterator[str]:
    """Yield one line for each place: its kind, its whole pixels in image number `image`, and its label.

    What the answer says itself comes first; lines of text that say the same follow, with the number of their image
    (from 1) where it is another one.
    """
    kinds = {"box": answer.boxes, "point": answer.points, "key point": answer.key_points, "mark": answer.marks}
    for kind, found in kinds.items():
        for one in found:
            yield f"{kind} {_whole(one.pixels[image])} {one.label}".rstrip()
    for line in answer.evidence:
        where = "" if line.image == image else f"image {line.image + 1}: "
        yield f"{where}{'object' if line.is_object else 'line'} {_whole(line.pixels)} {line.text}"


def _whole(place: Sequence[float]) -> str:
    return ",".join(str(round(n)) for n in place)


def draw_answer(picture: Image.Image, answer: Answer, image: int = 0) -> Image.Image:
    """Draw what an answer points at into a copy of an image.

    Boxes, points and marks have colours of their own, in turn, with their labels beside them. Key points are joined to
    skeletons, in the colours of the left and the right side. Lines of text that say what the answer says are drawn
    where it does not say itself where something is.

    Args:
        picture: The image.
        answer: The answer.
        image: The number of the image in the conversation, from 0.
    """
    turn, spots, lines = count(), [], []
    for found in (answer.boxes, answer.points, answer.marks):
        for k, one in enumerate(found):
            # a mark of several places is an outline: one colour, one label, and lines
            continued = found is answer.marks and k and found[k - 1].label == one.label
            color = spots[-1][2] if continued else COLORS[next(turn) % len(COLORS)]
            spots.append((one.pixels[image], "" if continued else one.label, color))
    lines += _outlines(answer.marks, spots[len(spots) - len(answer.marks) :])
    for one in () if answer.says_where else answer.evidence:
        if one.image == image:  # without a label: its words are what is drawn around
            spots.append((one.pixels, "", COLORS[next(turn) % len(COLORS)]))
    for body in _bodies(answer.key_points):
        where = {one.label: one.pixels[image] for one in body}
        spots += [(one.pixels[image], "", side(one.label)) for one in body]
        lines += [((*where[a], *where[b]), _limb_color(a, b)) for a, b in LIMBS if a in where and b in where]
    return draw_places(picture, spots, lines=lines)


def side(name: str) -> str:
    """Return the colour of a key point by its name."""
    words = name.lower().split()
    return LEFT if "left" in words else RIGHT if "right" in words else MIDDLE


def _limb_color(one: str, other: str) -> str:
    colors = {side(one), side(other)} - {MIDDLE}
    return colors.pop() if len(colors) == 1 else MIDDLE


def _bodies(key_points: Sequence[Found]) -> list[list[Found]]:
    """Part key points into bodies: a name that was there already begins the next one."""
    bodies: list[list[Found]] = []
    for one in key_points:
        if not bodies or any(one.label == other.label for other in bodies[-1]):
            bodies.append([])
        bodies[-1].append(one)
    return bodies


def _outlines(marks: Sequence[Found], spots: Sequence[Spot]) -> list[Line]:
    """Return the sides of marks that are outlines."""
    groups: dict[str, list[tuple[Numbers, str]]] = {}
    for mark, (place, _, color) in zip(marks, spots, strict=True):
        if len(place) == 2:
            groups.setdefault(mark.label, []).append((tuple(place), color))
    sides: list[Line] = []
    for corners in groups.values():
        if len(corners) > 2:
            turned = [*corners[1:], corners[0]]
            sides += [((*one, *other), color) for (one, color), (other, _) in zip(corners, turned, strict=True)]
    return sides
