"""What is asked about a text line: read it, find words in it, read what a box holds. Plain dialogue, no task tokens."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sphinx_x.boxes import union
from sphinx_x.data.sample import BoxedText

READ = "Read the text."
ONLY_WHERE, READ_IN_BOX, SECOND_WHERE = 0.10, 0.05, 0.30
"""Shares of the lines of three words or more; the second turn follows the reading of the whole line."""


def ask_about_line(words: Sequence[BoxedText], rng: random.Random, only_read: bool = False) -> list[dict]:
    """The messages about one line: reading in most cases, finding and reading in a box in some."""
    text = " ".join(word.text for word in words)
    draw, second = rng.random(), rng.random() < SECOND_WHERE
    run = None if only_read or len(words) < 3 else _unique_run(text, words, rng)
    if run and draw < ONLY_WHERE:
        return [_user(_where(run), image=True), _answer_box(run)]
    if run and draw < ONLY_WHERE + READ_IN_BOX:
        length = rng.randint(1, min(4, len(words)))
        start = rng.randrange(len(words) - length + 1)
        chosen = words[start : start + length]
        box = {"type": "box", "image": 0, "box": list(union([word.box for word in chosen]))}
        content = [{"type": "image"}, _text("Read the text in "), box, _text(".")]
        return [{"role": "user", "content": content}, _answer(" ".join(word.text for word in chosen))]
    messages = [_user(READ, image=True), _answer(text)]
    if run and second:
        messages += [_user(_where(run)), _answer_box(run)]
    return messages


def _unique_run(text: str, words: Sequence[BoxedText], rng: random.Random) -> BoxedText | None:
    """One to three consecutive words whose text occurs once in the line, as one word with a box."""
    for _ in range(4):
        length = rng.randint(1, min(3, len(words) - 1))
        start = rng.randrange(len(words) - length + 1)
        chosen = words[start : start + length]
        run = " ".join(word.text for word in chosen)
        if text.count(run) == 1 and '"' not in run and any(char.isalnum() for char in run):
            return BoxedText(run, union([word.box for word in chosen]))
    return None


def _where(run: BoxedText) -> str:
    return f'Where is "{run.text}"?'


def _text(text: str) -> dict:
    return {"type": "text", "text": text}


def _user(text: str, image: bool = False) -> dict:
    return {"role": "user", "content": ([{"type": "image"}] if image else []) + [_text(text)]}


def _answer(text: str) -> dict:
    return {"role": "assistant", "content": [_text(text)]}


def _answer_box(run: BoxedText) -> dict:
    return {"role": "assistant", "content": [{"type": "box", "image": 0, "box": list(run.box)}]}
