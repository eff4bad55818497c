"""The keys of other people's records: those that change what is learned are honoured or refused by name.

Honoured keys are in `dialects`. Here are the keys that only describe a record and may be ignored (`METADATA`;
`MESSAGE_METADATA` and `PART_METADATA` in a dialogue), those whose meaning is known but cannot be honoured (`REFUSED`),
and those that say whether a turn is trained (`TRAINED`, `MASKED`). Every other key is unknown, and refused as well:
only its owner knows whether it matters, and can say so with `ignore`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from sphinx_x.errors import SampleError

_DESCRIBING = """
    id _id uid uuid idx name sample_id item_id data_id doc_id image_id question_id qid conv_id conversation_id hash md5
    sha256 source dataset dataset_name data_source origin url subset split author citation licence license task type
    task_type category subcategory topic domain subject difficulty tags lang language width height width_list
    height_list image_size image_sizes length num_tokens token_count num_turns meta metadata model version created
    created_at timestamp date score rating quality note notes comment comments channel __index_level_0__ __key__ __url__
"""
METADATA = frozenset(_DESCRIBING.split())
"""Keys of a record that only describe it."""
_BESIDE = """
    id message_id parent_id source model created created_at timestamp date lang language num_tokens token_count score
    rating meta metadata cache_control channel
"""
MESSAGE_METADATA = frozenset(_BESIDE.split())
"""Keys of a message that only describe it."""
PART_METADATA = frozenset(("cache_control", "annotations", "mime_type", "media_type", "format", "alt"))
"""Keys of a part of a message that only describe it."""

_OTHER = "only text and images are read"
_CALLS = "calls of tools are not known here"
_PREFERENCES = "preferences are not trained on"
_IDS = "token ids of another tokenizer"
_THOUGHT = "what is thought before an answer has no place in the prompt"
_SOME = "a part of an answer cannot be trained alone"
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("video", "videos", "video_path", "frames", "audio", "audios", "audio_path", "speech"), _OTHER),
    **dict.fromkeys(("tools", "functions", "tool_calls", "tool_call_id", "function_call", "tool_choice"), _CALLS),
    **dict.fromkeys(("chosen", "rejected", "rejected_response", "rejected_messages", "rejected_images"), _PREFERENCES),
    **dict.fromkeys(("preferred_output", "non_preferred_output", "kto_tag", "label", "margin"), _PREFERENCES),
    **dict.fromkeys(("input_ids", "labels", "attention_mask", "token_type_ids"), _IDS),
    **dict.fromkeys(("reasoning_content", "reasoning", "thinking"), _THOUGHT),
    **dict.fromkeys(("train_detail", "training_detail", "segments", "loss_scale"), _SOME),
    "objects": "boxes beside the messages are not read: write them as box parts",
    "bbox": "boxes beside the messages are not read: write them as box parts",
    "name": "names of speakers have no place in the prompt",
    "refusal": "write what is said as the content",
}
"""Keys that change what is learned and that the prompt cannot express, with the reason."""
UNKNOWN = "unknown key; where it does not matter, say so with `ignore`"

NOTHING = frozenset(("", "null", "[]", "{}"))
"""Texts that mean nothing: LLaMA-Factory keeps tools as a JSON text."""

TRAINED = ("train", "training", "trainable", "loss", "loss_mask", "weight")
"""Keys that say whether a turn is trained: axolotl, ms-swift, XTuner, Megatron, OpenAI."""
MASKED = ("masked",)
"""Keys that say whether a turn is not trained: torchtune."""
FLAGS = frozenset((*TRAINED, *MASKED))
DIALOGUE = ("messages", "conversations", "instruction", "query", "output", "response")
"""Keys that identify a record as a dialogue."""


def filled(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without the empty fields that tables fill in."""
    return {key: value for key, value in record.items() if value is not None}


def says_nothing(value: object) -> bool:
    """Return whether a value is empty: None, or a list or object of empty values (as tables fill them in)."""
    if isinstance(value, Mapping):
        return all(map(says_nothing, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(says_nothing, value))
    return value is None or (isinstance(value, str) and value.strip() in NOTHING)


def check_keys(
    record: Mapping[Any, Any], known: Container[str], described: Container[str], where: str, field: str = ""
) -> None:
    """Check that all keys of a record are known.

    Args:
        record: A record, a message or a part of one; empty values are ignored.
        known: Keys that are read.
        described: Keys that may be ignored.
        where: File and line.
        field: What the record is in its sample, followed by a dot.

    Raises:
        SampleError: A key is unknown; the message names the first.
    """
    for key, value in record.items():
        if key in known or key in described or says_nothing(value):
            continue
        raise SampleError(where, f"{field}{key}", REFUSED.get(key, UNKNOWN))


def is_trained(record: Mapping[str, Any], where: str, field: str = "") -> bool | None:
    """Return what a message (or a whole record) says about being trained, or None.

    Raises:
        SampleError: A value is neither yes nor no (such as a weight of 0.5), or two keys contradict each other.
    """
    said: dict[bool, str] = {}
    for key in FLAGS & record.keys():
        value = record[key]
        if says_nothing(value):
            continue
        if not isinstance(value, (bool, int, float)) or value not in (0, 1):
            raise SampleError(where, f"{field}{key}", "must be true or false, 1 or 0", repr(value)[:40])
        said[bool(value) is not (key in MASKED)] = key
    if len(said) > 1:
        raise SampleError(where, f"{field}{said[True]}", f"contradicts {said[False]}")
    return next(iter(said), None)
