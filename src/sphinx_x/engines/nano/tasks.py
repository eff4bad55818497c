"""Questions about a text line: read it, find words in it, read what a box holds. Plain dialogue, no task tokens."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sphinx_x.boxes import Box, union
from sphinx_x.conversation import Message, Place
from sphinx_x.data.sample import BoxedText
from sphinx_x.sources.dialogue import dialogue

READ = "Read the text."
ONLY_WHERE, READ_IN_BOX, SECOND_WHERE = 0.10, 0.05, 0.30
"""Shares of the lines of three words or more; the second turn follows the reading of the whole line."""


def ask_about_line(words: Sequence[BoxedText], rng: random.Random, only_read: bool = False) -> list[Message]:
    """Return the messages about one line: mostly reading, sometimes finding and reading in a box."""
    text = " ".join(word.text for word in words)
    draw, second = rng.random(), rng.random() < SECOND_WHERE
    run = None if only_read or len(words) < 3 else _unique_run(text, words, rng)
    if run and draw < ONLY_WHERE:
        return dialogue([_where(run)])
    if run and draw < ONLY_WHERE + READ_IN_BOX:
        length = rng.randint(1, min(4, len(words)))
        start = rng.randrange(len(words) - length + 1)
        chosen = words[start : start + length]
        box = _place(union([word.box for word in chosen]))
        return dialogue([(["Read the text in ", box, "."], " ".join(word.text for word in chosen))])
    return dialogue([(READ, text), *([_where(run)] if run and second else [])])


def _unique_run(text: str, words: Sequence[BoxedText], rng: random.Random) -> BoxedText | None:
    """Return one to three consecutive words whose text occurs once in the line, as one word with a box."""
    for _ in range(4):
        length = rng.randint(1, min(3, len(words) - 1))
        start = rng.randrange(len(words) - length + 1)
        chosen = words[start : start + length]
        run = " ".join(word.text for word in chosen)
        if text.count(run) == 1 and '"' not in run and any(char.isalnum() for char in run):
            return BoxedText(run, union([word.box for word in chosen]))
    return None


def _where(run: BoxedText) -> tuple[str, Place]:
    return f'Where is "{run.text}"?', _place(run.box)


def _place(box: Box) -> Place:
    return Place(0, (box,))
