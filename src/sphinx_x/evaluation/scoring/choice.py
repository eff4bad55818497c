"""Which option an answer takes. An answer that takes none, or more than one, is unreadable: never a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sphinx_x.evaluation.metrics import normalise_text

_LISTED = re.compile(r"^\(?([A-Z])[.)] ?(.*)$", re.MULTILINE)
_LETTER = re.compile(
    r"(?:(?:the |my )?(?:correct )?(?:answer|option|choice)(?: is)?)?\s*:?\s*\(?([A-Za-z])\)?(?:[.:)]\s*(.*))?",
    re.IGNORECASE | re.DOTALL,
)
_SENTENCE = re.compile(r"(?:it is|it's|it's|this is|the answer is|answer)\s*:?\s+(.*)", re.IGNORECASE | re.DOTALL)
_ALONE = re.compile(r"(?<![\w'])([A-Z])(?![\w'])")
_ARTICLE = re.compile(r"A (?!(?:or|and)\b)[a-z]")
_MARKED = re.compile(r"(?<![\w'])\(?([A-Z])[).:]")
_JOINED = re.compile(r"\b(?:or|and)\s*$", re.IGNORECASE)
_LOOP = re.compile(r"([A-Za-z])(?:[\s,;.]+\1)+\.?")


def listed_options(question: str) -> dict[str, str]:
    """The options that a question lists, one a line ("B. iron"), by letter; of several lists the last."""
    options: dict[str, str] = {}
    for letter, text in _LISTED.findall(question):
        if letter == "A":
            options = {}
        if letter == chr(ord("A") + len(options)):
            options[letter] = text.strip()
    return options


def read_option(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter of the option that an answer takes: by its letter, or word for word by its text. None: unreadable."""
    text = normalise_text(answer).strip("\"'*` ")
    by_text = _by_text(options)
    # "B B": a model that repeats itself has not answered
    if _LOOP.fullmatch(text):
        return None
    found = _LETTER.fullmatch(text)
    if found:
        letter, rest = found[1].upper(), found[2]
        other = by_text.get(_plain(rest)) if rest else None
        # "B. <text of A>" takes two
        if letter in options and other in (None, letter) and not _goes_on(rest or "", letter, options):
            return letter
        return None
    said = _SENTENCE.fullmatch(text)
    for part in (text, said[1] if said else ""):
        if _plain(part) in by_text:
            return by_text[_plain(part)]
    letters = set(_ALONE.findall(text)) & options.keys()
    if _ARTICLE.match(text):
        letters.discard("A")
    return letters.pop() if len(letters) == 1 else None


def _goes_on(rest: str, letter: str, options: Mapping[str, str]) -> bool:
    """Whether an answer takes a further option: "A. red, B. blue", or "A. Or B."."""
    for found in _MARKED.finditer(rest):
        other = found[1]
        if other == letter or other not in options:
            continue
        before = rest[: found.start()]
        if (
            not before.strip(" ,;")
            or _JOINED.search(before)
            or _plain(rest[found.end() :]).startswith(_plain(options[other]))
        ):
            return True
    return False


def _plain(text: str) -> str:
    return normalise_text(text).casefold().rstrip(".").strip("\"'* ")


def _by_text(options: Mapping[str, str]) -> dict[str, str | None]:
    """Letters by their texts; None for a text that stands twice."""
    found: dict[str, str | None] = {}
    for letter, text in options.items():
        found[_plain(text)] = None if _plain(text) in found else letter
    return {text: letter for text, letter in found.items() if text}
