"""The body of a request, as bytes."""

from __future__ import annotations

import asyncio

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
    # a page of another site cannot send such a type without asking first
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != kind:
        raise RefusedError(f"the Content-Type has to be {kind}", 415)
    most = settings.body_bytes if most is None else most
    too_large = RefusedError(f"the request has more than {most:,} bytes", 413)
    told = request.headers.get("content-length", "0")
    if not told.isdigit() or int(told) > most:
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
