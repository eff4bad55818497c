"""Questions about a page: the paper's kinds of OCR task, as one dialogue of several turns (paper, 4.1 and 5).

Answers consist of whole units: blocks, lines or words, never parts of a word. Only trusted text is asked for, and a
text to be found occurs on the page once. Boxes are in pixels of the page's image; the prompt builder formats them.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt, field_validator

from sphinx_x.boxes import Box, clip, sides, union
from sphinx_x.conversation import Message
from sphinx_x.engines.ocr.wordings import wordings_of
from sphinx_x.engines.pdf.blocks import Block, flowing
from sphinx_x.engines.pdf.languages import language
from sphinx_x.engines.pdf.page import Page
from sphinx_x.engines.pdf.scripts import is_cjk
from sphinx_x.engines.pdf.words import Word, joined
from sphinx_x.sources.base import UnusedError
from sphinx_x.sources.dialogue import Content, box, boxes, dialogue, items_of

KINDS = ("read_page", "read_region", "find_text", "spot_words", "layout", "reading_order", "continue_text")
CLASSES = ("title", "text", "list", "table", "figure", "caption")
LEADING = "._\u00b7\u2024\u2026"
"""Leaders between an entry and its page number, which may be words of their own."""
REPEATED = 6
"""Number of characters that two answers of a dialogue may not share, if they are the whole of one."""


class QuestionSettings(BaseModel):
    """Which tasks are made, and how long answers may be.

    Attributes:
        weights: How often each kind is drawn, 0 for never.
        turns: Largest number of questions per page.
        answer: Largest number of characters of an answer.
        words: Largest number of words with boxes in one answer.
        blocks: Largest number of blocks with boxes in one answer.
        least: Smallest number of letters of a text to be found.
        language: Language of the questions; `page` means that of the page if it has wordings (`wordings`), else
            English.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: dict[str, float] = {
        "read_page": 4,
        "read_region": 3,
        "find_text": 3,
        "spot_words": 2,
        "layout": 2,
        "reading_order": 1,
        "continue_text": 1,
    }
    turns: PositiveInt = 5
    answer: PositiveInt = 3000
    words: PositiveInt = 40
    blocks: PositiveInt = 40
    least: PositiveInt = 4
    language: Literal["page", "en", "de", "fr", "es", "it", "pt"] = "page"

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: dict[str, float]) -> dict[str, float]:
        unknown = weights.keys() - set(KINDS)
        if unknown:
            raise ValueError(f"no such kind of question: {min(unknown)}; there are {', '.join(KINDS)}")
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights.values()) or not any(weights.values()):
            raise ValueError("weights are 0 or more, and not all 0")
        return weights


@dataclass
class Asked:
    """A dialogue about a page.

    Attributes:
        messages: The dialogue.
        kinds: Kinds of its turns.
        left_out: Kinds that the page does not allow, by reason.
    """

    messages: list[Message]
    kinds: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


Turn = tuple[Content, Content]


def ask(page: Page, settings: QuestionSettings, rng: random.Random, spoken: str | None = None) -> Asked:
    """Return a dialogue of up to `settings.turns` questions of different kinds.

    Kinds are drawn by their weights without repetition, so that every page gives several tasks; the first question has
    the image. No answer repeats another one: it would be copied from there and not read.

    Args:
        page: The page.
        settings: Which questions are asked.
        rng: The source of randomness.
        spoken: Language of the page, by default detected from its text.

    Raises:
        UnusedError: Nothing can be asked.
    """
    if settings.language != "page":
        spoken = settings.language
    elif spoken is None:
        spoken = language(page.text)[1]
    asker = _Asker(page, settings, rng, spoken)
    asked = Asked([])
    turns: list[Turn] = []
    said: list[str] = []
    # exponential draws: a kind with twice the weight of another comes before it twice as often
    draws = {kind: rng.expovariate(1.0) / weight for kind, weight in sorted(settings.weights.items()) if weight > 0}
    for kind in sorted(draws, key=lambda kind: draws[kind]):
        if len(turns) == settings.turns:
            break
        turn = asker.turn(kind)
        if turn is None:
            asked.left_out[f"no {kind.replace('_', ' ')} on this page"] += 1
            continue
        answer = _text_of(turn[1])
        if any(repeats(answer, other) for other in said):
            asked.left_out["what an earlier answer says"] += 1
            continue
        said.append(answer)
        turns.append(turn)
        asked.kinds.append(kind)
    if not turns:
        raise UnusedError("page that allows no question")
    asked.messages = dialogue(turns)
    return asked


def repeats(one: str, other: str) -> bool:
    """Return whether one of two texts is a part of the other, apart from white space; a few letters may be repeated."""
    short, long = sorted((" ".join(one.split()), " ".join(other.split())), key=len)
    return len(short) >= REPEATED and short in long


def _text_of(content: Content) -> str:
    return "".join(part for part in items_of(content) if isinstance(part, str))


class _Asker:
    """Asks the questions about one page."""

    def __init__(self, page: Page, settings: QuestionSettings, rng: random.Random, spoken: str) -> None:
        self.page, self.settings, self.rng = page, settings, rng
        self.words = wordings_of(spoken)
        self.blocks = [block for block in page.blocks if block.lines and block.kind != "figure"]
        self.clean = [block for block in self.blocks if block.clean]
        self.text = " ".join(page.text.split())

    def turn(self, kind: str) -> Turn | None:
        """Return a question of a kind with its answer, or None if the page has nothing for it."""
        makers: dict[str, Callable[[], Turn | None]] = {name: getattr(self, f"_{name}") for name in KINDS}
        return makers[kind]()

    def _read_page(self) -> Turn | None:
        texts = [block.text for block in self.blocks]
        if all(block.clean for block in self.blocks) and sum(map(len, texts)) + len(texts) <= self.settings.answer:
            return self.rng.choice(self.words.read_page), "\n".join(texts)
        taken, length = [], 0
        for block, text in zip(self.blocks, texts, strict=True):
            length += len(text) + 1
            if not block.clean or length > self.settings.answer:
                break
            taken.append(text)
        if len(taken) < 2:
            return None
        return self.rng.choice(self.words.read_part).format(self.words.number(len(taken))), "\n".join(taken)

    def _read_region(self) -> Turn | None:
        """Ask for the text of a block, some of its lines, or one line."""
        block = self._pick(self.clean)
        if block is None:
            return None
        count = len(block.lines)
        draw = self.rng.random()
        if draw < 0.4 or count == 1:
            start, end = (0, count) if draw < 0.4 else (0, 1)
        else:
            size = 1 if draw < 0.7 else self.rng.randint(1, count)
            start = self.rng.randrange(count - size + 1)
            end = start + size
        lines = block.lines[start:end]
        while len(lines) > 1 and len(flowing(lines)) > self.settings.answer:
            lines = lines[:-1]
        text = flowing(lines)
        place = self._clip(union([line.box for line in lines]))
        if place is None or not text or len(text) > self.settings.answer:
            return None
        return self._with_box(self.words.read_region, place), text

    def _find_text(self) -> Turn | None:
        for _ in range(8):
            block = self._pick(self.clean)
            if block is None:
                return None
            line = self.rng.choice(block.lines)
            found = self._run(line.words)
            if found is None:
                continue
            words, text = found
            place = self._clip(union([word.box for word in words]))
            if place is not None and self._unique(text):
                return self.rng.choice(self.words.find).format(text), box(place)
        return None

    def _run(self, words: Sequence[Word]) -> tuple[Sequence[Word], str] | None:
        """Return one to four adjacent words, or the whole line, and their text."""
        size = len(words) if self.rng.random() < 0.4 else min(self.rng.randint(1, 4), len(words))
        start = self.rng.randrange(len(words) - size + 1)
        run = words[start : start + size]
        text = joined(run)
        letters = sum(char.isalnum() for char in text)
        least = 2 if any(map(is_cjk, text)) else self.settings.least
        good = letters >= least and 2 * letters >= len(text.replace(" ", "")) and '"' not in text and "..." not in text
        return (run, text) if good and len(text) <= 120 else None

    def _unique(self, text: str) -> bool:
        """Return whether a text is on the page once, counting those inside other words, across lines and in figures."""
        everything = [line.text for block in self.page.blocks for line in block.lines]
        return sum(line.count(text) for line in everything) == 1 and self.text.count(text) <= 1

    def _spot_words(self) -> Turn | None:
        """Ask for all words of the page if they are few, otherwise for those of a block or some of its lines."""
        limit = self.settings.words
        every = [word for block in self.page.blocks for line in block.lines for word in _spoken(line.words)]
        clean = all(block.clean for block in self.page.blocks)
        if clean and 0 < len(every) <= limit:
            return self._with_words(self.rng.choice(self.words.spot_page), every)
        block = self._pick(self.clean)
        if block is None:
            return None
        start = self.rng.randrange(len(block.lines))
        lines = []
        for line in block.lines[start:]:
            if sum(len(_spoken(other.words)) for other in (*lines, line)) > limit:
                break
            lines.append(line)
        if not lines:
            return None
        place = self._clip(union([line.box for line in lines]))
        words = [word for line in lines for word in _spoken(line.words)]
        return self._with_words(self._with_box(self.words.spot_region, place), words) if place else None

    def _with_words(self, question: Content, words: Sequence[Word]) -> Turn | None:
        """Answer `There are word[box], ... and word[box] in the image.`; None if none of the words is in the image."""
        named = [[word.text, box(place)] for word in words if (place := self._clip(word.box))]
        return (question, self.words.spotted(named)) if named else None

    def _layout(self) -> Turn | None:
        places: dict[str, list[Box]] = {}
        for block in self.page.regions:
            place = self._clip(block.box)
            if block.label in CLASSES and place is not None:
                places.setdefault(block.label, []).append(place)
        if not places:
            return None
        if sum(map(len, places.values())) <= self.settings.blocks and self.rng.random() < 0.75:
            return self.rng.choice(self.words.layout), self.words.counted(places)
        few = [name for name in sorted(places) if len(places[name]) <= self.settings.blocks]
        absent = sorted(set(CLASSES) - places.keys())
        if not few:
            return None
        name = self.rng.choice(absent if absent and self.rng.random() < 0.2 else few)
        question = self.rng.choice(self.words.layout_of).format(self.words.nouns[name].all)
        return question, self.words.counted({name: places.get(name, [])})

    def _reading_order(self) -> Turn | None:
        """Ask for the boxes of all blocks in order, or for some of them to be sorted."""
        places = [place for block in self.blocks if (place := self._clip(block.box)) is not None]
        if len(places) < 3:
            return None
        if len(places) <= self.settings.blocks and self.rng.random() < 0.5:
            return self.rng.choice(self.words.order), boxes(places)
        chosen = sorted(self.rng.sample(range(len(places)), min(self.rng.randint(3, 6), len(places))))
        ordered = [places[k] for k in chosen]
        mixed = ordered[:]
        self.rng.shuffle(mixed)
        before, after = self.rng.choice(self.words.order_of).split("{}")
        return [before, boxes(mixed), after], boxes(ordered)

    def _continue_text(self) -> Turn | None:
        """Ask for the text after a few words of a block, up to its end or the longest answer."""
        options = [block for block in self.clean if not any(line.cells > 1 for line in block.lines)]
        block = self._pick(options, 12)
        if block is None:
            return None
        text = block.text
        units = list(text) if any(map(is_cjk, text)) else text.split(" ")
        glue = "" if any(map(is_cjk, text)) else " "
        size = min(self.rng.randint(4, 8) * (2 if not glue else 1), len(units) // 2)
        start = self.rng.randrange(0, max(len(units) - 2 * size, 0) + 1)
        shown = glue.join(units[start : start + size])
        rest = units[start + size :]
        while rest and len(glue.join(rest)) > self.settings.answer:
            rest = rest[:-1]
        answer = glue.join(rest).strip()
        if not answer or '"' in shown or "\n" in shown or self.text.count(shown) != 1 or not shown.strip():
            return None
        return self.rng.choice(self.words.continue_text).format(shown), answer

    def _pick(self, blocks: Sequence[Block], words: int = 1) -> Block | None:
        """Return a block with at least so many words, preferring longer ones."""
        fit = [block for block in blocks if sum(_length(line.words) for line in block.lines) >= words]
        if not fit:
            return None
        weights = [sum(len(line.words) for line in block.lines) ** 0.5 for block in fit]
        return self.rng.choices(fit, weights)[0]

    def _with_box(self, wordings: Sequence[str], place: Box) -> list:
        before, after = self.rng.choice(wordings).split("{}")
        return [before, box(place), after]

    def _clip(self, place: Box) -> Box | None:
        return shown(place, self.page.image.size)


def _spoken(words: Sequence[Word]) -> list[Word]:
    """Return words without the leaders between an entry and its page number."""
    return [word for word in words if word.text.strip(LEADING)]


def shown(place: Box, size: tuple[int, int]) -> Box | None:
    """Return a box clipped to a picture of this size, in tenths of a pixel; None if less than one is left."""
    x1, y1, x2, y2 = clipped = clip(place, size)
    if min(sides(clipped)) < 1:
        return None
    return (round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1))


def _length(words: Sequence[Word]) -> int:
    east = (word.text for word in words if not word.text.isascii() and any(map(is_cjk, word.text)))
    return len(words) + sum(len(text) // 4 for text in east)
