"""The thoughts of reasoning models are no part of their answers."""

from __future__ import annotations

import re

_THOUGHT = re.compile(r"<(think|thinking)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_END = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_BEGIN = re.compile(r"<think(?:ing)?>.*$", re.DOTALL | re.IGNORECASE)


def without_thoughts(answer: str) -> str:
    """An answer without what stands in `<think>...</think>`; one without thoughts is left as it is.

    A template may open the tag in the prompt, so that an answer has only its end; a limit of tokens may cut an answer
    off while it thinks, and then there is none.
    """
    left = _BEGIN.sub("", _END.sub("", _THOUGHT.sub("", answer)))
    return answer if left == answer else left.strip()
