"""The library's processor sees the pixels of `open_image`, and gives every text its own images."""

import base64
import io
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image

from sphinx_x.errors import ImageError, PromptError
from sphinx_x.images import open_image

SIZE = (64, 16)  # a view of the tiny member, where it is neither scaled nor padded
MODES = [
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "CMYK",
    "YCbCr",
    "HSV",
    "I",
    "I;16",
    "I;16L",
    "I;16B",
    "La",
    "RGBa",
]
FILES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "I;16B"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "GIF": ("L", "P", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "PPM": ("1", "L", "RGB", "I;16"),
    "JPEG2000": ("L", "RGB", "RGBA"),
    "ICO": ("RGBA",),
}


def made(mode: str, seed: int = 0) -> Image.Image:
    """Noise of a mode, with all values that the mode has."""
    random = np.random.default_rng(seed)
    if mode in ("I", "I;16", "I;16L", "I;16B"):
        values = random.integers(0, 65536, SIZE[::-1])
        order = {"I": "<i4", "I;16B": ">u2"}.get(mode, "<u2")
        raw = ("raw", "I;32S") if mode == "I" else ()
        return Image.frombytes(mode, SIZE, values.astype(order).tobytes(), *raw)
    colours = Image.fromarray(random.integers(0, 256, (*SIZE[::-1], 4), dtype=np.uint8), "RGBA")
    if mode == "La":
        return colours.convert("LA").convert("La")
    if mode in ("PA", "LA", "RGBa"):
        return colours.convert(mode)
    if mode == "RGBA":
        return colours
    if mode == "P":
        image = colours.convert("RGB").quantize(16)
        image.info["transparency"] = 3
        return image
    return colours.convert("RGB").convert(mode)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    if image.mode == "P" and kind in ("PNG", "GIF"):
        options["transparency"] = image.info["transparency"]
    image.save(stream, kind, **options)
    return stream.getvalue()


def seen(processor, images, **options) -> np.ndarray:
    """The pixels that the model gets of one image that fills a view: (16, 64, 3), 0 to 255."""
    views = processor.image_processor(images, return_tensors="np", **options)["pixel_values"]
    assert views.shape == (1, 3, 16, 64)
    return np.rint(views[0].transpose(1, 2, 0) * 255).astype(np.uint8)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow(tiny, mode):
    image = made(mode)
    wanted = np.asarray(open_image(image))
    assert np.array_equal(seen(tiny.processor, image), wanted)
    assert len(np.unique(wanted)) > 1  # neither all white nor all black


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in FILES.items() for mode in modes])
def test_every_kind_of_file_however_it_is_handed_over(tiny, tmp_path, kind, mode):
    content = encode(made(mode), kind, **({"sizes": [SIZE]} if kind == "ICO" else {}))
    wanted = np.asarray(open_image(content))
    path = tmp_path / "picture"
    path.write_bytes(content)
    text = base64.b64encode(content).decode()
    for source in (Image.open(path), path, str(path), content, f"data:image/any;base64,{text}"):
        assert np.array_equal(seen(tiny.processor, [source]), wanted)
    asked = tiny.processor(text="<image>a", images=[Image.open(path)], return_tensors="np")["pixel_values"]
    assert np.array_equal(np.rint(asked[0].transpose(1, 2, 0) * 255), wanted)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_a_turned_file_is_upright(tiny, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = made("RGB").resize((16, 64) if orientation >= 5 else (64, 16))
    content = encode(stored, kind, exif=exif)
    assert np.array_equal(seen(tiny.processor, Image.open(io.BytesIO(content))), np.asarray(open_image(content)))


def test_addresses_are_fetched_as_the_library_does(tiny, tmp_path):
    (tmp_path / "a.png").write_bytes(encode(made("I;16"), "PNG"))
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        assert np.array_equal(seen(tiny.processor, f"{place}/a.png"), np.asarray(open_image(tmp_path / "a.png")))
        with pytest.raises(ImageError, match=r"b\.png: cannot be fetched, HTTP Error 404"):
            tiny.processor.image_processor(f"{place}/b.png")
        server.shutdown()


def test_sixteen_bits_by_hand(tiny):
    """Not by the code that is tested: 0, 100/255, 1 are 0, 25700 and 65535."""
    values = np.tile(np.array([0, 25700, 65535, 128], np.uint16), (16, 16))
    wanted = np.tile(np.array([0, 100, 255, 0], np.uint8), (16, 16))
    for source in (Image.fromarray(values), values, torch.from_numpy(values.astype(np.int32)).to(torch.uint16)):
        assert np.array_equal(seen(tiny.processor, source)[..., 1], wanted)


@pytest.mark.parametrize("shape", ["HW", "HW1", "HW3", "3HW", "1HW", "N3HW", "NHW3"])
@pytest.mark.parametrize("numbers", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("tensor", [False, True])
def test_arrays_and_tensors(tiny, shape, numbers, tensor):
    array = np.asarray(made("RGB"))
    array = array if "3" in shape else array[..., :1]
    wanted = np.broadcast_to(array, (16, 64, 3))
    array = array.transpose(2, 0, 1) if shape in ("3HW", "1HW", "N3HW") else array
    array = array[..., 0] if shape == "HW" else array[None] if shape[0] == "N" else array
    array = {"uint8": array, "uint16": array * np.uint16(257), "float32": array / np.float32(255)}[numbers]
    source = torch.from_numpy(array.copy()) if tensor else array
    assert np.array_equal(seen(tiny.processor, source), wanted)


def test_channels_can_be_said(tiny):
    array = np.asarray(made("RGB"))
    assert np.array_equal(seen(tiny.processor, array, input_data_format="channels_last"), array)
    first = array.transpose(2, 0, 1)
    assert np.array_equal(seen(tiny.processor, torch.tensor(first), input_data_format="channels_first"), array)
    asked = tiny.processor(text="<image>", images=first, input_data_format="channels_first", return_tensors="np")
    assert np.array_equal(np.rint(asked["pixel_values"][0] * 255), first)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (np.zeros((16, 64), np.int64), "int64 array of shape (16, 64): an image array is"),
        (torch.full((3, 16, 64), 255.0), "torch.float32 tensor of shape (3, 16, 64): an image array is"),
        (np.zeros((2, 16, 64, 5), np.uint8), "uint8 array of shape (16, 64, 5)"),
        (Image.new("F", SIZE), "floating-point"),
        ("no-such-file.png", "no-such-file.png: no such file"),
        ("data:image/png;base64,%%%%", "neither a file nor base64"),
        ("data:text/plain,hello", "only those with base64"),
        ("A" * 100, "image bytes: not an image"),
        (3, "int object: an image is"),
        ([None], "NoneType object: an image is"),
        ([], "there is no image"),
    ],
)
def test_what_is_no_image_is_refused_in_words_of_our_own(tiny, source, says):
    with pytest.raises(ImageError) as caught:
        tiny.processor.image_processor(source)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["do_resize", "do_normalize", "do_rescale", "do_center_crop"])
def test_what_other_processors_do_is_not_dropped_in_silence(tiny, option):
    with pytest.raises(ImageError, match=option):
        tiny.processor.image_processor([made("RGB")], **{option: True, "size": {"height": 8, "width": 8}})


def test_no_images(tiny):
    plain = tiny.processor(text=["Hello", "there"], return_tensors=None)
    for images in ([], [[], []]):
        assert tiny.processor(text=["Hello", "there"], images=images)["input_ids"] == plain["input_ids"]
    with pytest.raises(PromptError, match="images: 0, but the texts have 1 placeholders"):
        tiny.processor(text="<image>Hello", images=[])


def test_every_text_gets_its_own_images(tiny):
    """Which rows have which views is the same as for each text alone."""
    texts = ["<image> and <image>", "none", "<image>"]
    rows = [[made("RGB", 1), made("RGB", 2)], [], [made("RGB", 3)]]
    together = tiny.processor(text=texts, images=rows, return_tensors=None)
    assert together["input_ids"] == tiny.processor(text=texts, images=[i for row in rows for i in row])["input_ids"]
    without = tiny.processor(text=texts, images=[rows[0], None, rows[2]], return_tensors=None)
    assert without["input_ids"] == together["input_ids"]
    alone = [tiny.processor(text=t, images=r, return_tensors=None) for t, r in zip(texts, rows, strict=True)]
    assert together["input_ids"] == [one["input_ids"][0] for one in alone]
    assert np.array_equal(
        together["pixel_values"], np.concatenate([alone[0]["pixel_values"], alone[2]["pixel_values"]])
    )


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([[0], [1, 2], []], "images: 1 for text 0, which has 2 placeholders"),
        ([[0, 1], [], [2], []], "images: 4 lists, but there are 3 texts"),
        ([[0, 1, 2]], "images: 1 lists, but there are 3 texts"),
        ([0, 1], "images: 2, but the texts have 3 placeholders"),
        ([0, [1, 2]], "a mixture of both"),
        ([None, [1, 2], [0]], "images: 0 for text 0, which has 2 placeholders"),
    ],
)
def test_images_of_another_text_are_refused(tiny, images, says):
    picture = made("RGB")
    given = [[picture for _ in row] if isinstance(row, list) else row if row is None else picture for row in images]
    with pytest.raises(PromptError, match=says):
        tiny.processor(text=["<image> and <image>", "none", "<image>"], images=given)
