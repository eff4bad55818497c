"""The writer that asks a vision model: requests in, checked answers out, within a price cap (paper, section 4.2).

Any OpenAI-compatible endpoint will do.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.endpoints.cache import Completion, key_of, opened
from sphinx_x.endpoints.calls import Calls, Question, Texts
from sphinx_x.endpoints.client import CallError
from sphinx_x.endpoints.settings import EndpointSettings, body_of, image_tokens, parameters_of, price_of, text_tokens
from sphinx_x.endpoints.spending import UNIT, Spending
from sphinx_x.engines.som.prompts import RULES, Request, again, task_of
from sphinx_x.engines.som.replies import Answer, read_answer, schema
from sphinx_x.errors import ImageError, one_line, plain
from sphinx_x.images import image_size

Check = Callable[[Request, Answer], list[str]]
"""Gives the reasons why an answer is wrong for a request; none where it is right."""

LONGEST_QUOTE = 8000
"""Characters of a wrong answer that are shown to the model when it is asked again."""

NOTHING = "(no answer)"
"""Shown instead of an empty answer, which many endpoints do not take back."""


@dataclass(frozen=True)
class Result:
    """What became of a request: an answer, or the reason why there is none.

    reason: in words that are the same for all requests of which it is true; detail: what is wrong in this one;
    content: the last raw answer, for people; cached: nothing was asked for it.
    """

    request: Request
    answer: Answer | None = None
    reason: str = ""
    detail: str = ""
    content: str = ""
    cached: bool = False


def write_all(
    requests: Iterable[Request],
    settings: EndpointSettings,
    check: Check,
    cache_folder: str | Path,
    progress: Callable[[Spending], None] = lambda _: None,
) -> Iterator[Result]:
    """Asks for all requests, several at once, and gives their results in the order of the requests.

    An answer that is not of its form, cites wrong marks or fails `check` is asked again once with the reasons; what is
    then still wrong gives a result with its reason. progress: called with the account so far after every
    result and at the end.
    Raises `StopError` (one line) where no further request can be asked: the cap is reached, a bill is higher than was
    reckoned with, the key or address is refused, or nothing comes back any more. What was answered stays in the cache
    folder, so a later call with the same requests goes on there.
    """
    with opened(cache_folder) as cache:
        run = _Run(Calls(settings, cache), check)

        def told(result: Result) -> None:
            run.count(result)
            progress(run.calls.account())

        try:
            yield from run.calls.results(run.result, requests, told)
        finally:
            progress(run.calls.account())


def worst_case(request: Request, settings: EndpointSettings) -> float:
    """What the first call for a request can cost at most, in the currency of the prices."""
    return price_of(_most(request, _opening(request), settings), settings) / UNIT


class _Run:
    def __init__(self, calls: Calls, check: Check) -> None:
        self.calls, self.check = calls, check

    def count(self, result: Result) -> None:
        """Takes a result into the account."""
        with self.calls.lock:
            spending = self.calls.spending
            if result.answer:
                spending.answered += 1
                spending.cached += result.cached
            else:
                spending.failed[result.reason] += 1

    def result(self, request: Request) -> Result:
        """Asks for one request, at most twice."""
        texts, cached, content, reasons, kind = _opening(request), True, "", [""], ""
        for last in (False, True):
            try:
                completion, known = self.calls.ask(_question(request, texts, self.calls.settings))
            except CallError as error:
                return Result(request, None, error.reason, error.detail, content)
            except ImageError as error:
                return Result(request, None, "image unreadable", one_line(error))
            self.calls.add(reasked=last and not known)
            cached, content = cached and known, completion.content
            if completion.refusal or completion.finish == "content_filter":
                return Result(request, None, "refused by the model", plain(completion.refusal, 200), content, cached)
            answer, kind, reasons = self._judged(request, completion)
            if answer:
                return Result(request, answer, content=content, cached=cached)
            if not last:
                texts = [*texts, ("assistant", content[:LONGEST_QUOTE] or NOTHING), ("user", again(reasons))]
        return Result(request, None, kind, "; ".join(reasons)[:500], content, cached)

    def _judged(self, request: Request, completion: Completion) -> tuple[Answer | None, str, list[str]]:
        """The answer, or the kind of what is wrong with it and all reasons."""
        if completion.finish == "length":
            return None, "answer cut short", ["the answer was too long and was cut off; write less about each mark"]
        answer, reasons = read_answer(request, completion.content)
        if answer is None:
            return None, "answer not in its form", reasons
        reasons = self.check(request, answer)
        return (None, "answer fails the check", reasons) if reasons else (answer, "", [])


def _opening(request: Request) -> Texts:
    return [("system", RULES), ("user", task_of(request))]


def _question(request: Request, texts: Texts, settings: EndpointSettings) -> Question:
    key = key_of(parameters_of(settings), texts, request.image)
    body = partial(_body, request, texts, settings)
    return Question(request.id, key, texts, _most(request, texts, settings), body)


def _most(request: Request, texts: Texts, settings: EndpointSettings) -> tuple[int, int]:
    """Tokens in and out at most; the schema may be shown to the model too."""
    shown = len(json.dumps(schema(request.kind)))
    return text_tokens(texts) + shown + image_tokens(image_size(request.image), settings), settings.max_tokens


def _body(request: Request, texts: Texts, settings: EndpointSettings, structured: str) -> bytes:
    messages: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in texts]
    url = f"data:{_mime(request.image)};base64,{base64.b64encode(request.image).decode()}"
    picture = {"url": url} | ({"detail": settings.detail} if settings.detail else {})
    messages[1]["content"] = [{"type": "text", "text": texts[1][1]}, {"type": "image_url", "image_url": picture}]
    body = body_of(messages, settings)
    if structured != "plain":
        body["response_format"] = schema(request.kind) if structured == "schema" else {"type": "json_object"}
    return json.dumps(body).encode()


def _mime(image: bytes) -> str:
    kinds: Mapping[bytes, str] = {b"\xff\xd8": "image/jpeg", b"RIFF": "image/webp"}
    return next((mime for head, mime in kinds.items() if image.startswith(head)), "image/png")
