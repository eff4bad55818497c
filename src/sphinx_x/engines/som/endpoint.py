"""The writer that asks a vision model: requests in, checked answers out, within a spending cap (paper, section 4.2).

Any OpenAI-compatible endpoint works. Everything that was paid for is kept in a cache folder, so that a killed or
repeated run pays for no answer twice; only requests in flight when it was killed may be sent again.
"""

from __future__ import annotations

import base64
import copy
import json
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sphinx_x.engines.som.cache import Cache, Completion, key_of, opened
from sphinx_x.engines.som.client import CallError, Client
from sphinx_x.engines.som.prompts import RULES, Request, again, task_of
from sphinx_x.engines.som.replies import Answer, read_answer, schema
from sphinx_x.engines.som.settings import EndpointSettings, back_off, most_tokens, parameters_of, price_of
from sphinx_x.engines.som.spending import UNIT, Budget, Spending, StopError
from sphinx_x.errors import ImageError, one_line, plain
from sphinx_x.images import image_size

Check = Callable[[Request, Answer], list[str]]
"""Returns the reasons why an answer is wrong for a request; none if it is right."""

LONGEST_QUOTE = 8000
"""Characters of a wrong answer that are shown to the model when it is asked again."""

NOTHING = "(no answer)"
"""Shown instead of an empty answer, which many endpoints do not accept as input."""


@dataclass(frozen=True)
class Result:
    """What became of a request: an answer, or the reason why there is none.

    Attributes:
        reason: In words that are the same for all requests to which it applies.
        detail: What is wrong in this one.
        content: The last raw answer, for people.
        cached: Whether the answer came from the cache.
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
    """Send all requests, several at once, and yield their results in the order of the requests.

    An answer that is malformed, cites wrong marks or fails `check` is requested once more with the reasons; if it is
    still
    wrong, the result has the reason. What was answered stays in the cache folder, so a later call with the same
    requests
    continues there.

    Args:
        requests: What to ask.
        settings: How to ask.
        check: Further checks of an answer.
        cache_folder: Where answers are kept.
        progress: Called with the account so far, after every result and at the end.

    Raises:
        StopError: No further request can be sent: the cap is reached, a bill is higher than calculated, the key or
            address
            is refused, or nothing comes back any more.
    """
    client = Client(settings.url, settings.key_variable, settings.timeout)
    with opened(cache_folder) as cache:
        run = _Run(settings, client, cache, check)
        pool = ThreadPoolExecutor(settings.threads, "endpoint")
        waiting: deque[Future[Result]] = deque()
        source = iter(requests)
        try:
            while True:
                waiting.extend(pool.submit(run.result, r) for r in islice(source, 4 * settings.threads - len(waiting)))
                if not waiting:
                    return
                result = waiting.popleft().result()
                run.count(result)
                progress(run.account())
                yield result
        except _StoppedError as error:
            raise run.stopped_by or error from None
        finally:
            run.stop.set()
            pool.shutdown(cancel_futures=True)  # calls under way are waited for: they are paid, so they are kept
            progress(run.account())


def worst_case(request: Request, settings: EndpointSettings) -> float:
    """Return the most that the first call for a request can cost, in the currency of the prices."""
    tokens = most_tokens(_opening(request), image_size(request.image), request.kind, settings)
    return price_of(tokens, settings) / UNIT


class _StoppedError(Exception):
    """Another thread has found that no call can succeed any more."""


Texts = list[tuple[str, str]]
"""Roles and texts of a conversation; the image belongs to the user's first text."""


class _Run:
    def __init__(self, settings: EndpointSettings, client: Client, cache: Cache, check: Check) -> None:
        self.settings, self.client, self.cache, self.check = settings, client, cache, check
        self.budget = Budget(math.floor(settings.cap * UNIT), cache.spent)
        self.spending = Spending(before=cache.spent / UNIT)
        self.stop = threading.Event()
        self.stopped_by: Exception | None = None
        self._lock = threading.Lock()
        self._first, self._proven = threading.Lock(), False
        self._keys: dict[str, threading.Lock] = {}
        self._paid = self._unsure = self._bad = 0

    def count(self, result: Result) -> None:
        """Add a result to the account."""
        with self._lock:
            if result.answer:
                self.spending.answered += 1
                self.spending.cached += result.cached
            else:
                self.spending.failed[result.reason] += 1

    def account(self) -> Spending:
        """Return a copy of the account."""
        with self._lock:
            self.spending.spent, self.spending.unsure = self._paid / UNIT, self._unsure / UNIT
            return copy.deepcopy(self.spending)

    def result(self, request: Request) -> Result:
        """Send one request, at most twice. Whatever stops the run first is kept in `stopped_by`."""
        try:
            return self._result(request)
        except _StoppedError:
            raise
        except Exception as error:
            self._end(error)
            raise _StoppedError from error

    def _end(self, error: Exception) -> None:
        """Make no further call; the run ends with the first error."""
        with self._lock:
            self.stopped_by = self.stopped_by or error
            self.stop.set()

    def _result(self, request: Request) -> Result:
        texts, cached, content, reasons, kind = _opening(request), True, "", [""], ""
        for last in (False, True):
            try:
                completion, known = self._ask(request, texts)
            except CallError as error:
                return Result(request, None, error.reason, error.detail, content)
            except ImageError as error:
                return Result(request, None, "image unreadable", one_line(error))
            self._add(reasked=last and not known)
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
        """Return the answer, or the kind of error and all reasons."""
        if completion.finish == "length":
            return None, "answer cut short", ["the answer was too long and was cut off; write less about each mark"]
        answer, reasons = read_answer(request, completion.content)
        if answer is None:
            return None, "answer not in its form", reasons
        reasons = self.check(request, answer)
        return (None, "answer fails the check", reasons) if reasons else (answer, "", [])

    def _ask(self, request: Request, texts: Texts) -> tuple[Completion, bool]:
        """Return a completion, and whether it was known already. Equal questions are asked once."""
        key = key_of(parameters_of(self.settings), texts, request.image)
        with self._lock:
            lock = self._keys.setdefault(key, threading.Lock())
        with lock:
            known = self.cache.find(key)
            if known:
                return known, True
            size = image_size(request.image)
            with self._alone_at_first():
                return self._try(request, texts, key, size), False

    @contextmanager
    def _alone_at_first(self) -> Iterator[None]:
        """Allow one call at a time until one has succeeded: a mistake in the settings costs one call."""
        if self._proven:
            yield
            return
        with self._first:
            if not self._proven:
                yield
                return
        yield

    def _try(self, request: Request, texts: Texts, key: str, size: tuple[int, int]) -> Completion:
        """Call until an answer comes or there is no hope; each call has its own reservation."""
        tokens = most_tokens(texts, size, request.kind, self.settings)
        number = 1
        while True:
            structured = "plain" if self.spending.plain else self.settings.structured
            body = _body(request, texts, structured, self.settings)
            try:
                completion = self._call(request.id, body, key, tokens, texts)
                self._bad, self._proven = 0, True
                return completion
            except CallError as error:
                if error.form and structured != "plain":
                    self.spending.plain = True
                    continue
                if error.stops:
                    raise StopError(f"{_host(self.settings)}: {error}") from error
                if not error.passing or number == self.settings.tries:
                    raise self._failed(error) from error
                self._pause(error, key, number)
            number += 1
            self._add(retried=True)

    def _failed(self, error: CallError) -> CallError:
        """Count requests without any answer, and stop the run if there are several in a row."""
        with self._lock:
            self._bad += 1
        if self._bad >= self.settings.bad_in_a_row:
            raise StopError(f"{_host(self.settings)}: {self._bad} requests in a row brought no answer, last: {error}")
        return error

    def _call(self, name: str, body: bytes, key: str, most: tuple[int, int], texts: Texts) -> Completion:
        """Make one call, with its cost reserved before and settled after."""
        reserved = price_of(most, self.settings)
        if self.stop.is_set() or not self.budget.reserve(reserved, self.stop.is_set):
            raise _StoppedError
        self.cache.asked(key, name, reserved)
        self._add(asked=True)
        try:
            completion = self.client.complete(body)
        except CallError as error:
            paid = reserved if error.billed else 0
            self.cache.lost(key, paid, str(error))
            self._settle(reserved, paid, (0, 0), unsure=error.billed)
            raise
        paid, believed = self._bill(completion, texts, reserved)
        if paid > reserved:
            self._end(StopError(self._above(completion, most)))
        self.cache.answered(key, completion, paid)
        self._settle(reserved, paid, completion.tokens or (0, 0), unsure=not believed)
        if paid > reserved:
            raise _StoppedError
        return completion

    def _above(self, completion: Completion, most: tuple[int, int]) -> str:
        return (
            f"{_host(self.settings)}: a call was billed with {completion.tokens} tokens in and out, where at most "
            f"{most} were reckoned with (tokens_per_image, tokens_per_tile, max_tokens)"
        )

    def _bill(self, completion: Completion, texts: Texts, reserved: int) -> tuple[int, bool]:
        """Return what an answer cost, and whether that is the endpoint's own number and can be true.

        A bill above the reservation always counts. One below it must have some tokens for all the text that was sent
        and
        returned (hardly any tokenizer averages more than ten bytes a token), else the reservation counts.
        """
        if completion.tokens is None:
            return reserved, False
        paid = price_of(completion.tokens, self.settings)
        least_in = sum(_bytes(text) for _, text in texts) // 10
        possible = completion.tokens[0] >= least_in and completion.tokens[1] >= _bytes(completion.content) // 10
        if paid > reserved or (possible and self.settings.believe):
            return paid, True
        return reserved, False

    def _settle(self, reserved: int, paid: int, tokens: tuple[int, int], unsure: bool) -> None:
        self.budget.settle(reserved, paid)
        with self._lock:
            self._paid += paid
            self._unsure += paid if unsure else 0
            came, went = self.spending.tokens
            self.spending.tokens = (came + tokens[0], went + tokens[1])

    def _pause(self, error: CallError, key: str, number: int) -> None:
        """Wait before the next call: as long as the endpoint asked, else increasingly longer; not if the run stops."""
        told = error.wait or 0.0
        if told > self.settings.patience:
            raise self._failed(error)
        if self.stop.wait(max(told, back_off(number, key, self.settings))):
            raise _StoppedError

    def _add(self, asked: bool = False, retried: bool = False, reasked: bool = False) -> None:
        with self._lock:
            self.spending.asked += asked
            self.spending.retried += retried
            self.spending.reasked += reasked


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _host(settings: EndpointSettings) -> str:
    return settings.url.split("//", 1)[-1].split("/", 1)[0]


def _opening(request: Request) -> Texts:
    return [("system", RULES), ("user", task_of(request))]


def _body(request: Request, texts: Texts, structured: str, settings: EndpointSettings) -> bytes:
    messages: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in texts]
    url = f"data:{_mime(request.image)};base64,{base64.b64encode(request.image).decode()}"
    picture = {"url": url} | ({"detail": settings.detail} if settings.detail else {})
    messages[1]["content"] = [{"type": "text", "text": texts[1][1]}, {"type": "image_url", "image_url": picture}]
    body: dict[str, Any] = {**settings.extra, "model": settings.model, "messages": messages}
    body[settings.tokens_field] = settings.max_tokens
    if settings.temperature is not None:
        body["temperature"] = settings.temperature
    if structured != "plain":
        body["response_format"] = schema(request.kind) if structured == "schema" else {"type": "json_object"}
    return json.dumps(body).encode()


def _mime(image: bytes) -> str:
    kinds: Mapping[bytes, str] = {b"\xff\xd8": "image/jpeg", b"RIFF": "image/webp"}
    return next((mime for head, mime in kinds.items() if image.startswith(head)), "image/png")
