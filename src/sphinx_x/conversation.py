"""Messages, the images in them, and how boxes, points and marks are written (paper, section 5).

A conversation is a list of messages in the usual role/content form:

    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where is 'cat'?"}]}
    {"role": "assistant", "content": [{"type": "box", "image": 0, "box": [12, 30, 80, 44]}]}

`content` may also be a plain string. An image part stands for the next image of the conversation. A `box`, `point`,
`boxes` or `points` part holds pixels of the image it names (its index in the conversation); it becomes text only when
the prompt is built, because what is written is relative to the padded square that the model sees. Several boxes or
points (a polygon, too) stand in one pair of brackets, parted by semicolons. An answer with `"train": false` is read,
but not learned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sphinx_x.boxes import Box
from sphinx_x.errors import PromptError

ROLES = ("system", "user", "assistant")
PLACES = {"box": (4, False), "point": (2, False), "boxes": (4, True), "points": (2, True)}
"""Parts that point at a place: how many numbers each place has, and whether the part holds a list of them."""
IMAGE = "<image>"
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
    """Boxes (x1, y1, x2, y2) or points (x, y) in pixels of image number `image`, written in one pair of brackets."""

    image: int
    places: tuple[Numbers, ...]


Part = Text | Image | Place


@dataclass(frozen=True)
class Message:
    """One turn: a role of `ROLES` and its parts in order. trained: an answer is learned, not only read."""

    role: str
    parts: tuple[Part, ...]
    trained: bool = True


def parse_messages(messages: Sequence[Mapping]) -> list[Message]:
    """Reads role/content dictionaries into messages; raises `PromptError` naming the message that is wrong."""
    return [_parse_message(message, number) for number, message in enumerate(messages, 1)]


def _parse_message(message: Mapping, number: int) -> Message:
    role = message.get("role")
    if role not in ROLES:
        raise PromptError(f"message {number}: role must be one of {', '.join(ROLES)}, not {role!r}")
    content, trained = message.get("content"), message.get("train", True)
    if not isinstance(trained, bool):
        raise PromptError(f"message {number}: train must be true or false")
    if isinstance(content, str):
        return Message(role, tuple(split_text(content)), trained)
    if not isinstance(content, Sequence):
        raise PromptError(f"message {number}: content must be a text or a list of parts")
    return Message(role, tuple(part for item in content for part in _parse_part(item, number)), trained)


def _parse_part(item: Mapping, number: int) -> list[Part]:
    kind = item.get("type") if isinstance(item, Mapping) else None
    if kind == "text" and isinstance(item.get("text"), str):
        return [Text(item["text"])]
    if kind == "image":
        return [Image()]
    if kind in PLACES:
        wanted, several = PLACES[kind]
        places: Any = item.get(kind) if several else [item.get(kind)]
        if isinstance(places, Sequence) and all(isinstance(p, Sequence) and len(p) == wanted for p in places):
            return [Place(int(item.get("image", 0)), tuple(tuple(float(n) for n in place) for place in places))]
    raise PromptError(f"message {number}: not a text, image, box or point part: {str(item)[:80]}")


def split_text(text: str) -> list[Part]:
    """Splits a text at its `<image>` placeholders."""
    parts: list[Part] = []
    for number, piece in enumerate(text.split(IMAGE)):
        if number:
            parts.append(Image())
        if piece:
            parts.append(Text(piece))
    return parts


def count_images(messages: Sequence[Message]) -> int:
    """How many image placeholders the conversation has."""
    return sum(isinstance(part, Image) for message in messages for part in message.parts)


def format_places(places: Sequence[Sequence[float]], decimals: int = 2) -> str:
    """Writes boxes or points relative to the padded square, as `[0.12, 0.30, 0.80, 0.44]`, several parted by `; `."""
    written = (", ".join(f"{min(max(n, 0.0), 1.0):.{decimals}f}" for n in place) for place in places)
    return "[" + "; ".join(written) + "]"


_NUMBER = r"\s*(\d+(?:\.\d*)?|\.\d+)\s*"
_BOX = re.compile(r"(?<=[\[;])" + ",".join([_NUMBER] * 4) + r"(?=[\];])")


def parse_boxes(text: str) -> list[Box]:
    """All boxes written in a text, each (x1, y1, x2, y2) relative to the padded square; also `0` and `1` are read."""
    boxes = []
    for match in _BOX.finditer(text):
        x1, y1, x2, y2 = (float(group) for group in match.groups())
        boxes.append((x1, y1, x2, y2))
    return boxes
