"""How an endpoint is asked, and what that costs at most."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from sphinx_x.engines.som.replies import schema
from sphinx_x.engines.som.spending import UNIT
from sphinx_x.errors import DataError, one_line

TILE = 512
"""Side in pixels of the tiles by which tokens of images are counted."""

EXTRA_TOKENS = 100
"""Most tokens that a chat template adds around the messages."""

LARGEST = 1e6
"""Largest price, cap and number of seconds; anything above is a slip, and clocks have limits."""

OWN = {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "response_format", "n", "stream"}


def _not_own(extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if OWN & extra.keys():
        raise ValueError(f"extra may not set {', '.join(sorted(OWN & extra.keys()))}")
    return extra


class EndpointSettings(BaseModel):
    """How an endpoint is asked.

    Attributes:
        url: Base URL, such as `https://host/v1`.
        model: Name of the model there.
        key_variable: Environment variable with the key, None for no key.
        price_in: Price of a million input tokens.
        price_out: Price of a million output tokens.
        cap: What all runs with one cache folder may spend together, in the currency of the prices.
        max_tokens: Of an answer, sent as `tokens_field`.
        temperature: Sent if given.
        detail: Detail of images, sent if given.
        extra: Further fields of the body, sent if given.
        structured: How JSON is requested; falls back to `plain` if the endpoint refuses it.
        timeout: Seconds of a call.
        tries: Largest number of calls if failures may be temporary.
        first_wait: Seconds before the second call, doubled each time up to `longest_wait`, less a jitter drawn from
            `seed`.
        patience: Longest Retry-After that is obeyed, in seconds.
        threads: Concurrent calls.
        tokens_per_image: Tokens of an image, used for reservations before the bill arrives; at least what the model
            uses.
        tokens_per_tile: The same for each of its 512 x 512 tiles.
        believe: Whether bills below the reservation are believed if they can be true at all; if not, every call counts
            in
            full.
        bad_in_a_row: Requests in a row without any answer that stop a run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: str
    model: str = Field(min_length=1)
    key_variable: str | None = None
    price_in: float = Field(ge=0, le=LARGEST)
    price_out: float = Field(ge=0, le=LARGEST)
    cap: float = Field(ge=0, le=LARGEST)
    max_tokens: int = Field(default=1500, gt=0)
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: float | None = Field(default=None, ge=0)
    detail: Literal["auto", "low", "high"] | None = None
    extra: Annotated[dict[str, JsonValue], AfterValidator(_not_own)] = {}
    structured: Literal["schema", "object", "plain"] = "schema"
    timeout: float = Field(default=120, gt=0, le=LARGEST)
    tries: int = Field(default=5, gt=0)
    first_wait: float = Field(default=1, ge=0, le=LARGEST)
    longest_wait: float = Field(default=60, ge=0, le=LARGEST)
    patience: float = Field(default=600, ge=0, le=LARGEST)
    threads: int = Field(default=8, gt=0, le=256)
    tokens_per_image: int = Field(default=256, ge=0)
    tokens_per_tile: int = Field(default=400, ge=0)
    believe: bool = True
    bad_in_a_row: int = Field(default=10, gt=0)
    seed: int = 0


def read_settings(fields: Mapping[str, Any]) -> EndpointSettings:
    """Read settings from a mapping.

    Raises:
        DataError: A field is wrong; one line names the first.
    """
    try:
        return EndpointSettings.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise DataError(f"endpoint settings: {name}: {one_line(ValueError(problem['msg']))}") from None


def back_off(number: int, key: str, settings: EndpointSettings) -> float:
    """Return the seconds to wait after call `number` (from 1) for a question.

    They double each time, less up to half at random.
    """
    jitter = random.Random(f"{settings.seed} {key} {number}").uniform(0.5, 1)
    return min(settings.longest_wait, settings.first_wait * 2 ** min(number - 1, 50)) * jitter


def parameters_of(settings: EndpointSettings) -> dict[str, Any]:
    """Return what an answer depends on besides texts and image.

    How JSON is requested is not part of it: all forms are checked alike.
    """
    return settings.model_dump(include={"model", "max_tokens", "temperature", "detail", "extra"})


def most_tokens(
    texts: Iterable[tuple[str, str]], size: tuple[int, int], kind: str, settings: EndpointSettings
) -> tuple[int, int]:
    """Return the most input and output tokens: a token has at least a byte, and the model may see the schema."""
    words = sum(len(text.encode(errors="replace")) for _, text in texts) + len(json.dumps(schema(kind)))
    tiles = math.ceil(size[0] / TILE) * math.ceil(size[1] / TILE)
    image = settings.tokens_per_image + tiles * settings.tokens_per_tile
    return EXTRA_TOKENS + words + image, settings.max_tokens


def price_of(tokens: tuple[int, int], settings: EndpointSettings) -> int:
    """Return the price of input and output tokens, in `UNIT`ths."""
    return tokens[0] * round(settings.price_in * UNIT / 1e6) + tokens[1] * round(settings.price_out * UNIT / 1e6)
