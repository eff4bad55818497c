"""What a prompt needs to know of a model folder, read with a tokenizer of its own: see `PromptBuilder`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import PIL.Image
from transformers import AutoProcessor

from sphinx_x.conversation import Image, Message, Part, Text
from sphinx_x.errors import CheckpointError, ImageError, PromptError
from sphinx_x.images import open_image
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.prompt import view_ids
from sphinx_x.model.views import Layout


@lru_cache(maxsize=4)
def read_processor(folder: str, revision: str | None) -> SphinxXProcessor:
    """Read the processor of a model folder or of an id on the hub, once in each process.

    Raises:
        CheckpointError: It is another model's.
    """
    processor = AutoProcessor.from_pretrained(folder, revision=revision, trust_remote_code=False)
    if not isinstance(processor, SphinxXProcessor):
        raise CheckpointError(f"{folder}: not a SPHINX-X model")
    return processor


class Member:
    """The processor and the configuration of one model.

    Args:
        processor: The processor.
        config: The configuration.
    """

    def __init__(self, processor: SphinxXProcessor, config: SphinxXConfig) -> None:
        if config.lines is not None:
            raise CheckpointError("it reads the lines of images, which vLLM has no input for")
        self.config, self.processor = config, processor
        self.builder = processor.prompt_builder()
        pairs = {
            "image tokens": (self.builder.image_tokens, config.image_tokens()),
            "views": (processor.image_processor.grid(), config.view_grid()),
            "tokens of a view": (processor.tokens_per_view, config.tokens_per_view or processor.tokens_per_view),
        }
        for what, (one, other) in pairs.items():
            if one != other:
                raise CheckpointError(f"its config and its processor have other {what}: {other} and {one}")

    def layout(self, image: PIL.Image.Image) -> Layout:
        """Return where an opened image lies on the canvas and which sub-images it keeps."""
        return self.processor.image_processor.layout(image)

    def image_ids(self, layout: Layout) -> list[int]:
        """Return the ids of one image: start, slots and end of each kept view, one skip token for each other."""
        return view_ids(layout, self.builder.image_tokens, self.builder.tokens_per_view)

    def check(self, images: Sequence[PIL.Image.Image], turn: int = 1) -> None:
        """Check a conversation against what the member declares that it takes.

        Raises:
            PromptError: The member does not take it.
        """
        grid = self.processor.image_processor.grid()
        refusal = self.config.ability().refusal([image.size for image in images], turn, grid.canvas)
        if refusal is not None:
            raise PromptError(refusal)

    def check_ids(self, ids: Sequence[int], images: int) -> None:
        """Check that ids have one placeholder for each image, and no other image token.

        Raises:
            PromptError: They have not.
        """
        tokens = self.builder.image_tokens
        slots = sum(number == tokens.slot for number in ids)
        others = {tokens.start, tokens.end, tokens.skip}
        if any(number in others for number in ids):
            raise PromptError("the prompt has image tokens other than placeholders")
        if slots != images:
            raise PromptError(f"the prompt has {slots} image placeholders but {images} images")

    def prompt_ids(self, messages: Sequence[Message], images: Sequence[PIL.Image.Image]) -> list[int]:
        """Return the ids of a conversation up to where the answer begins, with one slot in place of each image.

        Raises:
            PromptError: The member does not take the conversation, or a question is empty.
        """
        self.check(images, sum(message.role == "user" for message in messages))
        layouts = [self.layout(image) for image in images]
        ids = self.builder.encode(messages, layouts, answer_next=True).ids
        lengths = iter(len(self.image_ids(layout)) for layout in layouts)
        tokens, short, k = self.builder.image_tokens, [], 0
        while k < len(ids):
            here = ids[k] in tokens.all()  # only images have these
            short.append(tokens.slot if here else ids[k])
            k += next(lengths) if here else 1
        return short


def open_images(given: Any) -> list[PIL.Image.Image]:
    """Open the images of a request as `open_image` does: upright, on white, RGB.

    Args:
        given: An image, or a list of them: Pillow images, arrays, tensors, or vLLM's decoded images, whose bytes are
            decoded anew, as vLLM treats some modes in its own way.

    Raises:
        ImageError: One is not an image, or its values are missing.
    """
    content = getattr(given, "original_bytes", None)  # of vLLM's MediaWithBytes, which is a Pillow image besides
    if content is not None:
        return [open_image(content)]
    if getattr(given, "ndim", 0) == 4 or isinstance(given, list | tuple):
        return [image for one in given for image in open_images(one)]
    if given is None or isinstance(given, str | bytes | Mapping):
        raise ImageError(f"an image is a picture or an array here, not {type(given).__name__}")
    if getattr(given, "ndim", 3) not in (2, 3):
        raise ImageError("features in place of an image are not taken: give the image")
    return [open_image(given)]


def read_conversation(conversation: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Turn messages whose parts are text or image into this package's own; a text never becomes a placeholder.

    Raises:
        PromptError: A role, a key or a part is not taken.
    """
    messages: list[Message] = []
    for number, message in enumerate(conversation):
        where = f"messages.{number}"
        role = {"developer": "system"}.get(message["role"], message["role"])
        if role not in ("system", "user", "assistant"):
            raise PromptError(f"{where}: the role {role!r} is not supported")
        if role == "system" and number:
            raise PromptError(f"{where}: a system message comes first")
        for key, value in message.items():
            if key not in ("role", "content") and value:
                raise PromptError(f"{where}.{key}: not supported")
        content = message.get("content") or []
        content = [{"type": "text", "text": content}] if isinstance(content, str) else content
        messages.append(Message(role, tuple(_part(part, role, where) for part in content)))
    if not messages or messages[-1].role != "user":
        raise PromptError("messages: the last one has to be the user's")
    return messages


def _part(part: Mapping[str, Any], role: str, where: str) -> Part:
    more = sorted(key for key, value in part.items() if key not in ("type", "text") and value is not None)
    if more:
        raise PromptError(f"{where}.content.{more[0]}: not supported")
    if part["type"] == "text":
        return Text(part["text"])
    if part["type"] != "image":
        raise PromptError(f"{where}.content: {part['type']!r} is not supported")
    if role != "user":
        raise PromptError(f"{where}.content: only the user's messages have images")
    return Image()
