"""What stands before every route: the token, the host's name, and headers that keep a browser from harm.

A request that two programs could understand in two ways is not guessed at: a proxy in front may have read it otherwise.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sphinx_x.serving.limits import RefusedError
from sphinx_x.serving.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""What the web page may load and reach: this server only."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


ONCE = (
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "origin",
    "transfer-encoding",
)
"""Headers that decide what a request means, and that it may bring once."""
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_-][a-z0-9._-]{0,252})(?::[0-9]{1,5})?", re.IGNORECASE)
_ABSOLUTE = re.compile(rb"https?://([^/?#@]*)(/.*)?", re.IGNORECASE | re.DOTALL)


def is_loopback(host: str) -> bool:
    """Return whether a server at this address can be reached from its own machine only.

    Args:
        host: A name or an address, one of IPv6 with or without brackets.
    """
    try:
        if host.startswith("[") and host.endswith("]"):
            return ipaddress.IPv6Address(host[1:-1]).is_loopback
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def host_name(host: str) -> str | None:
    """Return the name or address in a Host header, in lower case and without its port; None if it is no host."""
    match = _HOST.fullmatch(host)
    return None if match is None else match[1].lower()


class Guard:
    """The outermost layer of the application: no route is reached past it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._token = None if settings.token is None else _digest(settings.token.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and pass it on; called by the server."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope)
        except RefusedError as error:
            await respond(error)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _check(self, scope: Scope) -> None:
        """Check a request; one whose target is an absolute address is turned into the usual form.

        Raises:
            RefusedError: It is not answered.
        """
        headers = Headers(scope=scope)
        if self._token is not None and not self._knows_token(headers):
            # a browser asks its user for the token, as the password of any name
            asks = {"WWW-Authenticate": 'Basic realm="sphinx-x", charset="UTF-8"'}
            if headers.get("authorization", "").lower().startswith("bearer"):
                asks = {"WWW-Authenticate": "Bearer"}
            raise RefusedError("a valid token is needed", 401, None, "invalid_api_key", asks)
        _check_headers(headers, scope["http_version"])
        authority = _make_relative(scope)
        host = headers.get("host", "") if authority is None else authority
        name = host_name(host)
        if name is None and (host or self._token is None):
            raise RefusedError("the Host header is no host", 403, None, "wrong_host")
        # A page of another site in a browser on this machine could otherwise reach a server without a token: by a name
        # that it lets resolve to 127.0.0.1, or by a request that the browser sends before asking anybody.
        if self._token is None and not self._is_own_name(name or ""):
            raise RefusedError("the Host header names another host", 403, None, "wrong_host")
        if authority is not None and authority.lower() != headers.get("host", authority).lower():
            raise RefusedError("the Host header and the address of the request differ", 400, None, "wrong_host")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            raise RefusedError("requests from other sites' pages are not answered", 403, None, "wrong_origin")

    def _knows_token(self, headers: Headers) -> bool:
        given = headers.getlist("authorization")
        if len(given) != 1:
            return False
        kind, _, value = given[0].partition(" ")
        shown = value.strip().encode("latin-1")
        if kind.lower() == "basic":
            try:
                shown = base64.b64decode(shown, validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return False
        elif kind.lower() != "bearer":
            return False
        assert self._token is not None
        return hmac.compare_digest(_digest(shown), self._token)

    def _is_own_name(self, name: str) -> bool:
        return is_loopback(name) or name == self._settings.host.lower()


def _check_headers(headers: Headers, version: str) -> None:
    """Check that a request says once how it is to be read, and nothing about it that is not done."""
    for name in ONCE:
        if len(headers.getlist(name)) > 1:
            raise RefusedError(f"the request has two headers {name}", 400, None, "ambiguous_request")
    if "transfer-encoding" in headers and ("content-length" in headers or version == "1.0"):
        what = "Transfer-Encoding beside Content-Length, or in HTTP/1.0, leaves open where the request ends"
        raise RefusedError(what, 400, None, "ambiguous_request")
    expected = headers.get("expect", "100-continue")
    if expected.lower() != "100-continue":
        raise RefusedError(f"Expect: {expected[:80]} cannot be met", 417)


def _make_relative(scope: Scope) -> str | None:
    """Turn `GET http://host/path` into `GET /path`; return the host, or None where the target is a path already."""
    raw = scope["raw_path"]
    if raw.startswith(b"/"):
        return None
    match = _ABSOLUTE.fullmatch(raw)
    if match is None:
        raise RefusedError("the target of the request is neither a path nor an http address", 400)
    scope["raw_path"] = match[2] or b"/"
    scope["path"] = unquote(scope["raw_path"].decode("latin-1"))
    return match[1].decode("latin-1")


def _digest(value: bytes) -> bytes:
    """Return a digest, so that the comparison takes as long for tokens of any length."""
    return hashlib.sha256(value).digest()


def respond(error: RefusedError) -> Response:
    """Return the response for a request that is not answered."""
    return JSONResponse(error.body(), error.status, error.headers)
