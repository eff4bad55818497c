"""Other people's forms of a dialogue, turned into the fields of a `Sample`.

Two forms are known beside our own: messages with images as the Hugging Face libraries and OpenAI's interface write
them, and ShareGPT/LLaVA conversations. Nothing is guessed: an unknown role or part is an error that names it.
"""

from __future__ import annotations

import base64
from typing import Any

from sphinx_x.conversation import IMAGE
from sphinx_x.errors import SampleError

SPEAKERS = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bard", "bing", "model"), "assistant"),
    "system": "system",
}
KNOWN = ("id", "images", "messages", "source", "licence", "task", "regions")
COLUMNS = [*KNOWN, "image", "conversations", "system", "tools"]
"""What is read of a record."""


def to_fields(record: object, name: str, where: str) -> dict[str, Any]:
    """A record of a known form -> the fields of a sample; `name` is its id where it has none."""
    if not isinstance(record, dict):
        raise SampleError(where, "", "not a JSON object")
    record = {key: value for key, value in record.items() if value is not None}  # tables fill empty fields in
    if "conversations" in record:
        return _from_conversations(record, name, where)
    if "messages" not in record:
        raise SampleError(where, "", "neither messages nor conversations")
    fields = {key: record[key] for key in KNOWN if key in record}
    fields["id"] = _name(record.get("id"), name)
    messages = record["messages"]
    if not isinstance(messages, list):
        raise SampleError(where, "messages", "must be a list")
    inline: list[object] = []
    fields["messages"] = [_message(message, inline) for message in messages]
    images = record.get("images")
    if images is None or (images == [] and inline):
        images = inline if inline else _listed(record.get("image"))
    elif inline:
        raise SampleError(where, "images", "stand in the messages and in a list beside them")
    if not isinstance(images, list):
        raise SampleError(where, "images", "must be a list")
    fields["images"] = [_image(image, where, f"images[{k}]") for k, image in enumerate(images)]
    return fields


def _name(given: object, name: str) -> str:
    return name if given is None else str(given)


def _listed(image: object) -> list[object]:
    if image is None or image == "":
        return []
    return image if isinstance(image, list) else [image]


def _message(message: object, inline: list[object]) -> object:
    """A message without the empty fields that tables fill in; images that stand in it go to `inline`."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    parts = []
    for part in message["content"]:
        if not isinstance(part, dict):
            parts.append(part)
            continue
        part = {key: value for key, value in part.items() if value is not None}
        if part.get("type") == "image_url":
            address = part.get("image_url")
            inline.append(address.get("url") if isinstance(address, dict) else address)
            part = {"type": "image"}
        elif part.get("type") == "image":
            held = [part[key] for key in ("image", "path", "url") if key in part]
            inline.extend(held[:1])
            part = {"type": "image"}
        parts.append(part)
    return {**{key: value for key, value in message.items() if value is not None}, "content": parts}


def _image(image: object, where: str, field: str) -> object:
    """One image of any form as the fields of an `ImageRef`."""
    if isinstance(image, dict):
        if isinstance(image.get("bytes"), bytes):
            return {"data": base64.b64encode(image["bytes"]).decode()}
        if "bytes" in image:  # as tables write a file that lies beside them
            image = {"path": image.get("path")}
        return {key: value for key, value in image.items() if value is not None}
    if isinstance(image, bytes):
        return {"data": base64.b64encode(image).decode()}
    if not isinstance(image, str):
        raise SampleError(where, field, "must be a path, bytes or an object")
    if image.startswith("data:"):
        kind, _, content = image.partition(",")
        if not kind.endswith(";base64"):
            raise SampleError(where, field, "a data address must be base64")
        return {"data": content}
    if image.startswith(("http://", "https://")):
        raise SampleError(where, field, "addresses are not fetched; download the file and give its path")
    return {"path": image.removeprefix("file://")}


def _from_conversations(record: dict, name: str, where: str) -> dict[str, Any]:
    turns = record["conversations"]
    if not isinstance(turns, list):
        raise SampleError(where, "conversations", "must be a list")
    image, images = (_listed(record.get(key)) for key in ("image", "images"))
    if image and images and image != images:
        raise SampleError(where, "image", "is another than images")
    if record.get("tools") not in (None, "", []):
        raise SampleError(where, "tools", "calls of tools are not known here")
    images = image or images
    system = record.get("system")
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for number, turn in enumerate(turns):
        field = f"conversations[{number}]"
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise SampleError(where, f"{field}.value", "must be a text")
        role = SPEAKERS.get(str(turn.get("from")).lower())
        if role is None:
            raise SampleError(where, f"{field}.from", f"must be one of {', '.join(SPEAKERS)}")
        messages.append({"role": role, "content": turn["value"]})
    if images and not any(IMAGE in message["content"] for message in messages):
        first = next((message for message in messages if message["role"] == "user"), None)
        if first is not None:  # without placeholders the images come first
            first["content"] = IMAGE * len(images) + "\n" + first["content"]
    if "messages" in record:
        raise SampleError(where, "conversations", "stands beside messages")
    fields: dict[str, Any] = {key: record[key] for key in ("source", "licence", "task", "regions") if key in record}
    fields["id"] = _name(record.get("id"), name)
    fields["images"] = [_image(image, where, f"image[{k}]") for k, image in enumerate(images)]
    return {**fields, "messages": messages}
