"""Messages, the images in them, and how boxes, points and marks are written (paper, section 5).

A conversation is a list of messages in the usual role/content form:

    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where is 'cat'?"}]}
    {"role": "assistant", "content": [{"type": "box", "image": 0, "box": [12, 30, 80, 44]}]}

`content` may also be a plain string. An image part stands for the next image of the conversation. A `box`, `point`,
`boxes` or `points` part holds pixels of the image that it names (its index in the conversation). It becomes text only
when the prompt is built, because written coordinates are relative to the padded square that the model sees. Several
boxes or points (also a polygon) share one pair of brackets, separated by semicolons. An answer with `"train": false` is
read, but not learned. `references` of an answer are all true answers, as texts: they are for evaluation and never
learned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sphinx_x.boxes import Box
from sphinx_x.errors import PromptError

ROLES = ("system", "user", "assistant")
PLACES = {"box": (4, False), "point": (2, False), "boxes": (4, True), "points": (2, True)}
"""Parts that denote places: how many numbers each place has, and whether the part holds a list of places."""
KEYS = {"text": ("type", "text"), "image": ("type",)} | {kind: ("type", kind, "image") for kind in PLACES}
"""The keys of the parts of each type."""
IMAGE = "<image>"
LONGEST = 1_000_000
"""Largest believable side of an image, in pixels."""
Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Text:
    """A piece of plain text."""

    text: str


@dataclass(frozen=True)
class Image:
    """The place of the next image of the conversation."""


@dataclass(frozen=True)
class Place:
    """Boxes (x1, y1, x2, y2) or points (x, y) in pixels of image number `image`, written in one pair of brackets.

    Attributes:
        several: Whether it is kept as a list even if it holds one place.
    """

    image: int
    places: tuple[Numbers, ...]
    several: bool = field(default=False, compare=False)

    @property
    def kind(self) -> str:
        """The type of the part: a key of `PLACES`."""
        one = "box" if len(self.places[0]) == 4 else "point"
        return {"box": "boxes", "point": "points"}[one] if self.several or len(self.places) > 1 else one

    def moved(self, move: Callable[[Numbers], Sequence[float]]) -> Place:
        """Return a copy with every place moved."""
        return replace(self, places=tuple(tuple(move(place)) for place in self.places))


Part = Text | Image | Place


@dataclass(frozen=True)
class Message:
    """One turn: a role of `ROLES` and its parts in order.

    Attributes:
        trained: Whether an answer is learned, not only read.
        plain: Whether it is kept as one text with placeholders, not as a list.
        references: All true answers if a benchmark has several (votes, spellings), otherwise none.
    """

    role: str
    parts: tuple[Part, ...]
    trained: bool = True
    plain: bool = field(default=False, compare=False)
    references: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        """Return it as JSON, which `parse_messages` reads."""
        content: str | list = [_part_dict(part) for part in self.parts]
        if self.plain:
            content = "".join(part.text if isinstance(part, Text) else IMAGE for part in self.parts)
        more: dict[str, Any] = {} if self.trained else {"train": False}
        if self.references:
            more["references"] = list(self.references)
        return {"role": self.role, "content": content, **more}

    def moved(self, move: Callable[[Place], Place]) -> Message:
        """Return a copy with every box and point moved."""
        return replace(self, parts=tuple(move(part) if isinstance(part, Place) else part for part in self.parts))

    def shown(self, place: Callable[[Place], str]) -> str:
        """Return its text for people, with boxes and points written by `place`. Images have no text."""
        return "".join(
            part.text if isinstance(part, Text) else place(part) if isinstance(part, Place) else ""
            for part in self.parts
        )

    @property
    def says_something(self) -> bool:
        """Whether it has anything other than images and white space."""
        return any(isinstance(part, Place) or (isinstance(part, Text) and part.text.strip()) for part in self.parts)


def _part_dict(part: Part) -> dict:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        return {"type": "image"}
    places = [list(place) for place in part.places]
    several = PLACES[part.kind][1]
    return {"type": part.kind, "image": part.image, part.kind: places if several else places[0]}


class MessageError(PromptError):
    """A malformed message.

    Attributes:
        number: Index of the message.
        field: The field that is wrong.
        reason: In words that are the same for all messages to which it applies.
        detail: What is wrong in this one.
    """

    def __init__(self, number: int, field: str, reason: str, detail: str = "") -> None:
        super().__init__(f"message {number + 1}: {': '.join(filter(None, (f'{field} {reason}', detail)))}")
        self.number, self.field, self.reason, self.detail = number, field, reason, detail

    def __reduce__(self) -> tuple:
        return type(self), (self.number, self.field, self.reason, self.detail)


def parse_messages(messages: Sequence[Mapping], images: int | None = None) -> list[Message]:
    """Read role/content dictionaries as messages.

    Args:
        messages: As described in this module's docstring.
        images: Number of images that boxes and points may name; None for no limit.

    Raises:
        MessageError: A message is wrong; it names which one, and the field.
    """
    return [_parse_message(message, number, images) for number, message in enumerate(messages)]


def _parse_message(message: object, number: int, images: int | None) -> Message:
    role = message.get("role") if isinstance(message, Mapping) else None
    if not isinstance(message, Mapping) or role not in ROLES:
        raise MessageError(number, "role", f"must be one of {', '.join(ROLES)}")
    _check_keys(message, ("role", "content", "train", "references"), number, "")
    content, trained = message.get("content"), message.get("train", True)
    if not isinstance(trained, bool):
        raise MessageError(number, "train", "must be true or false")
    references = _parse_references(message, role, number)
    if isinstance(content, str):
        return Message(role, tuple(split_text(content)), trained, plain=True, references=references)
    if not isinstance(content, list | tuple):
        raise MessageError(number, "content", "must be a text or a list of parts")
    parts = (_parse_part(part, number, f"content[{k}]", images) for k, part in enumerate(content))
    return Message(role, tuple(parts), trained, references=references)


def _parse_references(message: Mapping, role: str, number: int) -> tuple[str, ...]:
    if "references" not in message:
        return ()
    found = message["references"]
    if role != "assistant":
        raise MessageError(number, "references", "only answers have them")
    if not isinstance(found, list | tuple) or not found or not all(isinstance(text, str) for text in found):
        raise MessageError(number, "references", "must be a non-empty list of texts")
    return tuple(found)


def _check_keys(data: Mapping, names: Sequence[str], number: int, field: str) -> None:
    for name in data:
        if name not in names:
            raise MessageError(number, f"{field}.{name}".removeprefix("."), "unknown field")


def _parse_part(part: object, number: int, field: str, images: int | None) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if isinstance(part, Mapping) and isinstance(kind, str) and kind in KEYS:
        _check_keys(part, KEYS[kind], number, field)
        if kind == "image":
            return Image()
        if kind in PLACES:
            return _parse_place(part, kind, number, images)
        if isinstance(part.get("text"), str):
            return Text(part["text"])
    raise MessageError(number, field, "not a text, image, box or point part", str(part)[:80])


def _parse_place(part: Mapping, kind: str, number: int, images: int | None) -> Place:
    wanted, several = PLACES[kind]
    places: Any = part.get(kind) if several else [part.get(kind)]
    if not isinstance(places, list | tuple) or not places:
        raise MessageError(number, kind, "must be a non-empty list")
    for place in places:
        problem, detail = problem_of_place(place, wanted)
        if problem:
            raise MessageError(number, kind, problem, detail)
    image = part.get("image", 0)
    if type(image) is not int or not 0 <= image < (LONGEST if images is None else images):
        raise MessageError(number, f"{kind}.image", "there is no such image", repr(image)[:80])
    return Place(image, tuple(tuple(place) for place in places), several)


def problem_of_place(numbers: object, wanted: int) -> tuple[str, str]:
    """Return what is wrong with a box (`wanted` is 4) or a point (2), and the detail; empty if nothing is."""
    if not isinstance(numbers, list | tuple) or len(numbers) != wanted:
        return f"must be {wanted} numbers", ""
    if not all(type(n) in (int, float) and -LONGEST < n < LONGEST for n in numbers):
        return f"must be {wanted} numbers", ""
    if wanted == 4 and (numbers[2] <= numbers[0] or numbers[3] <= numbers[1]):
        return "empty box", str(list(numbers))
    return "", ""


def split_text(text: str) -> list[Part]:
    """Split a text at its `<image>` placeholders."""
    parts: list[Part] = []
    for number, piece in enumerate(text.split(IMAGE)):
        if number:
            parts.append(Image())
        if piece:
            parts.append(Text(piece))
    return parts


def count_images(messages: Sequence[Message]) -> int:
    """Return the number of image placeholders of the conversation."""
    return sum(isinstance(part, Image) for message in messages for part in message.parts)


def format_places(places: Sequence[Sequence[float]], decimals: int = 2) -> str:
    """Write boxes or points relative to the padded square, as `[0.12, 0.30, 0.80, 0.44]`, separated by `; `."""
    written = (", ".join(f"{min(max(n, 0.0), 1.0):.{decimals}f}" for n in place) for place in places)
    return "[" + "; ".join(written) + "]"


_NUMBER = r"\s*(\d+(?:\.\d*)?|\.\d+)\s*"
_BOX = re.compile(r"(?<=[\[;])" + ",".join([_NUMBER] * 4) + r"(?=[\];])")


def parse_boxes(text: str) -> list[Box]:
    """Return all boxes written in a text, (x1, y1, x2, y2) relative to the padded square; `0` and `1` are read too."""
    boxes = []
    for match in _BOX.finditer(text):
        x1, y1, x2, y2 = (float(group) for group in match.groups())
        boxes.append((x1, y1, x2, y2))
    return boxes
