"""What a judge's words mean: a grade, two scores, right or wrong. Without that they mean nothing."""

from __future__ import annotations

import re

from sphinx_x.evaluation.items import Item, Verdict

_NUMBER = r"\d+(?:\.\d+)?"
_NAMES = "grade|score|judge?ment|correctness"
_ALONE = re.compile(rf"(?:{_NAMES})?\s*[:=|]?\s*({_NUMBER})\s*(?:/\s*1(?:\.0)?)?\s*[.|]?", re.IGNORECASE)
BEST = 10.0


def read_grade(item: Item, reply: str, rule: str) -> Verdict | None:
    """The one number from 0 to 1 that a judge wrote."""
    found = _ALONE.fullmatch(_bare(reply))
    if found is None:
        return None
    grade = float(found[1])
    return Verdict(grade, found[1]) if 0 <= grade <= 1 else None


def read_right(item: Item, reply: str, rule: str) -> Verdict | None:
    """1 or 0."""
    verdict = read_grade(item, reply, rule)
    return verdict if verdict is not None and verdict.score in (0, 1) else None


def read_pair(item: Item, reply: str, rule: str) -> Verdict | None:
    """Two scores from 1 to 10 in the first line: of the reference answer, then of the model's."""
    parts = _bare(reply.strip().split("\n")[0]).replace(",", " ").split()
    if len(parts) != 2 or not all(re.fullmatch(_NUMBER, part) for part in parts):
        return None
    reference, model = map(float, parts)
    if not all(1 <= score <= BEST for score in (reference, model)):
        return None
    return Verdict(model / BEST, f"{parts[1]} against {parts[0]}", beside=reference / BEST)


def _bare(text: str) -> str:
    """Without the marks of emphasis that some judges write."""
    return text.strip().strip("*`\"' ").strip()
