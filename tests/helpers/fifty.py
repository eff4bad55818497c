"""The 50 prompts on which every way to an answer gives the same greedy text: package, server, vLLM, ONNX, int8.

`FIFTY` holds 50 conversations, always the same ones, made of nothing but Pillow and this file:

- 12 without an image, of which 3 have several turns;
- 20 with one image: English lines as SPHINX-Nano takes them (`line` in the name), panoramas of which nearly all
  sub-images are skipped, tall strips, a single pixel, tables and noise of many sizes; 3 have several turns, whose later
  ones ask about the same image;
- 18 with three images: of mixed sizes, of the same size with other pixels, in another order, the same one three times,
  placed in the middle of the question; 4 have several turns, of which later ones bring further images.

Questions hold other scripts, emoji, braces, line breaks, boxes, and words that look like control tokens.

A conversation with several turns has replies written down, so that a path without memory is asked the same as one with
it; a session answers with its own words, which are then passed on as `replies`. How to use it:

- `talk.question` and `talk.images` of `SINGLE` (40 of one turn) go to `SphinxX.chat` or `chat_batch`;
- `talk.messages()` and `talk.images` go to `SphinxX.prompt`, through `parse_messages`, and to chat templates;
- `openai_messages(talk)` go to a server, and to vLLM's `chat`;
- `within(sphinx)` are those that a member declares to take; SPHINX-Nano takes lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from served import data_url

Picture = PIL.Image.Image


@dataclass(frozen=True)
class Turn:
    """A question with its new images; `<image>` says where they go, by default in front."""

    question: str
    images: tuple[Picture, ...] = ()

    def parts(self) -> list[str | Picture]:
        """Texts and images in order."""
        pieces = self.question.split("<image>")
        assert len(pieces) - 1 in (0, len(self.images)), "all images have a place, or none"
        if len(pieces) == 1:
            return [*self.images, self.question]
        between = [part for pair in zip(self.images, pieces[1:], strict=True) for part in pair]
        return [part for part in [pieces[0], *between] if part != ""]


@dataclass(frozen=True)
class Talk:
    """One conversation, up to where the answer begins; `replies` are what was answered to all turns but the last."""

    name: str
    turns: tuple[Turn, ...]
    replies: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """The question of a conversation of one turn."""
        (turn,) = self.turns
        return turn.question

    @property
    def images(self) -> list[Picture]:
        """All images, in order."""
        return [image for turn in self.turns for image in turn.images]

    def messages(self, replies: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Messages as `parse_messages` and chat templates take them: an image part stands for the next image."""

        def told(part: str | Picture) -> dict[str, Any]:
            return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}

        return self._messages(told, replies)

    def _messages(self, told: Any, replies: Sequence[str] | None) -> list[dict[str, Any]]:
        replies = self.replies if replies is None else tuple(replies)
        written: list[dict[str, Any]] = []
        for number, turn in enumerate(self.turns):
            written.append({"role": "user", "content": [told(part) for part in turn.parts()]})
            if number < len(self.turns) - 1:
                written.append({"role": "assistant", "content": [told(replies[number])]})
        return written


def openai_messages(talk: Talk, replies: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Messages as OpenAI's API takes them, images as PNG in data addresses."""

    def told(part: str | Picture) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        return {"type": "image_url", "image_url": {"url": data_url(part)}}

    return talk._messages(told, replies)


def within(sphinx: Any) -> list[Talk]:
    """The conversations that a member declares to take."""
    ability, canvas = sphinx.model.config.ability(), sphinx.processor.image_processor.grid().canvas

    def taken(talk: Talk) -> bool:
        sizes = [image.size for image in talk.images]
        return ability.refusal(sizes, len(talk.turns), canvas) is None

    return [talk for talk in FIFTY if taken(talk)]


def _line(text: str, size: int = 20, ink: str = "black", paper: str = "white") -> Picture:
    """An English line in Pillow's own typeface."""
    font = ImageFont.load_default(size=size)
    left, top, right, bottom = font.getbbox(text)
    image = PIL.Image.new("RGB", (int(right - left) + 12, int(bottom - top) + 8), paper)
    ImageDraw.Draw(image).text((6 - left, 4 - top), text, fill=ink, font=font)
    return image


def _noise(width: int, height: int, seed: int) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return PIL.Image.fromarray(pixels.astype(np.uint8))


def _slope(width: int, height: int) -> Picture:
    """A panorama: colours that change slowly from left to right."""
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    rows = np.stack([ramp, ramp[::-1], np.roll(ramp, width // 3)], axis=-1)
    return PIL.Image.fromarray(np.repeat(rows[None], height, axis=0))


def _table(rows: int, columns: int) -> Picture:
    """A table of numbers with rules."""
    image = PIL.Image.new("RGB", (60 * columns + 1, 24 * rows + 1), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=14)
    for row in range(rows):
        for column in range(columns):
            draw.rectangle((60 * column, 24 * row, 60 * column + 60, 24 * row + 24), outline="black")
            draw.text((60 * column + 6, 24 * row + 4), str(17 * row + 5 * column), fill="black", font=font)
    return image


_READ = "Read the text."
_SEVERAL_REPLIES = ("A thing.", "It is at [0.10, 0.20, 0.50, 0.60].", "Yes.")


def _talk(name: str, *turns: tuple[str, tuple[Picture, ...]]) -> Talk:
    return Talk(name, tuple(Turn(*turn) for turn in turns), _SEVERAL_REPLIES[: len(turns) - 1])


def _without() -> list[Talk]:
    questions = [
        *("Hi", "What can you do?", "Wie heißt die Hauptstadt von Österreich?", "日本の首都はどこですか。"),
        *("🙂🙃 — what do these say?", 'Write {"a": [1, 2]} as a table.', "One\ntwo\n\nthree\tfour"),
        *("Is <|im_end|> or </s> or <Mark 1> in [0.12, 0.30, 0.80, 0.44]?", "Why? " * 40),
    ]
    return [
        *(_talk(f"text {k}", (question, ())) for k, question in enumerate(questions)),
        _talk("text, two turns", ("What is a box?", ()), ("And a point?", ())),
        _talk("text, three turns", ("Count.", ()), ("Go on.", ()), ("Stop.", ())),
        _talk("text, four turns", ("A?", ()), ("B?", ()), ("C?", ()), ("D?", ())),
    ]


def _with_one() -> list[Talk]:
    lines = [
        *(_line("The quick brown fox jumps over the lazy dog."), _line("Invoice no. 4711, due 2024-05-01")),
        *(_line("No. 5", 26), _line("a", 16), _line("white on black & more", 20, "white", "black")),
        _line("A long line with many words that goes on until it is nearly as wide as a page of print"),
    ]
    others = {
        "panorama": _slope(900, 40),
        "wide panorama": _slope(1400, 30),
        "strip": _slope(40, 30).resize((24, 500)),
        "pixel": _noise(1, 1, 1),
        "row of pixels": _noise(300, 1, 2),
        "square": _noise(128, 128, 3),
        "a pixel more than a canvas": _noise(129, 65, 4),
        "table": _table(6, 4),
        "page": _noise(200, 280, 5),
        "white": PIL.Image.new("RGB", (150, 90), "white"),
    }
    asked = ["What is this?", "Detect all objects.", "Convert this table to Markdown.", "Where is 'it'?"]
    table = _table(3, 3)
    return [
        *(_talk(f"line {k}", (_READ, (line,))) for k, line in enumerate(lines)),
        _talk("line, where", ('Where is "fox"?', (lines[0],))),
        *(_talk(name, (asked[k % 4], (image,))) for k, (name, image) in enumerate(others.items())),
        _talk("panorama, two turns", ("What is this?", (others["panorama"],)), ("And its left end?", ())),
        _talk("table, three turns", ("Hello!", ()), ("Read this: <image>", (table,)), ("The last row?", ())),
        _talk("line, two turns", (_READ, (lines[1],)), ("When is it due?", ())),
    ]


def _with_three() -> list[Talk]:
    line, page, wide = _line("Three of them."), _noise(140, 180, 6), _slope(700, 50)
    same = [_noise(100, 60, seed) for seed in (7, 8, 9)]
    mixed = [(_noise(20 + 37 * k % 160, 10 + 53 * k % 120, 20 + k), _slope(60 + 80 * k, 20), line) for k in range(6)]
    orders = [(0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 0, 0), (1, 1, 2)]
    return [
        *(_talk(f"mixed {k}", (f"What do they share? ({k})", images)) for k, images in enumerate(mixed)),
        *(_talk(f"order {order}", ("Which is first?", tuple(same[k] for k in order))) for order in orders),
        _talk("placed", ("First <image>, then <image>, at last <image>: compare.", (page, wide, line))),
        _talk("placed side by side", ("<image><image>\n<image> Which is wide?", (wide, page, wide))),
        _talk("placed at the end", ("Compare: <image><image><image>", (line, wide, same[0]))),
        _talk("one a turn", ("This?", (page,)), ("And this?", (wide,)), ("And that?", (line,))),
        _talk("one, then two", ("This?", (same[0],)), ("Which of <image> and <image> is like it?", (same[1], same[0]))),
        _talk("three, then none", ("Compare them.", (line, page, wide)), ("Which is text?", ()), ("Read it.", ())),
        _talk("none, then three", ("Will you compare pictures?", ()), ("These.", (wide, wide, page))),
    ]


FIFTY = [*_without(), *_with_one(), *_with_three()]
"""The conversations, each of 0, 1 or 3 images."""
SINGLE = [talk for talk in FIFTY if len(talk.turns) == 1]
"""Those of one turn."""
