"""The images of a request: from an address to an opened picture, within the limits.

Data addresses are always taken. Files and remote addresses are taken only from the folders and hosts that the server
was started with.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image

from sphinx_x.errors import ImageError
from sphinx_x.images import FORMATS, open_image
from sphinx_x.serving.fetching import fetch
from sphinx_x.serving.limits import RefusedError
from sphinx_x.serving.settings import Settings

DATA = re.compile(
    r"data:(image/[\w.+-]{1,60}|application/pdf)((?:;[\w-]{1,60}=[^;,]{0,60}){0,3});base64,", re.IGNORECASE
)


def open_images(contents: Sequence[bytes], pages: Sequence[int], settings: Settings) -> list[Image.Image]:
    """Open the images of a request.

    Args:
        contents: Their bytes.
        pages: Page of a PDF or frame of each, from 1.
        settings: The limits.

    Raises:
        RefusedError: One has more pixels than allowed, or all together have.
        ImageError: One is not an image.
    """
    opened: list[Image.Image] = []
    left = settings.all_pixels
    for content, page in zip(contents, pages, strict=True):
        _check_pixels(content, min(settings.pixels, left), page)
        image = open_image(content, page=page)
        pixels = image.width * image.height
        if pixels > min(settings.pixels, left):  # a PDF, whose pixels are known once it is opened
            raise _too_large(image.size, min(settings.pixels, left))
        left -= pixels
        opened.append(image)
    return opened


def read_bytes(url: str, settings: Settings) -> bytes:
    """Return the bytes at an address.

    Args:
        url: The address.
        settings: The limits, and from where images may come.

    Raises:
        RefusedError: The address is not allowed, cannot be read, or has more bytes than allowed.
    """
    scheme = url[:10].split(":")[0].lower()
    if scheme == "data":
        return _from_data(url, settings.image_bytes)
    if scheme in ("http", "https"):
        if not settings.media_hosts:
            raise _refused("this server fetches no images: send them as data addresses")
        return fetch(url, settings)
    if scheme == "file":
        return _from_file(url, settings)
    raise _refused("not a data, http, https or file address")


def _from_data(url: str, most: int) -> bytes:
    head = DATA.match(url[:400])
    if head is None:
        raise _refused("a data address is data:image/...;base64,... (or application/pdf)")
    text = url[head.end() :]
    if len(text) // 4 * 3 > most + 2:
        raise _refused(f"more than {most:,} bytes", 413)
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _refused("the data address is not base64") from None
    if len(content) > most:
        raise _refused(f"more than {most:,} bytes", 413)
    return content


def _from_file(url: str, settings: Settings) -> bytes:
    # one message for all that is not allowed: what lies elsewhere, or whether it does, is nobody's business
    outside = _refused("not in a folder that this server may read")
    try:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise outside
        path = Path(unquote(parts.path, errors="strict"))
        if not path.is_absolute():
            raise outside
        real = path.resolve(strict=True)
        if not any(real.is_relative_to(folder.resolve()) for folder in settings.media_folders):
            raise outside
        # not another link by now, and no pipe that blocks
        opened = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise outside
            content = stream.read(settings.image_bytes + 1)
    except (OSError, ValueError, RuntimeError):  # a loop of links, a null character, half a character
        raise outside from None
    if len(content) > settings.image_bytes:
        raise _refused(f"more than {settings.image_bytes:,} bytes", 413)
    return content


MOST_FRAME_PIXELS = 1_000_000_000
"""Most pixels of all frames up to the one that is asked for: each is drawn over the one before."""


def _check_pixels(content: bytes, most: int, page: int) -> None:
    """Check the size that an image's head tells, before anything is decoded."""
    if content[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"%PDF-"):
        return
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            size = image.size
    except Image.DecompressionBombError:
        raise _refused(f"more than {most:,} pixels", 413) from None
    except Exception as error:  # decoders fed with broken files raise errors of nearly every kind
        raise ImageError("image_url: not an image of a known kind, or its head is broken") from error
    if size[0] * size[1] > most:
        raise _too_large(size, most)
    if page * size[0] * size[1] > MOST_FRAME_PIXELS:
        raise _refused(f"page {page}: the frames up to it have more than {MOST_FRAME_PIXELS:,} pixels", 413)


def _too_large(size: tuple[int, int], most: int) -> RefusedError:
    return _refused(f"{size[0]} x {size[1]} pixels are more than the limit of {most:,}", 413)


def _refused(what: str, status: int = 400) -> RefusedError:
    return RefusedError(f"image_url: {what}", status, "image_url", "image_not_allowed")
