"""How an endpoint is asked, and what that costs at most."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from sphinx_x.endpoints.spending import UNIT
from sphinx_x.errors import DataError, one_line

TILE = 512
"""Side in pixels of the tiles by which tokens of images are reckoned."""

EXTRA_TOKENS = 100
"""Tokens that a chat template adds around the messages, at most."""

LARGEST = 1e6
"""Of a price, a cap and a number of seconds; what is above is a slip, and clocks have an end."""

OWN = {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "response_format", "n", "stream"}


def _not_own(extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if OWN & extra.keys():
        raise ValueError(f"extra may not set {', '.join(sorted(OWN & extra.keys()))}")
    return extra


class EndpointSettings(BaseModel):
    """How an endpoint is asked.

    url: its base, as `https://host/v1`; model: its name there; key_variable: the environment variable with its key
    (None: no key). price_in, price_out: of a million tokens; cap: what all runs with one cache folder may spend
    together, in the same currency. max_tokens: of an answer, sent under the name tokens_field; temperature, detail
    (of images) and extra (any further fields of the body) are sent where given. structured: how JSON is asked for
    (falls back to `plain` where the endpoint refuses it). timeout: seconds of a call; tries: calls at most for what
    may pass; first_wait: seconds before the second, doubled each time up to longest_wait, and less by a jitter
    drawn from seed; patience: seconds at most that a Retry-After is obeyed. threads: calls at once.
    tokens_per_image, tokens_per_tile: tokens of an image and of every 512 x 512 tile of it, reckoned with before
    the bill comes; must be no less than what the model takes. believe: bills below the reservation are believed, if
    they can be true at all; else every call counts in full. bad_in_a_row: requests without any answer, one after
    the other, that stop a run.
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
    """Settings from a mapping; raises `DataError`, one line that names the first wrong field."""
    try:
        return EndpointSettings.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise DataError(f"endpoint settings: {name}: {one_line(ValueError(problem['msg']))}") from None


def back_off(number: int, key: str, settings: EndpointSettings) -> float:
    """Seconds to wait after call `number` (from 1) for a question: doubled each time, less by up to half at random."""
    jitter = random.Random(f"{settings.seed} {key} {number}").uniform(0.5, 1)
    return min(settings.longest_wait, settings.first_wait * 2 ** min(number - 1, 50)) * jitter


def body_of(messages: list[dict[str, Any]], settings: EndpointSettings) -> dict[str, Any]:
    """The body of a request, without the form in which the answer is wanted."""
    body: dict[str, Any] = {**settings.extra, "model": settings.model, "messages": messages}
    body[settings.tokens_field] = settings.max_tokens
    if settings.temperature is not None:
        body["temperature"] = settings.temperature
    return body


def parameters_of(settings: EndpointSettings) -> dict[str, Any]:
    """Return what an answer depends on besides texts and image.

    How JSON is requested is not part of it: all forms are checked alike.
    """
    return settings.model_dump(include={"model", "max_tokens", "temperature", "detail", "extra"})


def text_tokens(texts: Iterable[tuple[str, str]]) -> int:
    """Tokens of the texts of messages at most: no token is shorter than a byte."""
    return EXTRA_TOKENS + sum(len(text.encode(errors="replace")) for _, text in texts)


def image_tokens(size: tuple[int, int], settings: EndpointSettings) -> int:
    """Tokens of an image of some width and height at most."""
    tiles = math.ceil(size[0] / TILE) * math.ceil(size[1] / TILE)
    return settings.tokens_per_image + tiles * settings.tokens_per_tile


def price_of(tokens: tuple[int, int], settings: EndpointSettings) -> int:
    """What tokens in and out cost, in `UNIT`ths."""
    return tokens[0] * round(settings.price_in * UNIT / 1e6) + tokens[1] * round(settings.price_out * UNIT / 1e6)
