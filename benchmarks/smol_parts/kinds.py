"""What kind of question the documents and charts engines asked, told by its words."""

from __future__ import annotations

import re

from sphinx_x.engines.documents import wordings as words
from sphinx_x.sources.dialogue import SHORT

FIELD, ENTRY, ABSENT, TITLE = "field", "entry", "absent", "title"
HIGHEST, LOWEST = "highest", "lowest"
PLACES = ("where", "evidence")
"""Kinds whose answers are boxes."""


def _pattern(*wordings: str) -> re.Pattern[str]:
    """Return what matches any of some wordings; `{...}` stands for any text, also for none (a box)."""
    return re.compile("|".join(re.sub(r"\\\{\w*\\\}", ".*", re.escape(wording)) for wording in wordings), re.DOTALL)


def _named(noun: str) -> list[str]:
    """Return the general questions for what a noun names."""
    pairs = {"{noun}": noun, "{Noun}": noun[0].upper() + noun[1:]}
    return [said.replace("{noun}", pairs["{noun}"]).replace("{Noun}", pairs["{Noun}"]) for said in words.GENERAL]


_CHART_TITLE = (*words.ASKED["chart title"], *_named(words.NOUNS["chart title"]))
_MOST = (*words.MOST_CELL, *(one for some in words.MOST.values() for one in some))
_ENTRY = [*words.CELL, *(one for name, some in words.ASKED.items() if ":" in name for one in some)]
# the cells of a table have no noun of their own
for _noun in (*(noun for name, noun in words.NOUNS.items() if ":" in name), 'the "{}" of "{}"'):
    _ENTRY += _named(_noun)

PATTERNS = (
    (TITLE, _pattern(*_CHART_TITLE)),
    ("evidence", _pattern(*words.EVIDENCE)),
    ("where", _pattern(*words.WHERE_TEXT, *words.WHERE_FACT)),
    ("block", _pattern(*words.BLOCK)),
    ("region", _pattern(*words.REGION)),
    ("there", _pattern(*words.IS_THERE)),
    ("listed", _pattern(*words.LISTED)),
    ("yes_no", _pattern(*words.IS_VALUE)),
    ("rows", _pattern(*words.ROWS)),
    ("difference", _pattern(*words.DIFFERENCE)),
    ("as_table", _pattern(*words.AS_TABLE)),
    ("read", _pattern(*words.READ, *words.READ_ALL)),
    (ENTRY, _pattern(*_ENTRY)),
    ("count", _pattern(*words.COUNT)),
    (HIGHEST, _pattern(*_MOST)),
    ("order", _pattern(*words.FIRST, *words.LAST, *words.AFTER)),
    ("which", _pattern(*words.WHICH_CELL, *(one for some in words.WHICH.values() for one in some))),
)
"""Kinds in the order in which they are looked for: an earlier one is the narrower one."""
ALONE = (
    (ENTRY, _pattern(*words.CELL_ALONE)),
    ("difference", _pattern(*words.DIFFERENCE_ALONE)),
    (HIGHEST, _pattern(*words.MOST_ALONE)),
)
"""Kinds of questions about charts with one series, which nobody names; of other pages the same words ask for fields."""
KINDS = (FIELD, *(name for name, _ in PATTERNS), LOWEST, ABSENT)


def question_kind(question: str, answer: str, chart: bool = False) -> str:
    """Return the kind of a question: one of `KINDS`.

    Args:
        question: As it was asked, places in it left out.
        answer: The true answer, empty where it is a box.
        chart: Whether it is about a chart.
    """
    if answer == words.NOT_THERE:
        return ABSENT
    asked = question.removesuffix(f"\n{SHORT}")
    patterns = (*PATTERNS, *ALONE) if chart else PATTERNS
    kind = next((name for name, pattern in patterns if pattern.fullmatch(asked)), FIELD)
    if kind in PLACES and answer:  # "Where does it take place?" is answered by words
        return FIELD
    return LOWEST if kind == HIGHEST and not re.search(r"\b(?:highest|largest)\b", asked) else kind
