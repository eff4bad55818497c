"""What is refused before it costs much: broken or deep JSON, and more requests than there are places for."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from typing import Any

from sphinx_x.errors import SphinxXError


class RefusedError(SphinxXError):
    """A request that is not answered.

    Attributes:
        status: HTTP status.
        kind: Type of the error, as in OpenAI's API.
        param: Field of the request that is at fault.
        code: Short name of the fault.
        headers: Headers of the response.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, headers or {}
        self.kind = "server_error" if status >= 500 else "invalid_request_error"

    def body(self) -> dict[str, Any]:
        """Return the body of the response."""
        error = {"message": _encodable(str(self)), "type": self.kind, "code": self.code}
        return {"error": {**error, "param": None if self.param is None else _encodable(self.param)}}


def _encodable(text: str) -> str:
    # what is told of a request may be any part of it, such as a key with half of a surrogate pair
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# strings first, so that brackets in them do not count; possessive, so that nothing is tried twice and no stack grows;
# a string without an end goes to the end of the text, so that a text of quotes costs no more than its length
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


MOST_PARTS = 100_000
"""Most objects and lists in the body of a request."""


def read_json(body: bytes, depth: int) -> dict[str, Any]:
    """Read the body of a request.

    Args:
        body: The body.
        depth: How deep it may be nested.

    Raises:
        RefusedError: It is no JSON object, is nested deeper, names a key twice, or has numbers or characters that JSON
            does not have.
    """
    level = begun = 0
    for match in _TOKENS.finditer(body):
        first = body[match.start()]
        if first in b"[{":
            level += 1
            begun += 1
            if level > depth:
                raise RefusedError(f"the request is nested deeper than {depth} levels")
            if begun > MOST_PARTS:  # each takes 25 times as much memory as its two characters
                raise RefusedError(f"the request has more than {MOST_PARTS:,} objects and lists")
        elif first in b"]}":
            level -= 1
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_constant, parse_float=_float)
    except RefusedError:
        raise
    except UnicodeDecodeError as error:
        raise RefusedError("the request is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"the request is not JSON: {str(error)[:100]}") from error
    if _SURROGATE.search(body) and not _is_text(found):
        raise RefusedError("the request has half of a surrogate pair, which is no character")
    if not isinstance(found, dict):
        raise RefusedError("the request is not a JSON object")
    return found


def _is_text(found: Any) -> bool:
    """Return whether all texts are such that UTF-8 can hold them."""
    try:
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise RefusedError(f"the request names {twice[:40]!r} twice")
    return found


def _constant(name: str) -> float:
    raise RefusedError(f"the request is not JSON: {name}")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise RefusedError(f"the request has a number that is too large: {text[:20]}")
    return number


class Places:
    """Places for requests: those that are answered, and those that wait.

    Attributes:
        taken: Number of requests that hold a place.
    """

    def __init__(self, most: int, rows: int) -> None:
        self._most, self._rows = most, rows
        self.taken = 0
        self._lasted: deque[float] = deque([1.0], maxlen=32)

    def take(self) -> None:
        """Take a place.

        Raises:
            RefusedError: There is none; the response tells when to come back.
        """
        if self.taken >= self._most:
            wait = {"Retry-After": str(self.retry_after())}
            raise RefusedError(f"{self.taken} requests are in progress; try again later", 429, None, "busy", wait)
        self.taken += 1

    def leave(self, seconds: float) -> None:
        """Give a place back, after so many seconds."""
        self.taken -= 1
        self._lasted.append(seconds)

    def retry_after(self) -> int:
        """Return after how many whole seconds a place is likely: when a round of answers has ended."""
        mean = sum(self._lasted) / len(self._lasted)
        return max(1, min(60, math.ceil(mean * self._rows / max(self.taken, 1))))
