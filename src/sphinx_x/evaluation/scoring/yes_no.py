"""Yes or no: MME's reading of the first four characters, and a plain one."""

from __future__ import annotations

import re

HEAD = 4
_FIRST = re.compile(r"\W*(?:(?:the )?answer(?: is)?\b\W*)?(yes|no)\b", re.IGNORECASE)


def read_yes_no(answer: str) -> str | None:
    """`yes` or `no`, the word that an answer begins with (after "The answer is"); None where it begins with another."""
    found = _FIRST.match(answer)
    return found[1].lower() if found else None


def read_mme(answer: str) -> str | None:
    """As MME reads it: "yes", else "no", anywhere in the first four characters (so "None" is a no)."""
    head = answer.lower()[:HEAD]
    return next((word for word in ("yes", "no") if word in head), None)


def read_pope(answer: str) -> str:
    """As POPE's released program does: "no" where "No", "no" or "not" is a word of the first sentence, else "yes"."""
    words = answer.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"} & set(words) else "yes"
