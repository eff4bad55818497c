"""What a request for a chat completion may say, and what it means.

Every key is honoured or refused by name. Keys that OpenAI's API has and this server has not are taken where their value
asks for nothing (`n` of 1, no tools), as clients send such values by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sphinx_x.conversation import Image, Message, Part, Text
from sphinx_x.serving.limits import RefusedError
from sphinx_x.serving.sampling import Sampling
from sphinx_x.serving.settings import Settings

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "web_search_options": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
}
"""Keys of OpenAI's API that are not supported, each with the values that ask for nothing; null always does."""
UNUSED = ("user", "safety_identifier", "prompt_cache_key", "metadata", "parallel_tool_calls")
"""Keys of OpenAI's API that ask for nothing in an answer."""
UNUSED_IN_MESSAGES = ("refusal", "annotations", "audio", "tool_calls", "function_call", "name")
"""Keys of messages that are taken as null, as clients send answers back with them."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(_Strict):
    """A piece of text."""

    type: Literal["text"]
    text: str


class ImageURL(_Strict):
    """Where an image is.

    Attributes:
        url: Its address.
        detail: Images always go in with every detail: `low` is refused.
        page: Number of the page of a PDF, or of a frame; an extension.
    """

    url: str
    detail: Literal["auto", "high"] | None = None
    page: Annotated[int, Field(ge=1, le=100_000)] = 1


class ImagePart(_Strict):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageURL


ContentPart = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class ChatMessage(_Strict):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[ContentPart], Field(min_length=1, max_length=1000)]


class TextFormat(_Strict):
    """Any text."""

    type: Literal["text"]


class ObjectFormat(_Strict):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedSchema(_Strict):
    """A JSON schema; neither its name nor its description is shown to the model.

    Attributes:
        strict: Answers are kept to the schema in any case.
    """

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(_Strict):
    """JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class StreamOptions(_Strict):
    """What a stream has at its end; `include_obfuscation` is taken as false."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


Stop = Annotated[str, Field(min_length=1, max_length=200)]


class ChatRequest(_Strict):
    """The body of a request, once what asks for nothing is taken out."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        messages: The conversation.
        images: Where its images are, in order.
        sampling: How the answer is generated; `max_tokens` is 0 where the request says nothing.
        stream: Whether the answer comes piece by piece.
        usage: Whether a stream ends with what the answer took.
        schema: JSON schema of the answer; None for any text.
    """

    messages: list[Message]
    images: list[ImageURL]
    sampling: Sampling
    stream: bool
    usage: bool
    schema: dict[str, Any] | None = None


def read_request(given: dict[str, Any], settings: Settings) -> Asked:
    """Read the body of a request.

    Raises:
        RefusedError: A key is unknown, not supported or wrong; it is named.
    """
    try:
        request = ChatRequest.model_validate(_supported(given))
    except ValidationError as error:
        raise refused(error) from None
    check_name(request.model, settings)
    if request.stream_options is not None and not request.stream:
        raise RefusedError("stream_options: only with stream", param="stream_options")
    messages, images = _conversation(request.messages, settings)
    usage = bool(request.stream_options and request.stream_options.include_usage)
    return Asked(messages, images, _sampling(request, settings), bool(request.stream), usage, _schema(request))


def check_name(model: str, settings: Settings) -> None:
    """Raise `RefusedError` if a request names another model."""
    if model != settings.name:
        what = f"model: there is no {model[:80]!r}, only {settings.name!r}"
        raise RefusedError(what, 404, "model", "model_not_found")


def _supported(given: dict[str, Any]) -> dict[str, Any]:
    """Return a request without the keys that ask for nothing."""
    left = {name: value for name, value in given.items() if name not in UNUSED}
    for name, neutral in NEUTRAL.items():
        if name not in left:
            continue
        value = left.pop(name)
        asks = not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in neutral)
        if value is not None and asks:
            raise RefusedError(f"{name}: not supported by this server", param=name, code="unsupported")
    if isinstance(left.get("messages"), list):
        left["messages"] = [_without_null(message) for message in left["messages"]]
    return left


def _without_null(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    return {k: v for k, v in message.items() if not (k in UNUSED_IN_MESSAGES and v in (None, []))}


def refused(error: ValidationError) -> RefusedError:
    """Return what a request is told whose first fault this is."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:200]
    what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
    return RefusedError(f"{where}: {what}"[:500], param=where)


def _conversation(messages: list[ChatMessage], settings: Settings) -> tuple[list[Message], list[ImageURL]]:
    said: list[Message] = []
    images: list[ImageURL] = []
    characters = 0
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        role = "system" if message.role == "developer" else message.role
        if role == "system" and number:
            raise RefusedError(f"{where}.role: a system message comes first", param=where)
        parts: list[Part] = []
        for part in [message.content] if isinstance(message.content, str) else message.content:
            if isinstance(part, ImagePart):
                if role != "user":
                    raise RefusedError(f"{where}.content: only the user's messages have images", param=where)
                images.append(part.image_url)
                parts.append(Image())
                continue
            text = part if isinstance(part, str) else part.text
            characters += len(text)
            parts.append(Text(text))
        said.append(Message(role, tuple(parts)))
    if characters > settings.characters:
        raise RefusedError(f"messages: {characters} characters are more than the limit of {settings.characters}")
    if len(images) > settings.images:
        raise RefusedError(f"messages: {len(images)} images are more than the limit of {settings.images}")
    if said[-1].role != "user":
        raise RefusedError("messages: the last one has to be the user's", param="messages")
    return said, images


def _sampling(request: ChatRequest, settings: Settings) -> Sampling:
    if request.max_tokens is not None and request.max_completion_tokens not in (None, request.max_tokens):
        raise RefusedError("max_tokens and max_completion_tokens differ", param="max_tokens")
    most = request.max_completion_tokens or request.max_tokens or 0
    if most > settings.answer_tokens:
        raise RefusedError(f"max_tokens: {most} is more than the limit of {settings.answer_tokens}", param="max_tokens")
    if request.top_logprobs is not None and not request.logprobs:
        raise RefusedError("top_logprobs: only with logprobs", param="top_logprobs")
    # greedy unless asked otherwise, as everywhere in this package
    drawn = 1.0 if request.top_p is not None and request.top_p < 1 else 0.0
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    return Sampling(
        max_tokens=most,
        temperature=drawn if request.temperature is None else request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        seed=request.seed,
        stop=tuple(stop),
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )


def _schema(request: ChatRequest) -> dict[str, Any] | None:
    form = request.response_format
    if form is None or isinstance(form, TextFormat):
        return None
    if request.stop:
        raise RefusedError(f"stop: not with {form.type}, which it would cut off", param="stop")
    return form.json_schema.schema_ if isinstance(form, SchemaFormat) else {"type": "object"}
