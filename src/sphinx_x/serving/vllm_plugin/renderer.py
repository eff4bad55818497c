"""From the messages of a request to a prompt, with this package's prompt builder in place of a chat template.

In a template's text, words that a user types may become control tokens or placeholders; here they do not. What a member
declares not to take is refused, as everywhere in this package.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vllm.exceptions import VLLMValidationError
from vllm.renderers.chat_utils import parse_chat_messages, parse_chat_messages_async
from vllm.renderers.hf import HfRenderer
from vllm.utils.async_utils import make_async

from sphinx_x.errors import SphinxXError
from sphinx_x.serving.vllm_plugin.member import open_images, read_conversation
from sphinx_x.serving.vllm_plugin.refusals import member_of

NEUTRAL = {"add_generation_prompt": (True,), "continue_final_message": (False,), "tokenize": (True, False)}
"""Arguments of chat templates that ask for nothing, with these values."""


class Renderer(HfRenderer):
    """vLLM's renderer for this family."""

    def __init__(self, config: Any, tokenizer: Any) -> None:
        super().__init__(config, tokenizer)
        self.member = member_of(config.model_config)
        self._write_async = make_async(self._write, executor=self._executor)

    def warmup(self, chat_params: Any) -> None:
        """Warm up with images only: there is no template to compile, and not every member takes a text alone."""
        self._join_mm_warmup()
        self.warmup_mm()

    def render_messages(self, messages: Any, params: Any) -> tuple[Any, Any]:
        """Return a conversation as vLLM keeps it, and its prompt; called by vLLM."""
        _check_params(params)
        read = parse_chat_messages(messages, self.model_config, content_format="openai")
        return read[0], self._write(messages, *read)

    async def render_messages_async(self, messages: Any, params: Any) -> tuple[Any, Any]:
        """Do the same as `render_messages`, with images fetched at the same time."""
        _check_params(params)
        read = await parse_chat_messages_async(messages, self.model_config, content_format="openai")
        return read[0], await self._write_async(messages, *read)

    def _write(self, messages: Sequence[Any], conversation: Sequence[Any], data: Any, uuids: Any) -> dict[str, Any]:
        """Return the prompt of a conversation, and its opened images."""
        _check_complete(messages, conversation)
        _check_uuids(uuids)
        try:
            images = open_images(list((data or {}).get("image", [])))
            ids = self.member.prompt_ids(read_conversation(conversation), images)
        except SphinxXError as error:
            raise VLLMValidationError(str(error), parameter="messages") from error
        return {"prompt_token_ids": ids, **({"multi_modal_data": {"image": images}} if images else {})}

    def _process_singleton(self, prompt: Any, **options: Any) -> Any:
        self._check_prompt(prompt)
        return super()._process_singleton(prompt, **options)

    async def _process_singleton_async(self, prompt: Any, **options: Any) -> Any:
        self._check_prompt(prompt)
        return await super()._process_singleton_async(prompt, **options)

    def _check_prompt(self, prompt: Mapping[str, Any]) -> None:
        """Check a prompt of ids, from a conversation or as the caller wrote it."""
        if "prompt_embeds" in prompt:
            raise VLLMValidationError("prompt_embeds: not supported", parameter="prompt_embeds")
        _check_uuids(prompt.get("multi_modal_uuids"))
        if prompt.get("multi_modal_data"):
            return  # see `_process_multimodal`
        try:
            self.member.check([])
            self.member.check_ids(prompt["prompt_token_ids"], 0)
        except SphinxXError as error:
            raise VLLMValidationError(str(error)) from error

    def _process_multimodal(self, prompt: list[int], mm_data: Any, *given: Any, **named: Any) -> Any:
        try:
            images = open_images(mm_data["image"]) if set(mm_data) == {"image"} else None
            if images is None:
                raise VLLMValidationError(f"multi_modal_data: only images are taken, not {', '.join(sorted(mm_data))}")
            self.member.check(images)
        except SphinxXError as error:
            raise VLLMValidationError(str(error), parameter="image") from error
        return super()._process_multimodal(prompt, {"image": images}, *given, **named)


def _check_params(params: Any) -> None:
    """Refuse what would change the prompt or the images."""
    asked = {
        "chat_template": params.chat_template,
        "tools": params.tool_choice,
        "mm_processor_kwargs": params.mm_processor_kwargs,
        "media_io_kwargs": any((params.media_io_kwargs or {}).values()),
    }
    for name, value in params.chat_template_kwargs.items():
        asked[name] = value not in NEUTRAL[name] if name in NEUTRAL else value
    for name, there in asked.items():
        if there:
            raise VLLMValidationError(f"{name}: not supported, prompts are written as the model learned them")


def _check_complete(messages: Sequence[Any], conversation: Sequence[Any]) -> None:
    """Refuse messages of which vLLM has left a part out, as it does with an empty address of an image."""
    for number, (given, read) in enumerate(zip(messages, conversation, strict=True)):
        content = given.get("content")
        if isinstance(content, list | tuple) and len(content) != len(read["content"]):
            raise VLLMValidationError(f"messages.{number}.content: a part is empty", parameter="messages")


def _check_uuids(uuids: Any) -> None:
    """Refuse names of images: two images of one name would get one answer."""
    listed = (uuids or {}).values()
    if any(one is not None for many in listed for one in ([many] if isinstance(many, str) else many or [])):
        raise VLLMValidationError("uuid: not supported, images are known by their pixels", parameter="uuid")
