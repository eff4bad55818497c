"""The prompt template of a language model tuned for dialogue, found by querying its own chat template."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import Any

from jinja2 import TemplateError

from sphinx_x.errors import one_line
from sphinx_x.model.prompt import TEMPLATES, chat_template

SYSTEM = re.compile(r"<\|im_start\|>system\n(.*?)<\|im_end\|>\n", re.DOTALL)
TURNS = [
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "Two."},
    {"role": "user", "content": "Three?"},
]


def template_of(tokenizer: Any, wanted: str) -> tuple[str | dict[str, Any], list[str]]:
    """Return the template a member wants, as its processor keeps it, and notes for the user.

    For "chatml", the system text and the first token are those of the tokenizer's chat template, if it has one that
    writes the same turns.
    """
    theirs = getattr(tokenizer, "chat_template", None)
    if wanted != "chatml":
        return wanted, []
    if not theirs:
        return wanted, ["the language model has no chat template: plain chatml is used, without a system text"]
    try:
        written = tokenizer.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        return wanted, [f"the language model's chat template is broken ({one_line(error)}): plain chatml is used"]
    system = SYSTEM.search(written)
    plain, bos = TEMPLATES["chatml"], tokenizer.bos_token
    # if the first token is the one that opens a turn, the turns write it already
    first = bos is not None and written.startswith(bos) and not plain.before["user"].startswith(bos)
    found = replace(plain, system=system[1] if system else "", bos=first)
    ours = tokenizer.apply_chat_template(
        TURNS, tokenize=False, add_generation_prompt=True, chat_template=chat_template(found)
    )
    if ours != written:
        return wanted, ["the language model's chat template is not chatml: plain chatml is used, without a system text"]
    return asdict(found), []
