"""Starting and stopping the server."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from sphinx_x.errors import SphinxXError, one_line
from sphinx_x.inference import SphinxX
from sphinx_x.serving.api import build_app
from sphinx_x.serving.connections import build_protocol
from sphinx_x.serving.guards import is_loopback
from sphinx_x.serving.settings import Settings

TOKEN = "SPHINX_X_TOKEN"
"""Environment variable with the token."""
SHORTEST = 16
"""Number of characters that a token has at least."""


def read_token(file: Path | None) -> str | None:
    """Return the token from a file, or from the environment variable `SPHINX_X_TOKEN`; None if there is neither.

    Raises:
        SphinxXError: It is empty, short, or not plain ASCII.
    """
    if file is not None:
        try:
            token, where = file.read_text(encoding="utf-8").strip(), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise SphinxXError(f"{file}: cannot be read, {one_line(error)}") from error
    elif TOKEN in os.environ:
        token, where = os.environ[TOKEN].strip(), TOKEN
    else:
        return None
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise SphinxXError(f"{where}: a token has {SHORTEST} or more plain characters without blanks")
    return token


def bind(settings: Settings) -> socket.socket:
    """Return a socket at the settings' address, so that a fault in it is known before a model is loaded.

    Raises:
        SphinxXError: The address can be reached from other machines and there is no token, or it cannot be had.
    """
    if settings.token is None and not is_loopback(settings.host):
        raise SphinxXError(
            f"{settings.host} can be reached from other machines: give --token-file or {TOKEN}, or use 127.0.0.1"
        )
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        # asyncio sets TCP_NODELAY where the protocol is named; without it each answer waits 40 ms for an ACK
        opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        raise SphinxXError(f"{settings.host}:{settings.port}: {one_line(error)}") from error
    return opened


def build_server(sphinx: SphinxX, settings: Settings) -> uvicorn.Server:
    """Return a server that `run(sockets=[bind(settings)])` starts."""
    config = uvicorn.Config(
        build_app(sphinx, settings),
        # its warnings are one for each request that is no HTTP, which anybody can send without end
        log_level="error",
        http=build_protocol(settings.body_seconds),  # h11's checks of what is HTTP wherever it is installed
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing depends on who a client claims to be
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(settings.grace)),
    )
    return uvicorn.Server(config)


def serve(settings: Settings, model: str | Path = "nano", **options: Any) -> None:
    """Serve a model until a signal ends the server.

    Answers in progress then have `settings.grace` seconds to end.

    Args:
        settings: The settings.
        model: As for `SphinxX.load`, like the options.
        options: Further arguments for `SphinxX.load`.

    Raises:
        SphinxXError: The address cannot be had, or needs a token.
        CheckpointError: The model cannot be loaded.
    """
    with contextlib.closing(bind(settings)) as opened:
        server = build_server(SphinxX.load(model, **options), settings)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        print(f"{settings.name} at http://{host}:{opened.getsockname()[1]} (Ctrl-C ends it)", file=sys.stderr)
        with _own_signals(server):
            server.run(sockets=[opened])
        if not server.started:
            raise SphinxXError("the server did not start")


@contextlib.contextmanager
def _own_signals(server: uvicorn.Server) -> Iterator[None]:
    """Count a signal that ended the server as done; uvicorn raises it once more after the last answer."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        if not server.started or not server.should_exit:
            raise
