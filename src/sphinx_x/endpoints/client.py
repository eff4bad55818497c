"""One call of an OpenAI-compatible `/chat/completions` endpoint: the request, the response, and the errors.

Connections are made by the standard library: no redirects are followed, nothing else is fetched, and the key is only
sent to the address in the settings, in a header.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sphinx_x.endpoints.cache import Completion
from sphinx_x.errors import DataError, one_line, plain

LARGEST = 8_000_000
"""Largest response body in bytes; an answer has some thousand."""

SHORTEST_SECRET = 8
"""Length from which a key is searched for in responses; servers without keys are given words like EMPTY."""


@dataclass(eq=False)
class CallError(Exception):
    """A call that brought no answer.

    Attributes:
        reason: In words that are the same for all calls with this fault.
        detail: The endpoint's message.
        passing: Whether it may succeed next time.
        billed: Whether it may cost money nevertheless.
        stops: Whether no other call can succeed.
        form: Whether the endpoint does not know the `response_format`.
        wait: Seconds that it asked to wait.
    """

    reason: str
    detail: str = ""
    passing: bool = False
    billed: bool = False
    stops: bool = False
    form: bool = False
    wait: float | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Client:
    """An endpoint with its key.

    Args:
        url: Its base, such as `https://host/v1`.
        key_variable: The environment variable with the key, None for none.
        timeout: Seconds for a whole call.

    Raises:
        DataError: The address or the key is invalid.
    """

    def __init__(self, url: str, key_variable: str | None, timeout: float) -> None:
        parts = _parts(url)
        self._secure, self._timeout = parts.scheme == "https", timeout
        self._host, self._port = parts.hostname or "", parts.port
        path = parts.path.rstrip("/")
        self._path = path if path.endswith("/chat/completions") else f"{path}/chat/completions"
        self._key = _key(key_variable)
        self._context = ssl.create_default_context() if self._secure else None

    def complete(self, body: bytes) -> Completion:
        """Send one request; raise `CallError` if there is no answer."""
        status, headers, content = self._post(body)
        if status == 200:
            return self._completion(content)
        raise self._refused(status, headers, content)

    def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers (names in lower case) and body of the response."""
        if self._secure:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        deadline = time.monotonic() + self._timeout
        try:
            connection.connect()
        except OSError as error:  # nothing was sent
            connection.close()
            wrong = isinstance(error, ssl.SSLCertVerificationError)
            raise CallError("no connection", one_line(error), passing=not wrong, stops=wrong) from error
        watch = threading.Timer(max(deadline - time.monotonic(), 0), _shut, (connection.sock,))
        watch.daemon = True
        watch.start()  # a socket's own timeout restarts with every byte
        try:
            connection.request("POST", self._path, body, self._headers())
            response = connection.getresponse()
            content = response.read(LARGEST)
            if response.length or len(content) == LARGEST:
                raise http.client.IncompleteRead(b"")
            return response.status, {name.lower(): value for name, value in response.getheaders()}, content
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = time.monotonic() >= deadline or isinstance(error, TimeoutError)
            raise CallError("time-out" if late else "connection broken", passing=True, billed=True) from error
        finally:
            watch.cancel()
            connection.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        return headers | ({"Authorization": f"Bearer {self._key}"} if self._key else {})

    def _completion(self, content: bytes) -> Completion:
        try:
            answer = json.loads(content)
            choice = answer["choices"][0]
            message = choice["message"]
            texts = (_text(message.get("content")), str(choice.get("finish_reason")), _text(message.get("refusal")))
            tokens = _tokens(answer.get("usage"))
            model = plain(self._hide(" ".join(_version(answer))), 200)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            said = plain(self._hide(_message(content)), 200)
            raise CallError("answer is no chat completion", said, passing=True, billed=True) from error
        text, finish, refusal = (self._hide(part) for part in texts)
        return Completion(text, finish, refusal, tokens, model)

    def _refused(self, status: int, headers: Mapping[str, str], content: bytes) -> CallError:
        said = self._hide(_message(content))
        if 300 <= status < 400:
            there = self._hide(headers.get("location", "")).split("//")[-1].split("/")[0] or "another path"
            return CallError("endpoint sends elsewhere", f"to {plain(there, 100)}, which is not followed", stops=True)
        reason = f"HTTP {status}"
        if status == 429 and "insufficient_quota" in said:
            return CallError(reason, plain(said, 200), stops=True)
        form = status in (400, 422, 500, 501) and ("response_format" in said or "json_schema" in said)
        return CallError(
            reason,
            plain(said, 200),
            passing=status in (408, 425, 429) or status >= 500,
            billed=status in (408, 502, 504) or status > 511,  # the gateway gave up, but the model may have continued
            stops=status in (401, 402, 404, 405),
            form=form,
            wait=_wait(headers.get("retry-after")),
        )

    def _hide(self, text: str) -> str:
        """Return a text without the key, and without the beginning of the key at the end of a truncated text."""
        if len(self._key) < SHORTEST_SECRET:
            return text
        text = text.replace(self._key, "***")
        begun = next((n for n in range(len(self._key) - 1, 3, -1) if text.endswith(self._key[:n])), 0)
        return text[: len(text) - begun] + "***" * bool(begun)


def _parts(url: str):
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        parts, good = urlsplit(""), False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise DataError("the endpoint's address must be like https://host/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise DataError("the endpoint's address may hold no password and no query: the key comes from the environment")
    return parts


def _key(variable: str | None) -> str:
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise DataError(f"the environment variable {variable} is to hold the endpoint's key, and is not set")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise DataError(f"the environment variable {variable} holds characters that no key has")
    return key


def _shut(sock: socket.socket) -> None:
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:  # closed already
        return


def _text(content: Any) -> str:
    """Return a message's text; some endpoints send it as a list of parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    if content is not None and not isinstance(content, str):
        raise TypeError("not a text")
    return content or ""


def _version(answer: Mapping[str, Any]) -> list[str]:
    """What an answer tells of the model that gave it: its name with its date, and what stood behind it."""
    return [value for name in ("model", "system_fingerprint") if isinstance(value := answer.get(name), str) and value]


def _tokens(usage: Any) -> tuple[int, int] | None:
    """Return tokens in and out, or None if there are no such numbers; tokens only in the total count as tokens out."""
    if not isinstance(usage, dict):
        return None
    came, went, total = (usage.get(f"{name}_tokens", 0) for name in ("prompt", "completion", "total"))
    if not all(type(n) is int and 0 <= n < 10**12 for n in (came, went, total)):
        return None
    return came, max(went, total - came)


def _message(content: bytes) -> str:
    """Return the message in an error's body."""
    text = content[:20_000].decode(errors="replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return text
    error = said.get("error", said) if isinstance(said, dict) else said
    if isinstance(error, dict):
        return " ".join(str(error[name]) for name in ("message", "code", "type", "detail") if error.get(name))
    return str(error)


def _wait(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which has seconds or a date."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = email.utils.parsedate_tz(header)
            seconds = email.utils.mktime_tz(date) - time.time() if date else 0.0
        except (ValueError, OverflowError):  # an impossible date
            seconds = 0.0
    return max(seconds, 0.0) if seconds == seconds else None
