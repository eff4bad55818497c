"""Every kind of source becomes the same plain RGB image; every broken one raises a one-line `ImageError`."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictures import BLUE, RED, WHITE, encode, pixels, refuse
from sphinx_x import images
from sphinx_x.images import open_image


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims a size, with no pixels behind it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + body + struct.pack(">I", 10) + b"IDAT" + bytes(10)


# Sources


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_the_same_pixels_from_path_text_and_bytes(tmp_path, picture, kind):
    path = tmp_path / "picture.anything"
    path.write_bytes(encode(picture, kind))
    for source in (path, str(path), path.read_bytes()):
        assert np.array_equal(pixels(open_image(source)), picture)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "ICO", "JPEG2000", "AVIF"])
def test_lossy_kinds_open(picture, kind):
    smooth = Image.new("RGB", (64, 48), (200, 30, 60))
    opened = pixels(open_image(encode(smooth, kind))).astype(int)
    assert np.abs(opened - (200, 30, 60)).max() < 12


def test_pillow_image_gives_a_new_picture(picture):
    opened = open_image(picture)
    assert np.array_equal(pixels(opened), picture)
    opened.putpixel((0, 0), (1, 2, 3))
    assert picture.getpixel((0, 0)) != (1, 2, 3)


def test_result_outlives_its_file(tmp_path, picture):
    path = tmp_path / "a.png"
    picture.save(path)
    opened = open_image(path)
    path.unlink()
    assert opened.resize((5, 5)).size == (5, 5)


def test_arrays(picture):
    array = np.asarray(picture)
    assert np.array_equal(pixels(open_image(array)), array)
    assert np.array_equal(pixels(open_image(array[::-1, ::2])), array[::-1, ::2])
    assert np.array_equal(pixels(open_image(array[..., 0])), np.repeat(array[..., :1], 3, axis=2))
    alpha = np.zeros((2, 1, 4), np.uint8)
    alpha[1] = (255, 0, 0, 255)
    assert pixels(open_image(alpha)).tolist() == [[list(WHITE)], [list(RED)]]


@pytest.mark.parametrize(
    "array",
    [
        np.full((4, 4, 3), 255, np.float32),
        np.full((4, 4), np.nan),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4), bool),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((3, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    refuse(array, str(array.dtype), str(array.shape))


@pytest.mark.parametrize("kind", ["array", "tensor"])
@pytest.mark.parametrize("numbers", ["uint8", "uint16", "float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", ["HW", "HW1", "1HW", "HW3", "3HW"])
def test_shapes_and_numbers_of_arrays_and_tensors(picture, shape, numbers, kind):
    """Whatever the layout and the numbers, the picture is the one that the 8-bit values say."""
    import torch

    array = np.asarray(picture)
    if "3" not in shape:
        array = array[..., :1]
    wanted = np.broadcast_to(array, (30, 40, 3))
    array = {"HW": array[..., 0], "1HW": array.transpose(2, 0, 1), "3HW": array.transpose(2, 0, 1)}.get(shape, array)
    if numbers == "bfloat16" and kind == "array":
        pytest.skip("NumPy has no bfloat16")
    if numbers == "uint8":
        values = array
    elif numbers == "uint16":
        values = array.astype(np.uint16) * 257
    else:
        values = (array / 255).astype("float32" if numbers == "bfloat16" else numbers)
    source = values if kind == "array" else torch.from_numpy(values.copy()).to(getattr(torch, numbers))
    difference = np.abs(pixels(open_image(source)).astype(int) - wanted).max()
    assert difference <= (1 if numbers == "bfloat16" else 0)  # it has 8 bits of precision


def test_where_both_ends_could_be_channels_each_library_has_its_own_way():
    import torch

    array = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert np.array_equal(pixels(open_image(array)), array)
    assert np.array_equal(pixels(open_image(torch.from_numpy(array))), array.transpose(1, 2, 0))


def test_floats_that_scaling_overshot_are_white_and_black():
    assert pixels(open_image(np.array([[-1e-6, 1 + 1e-6]])))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("source", [None, 3, ["a.png"]])
def test_other_types_are_refused(source):
    refuse(source, type(source).__name__)


@pytest.mark.parametrize("address", ["http://example.org/a.png", "HTTPS://example.org/a.png"])
def test_addresses_are_refused(address):
    refuse(address, address, "not fetched")
    refuse(Path(address), "not fetched")


def test_one_pixel():
    assert open_image(encode(Image.new("RGB", (1, 1), RED))).getpixel((0, 0)) == RED


# Broken files


def test_missing_folder_empty_text(tmp_path):
    refuse(tmp_path / "none.png", "none.png", "no such file")
    refuse(tmp_path, str(tmp_path), "folder")
    empty, text = tmp_path / "empty.png", tmp_path / "text.png"
    empty.touch()
    text.write_text("This is no picture.\n" * 50)
    refuse(empty, "empty.png", "is empty")
    refuse(b"", "image bytes", "is empty")
    refuse(text, "text.png", "not an image")


def test_odd_names_stay_on_one_line(tmp_path):
    refuse("no\nsuch.png", "no such file")
    refuse("a\0b.png")
    refuse("x" * 5000, "xxx...")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_refused_at_once(tmp_path):
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    filled = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # so that a wrong reader finds bytes and does not hang
    os.write(filled, b"x" * 2000)
    refuse(path, "pipe.png", "not a regular file")
    os.close(filled)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "AVIF"])
@pytest.mark.parametrize("part", [0.03, 0.5])
def test_truncated(tmp_path, picture, kind, part):
    whole = encode(picture.resize((200, 160)), kind)
    path = tmp_path / "cut.png"
    path.write_bytes(whole[: max(4, int(len(whole) * part))])
    refuse(path, "cut.png")


def test_bytes_flipped_in_a_png(picture):
    whole = bytearray(encode(picture))
    whole[len(whole) // 2] ^= 0xFF
    refuse(bytes(whole), "image bytes")


def test_other_programs_are_never_started(tmp_path):
    """EPS is what Pillow hands to ghostscript."""
    path = tmp_path / "a.png"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    refuse(path, "not an image")


# Size


def test_too_many_pixels_is_seen_in_the_header(monkeypatch):
    refuse(png_header(12_000, 10_000), "12000 x 10000", "120,000,000", "100,000,000")
    refuse(png_header(100_000, 100_000), "10,000,000,000", "100,000,000")  # Pillow's own check comes first
    monkeypatch.setattr(images, "MAX_PIXELS", 1200)
    assert open_image(np.zeros((30, 40, 3), np.uint8)).size == (40, 30)
    for source in (Image.new("1", (41, 30)), np.zeros((30, 41), np.uint8), encode(Image.new("1", (41, 30)))):
        refuse(source, "41 x 30", "1,230", "1,200")


def test_empty_picture():
    refuse(Image.new("RGB", (0, 5)), "0 x 5")


# Colours


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("RGBA", "WEBP"), ("LA", "PNG")])
def test_alpha_on_white(mode, kind):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 128))
    opened = open_image(encode(image.convert(mode), kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert opened.getpixel((0, 0)) == WHITE
    assert opened.getpixel((1, 0)) == (127, 127, 127)


def test_palette_with_and_without_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    assert [open_image(encode(image)).getpixel((x, 0)) for x in (0, 1)] == [RED, BLUE]
    transparent = encode(image, transparency=0)
    assert [open_image(transparent).getpixel((x, 0)) for x in (0, 1)] == [WHITE, BLUE]
    half = open_image(encode(image, transparency=bytes([255, 0])))
    assert [half.getpixel((x, 0)) for x in (0, 1)] == [RED, WHITE]


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (255, 0, 0)), ("L", 7)])
def test_one_transparent_colour(mode, colour):
    image = Image.new(mode, (1, 1), colour)
    assert open_image(encode(image, transparency=colour)).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert np.abs(pixels(open_image(encode(red, kind))).astype(int) - RED).max() < 4


def test_one_bit():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert pixels(open_image(encode(image))).tolist() == [[[0] * 3, [255] * 3]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits(kind):
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    wanted = [0, 0, 1, 1, 128, 255]
    assert pixels(open_image(encode(Image.fromarray(values), kind)))[0, :, 1].tolist() == wanted


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I"])
def test_sixteen_bit_pillow_modes(mode):
    order = {"I;16B": ">u2", "I": "<i4"}.get(mode, "<u2")
    data = np.array([0, 257 * 100, 65535], order).tobytes()
    raw = Image.frombytes(mode, (3, 1), data) if mode != "I" else Image.frombytes("I", (3, 1), data, "raw", "I;32S")
    assert pixels(open_image(raw))[0, :, 0].tolist() == [0, 100, 255]


def test_wide_integers_are_clipped():
    assert pixels(open_image(Image.fromarray(np.array([[-5, 70_000]], np.int32))))[0, :, 0].tolist() == [0, 255]


def test_sixteen_bit_tiff_of_the_other_byte_order():
    values = np.array([[0, 25700, 65535]], ">u2")
    assert pixels(open_image(encode(Image.fromarray(values), "TIFF")))[0, :, 0].tolist() == [0, 100, 255]


def test_floating_point_is_refused():
    refuse(Image.new("F", (2, 2)), "floating-point")
