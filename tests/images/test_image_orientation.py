"""An image whose file gives an orientation is turned upright, in every format; its size is known from the header."""

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from pictures import BLUE, RED, encode, pixels
from sphinx_x import images
from sphinx_x.images import image_size, open_image


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation(orientation, kind):
    """A camera stores the picture turned and notes how; what is opened is upright, and stays so when opened again."""
    upright = Image.new("RGB", (48, 32), "white")
    upright.paste(RED, (0, 0, 16, 16))
    upright.paste(BLUE, (32, 0, 48, 16))
    turn = images._UPRIGHT.get(orientation)
    inverse = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    }
    stored = upright if turn is None else upright.transpose(inverse.get(turn, turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_image(encode(stored, kind, exif=exif))
    for image in (opened, open_image(opened)):
        assert image.size == (48, 32)
        assert np.abs(pixels(image).astype(int)[::8, ::8] - pixels(upright)[::8, ::8]).max() < 60
    again = open_image(Image.open(io.BytesIO(encode(stored, kind, exif=exif))))
    assert np.array_equal(again, opened)


def test_orientation_six_is_a_quarter_turn_clockwise():
    """Independent of Pillow's names: the standard says row 0 is the right-hand side."""
    stored = Image.fromarray(np.array([[RED, BLUE]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert pixels(open_image(encode(stored, exif=exif))).tolist() == [[list(RED)], [list(BLUE)]]
    exif[0x0112] = 8
    assert pixels(open_image(encode(stored, exif=exif))).tolist() == [[list(BLUE)], [list(RED)]]


def oriented(kind: str, orientation: object, told: str) -> bytes:
    """A picture file of 48 x 32 stored pixels that notes an orientation in EXIF, in XMP, or in both (EXIF counts)."""
    exif, xmp = Image.Exif(), f'<x:xmpmeta><rdf tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    exif[0x0112] = orientation
    notes: dict = {
        "exif": {"exif": exif},
        "xmp": {"xmp": xmp},
        "both": {"exif": exif, "xmp": xmp.replace(b'="', b'="1')},
    }
    stored, more = Image.new("RGB", (48, 32), RED), notes[told]
    if kind == "MPO":
        more = more | {"save_all": True, "append_images": [stored]}
    if kind == "PNG" and "xmp" in more:
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", more.pop("xmp").decode())
        more["pnginfo"] = text
    if kind == "TIFF" and told != "exif":  # Pillow writes the tag of XMP from tags alone
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[700], tags.tagtype[700] = more.pop("xmp"), 7
        if "exif" in more:
            tags[0x0112] = more.pop("exif")[0x0112]
        more["tiffinfo"] = tags
    return encode(stored, kind, **more)


ORIENTED = ["PNG", "JPEG", "MPO", "WEBP", "TIFF", "AVIF", "JPEG2000", "GIF", "BMP", "PPM", "ICO"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("told", ["exif", "xmp", "both"])
@pytest.mark.parametrize("kind", ORIENTED)
def test_the_size_of_the_head_is_the_decoded_size(tmp_path, kind, told, orientation):
    content = oriented(kind, orientation, told)
    size = image_size(content)
    assert size == open_image(content).size
    if kind in ORIENTED[:6]:  # Pillow writes no notes into the others
        assert size == ((32, 48) if orientation >= 5 else (48, 32))
    path = tmp_path / "a"
    path.write_bytes(content)
    assert image_size(path) == size == open_image(path).size


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "I;16", "RGB", "RGBA", "CMYK", "P"])
def test_a_tiff_of_any_mode_and_compression_has_one_size(mode, compression):
    if compression == "jpeg" and mode in ("1", "I;16", "RGBA", "P"):
        pytest.skip("JPEG has no such pixels")
    stored = Image.new(mode, (48, 32))
    for orientation in (1, 3, 5, 8):
        content = encode(stored, "TIFF", compression=compression, tiffinfo={0x0112: orientation})
        assert image_size(content) == open_image(content).size == ((32, 48) if orientation >= 5 else (48, 32))


def test_the_turned_tiff_of_the_shared_cases(shared_dir):
    path = shared_dir / "cases" / "images" / "turned-6.tif"
    assert image_size(path) == open_image(path).size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_does_not_exist_is_upright(kind, orientation):
    content = oriented(kind, orientation, "exif")
    assert image_size(content) == open_image(content).size == (48, 32)


def test_an_orientation_behind_the_pixels_of_a_png_is_seen():
    content = oriented("PNG", 6, "exif")
    at = content.index(b"eXIf") - 4
    chunk = content[at : at + 12 + int.from_bytes(content[at : at + 4])]
    end = content.index(b"IEND") - 4
    moved = content[:at] + content[at + len(chunk) : end] + chunk + content[end:]
    assert image_size(moved) == open_image(moved).size == (32, 48)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_matter(picture, kind):
    assert open_image(encode(picture, kind, exif=b"Exif\0\0XX nonsense")).size == picture.size
