"""Opening images safely: every kind of source becomes a plain RGB image or a one-line `ImageError`."""

from __future__ import annotations

import contextlib
import io
import math
import re
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeGuard, Union

import numpy as np
from PIL import Image

from sphinx_x.errors import DataError, ImageError, one_line

if TYPE_CHECKING:
    import torch

# Decoded, this many pixels are 300 MB of RGB. An A4 page at 600 dpi has 35 million, a large camera picture 60 million;
# anything larger is far more often a decompression bomb than a photo. The size is read from the header.
NO_PICTURE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises at files that are no pictures, or none that anybody should open."""
MAX_PIXELS = 100_000_000
RENDER_SECONDS = 60.0
"""Time that a page of a PDF may take to be drawn."""

# The image formats that are read. Pillow knows more, but some of those start other programs (EPS) or have no
# signature, so that a text file may pass for one (TGA).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "JPEG2000", "AVIF")

# EXIF orientation -> the transposition that turns the image upright.
_ORIENTATION = 0x0112
QUARTER_TURNS = (5, 6, 7, 8)  # width and height are swapped
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_pdfium_lock = threading.Lock()  # pdfium is not thread-safe

# The shapes and values of arrays and tensors that are images, in words.
_ARRAYS = (
    "(H, W), (H, W, 1), (H, W, 3), (H, W, 4), (1, H, W) or (3, H, W) of uint8, of uint16, or of floats from 0 to 1"
)
_OUTSIDE = 1e-3  # how far a float may lie outside 0..1: scaling an image overshoots in the last bits

Source = Union[str, Path, bytes, Image.Image, np.ndarray, "torch.Tensor"]


def open_image(source: Source, page: int = 1, dpi: float = 150) -> Image.Image:
    """Open an image as a new, fully loaded RGB image, upright and on white.

    The EXIF orientation is applied, transparency is put on white, and 16-bit values 0..65535 become 0..255. URLs are
    not fetched.

    Args:
        source: The path of a file, its bytes, a Pillow image, a NumPy array or a PyTorch tensor. Arrays and tensors are
            (H, W), (H, W, 1), (H, W, 3), (H, W, 4), (1, H, W) or (3, H, W), tensors (4, H, W) as well, of uint8, of
            uint16 (0..65535), or of floats from 0 to 1. Where both the first and the last axis could be the channels,
            an array has them last and a tensor first, as their libraries do.
        page: Number of a PDF's page or of a frame (TIFF, GIF), from 1; all other sources have page 1 only. A video
            gives its middle frame (see `video`, which needs the extra of that name).
        dpi: Resolution at which a PDF's page is rendered.

    Raises:
        ImageError: The source cannot be read or has more than `MAX_PIXELS` pixels; one line with the file's name.
    """
    name = source_name(source)
    if page < 1:
        raise ImageError(f"{name}: there is no page {page}, pages count from 1")
    if not (dpi > 0 and math.isfinite(dpi)):
        raise ImageError(f"{name}: dpi must be above 0, not {dpi}")
    try:
        if isinstance(source, Image.Image):
            return _single(source, name, page)
        if isinstance(source, np.ndarray) or _is_tensor(source):
            return _single(_from_array(source, name), name, page)
        if isinstance(source, bytes):
            return _open_stream(io.BytesIO(source), name, page, dpi)
        if isinstance(source, str | Path):
            with open_file(source, name) as stream:
                return _open_stream(stream, name, page, dpi)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, where it is lower or checked earlier
        pixels = re.search(r"\d+", str(error))
        raise _too_large(name, int(pixels[0]) if pixels else MAX_PIXELS) from error
    except Exception as error:  # decoders fed with broken files raise errors of nearly every kind
        raise ImageError(f"{name}: cannot be read, {one_line(error)}") from error
    raise ImageError(f"{name}: an image is a path, bytes, a Pillow image or an array")


def image_size(source: str | Path | bytes) -> tuple[int, int]:
    """Return the width and height that `open_image` would give, from the file's header alone; only a PNG is decoded.

    Raises:
        ImageError: As `open_image`, except for faults that only decoding shows, such as a truncated file.
    """
    return size_and_orientation(source)[0]


def check_places(size: tuple[int, int], orientation: int, told: tuple[int, int] | None) -> None:
    """Raise `DataError` for places in an image that its EXIF data turns, unless its annotations tell the turned size.

    Releases mostly have places in the pixels as they are stored; here all images are upright.

    Args:
        size: Width and height of the upright image.
        orientation: Its EXIF orientation.
        told: Width and height according to its annotations, if they tell.
    """
    shown = told == size and size[0] != size[1] and orientation in QUARTER_TURNS
    if orientation != 1 and not shown:
        raise DataError("image is turned by its EXIF data, and its places may not be")


def size_and_orientation(source: str | Path | bytes) -> tuple[tuple[int, int], int]:
    """Return what `image_size` does, and the EXIF orientation by which the image is turned upright.

    Orientations are 1 to 8; 1 is upright, and stands for what is broken or unknown.

    Raises:
        ImageError: As `image_size`.
    """
    name = source_name(source)
    try:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else open_file(source, name) as stream,
            Image.open(stream, formats=FORMATS) as image,
        ):
            check_size(name, image.size)
            if image.format == "PNG":  # its orientation may follow the pixels
                with contextlib.suppress(Exception):  # a truncated one still has a size
                    image.load()
            (width, height), orientation = _stored_size(image), _orientation(image)
            return (height, width) if orientation in QUARTER_TURNS else (width, height), orientation
    except ImageError:
        raise
    except Exception as error:  # as in `open_image`
        raise ImageError(f"{name}: cannot be read, {one_line(error)}") from error


def picture_size(source: Source) -> tuple[int, int]:
    """Return the width and height of the image that `open_image` makes of a source; mostly only the header is read.

    Raises:
        ImageError: As `open_image`, except for faults that only decoding shows, such as a truncated file.
    """
    if isinstance(source, str | Path | bytes):
        with contextlib.suppress(ImageError):
            return image_size(source)
    elif isinstance(source, Image.Image) and source.mode != "F" and _orientation(source) == 1:
        check_size(source_name(source), source.size)
        return source.size
    return open_image(source).size  # a PDF, a rotated image, an array; or `open_image` raises its own error


def source_name(source: Source) -> str:
    """Return how messages refer to a source: one line of at most some 200 characters."""
    if isinstance(source, str | Path):
        text = str(source)
        text = text if text.isprintable() else repr(text)
        return text if len(text) <= 200 else f"{text[:200]}..."
    if isinstance(source, bytes):
        return "image bytes"
    if isinstance(source, np.ndarray) or _is_tensor(source):
        return (
            f"{source.dtype} {'array' if isinstance(source, np.ndarray) else 'tensor'} of shape {tuple(source.shape)}"
        )
    return "Pillow image" if isinstance(source, Image.Image) else f"{type(source).__name__} object"


def _too_large(name: str, pixels: int, size: tuple[int, int] | None = None) -> ImageError:
    shape = f"{size[0]} x {size[1]} = " if size else ""
    return ImageError(f"{name}: {shape}{pixels:,} pixels are more than the limit of {MAX_PIXELS:,}")


def check_size(name: str, size: tuple[int, int]) -> None:
    """Raise `ImageError` for more than `MAX_PIXELS` pixels, and for none."""
    pixels = size[0] * size[1]
    if pixels > MAX_PIXELS:
        raise _too_large(name, pixels, size)
    if pixels < 1:
        raise ImageError(f"{name}: {size[0]} x {size[1]} pixels, there is nothing in it")


def _check_page(name: str, page: int, pages: int) -> None:
    if page > pages:
        raise ImageError(f"{name}: there is no page {page}, the last one is {pages}")


def open_file(source: str | Path, name: str) -> BinaryIO:
    """Open a regular file. Raises `ImageError` for anything else; name: the source's, in messages."""
    if re.match(r"https?:/", str(source), re.IGNORECASE):
        raise ImageError(f"{name}: addresses are not fetched; download the file and give its path")
    path = Path(source)
    if path.is_dir():
        raise ImageError(f"{name}: is a folder, not an image")
    if not path.exists():
        raise ImageError(f"{name}: no such file")
    if not path.is_file():  # reading a pipe or a device could take for ever
        raise ImageError(f"{name}: not a regular file")
    return path.open("rb")


def _open_stream(stream: BinaryIO, name: str, page: int, dpi: float) -> Image.Image:
    from sphinx_x import video  # which opens its frames with this module

    head = stream.read(1024)
    stream.seek(0)
    if not head:
        raise ImageError(f"{name}: is empty")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"%PDF-"):
        return _render_pdf(stream, name, page, dpi)
    if video.is_video(head):
        _check_page(name, page, 1)
        return video.middle_frame(stream, name)
    try:
        image = Image.open(stream, formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        known = f"not an image of a known kind ({kinds}, PDF or a video)"
        raise ImageError(f"{name}: {known}, or its head is broken") from error
    with image:
        if page > 1:  # frames are counted only on request, as that means reading the whole file
            _check_page(name, page, getattr(image, "n_frames", 1))
            image.seek(page - 1)
        return _finish(image, name)


def _single(image: Image.Image, name: str, page: int) -> Image.Image:
    """Return a Pillow image as it is: it counts as one image, at its current frame."""
    _check_page(name, page, 1)
    return _finish(image, name)


def _finish(image: Image.Image, name: str) -> Image.Image:
    """Check the size before anything is decoded, then make the new image; `image` stays as it is."""
    check_size(name, image.size)
    image.load()
    upright = _UPRIGHT.get(_orientation(image))
    rgb = _to_rgb(image if upright is None else image.transpose(upright), name)
    rgb.info = {}  # an orientation left here would be applied again if the result were opened once more
    return rgb


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of the pixels as stored, before they are turned upright.

    Before decoding, Pillow gives the upright size of a TIFF if the orientation is in its own tag, but not if it is only
    in XMP; so a TIFF's own width and height tags are read.
    """
    tags: Any = getattr(image, "tag_v2", None)
    return (tags[0x0100], tags[0x0101]) if tags else image.size


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; a broken or unknown one counts as upright."""
    with contextlib.suppress(Exception):  # broken EXIF data does not make a good image unreadable
        value = image.getexif().get(_ORIENTATION, 1)
        return value if value in _UPRIGHT else 1
    return 1


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F":
        raise ImageError(f"{name}: floating-point pixels have no fixed white; save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):  # 32-bit integers hold 16-bit values in practice
        eight_bits = np.rint(np.arange(65536) / 257).astype(np.uint8)
        return Image.fromarray(eight_bits[np.asarray(image).clip(0, 65535)]).convert("RGB")
    if image.has_transparency_data:
        # Pillow cannot convert premultiplied grey to RGBA
        colours = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")
    return image.convert("RGB")


def _is_tensor(source: object) -> TypeGuard[torch.Tensor]:
    """Return whether the source is a PyTorch tensor, without importing PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _from_array(source: np.ndarray | torch.Tensor, name: str) -> Image.Image:
    refused = ImageError(f"{name}: an image array is {_ARRAYS}")
    if isinstance(source, np.ndarray):
        array, first, last_wins = source, (1, 3), True
    else:
        plain = source.detach().cpu()
        # NumPy has no bfloat16
        array, first, last_wins = (plain.float() if plain.is_floating_point() else plain).numpy(), (1, 3, 4), False
    if array.ndim not in (2, 3):
        raise refused
    if array.ndim == 3:
        at_end, in_front = array.shape[2] in (1, 3, 4), array.shape[0] in first
        if not (at_end or in_front):
            raise refused
        if in_front and not (at_end and last_wins):
            array = np.moveaxis(array, 0, 2)
        array = array[..., 0] if array.shape[2] == 1 else array
    check_size(name, (array.shape[1], array.shape[0]))
    return Image.fromarray(np.ascontiguousarray(_eight_bits(array, refused)))


def _eight_bits(array: np.ndarray, refused: ImageError) -> np.ndarray:
    """Return the values of an array as 0..255; raise `refused` for types without a fixed white."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return np.rint(array / np.float32(257)).astype(np.uint8)
    if array.dtype.kind != "f" or not (array.min() >= -_OUTSIDE and array.max() <= 1 + _OUTSIDE):  # or NaN
        raise refused
    return np.rint(array.clip(0, 1) * 255).astype(np.uint8)


def _render_pdf(stream: BinaryIO, name: str, page: int, dpi: float) -> Image.Image:
    import pypdfium2

    with _pdfium_lock, contextlib.ExitStack() as stack:
        document = _open_pdf(stream, name, stack)
        _check_page(name, page, len(document))
        document.init_forms()  # so that filled-in form fields are rendered
        sheet = document[page - 1]
        stack.callback(sheet.close)
        scale = dpi / 72  # PDF units are points, 72 per inch
        width, height = sheet.get_size()
        size = (math.ceil(width * scale), math.ceil(height * scale))
        check_size(name, size)
        bitmap = pypdfium2.PdfBitmap.new_native(*size, pypdfium2.raw.FPDFBitmap_BGR)
        stack.callback(bitmap.close)
        _draw_page(sheet, bitmap, name)
        return bitmap.to_pil().convert("RGB")  # a copy, as the bitmap's memory is freed here


def _draw_page(sheet: Any, bitmap: Any, name: str) -> None:
    """Draw a page of a PDF as `sheet.render` does, but for so long only.

    Raises:
        ImageError: It takes too long: 17 kB can hold half a million lines across the whole page.
    """
    from pypdfium2 import raw

    bitmap.fill_rect((255, 255, 255, 255), 0, 0, bitmap.width, bitmap.height)
    end = time.monotonic() + RENDER_SECONDS
    pause = raw.IFSDK_PAUSE(version=1)
    fields: Any = raw.IFSDK_PAUSE._fields_
    is_late = dict(fields)["NeedToPauseNow"](lambda _: time.monotonic() > end)
    pause.NeedToPauseNow = is_late
    what = (bitmap, sheet, 0, 0, bitmap.width, bitmap.height, 0, raw.FPDF_ANNOT)
    status = raw.FPDF_RenderPageBitmap_Start(*what, pause)
    raw.FPDF_RenderPage_Close(sheet)
    if status == raw.FPDF_RENDER_TOBECONTINUED:
        raise ImageError(f"{name}: the page takes longer than {RENDER_SECONDS:g} seconds to draw")
    if sheet.formenv:
        raw.FPDF_FFLDraw(sheet.formenv, *what)


def count_pages(content: bytes) -> int:
    """Return the number of pages of a PDF.

    Raises:
        ImageError: It is broken, encrypted, or no PDF.
    """
    with _pdfium_lock, contextlib.ExitStack() as stack:
        return len(_open_pdf(io.BytesIO(content), "PDF", stack))


def _open_pdf(stream: BinaryIO, name: str, stack: contextlib.ExitStack) -> Any:
    """Open a document until `stack` is closed; the caller holds pdfium's lock."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(stream)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise ImageError(f"{name}: the PDF is encrypted, save it without a password") from error
        raise ImageError(f"{name}: broken PDF, {one_line(error)}") from error
    stack.callback(document.close)
    return document
