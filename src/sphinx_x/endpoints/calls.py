"""Questions to an endpoint, several at once: patiently, within a price cap, and no answer paid for twice.

What was paid for is kept in a cache folder, so a run that is killed or repeated pays for no answer twice; only what was
under way at the kill may be asked again.
"""

from __future__ import annotations

import copy
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from sphinx_x.endpoints.cache import Cache, Completion
from sphinx_x.endpoints.client import CallError, Client
from sphinx_x.endpoints.settings import EndpointSettings, back_off, price_of
from sphinx_x.endpoints.spending import UNIT, Budget, Spending, StopError

Texts = list[tuple[str, str]]
"""Roles and texts of a conversation."""
T = TypeVar("T")
R = TypeVar("R")


class StoppedError(Exception):
    """Another thread has found that no call can go well any more."""


@dataclass(frozen=True)
class Question:
    """What goes out in one call.

    name: for people; key: what its answer is known by (`cache.key_of`); texts: its roles and texts; most: tokens in and
    out at most; body: makes the request of the way in which JSON is asked for.
    """

    name: str
    key: str
    texts: Texts
    most: tuple[int, int]
    body: Callable[[str], bytes]


class Calls:
    """The calls of one run to one endpoint.

    spending: its account, without the money, which `account` fills in; stop: set where no further call is made;
    stopped_by: the first error that no call can go well after.
    """

    def __init__(self, settings: EndpointSettings, cache: Cache) -> None:
        self.settings, self.cache = settings, cache
        self.client = Client(settings.url, settings.key_variable, settings.timeout)
        self.budget = Budget(math.floor(settings.cap * UNIT), cache.spent)
        self.spending = Spending(before=cache.spent / UNIT)
        self.stop = threading.Event()
        self.stopped_by: Exception | None = None
        self.lock = threading.Lock()
        self._first, self._proven = threading.Lock(), False
        self._keys: dict[str, threading.Lock] = {}
        self._paid = self._unsure = self._bad = 0

    def account(self) -> Spending:
        """A copy of the account."""
        with self.lock:
            self.spending.spent, self.spending.unsure = self._paid / UNIT, self._unsure / UNIT
            return copy.deepcopy(self.spending)

    def results(self, work: Callable[[T], R], source: Iterable[T], told: Callable[[R], None]) -> Iterator[R]:
        """What `work` makes of everything in `source`, several at once, in its order.

        Whatever stops the run is raised, the first of it (`StopError` where no further question can be asked). told:
        called with every result before it is given, in this thread.
        """
        pool = ThreadPoolExecutor(self.settings.threads, "endpoint")
        waiting: deque[Future[R]] = deque()
        rest = iter(source)
        try:
            while True:
                room = 4 * self.settings.threads - len(waiting)
                waiting.extend(pool.submit(self._guarded, work, one) for one in islice(rest, room))
                if not waiting:
                    return
                result = waiting.popleft().result()
                told(result)
                yield result
        except StoppedError as error:
            raise self.stopped_by or error from None
        finally:
            self.stop.set()
            pool.shutdown(cancel_futures=True)  # calls under way are waited for: they are paid, so they are kept

    def _guarded(self, work: Callable[[T], R], one: T) -> R:
        try:
            return work(one)
        except StoppedError:
            raise
        except Exception as error:
            self._end(error)
            raise StoppedError from error

    def _end(self, error: Exception) -> None:
        """No further call is made; the run ends with the first error."""
        with self.lock:
            self.stopped_by = self.stopped_by or error
            self.stop.set()

    def ask(self, question: Question) -> tuple[Completion, bool]:
        """A completion, and whether it was known already. Equal questions are asked once.

        Raises `CallError` where no answer comes, and `StopError` where none will come to any question.
        """
        with self.lock:
            lock = self._keys.setdefault(question.key, threading.Lock())
        with lock:
            known = self.cache.find(question.key)
            if known:
                return known, True
            with self._alone_at_first():
                return self._try(question), False

    @contextmanager
    def _alone_at_first(self) -> Iterator[None]:
        """Until one call has gone well there is only one at a time: a mistake in the settings costs one call."""
        if self._proven:
            yield
            return
        with self._first:
            if not self._proven:
                yield
                return
        yield

    def _try(self, question: Question) -> Completion:
        """Calls until an answer comes or there is no hope; every call has its own reservation."""
        number = 1
        while True:
            structured = "plain" if self.spending.plain else self.settings.structured
            try:
                completion = self._call(question, question.body(structured))
                self._bad, self._proven = 0, True
                return completion
            except CallError as error:
                if error.form and structured != "plain":
                    self.spending.plain = True
                    continue
                if error.stops:
                    raise StopError(f"{self.host}: {error}") from error
                if not error.passing or number == self.settings.tries:
                    raise self._failed(error) from error
                self._pause(error, question.key, number)
            number += 1
            self.add(retried=True)

    def _failed(self, error: CallError) -> CallError:
        """Counts requests without any answer; stops the run where they come one after the other."""
        with self.lock:
            self._bad += 1
        if self._bad >= self.settings.bad_in_a_row:
            raise StopError(f"{self.host}: {self._bad} requests in a row brought no answer, last: {error}")
        return error

    def _call(self, question: Question, body: bytes) -> Completion:
        """One call, with its cost reserved before and settled after."""
        reserved = price_of(question.most, self.settings)
        if self.stop.is_set() or not self.budget.reserve(reserved, self.stop.is_set):
            raise StoppedError
        self.cache.asked(question.key, question.name, reserved)
        self.add(asked=True)
        try:
            completion = self.client.complete(body)
        except CallError as error:
            paid = reserved if error.billed else 0
            self.cache.lost(question.key, paid, str(error))
            self._settle(reserved, paid, (0, 0), unsure=error.billed)
            raise
        paid, believed = self._bill(completion, question.texts, reserved)
        if paid > reserved:
            self._end(StopError(self._above(completion, question.most)))
        self.cache.answered(question.key, completion, paid)
        self._settle(reserved, paid, completion.tokens or (0, 0), unsure=not believed)
        if paid > reserved:
            raise StoppedError
        return completion

    def _above(self, completion: Completion, most: tuple[int, int]) -> str:
        return (
            f"{self.host}: a call was billed with {completion.tokens} tokens in and out, where at most "
            f"{most} were reckoned with (tokens_per_image, tokens_per_tile, max_tokens)"
        )

    def _bill(self, completion: Completion, texts: Texts, reserved: int) -> tuple[int, bool]:
        """What an answer cost, and whether that is the endpoint's own number and can be true.

        A bill above the reservation always counts. One below it must have some tokens for all the text that went out
        and came back (hardly a tokenizer has tokens of more than ten bytes on average), else the reservation counts.
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
        with self.lock:
            self._paid += paid
            self._unsure += paid if unsure else 0
            came, went = self.spending.tokens
            self.spending.tokens = (came + tokens[0], went + tokens[1])

    def _pause(self, error: CallError, key: str, number: int) -> None:
        """Waits before the next call: as long as the endpoint asked, else ever longer; not where the run stops."""
        told = error.wait or 0.0
        if told > self.settings.patience:
            raise self._failed(error)
        if self.stop.wait(max(told, back_off(number, key, self.settings))):
            raise StoppedError

    def add(self, asked: bool = False, retried: bool = False, reasked: bool = False) -> None:
        """Counts a call, one that was made once more, an answer that was asked for again."""
        with self.lock:
            self.spending.asked += asked
            self.spending.retried += retried
            self.spending.reasked += reasked

    @property
    def host(self) -> str:
        """The endpoint in messages."""
        return host_of(self.settings.url)


def host_of(url: str) -> str:
    """Host and port of an address."""
    return url.split("//", 1)[-1].split("/", 1)[0]


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))
