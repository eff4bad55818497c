"""The body of a request, as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.requests import Request

from sphinx_x.serving.limits import RefusedError
from sphinx_x.serving.settings import Settings


async def read_body(
    request: Request, settings: Settings, kind: str = "application/json", most: int | None = None
) -> bytes:
    """Read the body of a request.

    Args:
        request: The request.
        settings: The limits.
        kind: Its media type.
        most: Largest number of bytes; by default that of the settings.

    Raises:
        RefusedError: It is not declared as of this type, has too many bytes, or takes too long to arrive.
    """
    _check_type(request, kind)
    most = settings.body_bytes if most is None else most
    too_large = RefusedError(f"the request has more than {most:,} bytes", 413)
    told = request.headers.get("content-length", "0")
    if not (told.isascii() and told.isdigit()) or int(told[:20]) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise too_large
    except TimeoutError as error:
        raise RefusedError(f"the request took longer than {settings.body_seconds:g} seconds to arrive", 408) from error
    return bytes(body)


def _check_type(request: Request, kind: str) -> None:
    told, *parameters = request.headers.get("content-type", "").split(";")
    # a page of another site cannot send such a type without asking first
    if told.strip().lower() != kind:
        raise RefusedError(f"the Content-Type has to be {kind}", 415)
    for parameter in parameters:
        name, _, value = (part.strip().lower() for part in parameter.partition("="))
        if name != "charset" or value.strip('"') not in ("utf-8", "utf8"):
            raise RefusedError(f"Content-Type: {parameter.strip()[:80]}: {kind} in UTF-8 is read", 415)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise RefusedError(f"Content-Encoding: {encoding[:80]}: requests are read as they are", 415)


def check_query(request: Request, names: Iterable[str] = ()) -> None:
    """Check the keys behind the question mark of an address.

    Args:
        request: The request.
        names: Keys that this route reads.

    Raises:
        RefusedError: A key is unknown, or there twice; it is named.
    """
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in names:
            raise RefusedError(f"{name[:80]!r}: this address takes no such key", param=name[:80])
        if given.count(name) > 1:
            raise RefusedError(f"{name}: given twice", param=name)
