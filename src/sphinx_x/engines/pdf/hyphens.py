"""What becomes of a hyphen at the end of a line: whether it splits a word or belongs to one.

Names, numbers, addresses and compounds keep theirs, and what follows is joined without a blank. Otherwise two words
that
can stand alone and do not form a common word together are a compound, according to a list of common English words
(`words.txt.gz`, made by `benchmarks/make_common_words.py`); anything else was split by the end of the line. If both are
possible (co-operate, cooperate), the other lines of the block decide, or its edge: even edges come from programs, which
split words, and other texts are not hyphenated.
"""

from __future__ import annotations

import functools
import gzip
import re
from collections.abc import Sequence
from importlib import resources
from typing import Literal

DASHES = ("\u2013", "\u2014")
ADDRESS = re.compile(r"(?:https?|ftp)://|^\W?www\.|\w@\w|^\W?[\w.-]+\.[a-z]{2,}/", re.IGNORECASE)
OPEN_ADDRESS = re.compile(r"(?:(?:https?|ftp)://|^\W?www\.).*[/?&=_.]$", re.IGNORECASE)
OPEN_MAIL = re.compile(r"\w@(?:[\w-]+\.)+$")
GOES_ON = re.compile(r"^[\w%~-]+[/.?&=_#-][\w%~]")
"""The last word of a line if it is an address that goes on, and the first word of the next line if it continues one."""
LAST, FIRST = re.compile(r"([^\W\d_]+)-$"), re.compile(r"^[^\W\d_]+")
PREFIXES = frozenset(
    {
        "anti",
        "co",
        "ex",
        "mid",
        "multi",
        "neo",
        "non",
        "post",
        "pre",
        "pro",
        "pseudo",
        "quasi",
        "self",
        "semi",
        "ultra",
        "vice",
    }
)
"""Parts of compounds that are not words, or hardly."""
BEFORE_E = "re"
SMALL_WORDS = frozenset({"by", "no", "on", "so"})
"""Words of two letters that begin compounds, and hardly ever a word that is split before another word."""
COMPASS = frozenset({"north", "south"})
"""Parts of north-east and the like, which are written both ways."""
FRENCH = frozenset({"delà", "dessous", "dessus", "même", "mêmes", "être"})
"""Second parts of French compounds (au-dessus, peut-être, elle-même), which never continue a split word."""
OFTEN_ONE = frozenset(
    {
        "back",
        "down",
        "fore",
        "inter",
        "out",
        "over",
        "sub",
        "super",
        "under",
        "up",
    }
)
"""Words that form one word with what follows more often than a compound."""
CAMEL = re.compile("[a-z][A-Z]")
CONJUNCTIONS = frozenset(
    {
        "and",
        "or",
        "to",
        "und",
        "oder",
        "bis",
        "bzw",
        "et",
        "ou",
        "en",
        "of",
        "och",
        "eller",
    }
)
"""What stands between the parts of `pre- and post-war`."""

Ending = Literal["join", "keep", "blank", "either"]
"""Whether the hyphen goes, stays without a blank after it, stays with one, or cannot be decided from these two words.
"""


@functools.cache
def common_words() -> frozenset[str]:
    """Return the common English words."""
    with (resources.files("sphinx_x.engines.pdf") / "words.txt.gz").open("rb") as file:
        return frozenset(gzip.decompress(file.read()).decode().split())


def ending(before: str, after: str) -> Ending:
    """Return what becomes of the hyphen at the end of `before`, if `after` is the first word of the next line."""
    inner = before[:-1]
    if after.rstrip(".,") in CONJUNCTIONS and (_tail(inner) + after.rstrip(".,")).lower() not in common_words():
        return "blank"
    if ADDRESS.search(before) or ADDRESS.search(after) or before[-2].isdigit() or after[0].isdigit():
        return "keep"
    last, first = LAST.search(before), FIRST.match(after)
    if last is None or first is None:
        return "keep" if first and "-" in inner else "blank"
    head, rest = last[1], first[0]
    if "-" in inner or len(head) == 1 or after[len(rest) : len(rest) + 1] == "-":
        return "keep"  # of a compound the last hyphen is its own
    if CAMEL.search(rest) or (before[0] == "\\" and rest[0].islower()):
        return "join"  # a name of a program, which has no hyphen of its own
    shouted = head.isupper() and rest.isupper()
    if not shouted and (rest[0].isupper() or head[-1].isupper()):
        return "keep"
    return _by_words(head.lower(), rest.lower())


def _tail(word: str) -> str:
    found = LAST.search(word + "-")
    return found[1] if found else ""


def _by_words(head: str, rest: str) -> Ending:
    known = common_words()
    if rest in FRENCH:
        return "keep"
    free = len(rest) > 2 and rest in known
    free &= (
        head in PREFIXES
        or (len(head) > 2 and head in known)
        or (head == BEFORE_E and rest[0] == "e")
        or head in SMALL_WORDS
    )
    if head + rest in known:
        return "either" if free and (head in PREFIXES or head in COMPASS) else "join"
    if free and head in OFTEN_ONE:
        return "either"
    return "keep" if free else "join"


def settled(endings: Sequence[Ending], even: bool) -> list[Ending]:
    """Return the endings of a block's lines with the open ones decided; `even` is whether the lines end at one edge."""
    found = set(endings)
    other: Ending = "join" if "join" in found or (even and "keep" not in found) else "keep"
    return [other if each == "either" else each for each in endings]


def no_blank(before: str, after: str) -> bool:
    """Return whether the last word of a line, which has no hyphen, and the next are one: dashes, addresses."""
    if before[-1] in DASHES:
        return len(before) > 1 and before[-2].isalnum() and after[0].isalnum()
    return bool(OPEN_ADDRESS.search(before) or OPEN_MAIL.search(before)) and GOES_ON.match(after) is not None
