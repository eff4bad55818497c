"""MMMU's own reading of answers (Yue et al. 2023), without its random letters: what cannot be read is told as such."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_SIGNS = ",.!?;:'"
_SENTENCES = re.compile(r"\.\s(?=[A-Z])|\n")
_TRIVIAL = frozenset(":,.!?;'")
_SIGNALS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_WITH_COMMAS = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+")
_SIMPLE = re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])")
FEW_WORDS = 5


def read_letter(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter that an answer names: "(B)", else B between blanks, else, in more than five words, an option's text.

    Of several the last one counts. None where there is none.
    """
    for sign in _SIGNS:
        answer = answer.strip(sign)
    text = f" {answer} "
    ways = ({letter: f"({letter})" for letter in options}, {letter: f" {letter} " for letter in options})
    for marks in ways:
        places = {letter: text.rfind(mark) for letter, mark in marks.items() if mark in text}
        if places:
            return max(places, key=lambda letter: places[letter])
    if len(text.split()) > FEW_WORDS:
        low = text.lower()
        places = {
            letter: low.rfind(option.lower()) for letter, option in options.items() if option and option.lower() in low
        }
        if places:
            return max(places, key=lambda letter: places[letter])
    return None


def open_answer(answer: str, golds: Sequence[str]) -> bool:
    """Whether an answer to an open question holds one of the true texts, or a number equal to two decimals."""
    true = [form for gold in golds for form in _forms(str(gold))]
    for said in _said(answer):
        if isinstance(said, str):
            if any(isinstance(gold, str) and gold in said for gold in true):
                return True
        elif said in true:
            return True
    return False


def _said(answer: str) -> list[str | float]:
    key = key_parts(answer.strip().strip(".").lower(), _SENTENCES, _SIGNALS, "=")
    parts = [*key, *(number for part in key for number in _numbers(part))]
    return [form for part in dict.fromkeys(parts) for form in _forms(part)]


def key_parts(answer: str, sentences: re.Pattern[str], signals: Sequence[str], last: str = "") -> list[str]:
    """The parts of an answer that say the result: behind a word that announces it, in every sentence.

    sentences: what stands between two; signals: such words; last: another one, in the last sentence.
    """
    *before, end = sentences.split(answer)
    tails = [shortest_tail(sentence, signals) for sentence in before]
    tails.append(shortest_tail(end, [*signals, last] if last else signals))
    return [tail for tail in tails if tail and tail not in _TRIVIAL] or [answer]


def shortest_tail(sentence: str, signals: Sequence[str]) -> str:
    """What follows the last of the words that announce a result; empty where there is none of them.

    A sentence that ends in such a word says nothing by it: the next word decides.
    """
    shortest = ""
    for signal in (signal for signal in signals if signal in sentence):
        tail = sentence.split(signal)[-1].strip()
        if not shortest or len(tail) < len(shortest):
            shortest = tail
    return shortest


def _numbers(text: str) -> list[str]:
    return [*_WITH_COMMAS.findall(text), *_SCIENTIFIC.findall(text), *_SIMPLE.findall(text)]


def _forms(text: str) -> list[str | float]:
    """A number rounded to two decimals; else lower case, a single letter only with a blank beside it."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        low = text.lower()
        return [f" {low}", f"{low} "] if len(low) == 1 else [low]
