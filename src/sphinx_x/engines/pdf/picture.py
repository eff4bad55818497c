"""The picture of a page, grey unless it has colour, and the mapping from its points to pixels."""

from __future__ import annotations

import ctypes

import numpy as np
import pypdfium2 as pdfium
from PIL import Image

from sphinx_x.engines.pdf.text_layer import Frame
from sphinx_x.engines.pdf.tuned import LEAST_PIXELS, PAGE_COLOUR, PAGE_SIDES, STRIP_OF_PICTURE
from sphinx_x.sources.base import UnusedError


def scale_for(page: pdfium.PdfPage, long_edge: int) -> float:
    """Return the pixels per point that make the longer side of a page `long_edge` pixels.

    Raises:
        UnusedError: The page has an odd size.
    """
    width, height = page.get_size()
    if not all(PAGE_SIDES[0] <= side <= PAGE_SIDES[1] for side in (width, height)):
        raise UnusedError(f"page of an odd size: {width:.0f} x {height:.0f} points")
    scale = (long_edge - 1e-3) / max(width, height)
    if min(width, height) * scale < LEAST_PIXELS:
        raise UnusedError(f"page of an odd size: {width:.0f} x {height:.0f} points")
    return scale


def render(page: pdfium.PdfPage, scale: float) -> tuple[Image.Image, Frame]:
    """Return the picture of a page at `scale` pixels per point, and the mapping from its points to pixels."""
    bitmap = page.render(  # pyright: ignore[reportArgumentType]
        scale=scale,  # pyright: ignore[reportArgumentType]
        rev_byteorder=True,
        prefer_bgrx=True,
        bitmap_maker=_bitmap,
    )
    image = _greyed(bitmap)
    bitmap.close()
    left, bottom, right, top = page.get_bbox()
    return image, Frame((left, bottom, right, top), page.get_rotation() // 90, *image.size)


_memory = bytearray()
"""Memory that is reused for the pixels of each page: the system provides new memory more slowly than pages are drawn.
"""


def _bitmap(width: int, height: int, format: int, rev_byteorder: bool) -> pdfium.PdfBitmap:
    """Return a bitmap that is valid until the next call."""
    global _memory
    size = width * height * 4
    if len(_memory) < size:
        _memory = bytearray(size)
    pixels = (ctypes.c_ubyte * size).from_buffer(_memory)
    return pdfium.PdfBitmap.new_native(width, height, format, rev_byteorder, pixels)


def _greyed(bitmap: pdfium.PdfBitmap) -> Image.Image:
    """Copy a picture of red, green, blue and an unused byte: as one channel if no colour can be seen, else as three.

    Most pages are exactly grey; comparing the bytes of whole pixels is the fastest way to see it.
    """
    pixels = bitmap.to_numpy()
    whole = pixels.view("<u4")[..., 0]
    unlike = np.empty((STRIP_OF_PICTURE, whole.shape[1]), whole.dtype)
    for top in range(0, len(whole), STRIP_OF_PICTURE):
        strip = whole[top : top + STRIP_OF_PICTURE]
        apart = unlike[: len(strip)]
        np.right_shift(strip, 8, out=apart)
        np.bitwise_xor(apart, strip, out=apart)
        if np.bitwise_or.reduce(apart, axis=None) & 0xFFFF:
            channels = pixels[top : top + STRIP_OF_PICTURE][apart & 0xFFFF != 0].astype(np.int16)
            if np.abs(channels[:, 1:3] - channels[:, :1]).max() > PAGE_COLOUR:
                return Image.frombytes("RGB", (bitmap.width, bitmap.height), pixels, "raw", "RGBX")
    return bitmap.to_pil().getchannel(0)
