"""What the web page needs besides the API: its files, what the model takes and sees, PDFs and other files as pictures.

Nothing is kept: a PDF comes along with each request for its pages.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from sphinx_x.errors import ImageError
from sphinx_x.images import count_pages, open_image
from sphinx_x.inference import Prompt, SphinxX
from sphinx_x.inference.showing import LIMBS
from sphinx_x.model.views import Layout, plan_views
from sphinx_x.serving.answers import transform
from sphinx_x.serving.bodies import read_body
from sphinx_x.serving.limits import Places, RefusedError
from sphinx_x.serving.media import open_images
from sphinx_x.serving.settings import Settings

FILES = Path(__file__).parent / "page"
PREVIEWS = 12
"""Number of pages that are shown at once to choose from."""
PREVIEW_DPI = 24
PREVIEW_SIDE = 320
"""Largest side of a preview in pixels, for pages of unusual size."""
RENDERING, WAITING = 2, 8
"""Number of PDFs and pictures that are rendered at once, and of requests that wait for it."""
LONGEST_SIDE = 1_000_000
"""Number of pixels of the longest side that is asked about."""

Route = tuple[str, str, Callable[[Request], Awaitable[Response]], tuple[str, ...]]
"""Path, method, function, and the keys that the address takes."""


class PageFiles(StaticFiles):
    """The files of the page, of which a browser asks each time whether they are still the same."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file; called by the framework."""
        if scope["path"] == "/":
            path = "index.html"
        response = await super().get_response(path, {**scope, "method": "GET"})
        if scope["method"] not in ("GET", "HEAD"):  # told only where there is a file
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        response.headers["Cache-Control"] = "no-cache"
        return response


class PageRoutes:
    """The routes of the web page.

    Attributes:
        places: Places for requests that render PDFs and pictures.
    """

    def __init__(self, sphinx: SphinxX, settings: Settings) -> None:
        self._sphinx, self._settings = sphinx, settings
        self._grid = sphinx.processor.image_processor.grid()
        self._builder = sphinx.processor.prompt_builder()
        self.places = Places(RENDERING + WAITING, RENDERING)
        self._rendering: anyio.CapacityLimiter | None = None

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            ("/page/model", "GET", self.model, ()),
            ("/page/view", "GET", self.view, ("width", "height")),
            ("/page/read", "POST", self.read, ()),
            ("/page/picture", "POST", self.picture, ()),
            ("/page/pdf/previews", "POST", self.previews, ("first",)),
            ("/page/pdf", "POST", self.page, ("page",)),
        ]

    async def model(self, request: Request) -> Response:
        """Tell what the model takes, and what this server allows."""
        ability = self._sphinx.model.config.ability()
        limits = {"images": self._settings.images, "image_bytes": self._settings.image_bytes}
        limits["answer_tokens"] = self._settings.answer_tokens
        told = {"name": self._settings.name, "abilities": ability.to_dict(), "limits": limits}
        told |= {"masks": self._settings.sam is not None, "limbs": LIMBS, "lines": self._reads_lines}
        return JSONResponse({**told, "alone": ability.refusal([], 1, self._grid.canvas)})

    async def view(self, request: Request) -> Response:
        """Tell how an image of a size is seen, and why it would be refused.

        Which lines and objects it has only its picture tells: `read` says what they take.
        """
        width, height = (_number(request, name, LONGEST_SIDE) for name in ("width", "height"))
        seen = self._seen(plan_views(width, height, self._grid))
        unread = {"lines": None, "objects": None, "lines_left_out": None} if self._reads_lines else {}
        return JSONResponse({**seen, **unread, "refusal": self._refusal(width, height)})

    async def read(self, request: Request) -> Response:
        """Tell how a picture is seen, its lines included, for a member that reads them."""
        kind = "application/octet-stream"
        return JSONResponse(await self._rendered(request, self._read, kind))

    def _read(self, content: bytes) -> dict[str, Any]:
        picture = open_images([content], [1], self._settings)[0]
        layout = self._sphinx.processor.image_processor.layout(picture)
        return {**self._seen(layout), "refusal": self._refusal(*picture.size)}

    @property
    def _reads_lines(self) -> bool:
        return self._sphinx.model.config.lines is not None

    def _refusal(self, width: int, height: int) -> str | None:
        most = min(self._settings.pixels, self._settings.all_pixels)
        if width * height > most:
            return f"{width} x {height} pixels are more than the limit of {most:,}"
        if self._sphinx.model.config.groups:
            return self._sphinx.model.config.ability().refusal([(width, height)], 1, self._grid.canvas)
        return "this model has no visual experts: it takes text only"

    def _seen(self, layout: Layout) -> dict[str, Any]:
        processor = self._sphinx.processor
        place = (0, len(self._builder.image_ids(layout)))
        prompt = Prompt([], [], [layout], self._grid, (0, 0, 0), processor.tokens_per_view, places=[place])
        views = Prompt([], [], [layout], self._grid, (0, 0, 0), processor.tokens_per_view)
        return {
            **transform(layout),
            "global_view": self._grid.global_view,
            "image_tokens": prompt.visual_tokens,
            "line_tokens": prompt.visual_tokens - views.visual_tokens,
            "unskipped_tokens": prompt.unskipped_tokens,
        }

    async def picture(self, request: Request) -> Response:
        """Return a picture of any kind as an upright PNG, for a browser that does not show its kind as it is."""
        kind = "application/octet-stream"  # which no page of another site may send, either
        picture = await self._rendered(
            request, lambda content: _encoded(open_images([content], [1], self._settings)[0], "PNG"), kind
        )
        return Response(picture, media_type="image/png", headers={"Cache-Control": "no-store"})

    async def previews(self, request: Request) -> Response:
        """Return small pictures of some pages of a PDF, and the number of its pages."""
        first = _number(request, "first", 1_000_000)
        return JSONResponse(await self._rendered(request, lambda content: _previews(content, first)))

    async def page(self, request: Request) -> Response:
        """Return one page of a PDF as a PNG picture, as the model would be given it."""
        page = _number(request, "page", 1_000_000)
        picture = await self._rendered(request, lambda content: self._png(content, page))
        return Response(picture, media_type="image/png", headers={"Cache-Control": "no-store"})

    async def _rendered(self, request: Request, render: Callable[[bytes], Any], kind: str = "application/pdf") -> Any:
        self.places.take()
        began = time.monotonic()
        try:
            content = await read_body(request, self._settings, kind, self._settings.image_bytes)
            if self._rendering is None:  # it belongs to a loop
                self._rendering = anyio.CapacityLimiter(RENDERING)
            return await anyio.to_thread.run_sync(render, content, limiter=self._rendering)
        finally:
            self.places.leave(time.monotonic() - began)

    def _png(self, content: bytes, page: int) -> bytes:
        count_pages(content)  # anything but a PDF is refused
        return _encoded(open_images([content], [page], self._settings)[0], "PNG")


def _previews(content: bytes, first: int) -> dict[str, Any]:
    pages = count_pages(content)
    if first > pages:
        raise RefusedError(f"first: there is no page {first}, the last one is {pages}", param="first")
    shown = range(first, min(first + PREVIEWS, pages + 1))
    return {"pages": pages, "previews": [_preview(content, page) for page in shown]}


def _preview(content: bytes, page: int) -> dict[str, Any]:
    """Return one page as a data address, or why it cannot be shown: the others can still be chosen."""
    try:
        picture = open_image(content, page=page, dpi=PREVIEW_DPI)
    except ImageError as error:
        return {"page": page, "error": str(error)}
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    address = f"data:image/webp;base64,{base64.b64encode(_encoded(picture, 'WEBP')).decode()}"
    return {"page": page, "image": address}


def _encoded(picture: Image.Image, form: str) -> bytes:
    picture.save(content := io.BytesIO(), form)
    return content.getvalue()


def _number(request: Request, name: str, most: int) -> int:
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most) or len(text) > 9:
        raise RefusedError(f"{name}: a whole number from 1 to {most:,}", param=name)
    return int(text)
