"""True answers that are joined by <AND> and <OR>, looked for word for word: what can be told without a judge."""

from __future__ import annotations

import re

from sphinx_x.evaluation.metrics import normalise_text

_AND, _OR = re.compile(r"\s*<AND>\s*"), re.compile(r"\s*<OR>\s*")


def found_share(answer: str, truth: str) -> float:
    """The share of the parts of a true answer that an answer has, in the best of its alternatives."""
    said = _plain(answer)
    best = 0.0
    for choice in _OR.split(truth):
        parts = [_plain(part) for part in _AND.split(choice) if part.strip()]
        if parts:
            best = max(best, sum(has(said, part) for part in parts) / len(parts))
    return best


def has(said: str, part: str) -> bool:
    """Whether whole words and numbers of a text are those of a part; both plain."""
    # 5 does not stand in 2.5, -5 or 5.1
    before = r"(?<!\w)(?<!\d[.,])" + (r"(?<!-)" if part[0].isdigit() else "")
    return re.search(rf"{before}{re.escape(part)}(?!\w)(?![.,]\d)", said) is not None


def has_text(answer: str, truth: str) -> bool:
    """Whether an answer has the words of a true text, but for case and full stops at the end."""
    part = _plain(truth)
    return bool(part) and has(_plain(answer), part)


def _plain(text: str) -> str:
    return normalise_text(text).casefold().strip(" .")
