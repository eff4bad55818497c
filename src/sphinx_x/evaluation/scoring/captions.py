"""CIDEr (Vedantam et al. 2015): what a sentence shares with others about the same picture, rare phrases above all.

As pycocoevalcap computes it (CIDEr-D with sigma 6, n-grams up to 4), whose package brings 100 MB of Java programs for
one function. Its tokenizer is Stanford's PTBTokenizer, a Java program; the one here follows its rules for what English
sentences hold (tests/golden/captions.json has its own output to compare with). Telephone numbers, tags and the like
may be cut differently.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LONGEST = 4
SIGMA = 6.0
SCALE = 10.0
"""CIDEr of a sentence that is its own only reference."""
Phrase = tuple[str, ...]

_DROPPED = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"))
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_SIGNS = str.maketrans(
    {"’": "'", "‘": "`", "“": '"', "”": '"', "–": " -- ", "—": " -- ", "…": "...", "£": "#", "€": "$"}
    | {"½": "1/2", "¼": "1/4", "¾": "3/4"}
)
_SHORT = """
mr mrs ms dr prof st jr sr vs etc inc co corp ltd bros gen gov sen rep rev hon capt col lt sgt ave blvd rd mt ft dept
jan feb mar apr aug sep sept oct nov dec mon tue tues wed thu thurs fri fig figs pp ph.d
"""
_TOKEN = re.compile(
    rf"""
    (?:https?://|www\.)\S+ | [\w.+-]+@[\w-]+(?:\.[\w-]+)+       # addresses
    | (?:{"|".join(map(re.escape, _SHORT.split()))})\.(?!\w)    # short forms keep their full stop
    | no\.(?=\s\d)                                              # No. 5
    | (?:[a-z]\.)+[a-z]\b\.?(?:-\w+)* | (?-i:[A-Z])\.(?!\w) | [a-z]\.(?=\s+\S)   # U.S., U.K.-based, J. Smith, p. 12
    | '\d0s                                                     # '90s
    | [-+]?\d+(?:[.,:]\d+)+(?:-[^\W\d]+)* | \+\d+               # 1,000.50, 10:30, 1.5-inch
    | [^\W_]+(?:(?:[-./&_']|'')[^\W_]+)*                        # words: state-of-the-art, and/or, AT&T, example.com
    | [@#][a-z]\w+ | \.\.\.+ | --+ | [?!]{{2,}} | \S
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ENDING = re.compile(r"(.*?)(n't|'(?:s|re|ve|ll|d|m))")
_TWO = {"cannot": ("can", "not"), "gonna": ("gon", "na"), "wanna": ("wan", "na"), "gotta": ("got", "ta")} | {
    "gimme": ("gim", "me"),
    "lemme": ("lem", "me"),
}


def words_of(sentence: str) -> list[str]:
    """The words of a sentence in lower case, as in the Penn Treebank (`do n't`, `man 's`), without punctuation."""
    words: list[str] = []
    for token in _TOKEN.findall(sentence.translate(_SIGNS)):
        low: str = token.lower()
        if low in _DROPPED or set(low) <= {"."} or set(low) <= {"-"} or low == '"':
            continue
        ending = _ENDING.fullmatch(low)
        if ending and ending[1]:
            words.extend((ending[1], ending[2]))
        else:
            words.extend(_TWO.get(low) or (_BRACKETS.get(low, low),))
    return words


def phrases_of(sentence: str) -> Counter[Phrase]:
    """How often every run of one to four words occurs."""
    words = words_of(sentence)
    lengths = range(1, LONGEST + 1)
    return Counter(tuple(words[at : at + n]) for n in lengths for at in range(len(words) - n + 1))


@dataclass(frozen=True)
class Rarity:
    """In the references of how many pictures (of `pictures`) a phrase occurs."""

    pictures: int
    counts: Mapping[Phrase, int]

    @classmethod
    def among(cls, references: Iterable[Sequence[str]]) -> Rarity:
        """Of all references of a benchmark, one sequence a picture."""
        counts: Counter[Phrase] = Counter()
        pictures = 0
        for sentences in references:
            pictures += 1
            counts.update({phrase for sentence in sentences for phrase in phrases_of(sentence)})
        return cls(pictures, counts)

    def weights(self, phrases: Mapping[Phrase, int]) -> list[dict[Phrase, float]]:
        """Weights of the phrases of a sentence, one mapping for each length."""
        found: list[dict[Phrase, float]] = [{} for _ in range(LONGEST)]
        for phrase, times in phrases.items():
            rare = math.log(self.pictures) - math.log(max(1, self.counts.get(phrase, 0)))
            found[len(phrase) - 1][phrase] = times * rare
        return found


def cider(sentence: str, references: Sequence[str], rarity: Rarity) -> float:
    """CIDEr of a sentence against those of the same picture, from 0 to 10."""
    said = phrases_of(sentence)
    total = sum(_likeness(said, phrases_of(reference), rarity) for reference in references)
    return SCALE * total / len(references)


def _likeness(said: Mapping[Phrase, int], true: Mapping[Phrase, int], rarity: Rarity) -> float:
    """Mean over the lengths of phrases of their cosine, clipped, less where one sentence is longer."""
    total = 0.0
    for ours, theirs in zip(rarity.weights(said), rarity.weights(true), strict=True):
        norm = math.hypot(*ours.values()) * math.hypot(*theirs.values())
        if norm:
            both = ((weight, theirs[phrase]) for phrase, weight in ours.items() if phrase in theirs)
            total += sum(min(mine, other) * other for mine, other in both) / norm
    # the program takes the number of pairs of words for the length
    difference = _pairs(said) - _pairs(true)
    return total / LONGEST * math.exp(-(difference**2) / (2 * SIGMA**2))


def _pairs(phrases: Mapping[Phrase, int]) -> int:
    return sum(times for phrase, times in phrases.items() if len(phrase) == 2)
