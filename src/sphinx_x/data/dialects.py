"""Other people's formats of dialogue, converted to the fields of a `Sample`.

Besides our own, three formats are known: messages with images as the Hugging Face libraries and OpenAI's API write
them, ShareGPT/LLaVA conversations, and instructions with their output (Alpaca; `query` and `response` in ms-swift).
Nothing is guessed: an unknown role, part or key is an error that names it (`keys`).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sphinx_x.conversation import IMAGE, PLACES
from sphinx_x.data.keys import (
    FLAGS,
    MESSAGE_METADATA,
    METADATA,
    PART_METADATA,
    check_keys,
    filled,
    is_trained,
    says_nothing,
)
from sphinx_x.data.reference import asked, preprocessed
from sphinx_x.data.sample import BOXES
from sphinx_x.errors import DataError, SampleError

SPEAKERS = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bard", "bing", "model"), "assistant"),
    "system": "system",
}
KNOWN = ("id", "source", "licence", "task", "regions")
"""Fields that are taken over unchanged."""
SHARED = frozenset((*KNOWN, *FLAGS, "image", "images", "system", "boxes", "mask_history"))
QUESTIONS, ANSWERS = ("instruction", "query"), ("output", "response")
INSTRUCTION = frozenset((*QUESTIONS, *ANSWERS, "input", "history"))
IMAGE_PART = ("type", "image", "path", "url", "base64", "index", "source")
DETAIL = (None, "", "auto", "high")


@dataclass(frozen=True)
class Form:
    """How to read a data file, as far as its records do not say so themselves.

    Attributes:
        boxes: Unit of boxes and points, one of `sphinx_x.data.sample.BOXES`; empty if unknown.
        ignore: Additional keys that do not matter.
        prompt_type: Of an entry of the reference's list (`reference`).
        preprocess: Likewise.
    """

    boxes: str = ""
    ignore: tuple[str, ...] = ()
    prompt_type: str = ""
    preprocess: str = ""

    def __post_init__(self) -> None:
        if self.boxes and self.boxes not in BOXES:
            raise DataError(f"boxes: must be one of {', '.join(BOXES)}, not {self.boxes!r}")


def to_fields(record: object, name: str, where: str, form: Form | None = None) -> dict[str, Any]:
    """Convert a record of a known format to the fields of a sample, with its places as they are given.

    Args:
        record: The record in the file.
        name: Its id if it has none of its own.
        where: File and line, for messages.
        form: How to read the file.
    """
    form = form or Form()
    if not isinstance(record, dict):
        raise SampleError(where, "", "not a JSON object")
    record = filled(record)  # tables fill in empty fields
    if form.preprocess:
        record = preprocessed(record, form.preprocess, name, where)
    passed = METADATA.union(form.ignore)
    if "conversations" in record:
        if "messages" in record:
            raise SampleError(where, "conversations", "stands beside messages")
        check_keys(record, SHARED | {"conversations"}, passed, where)
        messages, inline = _from_conversations(record["conversations"], form, where), []
    elif "messages" in record:
        check_keys(record, SHARED | {"messages"}, passed, where)
        messages, inline = _from_messages(record["messages"], form, where)
    elif any(key in record for key in (*QUESTIONS, *ANSWERS)):
        check_keys(record, SHARED | INSTRUCTION, passed, where)
        messages, inline = _from_instruction(record, form, where), []
    else:
        raise SampleError(where, "", "neither messages nor conversations, nor an instruction and its output")
    if record.get("system"):
        if not isinstance(record["system"], str):
            raise SampleError(where, "system", "must be a text")
        messages.insert(0, {"role": "system", "content": record["system"]})
    _mask(record, messages, where)
    fields = {key: record[key] for key in KNOWN if key in record and key not in form.ignore}
    fields["id"] = name if fields.get("id") is None else str(fields["id"])
    images = _images(record, inline, where)
    if "messages" not in record:
        _put_first(messages, len(images))
    images = _in_order(messages, images, record, where)
    fields["images"] = [_image(image, where, f"images[{k}]") for k, image in enumerate(images)]
    boxes = record.get("boxes") or form.boxes
    return {**fields, "messages": messages} | ({"boxes": boxes} if boxes else {})


def _mask(record: dict, messages: list, where: str) -> None:
    """Apply what a record says about all of its answers."""
    answers = [m for m in messages if isinstance(m, dict) and m.get("role") == "assistant"]
    history = record.get("mask_history", False)
    if not isinstance(history, bool):
        raise SampleError(where, "mask_history", "must be true or false", repr(history)[:40])
    untrained = answers if is_trained(record, where) is False else answers[:-1] if history else []
    for answer in untrained:
        answer["train"] = False


def _trained(message: dict, role: object, where: str, field: str) -> dict[str, bool]:
    """Return the `train` field of a message; empty if it is trained as its role is."""
    said = is_trained(message, where, field)
    if said and role in ("user", "system"):
        key = next(key for key in message if key in FLAGS and not says_nothing(message[key]))
        raise SampleError(where, f"{field}{key}", "only answers are trained")
    return {"train": False} if said is False and role == "assistant" else {}


def _images(record: dict, inline: list[object], where: str) -> list[object]:
    """Return the images of a record: in its messages, or in a list of their own."""
    image, images = record.get("image"), record.get("images")
    if images is not None and not isinstance(images, list):
        raise SampleError(where, "images", "must be a list")
    image = [] if image is None or image == "" else image if isinstance(image, list) else [image]
    if image and images and image != images:
        raise SampleError(where, "image", "is another than images")
    beside = images or image
    if inline and beside:
        raise SampleError(where, "images", "stand in the messages and in a list beside them")
    return inline or beside


def _put_first(messages: list[dict[str, Any]], images: int) -> None:
    """Put images without placeholders first."""
    if images and not any(IMAGE in message["content"] for message in messages):
        first = next((message for message in messages if message["role"] != "system"), None)
        if first is not None:
            between = "" if first["role"] == "assistant" else "\n"  # a caption has no question
            first["content"] = IMAGE * images + between + first["content"]


def _in_order(messages: list, images: list[object], record: dict, where: str) -> list[object]:
    """Return images in the order in which the messages show them: an image part may give its number (`index`)."""
    order: list[int] = []
    first, plain = "", 0
    for k, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            plain += content.count(IMAGE)
        for n, part in enumerate(content if isinstance(content, list) else []):
            if not isinstance(part, dict) or part.get("type") != "image":
                continue
            if "index" not in part:
                plain += 1
                continue
            number, field = part.pop("index"), f"messages[{k}].content[{n}].index"
            if type(number) is not int or not 0 <= number < len(images):
                raise SampleError(where, field, "there is no such image", repr(number)[:40])
            order.append(number)
            first = first or field
    if not order:
        return images
    if plain:
        raise SampleError(where, first, "some images have a number and others have none")
    lost = set(range(len(images))).difference(order)
    if lost:
        raise SampleError(where, "images", "an image of the list is not shown", f"number {min(lost)}")
    if order != list(range(len(images))) and (record.get("regions") or _has_places(messages)):
        raise SampleError(where, first, "which image a box is in is not clear where images have numbers")
    return [images[number] for number in order]


def _has_places(messages: list) -> bool:
    contents = [m["content"] for m in messages if isinstance(m, dict) and isinstance(m.get("content"), list)]
    return any(isinstance(part, dict) and part.get("type") in PLACES for content in contents for part in content)


def _from_messages(messages: object, form: Form, where: str) -> tuple[list, list[object]]:
    """Return the messages in the form of a sample, and the images in them."""
    if not isinstance(messages, list):
        raise SampleError(where, "messages", "must be a list")
    inline: list[object] = []
    found = [_message(message, inline, form.ignore, where, f"messages[{k}].") for k, message in enumerate(messages)]
    return found, inline


def _message(message: object, inline: list[object], ignore: tuple[str, ...], where: str, field: str) -> object:
    if not isinstance(message, dict):
        return message
    message = filled(message)
    check_keys(message, FLAGS | {"role", "content", "references"}, MESSAGE_METADATA.union(ignore), where, field)
    passed = PART_METADATA.union(ignore)
    role, content = message.get("role"), message.get("content")
    if isinstance(content, list):
        parts = (_part(part, inline, passed, where, f"{field}content[{n}]") for n, part in enumerate(content))
        content = list(parts)
    read = {key: message[key] for key in ("references",) if key in message and key not in ignore}
    return {"role": role, "content": content, **_trained(message, role, where, field), **read}


def _part(part: object, inline: list[object], passed: frozenset[str], where: str, field: str) -> object:
    """Return a part of a message; an image in it is added to `inline`."""
    if not isinstance(part, dict):
        return part
    part = filled(part)
    kind = part.get("type")
    if kind == "image_url":
        check_keys(part, ("type", "image_url", "text"), passed, where, f"{field}.")
        address = part.get("image_url")
        if isinstance(address, dict):
            check_keys(address, ("url", "detail"), passed, where, f"{field}.image_url.")
            if address.get("detail") not in DETAIL:
                raise SampleError(where, f"{field}.image_url.detail", "pictures are always read in full")
            address = address.get("url")
        inline.append(address)
        return {"type": "image"}
    if kind == "image":
        return _image_part(part, inline, passed, where, field)
    if kind == "text":
        check_keys(part, ("type", "text"), passed, where, f"{field}.")
        return {"type": "text", "text": part.get("text")}
    if isinstance(kind, str) and kind in PLACES:
        check_keys(part, ("type", kind, "image"), passed, where, f"{field}.")
    return {key: value for key, value in part.items() if key not in passed}


def _image_part(part: dict, inline: list[object], passed: frozenset[str], where: str, field: str) -> object:
    check_keys(part, IMAGE_PART, passed, where, f"{field}.")
    held: list[object] = [part[key] for key in ("image", "path", "url") if not says_nothing(part.get(key))]
    if part.get("base64"):
        held.append(f"data:;base64,{part['base64']}")
    source = part.get("source")
    if isinstance(source, dict):  # Anthropic's format
        check_keys(source, ("type", "media_type", "data", "url"), passed, where, f"{field}.source.")
        source = source["url"] if "url" in source else f"data:;base64,{source.get('data')}"
    held += [] if source is None else [source]
    if len(held) > 1:
        raise SampleError(where, field, "holds more than one image")
    if held and "index" in part:
        raise SampleError(where, f"{field}.index", "stands beside an image of its own")
    inline.extend(held)
    return {"type": "image"} | ({"index": part["index"]} if "index" in part else {})


def _image(image: object, where: str, field: str) -> object:
    """Return one image of any format as the fields of an `ImageRef`."""
    if isinstance(image, dict):
        if isinstance(image.get("bytes"), bytes):
            return {"data": base64.b64encode(image["bytes"]).decode()}
        if "bytes" in image:  # as tables refer to a file next to them
            image = {"path": image.get("path")}
        return filled(image)
    if isinstance(image, bytes):
        return {"data": base64.b64encode(image).decode()}
    if not isinstance(image, str):
        raise SampleError(where, field, "must be a path, bytes or an object")
    if image.startswith("data:"):
        kind, _, content = image.partition(",")
        if not kind.endswith(";base64"):
            raise SampleError(where, field, "a data address must be base64")
        return {"data": content}
    if "://" in image and not image.startswith("file://"):
        raise SampleError(where, field, "addresses are not fetched; download the file and give its path")
    return {"path": image.removeprefix("file://")}


def _from_conversations(turns: object, form: Form, where: str) -> list[dict[str, Any]]:
    if not isinstance(turns, list):
        raise SampleError(where, "conversations", "must be a list")
    passed = MESSAGE_METADATA.union(form.ignore)
    messages: list[dict[str, Any]] = []
    for number, turn in enumerate(turns):
        field = f"conversations[{number}]"
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise SampleError(where, f"{field}.value", "must be a text")
        check_keys(turn, FLAGS | {"from", "value"}, passed, where, f"{field}.")
        role = SPEAKERS.get(str(turn.get("from")).lower())
        if role is None:
            raise SampleError(where, f"{field}.from", f"must be one of {', '.join(SPEAKERS)}")
        messages.append({"role": role, "content": turn["value"], **_trained(turn, role, where, f"{field}.")})
    return messages


def _from_instruction(record: dict, form: Form, where: str) -> list[dict[str, Any]]:
    """Return an instruction with its output, and the exchanges before it, as messages."""
    question = _text(record, QUESTIONS, where)
    if form.prompt_type:
        if form.prompt_type != "caption" and not any(key in record for key in QUESTIONS):
            raise SampleError(where, "instruction", "is missing")
        question = asked(question, _text(record, ("input",), where), form.prompt_type)
        if record.get("history"):
            raise SampleError(where, "history", "is not known to the reference's prompts")
    elif record.get("input"):
        question = "\n".join(filter(None, (question, _text(record, ("input",), where))))
    messages: list[dict[str, Any]] = []
    for number, pair in enumerate(_pairs(record, where)):
        if not isinstance(pair, Sequence) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise SampleError(where, f"history[{number}]", "must be a question and its answer")
        messages += [{"role": role, "content": text} for role, text in zip(("user", "assistant"), pair, strict=True)]
    if question or not form.prompt_type:  # a caption has no question
        messages.append({"role": "user", "content": question})
    return [*messages, {"role": "assistant", "content": _text(record, ANSWERS, where)}]


def _pairs(record: dict, where: str) -> list:
    pairs = record.get("history") or []
    if not isinstance(pairs, list):
        raise SampleError(where, "history", "must be a list")
    return pairs


def _text(record: dict, names: Sequence[str], where: str) -> str:
    """Return the one text of a record under these names, or an empty text."""
    found = [name for name in names if name in record]
    if len(found) > 1:
        raise SampleError(where, found[1], f"stands beside {found[0]}")
    text = record[found[0]] if found else ""
    if not isinstance(text, str):
        raise SampleError(where, found[0], "must be a text")
    return text
