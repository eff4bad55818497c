"""Instruction records as the reference's own loader (LLaMA2-Accessory, `accessory/data`) reads them.

In an entry of its META list, `prompt_type` selects the text around an instruction, and `preprocess` how records of
another kind become instructions.
"""

from __future__ import annotations

from typing import Any

from sphinx_x.data.keys import FLAGS, MESSAGE_METADATA, check_keys
from sphinx_x.errors import SampleError

_TASK = "Below is an instruction that describes a task"
_WRITE = "Write a response that appropriately completes the request"
_ASK = "\n\n### Instruction:\n{instruction}\n\n### Response:"
PROMPTS = {
    "alpaca": f"{_TASK}. {_WRITE}.{_ASK}",
    "shortqa": f"{_TASK}. {_WRITE} using a single word or phrase.{_ASK}",
    "qg": "Generate a question whose answer is:\n{instruction}\n\nQuestion:\n",
    "caption": "",
    "None": "{instruction}",
}
"""Questions by `prompt_type`; `caption` has none."""
WITH_INPUT = (
    f"{_TASK}, paired with an input that provides further context. {_WRITE}.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
"""The question of `alpaca` for a record with an input; the other types ignore it."""
DEFAULT = "alpaca"
PREPROCESS = ("single_turn_llava", "caption")


def asked(instruction: str, more: str, prompt_type: str) -> str:
    """Return the question of a record with this instruction and input (`more`)."""
    prompt = WITH_INPUT if prompt_type == "alpaca" and more.strip() else PROMPTS[prompt_type]
    return prompt.format(instruction=instruction, input=more)


def preprocessed(record: dict[str, Any], way: str, name: str, where: str) -> dict[str, Any]:
    """Return a record as an instruction record: the first question and answer of a dialogue, or an image's caption.

    The reference draws one of several captions; here the record's `name` always selects the same one.
    """
    if way == "caption":
        captions = record.get("caption")
        captions = captions if isinstance(captions, list) else [captions]
        if not captions or not all(isinstance(caption, str) for caption in captions):
            raise SampleError(where, "caption", "must be a text or a list of texts")
        if not isinstance(record.get("url"), str):
            raise SampleError(where, "url", "must be the path of an image")
        rest = {key: value for key, value in record.items() if key not in ("caption", "url")}
        return {**rest, "image": record["url"], "output": captions[sum(name.encode()) % len(captions)]}
    turns = record.get("conversations")
    said = turns[:2] if isinstance(turns, list) else []
    if len(said) < 2 or not all(isinstance(turn, dict) and isinstance(turn.get("value"), str) for turn in said):
        raise SampleError(where, "conversations", "must be a list of at least two turns")
    for number, turn in enumerate(said):
        check_keys(turn, FLAGS | {"from", "value"}, MESSAGE_METADATA, where, f"conversations[{number}].")
    flags = {key: said[1][key] for key in FLAGS & said[1].keys()}
    rest = {key: value for key, value in record.items() if key != "conversations"}
    return {**rest, **flags, "instruction": said[0]["value"], "output": said[1]["value"]}
