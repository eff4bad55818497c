"""Between the engine's thread and the event loop: events that are handed over, and clients that leave or stall."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sphinx_x.serving.jobs import Event

Result = TypeVar("Result")


class GoneError(Exception):
    """The client has left."""


class Bell:
    """Wakes readers in a loop from another thread: all that have news when the loop comes to it, by one call."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready: deque[asyncio.Event] = deque()
        self._rung = False

    def ring(self, ready: asyncio.Event) -> None:
        """Let a reader be woken; called in the other thread."""
        self._ready.append(ready)
        if not self._rung:
            self._rung = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._rung = False  # before the readers, so that whoever comes now rings again
        while self._ready:
            self._ready.popleft().set()


class Mailbox:
    """Events of one answer, from the engine's thread to the loop.

    A reader that is slower than the engine finds several events at once.

    Args:
        eager: Wake the reader by each event, not only by the last one.
        bell: What wakes it; one for all answers of a loop saves calls.
    """

    def __init__(self, eager: bool, bell: Bell | None = None) -> None:
        self._bell, self._eager = bell or Bell(), eager
        self._events: deque[Event] = deque()
        self._ready = asyncio.Event()

    def emit(self, event: Event) -> None:
        """Put in an event; called by the engine. The reader is woken at once if eager, otherwise by the last event."""
        self._events.append(event)
        if self._eager or event.last:
            self._bell.ring(self._ready)

    async def take(self) -> Event:
        """Wait for events, and return all that are there as one."""
        await self._ready.wait()
        self._ready.clear()
        events = [self._events.popleft() for _ in range(len(self._events))]
        if not events:
            return Event()
        piece = "".join(event.piece for event in events)
        tokens = tuple(token for event in events for token in event.tokens)
        return Event(piece, tokens, events[-1].reason, events[-1].error)


async def until_gone(work: Coroutine[Any, Any, Result], receive: Receive) -> Result:
    """Do some work unless the client leaves before it is done.

    Raises:
        GoneError: The client has left; the work is cancelled.
    """

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    doing, watching = asyncio.ensure_future(work), asyncio.ensure_future(watch())
    try:
        await asyncio.wait((doing, watching), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise GoneError
    finally:
        for task in (doing, watching):
            task.cancel()
        await asyncio.gather(doing, watching, return_exceptions=True)


class EventStream(Response):
    """A response of server-sent events, which ends when the client leaves or accepts nothing for too long."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], stalled: float, close: Callable[[], None]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-store"
        self._events, self._stalled, self._close = events, stalled, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; called by the framework."""
        try:
            with contextlib.suppress(GoneError, TimeoutError, OSError):  # nobody is there to be told
                await until_gone(self._pump(send), receive)
        finally:
            await self._events.aclose()
            self._close()

    async def _pump(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in self._events:
            async with asyncio.timeout(self._stalled):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
