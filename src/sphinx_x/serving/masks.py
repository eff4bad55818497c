"""Masks of boxes: the route `/v1/masks`, for those who start the server with a SAM model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sphinx_x.boxes import Box, clip
from sphinx_x.serving.bodies import read_body
from sphinx_x.serving.limits import Places, RefusedError, read_json
from sphinx_x.serving.media import open_images, read_bytes
from sphinx_x.serving.requests import ImageURL, check_name, refused
from sphinx_x.serving.settings import Settings
from sphinx_x.serving.streams import GoneError, until_gone

if TYPE_CHECKING:
    from sphinx_x.engines.som.sam import BoxMasks

MOST = 64
"""Number of boxes of a request."""
WAITING = 8
"""Number of requests that may wait while one is answered: the model sees one image at a time."""

Corners = Annotated[list[float], Field(min_length=4, max_length=4)]


class MaskRequest(BaseModel):
    """The body of a request for masks.

    Attributes:
        model: Name of the model of this server, as everywhere in the API.
        image_url: Where the image is.
        boxes: Boxes (x1, y1, x2, y2) in its pixels.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    image_url: ImageURL
    boxes: Annotated[list[Corners], Field(min_length=1, max_length=MOST)]


class MaskRoute:
    """The route that answers with masks, or says that there is no model for them.

    Attributes:
        places: Places for requests.
    """

    def __init__(self, settings: Settings, device: Any = "cpu") -> None:
        """Load the model that the settings name, if any.

        Args:
            settings: The settings.
            device: Where it runs.

        Raises:
            CheckpointError: It cannot be loaded, or is no SAM.
        """
        self._masks: BoxMasks | None = None
        self._settings = settings
        if settings.sam is not None:
            from sphinx_x.engines.som.sam import BoxMasks

            self._masks = BoxMasks(settings.sam, device)
        self.places = Places(1 + WAITING, 1)
        self._working: anyio.CapacityLimiter | None = None

    async def answer(self, request: Request) -> Response:
        """Answer a request for masks."""
        if self._masks is None:
            raise RefusedError("masks: this server has no SAM model; start it with --sam", 404, code="unsupported")
        self.places.take()
        began = time.monotonic()
        try:
            body = await read_body(request, self._settings)
            if self._working is None:  # it belongs to a loop
                self._working = anyio.CapacityLimiter(1)
            work = anyio.to_thread.run_sync(_answer, self._masks, body, self._settings, limiter=self._working)
            return JSONResponse(await until_gone(work, request.receive))
        except GoneError:
            return Response(status_code=499)  # nobody reads it
        finally:
            self.places.leave(time.monotonic() - began)


def _answer(masks: BoxMasks, body: bytes, settings: Settings) -> dict[str, Any]:
    """Read a request and its image, and return its masks; runs in a thread."""
    try:
        asked = MaskRequest.model_validate(read_json(body, settings.depth))
    except ValidationError as error:
        raise refused(error) from None
    check_name(asked.model, settings)
    content = read_bytes(asked.image_url.url, settings)
    (image,) = open_images([content], [asked.image_url.page], settings)
    found = masks(image, _within(asked.boxes, image))
    written = [
        {"size": [rle.height, rle.width], "counts": list(rle.counts), "score": round(score, 4)} for rle, score in found
    ]
    return {"object": "list", "model": masks.name, "width": image.width, "height": image.height, "data": written}


def _within(boxes: Sequence[Sequence[float]], image: Image.Image) -> list[Box]:
    """Return the parts of boxes that lie in an image.

    Raises:
        RefusedError: Nothing of one lies there, or its corners are turned over.
    """
    inside: list[Box] = []
    for number, box in enumerate(boxes):
        left, top, right, bottom = clip(tuple(map(float, box)), image.size)
        if left >= right or top >= bottom:
            what = f"nothing of {list(box)} lies in the image of {image.width} x {image.height} pixels"
            raise RefusedError(f"boxes.{number}: {what}", param=f"boxes.{number}")
        inside.append((left, top, right, bottom))
    return inside
