"""MathVista's answers (Lu et al. 2023): an option, an integer, a number of some decimals, a list of numbers."""

from __future__ import annotations

import ast
import math
import re

from rapidfuzz.distance import Levenshtein

from sphinx_x.evaluation.items import UNREADABLE, Item, Verdict
from sphinx_x.evaluation.scoring import choice

_LETTER = re.compile(r"\(([a-zA-Z])\)")
_ANNOUNCED = re.compile(r"(?:answer|result|value)\s*(?:is|:|=)[\s:$*]*", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w]|\.\d|,\d)")
_LIST = re.compile(r"\[[^\[\]]*\]")
NOTHING = ("null", "none", "")


def decided(item: Item, answer: str) -> bool:
    """Whether an answer is bare, so that nothing has to be found in it: an option's text, a number."""
    bare = answer.strip()
    if item.options:
        return bare in item.options.values()
    return item.facts["type"] != "list" and _float(bare) is not None


def by_rule(item: Item, answer: str, rule: str) -> Verdict:
    """The verdict about a whole answer without a judge: its one option, number or list, or the last announced one."""
    if item.options:
        said = choice.read_option(answer, item.options)
        return verdict(item, said or answer, rule) if said or rule == "script" else UNREADABLE
    listed = item.facts["type"] == "list"
    form = _LIST if listed else _NUMBER
    places = [announced.end() for announced in _ANNOUNCED.finditer(answer)]
    announced = [found[0] for place in places if (found := form.match(answer, place))]
    every = form.findall(answer)
    said = announced[-1] if announced else every[0] if len(every) == 1 else None
    return UNREADABLE if said is None else verdict(item, said if listed else said.replace(",", ""), rule)


def read_extracted(item: Item, reply: str, rule: str) -> Verdict | None:
    """The verdict about what a judge found in an answer. None where the judge said nothing."""
    text = reply.strip().strip("*`\"'").strip()
    if not text:
        return None
    return UNREADABLE if text.lower().rstrip(".") in NOTHING else verdict(item, text, rule)


def verdict(item: Item, extracted: str, rule: str) -> Verdict:
    """Whether what was found in an answer is true, as the release compares it.

    rule: `script` takes an option that is none of the letters and texts for the one with the fewest edits; here it is
    unreadable.
    """
    if item.options:
        return _option(item, extracted, rule)
    kind, precision = item.facts["type"], item.facts["precision"]
    gold = item.references[0]
    if kind == "list":
        if rule == "script":
            return Verdict(float(extracted == gold), extracted)
        said = _list(extracted)
        return UNREADABLE if said is None else Verdict(float(said == _list(gold)), extracted)
    number, true = _float(extracted), _float(gold)
    if number is None:
        return UNREADABLE
    if kind == "integer":
        return Verdict(float(true is not None and int(number) == true), str(int(number)))
    rounded = round(number, precision)
    return Verdict(float(true is not None and rounded == round(true, precision)), str(rounded))


def _option(item: Item, extracted: str, rule: str) -> Verdict:
    found = _LETTER.search(extracted)
    letter = found[1].upper() if found else extracted.strip()
    texts = item.options
    if letter not in texts:
        by_text = [key for key, text in texts.items() if text == extracted.strip()]
        if not by_text and rule == "script":
            by_text = [min(texts, key=lambda key: Levenshtein.distance(letter, texts[key]))]
        letter = by_text[0] if by_text else choice.read_option(extracted, texts) or ""
    if not letter:
        return UNREADABLE
    return Verdict(float(texts[letter] == item.references[0]), letter)


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _list(text: str) -> list[float] | None:
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    if not isinstance(found, list) or not all(type(one) in (int, float) for one in found):
        return None
    return [float(one) for one in found]
