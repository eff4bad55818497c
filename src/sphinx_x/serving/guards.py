"""What stands before every route: the token, the host's name, and headers that keep a browser from harm."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress

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


def is_loopback(host: str) -> bool:
    """Return whether a server at this address can be reached from its own machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


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
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self._token is not None and not self._knows_token(headers):
            # a browser asks its user for the token, as the password of any name
            asks = {"WWW-Authenticate": 'Basic realm="sphinx-x", charset="UTF-8"'}
            if headers.get("authorization", "").lower().startswith("bearer"):
                asks = {"WWW-Authenticate": "Bearer"}
            return respond(RefusedError("a valid token is needed", 401, None, "invalid_api_key", asks))
        # A page of another site in a browser on this machine could otherwise reach a server without a token: by a name
        # that it lets resolve to 127.0.0.1, or by a request that the browser sends before asking anybody.
        if self._token is None and not self._is_own_name(headers.get("host", "")):
            return respond(RefusedError("the Host header names another host", 403, None, "wrong_host"))
        origin = headers.get("origin")
        if origin is not None and origin.split("://")[-1].lower() != headers.get("host", "").lower():
            return respond(RefusedError("requests from other sites' pages are not answered", 403, None, "wrong_origin"))
        return None

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

    def _is_own_name(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        return is_loopback(name) or name.lower() == self._settings.host.lower()


def _digest(value: bytes) -> bytes:
    """Return a digest, so that the comparison takes as long for tokens of any length."""
    return hashlib.sha256(value).digest()


def respond(error: RefusedError) -> Response:
    """Return the response for a request that is not answered."""
    return JSONResponse(error.body(), error.status, error.headers)
