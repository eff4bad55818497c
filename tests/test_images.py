"""Every kind of source becomes the same plain RGB picture, every broken one a one-line `ImageError`."""

import io
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

from sphinx_x import images
from sphinx_x.errors import ImageError
from sphinx_x.images import image_size, open_image

WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)


@pytest.fixture(autouse=True)
def pillow_untouched():
    """No call may change Pillow's global settings."""
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    yield
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@pytest.fixture
def picture() -> Image.Image:
    """A picture of noise, 40 wide and 30 high, in RGB."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8))


def encode(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def refuse(source, *words: str, **options) -> None:
    """Expects an `ImageError` of one line that holds every one of the words."""
    with pytest.raises(ImageError) as caught:
        open_image(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims a size, with no pixels behind it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + body + struct.pack(">I", 10) + b"IDAT" + bytes(10)


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


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


# Orientation


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


# Frames and pages


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
def test_frames(kind):
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    data = encode(first, kind, save_all=True, append_images=[second])
    assert open_image(data).getpixel((3, 3)) == RED
    assert open_image(data, page=2).getpixel((3, 3)) == BLUE
    refuse(data, "no page 3", "2", page=3)


def test_pages_of_a_single_picture(picture):
    for source in (encode(picture), picture, np.asarray(picture)):
        refuse(source, "no page 2", page=2)
        refuse(source, "no page 0", page=0)


@pytest.fixture(scope="module")
def pdf() -> bytes:
    """Two pages of 72 x 36 points: one red, one blue."""
    red, blue = Image.new("RGB", (72, 36), RED), Image.new("RGB", (72, 36), BLUE)
    return encode(red, "PDF", resolution=72, save_all=True, append_images=[blue])


def test_pdf_pages(tmp_path, pdf):
    path = tmp_path / "named.png"
    path.write_bytes(pdf)
    for source in (path, pdf, b"\xef\xbb\xbf\n" + pdf):
        for page, colour in ((1, RED), (2, BLUE)):
            opened = open_image(source, page=page)
            assert opened.size == (150, 75)
            assert np.abs(np.subtract(opened.getpixel((70, 30)), colour)).max() < 4
    assert open_image(pdf, dpi=72).size == (72, 36)
    refuse(path, "named.png", "no page 3", page=3)


def test_pdf_dpi_and_size(pdf):
    for dpi in (0, -1, float("nan"), float("inf")):
        refuse(pdf, "dpi", dpi=dpi)
    refuse(pdf, "20000 x 10000", "limit", dpi=20_000)


@pytest.mark.parametrize("part", [0.01, 0.3])
def test_broken_pdf(tmp_path, pdf, part):
    path = tmp_path / "broken.pdf"
    path.write_bytes(pdf[: int(len(pdf) * part)])
    refuse(path, "broken.pdf", "broken PDF")


def test_encrypted_pdf(tmp_path):
    path = tmp_path / "secret.pdf"
    path.write_bytes(encrypted_pdf())
    refuse(path, "secret.pdf", "encrypted")


def encrypted_pdf() -> bytes:
    """The smallest PDF that asks for a password: its key entries are noise, so the empty password is wrong."""
    noise = "<" + "5a" * 32 + ">"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 72 72] >>",
        f"<< /Filter /Standard /V 1 /R 2 /O {noise} /U {noise} /P -4 >>",
    ]
    text, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(text))
        text += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = "<< /Size 5 /Root 1 0 R /Encrypt 4 0 R /ID [<00> <00>] >>"
    return f"{text}xref\n0 5\n0000000000 65535 f \n{table}trailer\n{trailer}\nstartxref\n{len(text)}\n%%EOF\n".encode()


def test_pdf_with_no_page():
    document = pypdfium2.PdfDocument.new()
    stream = io.BytesIO()
    document.save(stream)
    refuse(stream.getvalue(), "image bytes")


def test_pdf_from_many_threads(pdf):
    """pdfium itself crashes when two threads are in it."""
    found = []
    threads = [threading.Thread(target=lambda: found.extend(open_image(pdf).size for _ in range(10))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(150, 75)] * 40


def test_pdfium_is_entered_by_one_thread_only(pdf, monkeypatch):
    real = pypdfium2.PdfDocument

    def document(stream):
        assert images._pdfium_lock.locked()
        return real(stream)

    monkeypatch.setattr(pypdfium2, "PdfDocument", document)
    open_image(pdf)
    assert not images._pdfium_lock.locked()
