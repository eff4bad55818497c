"""Nouns in sentences: articles before names of classes."""

from __future__ import annotations

import re

from sphinx_x.sources.layout import number_word
from sphinx_x.sources.names import UNCHANGED, plural

CONSONANT = re.compile(r"uni(?!n)|use|usu|eu|one\b|once|ukulele|urin|utensil", re.IGNORECASE)
"""Beginnings of words that are written with a vowel and pronounced with a consonant."""
INITIALS = re.compile(r"[A-Z][B-DF-HJ-NP-TV-Z]+\b|SUV\b|LED\b|USB\b|ATM\b")
"""Abbreviations that are pronounced letter by letter."""
MASS = frozenset(
    """
    water grass sand snow sky ground dirt hair sunlight rice bread broccoli food luggage clothing furniture jewelry
    text foliage wood metal gravel mud ice fur smoke pavement meat soup cheese juice beer wine tea coffee pasta
    spaghetti bacon
    """.split()  # noqa: SIM905
)
SINGULAR = frozenset(
    "canvas gas atlas iris bias axis basis oasis chassis debris tennis mantis trellis christmas cosmos".split()  # noqa: SIM905
)
"""Words that end like a plural without being one, in addition to those of `names.UNCHANGED`."""
SEVERAL = frozenset({"people", "men", "women", "children", "feet", "teeth", "mice", "geese"})


def a_noun(name: str) -> str:
    """Return a class with its article: `a dog`, `an umbrella`, `skis`, `water`."""
    if is_plural(name) or head(name) in MASS:
        return name
    if INITIALS.match(name):
        vowel = name[0] in "AEFHILMNORSX"
    else:
        vowel = name[:1].lower() in tuple("aeiou") and not CONSONANT.match(name)
    return f"{'an' if vowel or name.startswith('hour') else 'a'} {name}"


def is_plural(name: str) -> bool:
    """Return whether the name of a class is a plural already, like `skis` and `scissors`."""
    word = head(name)
    if word in UNCHANGED or word.lower() in SINGULAR:
        return False
    return word in SEVERAL or (word.endswith("s") and plural(word) == word)


def several(name: str) -> str:
    """Return the plural of a class, even with a label in quotation marks; plurals and uncountable nouns stay."""
    if is_plural(name) or head(name) in MASS:
        return name
    first, found, rest = name.partition(" labelled ")
    return plural(first) + found + rest


def counted_noun(name: str, count: int) -> str:
    """Return a class with its number: `two dogs`, but `water` for any number."""
    return name if head(name) in MASS else f"{number_word(count)} {several(name)}"


def agree(phrase: str, many: bool) -> str:
    """Return a phrase that begins with a verb in the singular, for one or for many."""
    verb, space, rest = phrase.partition(" ")
    return {"is": "are", "has": "have"}.get(verb, verb.removesuffix("s")) + space + rest if many else phrase


def head(name: str) -> str:
    """Return the noun of a name: `cup` of `cup of tea`."""
    words = re.split(r" (?:of|with|in|on|labelled)\b", name)[0].split()
    return words[-1] if words else ""
