"""CMMMU's own reading of answers (Zhang et al. 2024), without its random draws: what cannot be read is told as such."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sphinx_x.evaluation.scoring.mmmu import key_parts

_SIGNS = ",.!?;:'"
_SENTENCES = re.compile(r"。|\n")
GAP_SIGNALS = ("是", "为", "所以", "等于", "方案", "选择", "正确答案", "因此", "最后", "答案", "结果")
JUDGEMENT_SIGNALS = ("是", "为", "所以", "判断", "陈述", "说法", "表达", "答案", "结果")
RIGHT = ("正确", "对", "准确", "肯定")
WRONG = ("不对", "错误", "不正确", "不准确", "不合适", "否定", "错")
UNCLEAR = ("对错", "是否正确", "否正确", "或者", "是否", "正确性", "对不")
_NUMBERS = (
    re.compile(r"-?\d{1,3}(?:，\d{3})+"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+)(?![eE][+-]?\d+)(?!，\d)"),
)
MORE_CHARACTERS, MORE_LETTERS = 20, 2
"""By how much a text may be longer than the true one, in characters and in Latin letters."""


def read_letters(answer: str, options: Mapping[str, str]) -> str | None:
    """The letters that an answer names most often, in their order: "(B)", else B anywhere, else an option's text.

    None where there is none.
    """
    for sign in _SIGNS:
        answer = answer.strip(sign)
    ways = (
        {letter: answer.count(f"({letter})") for letter in options},
        {letter: answer.count(letter) for letter in options},
        {letter: answer.count(text) if text else 0 for letter, text in options.items()},
    )
    for counts in ways:
        most = max(counts.values(), default=0)
        if most:
            return "".join(letter for letter, count in counts.items() if count == most)
    return None


def read_judgement(answer: str, rule: str = "official") -> str | None:
    """`对` or `错`: which of them more of the answer's parts say; None where it is neither.

    rule: `script` takes "不对" and "不正确" for right, because they hold "对" and "正确", as the released program does.
    """
    parts = dict.fromkeys(_key_parts(answer, JUDGEMENT_SIGNALS))
    said = [_judged(part, rule) for part in parts if not any(word in part for word in UNCLEAR)]
    right, wrong = said.count("对"), said.count("错")
    return None if right == wrong else "对" if right > wrong else "错"


def _judged(part: str, rule: str) -> str | None:
    right, wrong = (any(word in part for word in words) for words in (RIGHT, WRONG))
    if right and wrong:
        return "对" if rule == "script" else "错"
    return "对" if right else "错" if wrong else None


def fills_gap(answer: str, true: str) -> bool:
    """Whether an answer holds the true text, or a number equal to two decimals."""
    parts = _key_parts(answer, GAP_SIGNALS, "=")
    said = [*parts, *(number for part in parts for pattern in _NUMBERS for number in pattern.findall(part))]
    wanted = _form(true, true)
    forms = [_form(text, true) for text in said]
    if isinstance(wanted, str):
        return any(isinstance(form, str) and wanted in form for form in forms)
    return wanted in forms


def _form(text: str, true: str) -> str | float | None:
    """A number rounded to two decimals, else the text; None where that is much longer than the true one."""
    text = text.strip()
    try:
        return round(float(text.replace(",", "")), 2)
    except ValueError:
        much = len(text) > len(true) + MORE_CHARACTERS or _latin(text) > _latin(true) + MORE_LETTERS
        return None if much else text


def _latin(text: str) -> int:
    return sum(character.isascii() and character.isalpha() for character in text)


def _key_parts(answer: str, signals: Sequence[str], last: str = "") -> list[str]:
    return key_parts(answer.strip("。").strip(), _SENTENCES, signals, last)
