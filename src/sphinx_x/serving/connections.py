"""Connections on which nothing arrives, or only a byte now and then: they are closed, as each holds a file."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def build_protocol(seconds: float) -> type[H11Protocol]:
    """Return uvicorn's protocol with a limit on the time between two requests.

    uvicorn itself closes a connection that is silent after an answer, but neither one that never says anything nor one
    that says one more byte before that.

    Args:
        seconds: Time for the head of a request to arrive, from the connection or the last answer on.
    """

    class TimedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._timer is not None:
                self._timer.cancel()

        def _wait(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_later(seconds, self._end)

        def _end(self) -> None:
            # while a request is answered, its own limits count
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return TimedProtocol
