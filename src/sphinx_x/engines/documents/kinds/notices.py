"""Notices and pages of a book: a heading or none, and a few lines of print, to be read as they stand.

The sentences mean nothing: nobody can guess how one goes on, so it has to be read.
"""

from __future__ import annotations

import random

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.kinds import Kind
from sphinx_x.engines.documents.made import names, places
from sphinx_x.engines.documents.pages import new_page
from sphinx_x.engines.documents.sheet import Drawing

LINKS = [
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "for",
    "with",
    "on",
    "as",
    "it",
    "by",
    "be",
    "from",
    "or",
    "not",
    "this",
    "which",
    "are",
    "was",
    "an",
    "at",
    "can",
    "may",
    "if",
    "its",
]
"""Small words, of which running text has about as many as of all others."""
AGAIN = 0.05
"""Share of the words behind which a phrase stands that was said before, as in prose: whoever copies it must not go on
at the wrong one."""


def draw(rng: random.Random, faces: Faces) -> Drawing:
    """Draw a notice."""
    flow = new_page(rng, faces, (30, 70), (420, 1000))
    if rng.random() < 0.3:
        heading = " ".join(rng.sample(names.common_words(), rng.randint(1, 4))).capitalize()
        flow.say(heading, rng.choice("lm"), flow.big(rng.uniform(1.1, 1.6), True))
        flow.gap(0.5)
    for _ in range(rng.choice((1, 1, 1, 2))):
        said: list[str] = []
        for _ in range(rng.randint(1, 5)):
            said += _sentence(rng, said)
        flow.say(" ".join(said))
        flow.gap(0.6)
    flow.gap(rng.uniform(0.5, 3))
    return flow.sheet.finish(flow.y)


def _sentence(rng: random.Random, before: list[str]) -> list[str]:
    """Return a sentence of words by chance, with punctuation, names, numbers, quotations and phrases said before."""
    said: list[str] = []
    for _ in range(rng.randint(4, 16)):
        word = rng.choice(LINKS) if rng.random() < 0.5 else rng.choice(names.common_words())
        kind = rng.random()
        if kind < 0.03:
            word = names.made_up_word(rng)
        elif kind < 0.05:
            word = places.filled(rng, rng.choice(("#", "##", "19##", "20##", "#.#", "?,###", "#:##", "No. ##")))
        elif kind < 0.055:
            word = f"{rng.randint(1, 99)}%"
        elif kind < 0.08:
            word = rng.choice(('"{}"', "({})", "'{}'", "{}-{}", "{}'s", "{}_{}", "{}()", "{}.{}")).replace("{}", word)
        said.append(word + rng.choice(",;:") if rng.random() < 0.06 else word)
        known = [one.rstrip(".?!") for one in (*before, *said)]
        if len(known) > 6 and rng.random() < AGAIN:
            start = rng.randrange(len(known) - 2)
            said += known[start : start + rng.randint(2, 5)]
    said[0], said[-1] = said[0][:1].upper() + said[0][1:], said[-1].rstrip(",;:") + rng.choice("......?!")
    return said


KIND = Kind("notice", draw, 0.6)
