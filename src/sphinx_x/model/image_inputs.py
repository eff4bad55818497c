"""Images as users of the library pass them: opened as `open_image` does, and assigned to their texts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
from PIL import Image

from sphinx_x.errors import ImageError, PromptError, one_line
from sphinx_x.images import open_image

CHANNELS = {"channels_first": 0, "channels_last": -1}
SECONDS = 30
"""Timeout for fetching a URL."""


def open_images(images: Any, channels: Any = None) -> Any:
    """Open a source, or every source in a nested list, keeping the nesting.

    Args:
        images: Anything `open_image` takes and, as in the library's processors, a URL, a `data:` URI, base64, or an
            array or tensor with four axes, which is a list of images.
        channels: `channels_first` or `channels_last`, or the library's constants for these, where arrays and tensors
            are not to be taken as `open_image` takes them.

    Raises:
        ImageError: A source is not an image.
    """
    if isinstance(images, (list, tuple)):
        by_text = any(isinstance(image, (list, tuple)) for image in images)  # where None means a text without images
        return [[] if by_text and image is None else open_images(image, channels) for image in images]
    if isinstance(images, str):
        return open_image(_content(images))
    axes = getattr(images, "ndim", 0)
    if axes == 4:
        return [open_images(image, channels) for image in images]
    if axes == 3 and channels is not None:
        channels = getattr(channels, "value", channels)
        if channels not in CHANNELS:
            raise ImageError(f"input_data_format is channels_first or channels_last, not {channels!r}")
        # an array has its channels last where both ends are possible
        return open_image(np.moveaxis(np.asarray(images), CHANNELS[channels], -1))
    return open_image(images)


def _content(text: str) -> str | bytes:
    """Return the bytes that a text encodes or points to; a path is returned as it is."""
    if text.startswith(("http://", "https://")):
        try:
            with urlopen(text, timeout=SECONDS) as answer:
                return answer.read()
        except (OSError, HTTPException, ValueError) as error:
            raise ImageError(f"{text[:200]}: cannot be fetched, {one_line(error)}") from error
    if text.startswith("data:"):
        head, _, body = text.partition(",")
        if not head.endswith(";base64"):
            raise ImageError(f"{head[:100]}: of `data:` URIs only those with base64 are read")
        return _decoded(body, head)
    try:
        is_file = Path(text).exists()
    except (OSError, ValueError):  # too long for a file name
        is_file = False
    # anything shorter is not an image but the name of a missing file
    return text if is_file or len(text) < 64 or "." in text else _decoded(text, text)


def _decoded(body: str, name: str) -> bytes:
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        shown = name if len(name) <= 60 else f"{name[:60]}..."
        raise ImageError(f"{shown!r}: neither a file nor base64, {one_line(error)}") from error


def by_row(images: Any, placeholders: Sequence[int]) -> list[Image.Image]:
    """Put opened images into one list, in the order of the texts that they belong to.

    Args:
        images: One image, a list of images for all texts together, or a list of lists, one for each text.
        placeholders: Number of placeholders in each text.

    Raises:
        PromptError: A text has another number of placeholders than images.
    """
    many = images if isinstance(images, list) else [images]
    rows = [image for image in many if isinstance(image, list)]
    if rows and len(rows) < len(many):
        raise PromptError("images: a list of images, or a list of lists, one for each text; this is a mixture of both")
    if not rows:
        if sum(placeholders) != len(many):
            raise PromptError(f"images: {len(many)}, but the texts have {sum(placeholders)} placeholders")
        return many
    if len(rows) != len(placeholders):
        raise PromptError(f"images: {len(rows)} lists, but there are {len(placeholders)} texts")
    for number, (row, wanted) in enumerate(zip(rows, placeholders, strict=True)):
        if len(row) != wanted:
            raise PromptError(f"images: {len(row)} for text {number}, which has {wanted} placeholders")
    return [image for row in rows for image in row]


def flat(images: Any) -> list[Image.Image]:
    """Put opened images into one list, however they are nested."""
    return [one for image in images for one in flat(image)] if isinstance(images, list) else [images]
