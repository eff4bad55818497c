"""The words for what pictures show: from a name to the common word that people ask for, and what goes with it.

`nouns.tsv.gz` and `classes.tsv` beside this file are made of WordNet by `benchmarks/make_picture_words.py`.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sphinx_x.engines.som.nouns import head
from sphinx_x.errors import DataError

HERE = Path(__file__).parent
PARTS = frozenset(
    """
    wheel door window roof wall face head hand eye ear nose mouth leg tail wing leaf grass sky cloud sea rock sun
    letter number button text pattern background
    """.split()  # noqa: SIM905
)
"""Words for what a picture often has besides its subject: it is never said that they are not there."""
UNNOTICED = frozenset(["person", "tree", "flower", "hat", "mountain", "moon", "star", "sign"])
"""Words for what is in many photographs and not among the classes of the teacher: nor are these denied there."""
WIDER = {
    "insect": frozenset(
        ["bee", "ant", "beetle", "butterfly", "fly", "dragonfly", "grasshopper", "bug", "mosquito", "cockroach", "moth"]
    ),
    "computer": frozenset(["laptop"]),
}
"""Words that are said of the things of other words as well: neither is denied where the other may be there."""
ENDINGS = (("ies", "y"), ("ves", "f"), ("xes", "x"), ("ses", "s"), ("ches", "ch"), ("shes", "sh"), ("s", ""))


@dataclass(frozen=True)
class Word:
    """What something is called.

    Attributes:
        name: Its own name, such as `penguin`.
        word: The common word, such as `bird`; the name itself if there is none.
        group: What sort of thing that is, such as `animal`; empty if unknown.
    """

    name: str
    word: str
    group: str = ""

    @property
    def finer(self) -> bool:
        """Whether its own name says more than the word."""
        small = self.name.lower()
        return self.word.lower() not in (small, *_singular(small))


@lru_cache(maxsize=1)
def nouns() -> dict[str, tuple[str, str]]:
    """Return the common word and the group of each known noun."""
    found: dict[str, tuple[str, str]] = {}
    with gzip.open(HERE / "nouns.tsv.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            noun, word, group = line.rstrip("\n").split("\t")
            found[noun] = (word, group)
    return found


@lru_cache(maxsize=1)
def classes() -> tuple[Word, ...]:
    """Return the words of ImageNet's 1,000 classes in their usual order."""
    lines = (HERE / "classes.tsv").read_text(encoding="utf-8").splitlines()
    return tuple(Word(*line.split("\t")) for line in lines)


def word_of(name: str) -> Word:
    """Return what a thing of this name is called in common words: `Emperor penguin` is a `bird`.

    The whole name is looked up, then its last words, down to its noun.

    Raises:
        DataError: The name has no letters.
    """
    name = " ".join(name.split())
    if not re.search(r"[^\W\d_]", name):
        raise DataError("a name without letters")
    small = name.lower()
    before = re.split(r" (?:of|with|in|on|and|for)\b", small)[0].split()
    # a house of cards is no house; where two things are named, neither is the one
    tails = (
        [small] if " and " in small or " of " in small else [small, *(" ".join(before[k:]) for k in range(len(before)))]
    )
    for tail in tails:
        for noun in (tail, *_singular(tail)):
            if noun in nouns():
                return Word(name, *nouns()[noun])
    return Word(name, name)


def _singular(noun: str) -> list[str]:
    return [noun.removesuffix(end) + one for end, one in ENDINGS if noun.endswith(end) and len(noun) > len(end) + 2]


def tokens(name: str) -> frozenset[str]:
    """Return the words of a name, for telling whether two names may mean the same."""
    return frozenset(re.findall(r"\w+", name.lower()))


def related(word: str) -> frozenset[str]:
    """Return the words that may be said of the same thing, such as `insect` for a `bee`."""
    return WIDER.get(word, frozenset()) | {wide for wide, narrow in WIDER.items() if word in narrow}


def may_be_said_to_lack(word: str, composed: bool = True) -> bool:
    """Return whether a picture may be said to be without this; `composed`: all that was put into it is known."""
    return head(word) not in PARTS and (composed or head(word) not in UNNOTICED)
