"""The page of examples/web cuts a page into lines as the package does, and shows the model the same views."""

import base64
import json
import shutil
import subprocess
from dataclasses import asdict

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from paths import EXAMPLE, ROOT
from sphinx_x.images import open_image
from sphinx_x.model.config import ImageTokens
from sphinx_x.model.processing import render_views
from sphinx_x.model.prompt import view_ids
from sphinx_x.model.views import ViewGrid, plan_views
from sphinx_x.page_lines.page import lay_flat

NANO = ViewGrid(16, 2, 48, 384, global_view=False, max_upscale=1.0)
PAGE = ROOT / "examples" / "web" / "page"
TEXTS = ("The harbour office opens at seven in the", "morning & closes when the ferry has left.", "Dogs: 3.50 a head;")


class Modules:
    """The page's JavaScript modules, run by Node."""

    def __init__(self, node):
        command = [node, str(ROOT / "tests" / "helpers" / "web_modules.mjs"), str(PAGE)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *question):
        self.process.stdin.write(json.dumps(question, default=sent) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def sent(image):
    """An image as the modules take it."""
    pixels = np.asarray(image)
    height, width, channels = pixels.reshape(*pixels.shape[:2], -1).shape
    return {
        "width": width, "height": height, "channels": channels, "pixels": base64.b64encode(pixels.tobytes()).decode()
    }  # fmt: skip


def received(image):
    shape = (image["height"], image["width"], *[image["channels"]][: image["channels"] > 1])
    return np.array(image["data"], np.uint8).reshape(shape)


@pytest.fixture(scope="module")
def modules():
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node (https://nodejs.org), which is not installed here")
    running = Modules(node)
    yield running
    running.process.stdin.close()
    assert running.process.wait(10) == 0
    running.process.stdout.close()


def small_page():
    image = Image.new("RGB", (520, 190), "white")
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(TEXTS):
        draw.text((40, 30 + 40 * row), text, fill="black", font=ImageFont.load_default(size=20))
    draw.line((30, 150, 490, 150), fill="black", width=2)
    draw.rectangle((430, 118, 446, 134), outline="black")
    for k in range(9):
        draw.rectangle((250 + 12 * k, 126, 252 + 12 * k, 128), fill="black")
    return image


def table():
    """Two columns of prose, and a table with rules below them."""
    image = Image.new("RGB", (820, 420), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=15)
    for column in (0, 1):
        for row in range(5):
            draw.text((20 + 400 * column, 20 + 24 * row), f"{TEXTS[(row + column) % 2]} {row}", fill="black", font=font)
    for row in range(5):
        draw.line((20, 200 + 36 * row, 380, 200 + 36 * row), fill="black")
        for column in range(3):
            draw.line((20 + 180 * column, 200, 20 + 180 * column, 344), fill="black")
            if column < 2 and row < 4:
                draw.text((30 + 180 * column, 206 + 36 * row), f"Cell {row}.{column}", fill="black", font=font)
    return image


def shaded(image, light):
    return Image.fromarray((np.asarray(image) * light).round().astype(np.uint8))


def pages():
    page, random = small_page(), np.random.default_rng(0)
    grain = random.normal(0, 14, (190, 520, 1))
    noise = Image.fromarray(random.integers(0, 256, (70, 90, 3), np.uint8))
    return {
        "plain": page,
        "columns and a table": table(),
        "turned left": page.rotate(4, Image.Resampling.BICUBIC, expand=True, fillcolor="white"),
        "turned right": page.rotate(-1.3, Image.Resampling.BICUBIC, expand=True, fillcolor="white"),
        "small": page.resize((260, 95), Image.Resampling.LANCZOS),
        "large": page.crop((30, 20, 290, 140)).resize((650, 300), Image.Resampling.BICUBIC),
        "tall": page.crop((30, 20, 130, 140)).resize((250, 700), Image.Resampling.BICUBIC),
        "averaged before it is scaled": page.crop((30, 20, 190, 140)).resize((1280, 960), Image.Resampling.BICUBIC),
        "light on dark": PIL.Image.eval(page, lambda value: 235 - value * 9 // 10),
        "in a shadow": shaded(page, np.linspace(0.4, 1, 520)[None, :, None]),
        "grainy": Image.fromarray((np.asarray(page) + grain).clip(0, 255).astype(np.uint8)),
        "blurred": page.filter(ImageFilter.GaussianBlur(1.2)),
        "coloured": shaded(page, np.array([0.9, 0.7, 0.4])),
        "noise": noise,
        "white": Image.new("RGB", (60, 40), "white"),
        "a pixel": Image.new("RGB", (1, 1)),
    }


PAGES = pages()


def check_lines(modules, image):
    """Checks that the lines' boxes and rows, and the pictures of their pieces, are those of the package."""
    page = lay_flat(image)
    found = modules.ask("lines", image, 200)
    assert (found["angle"], found["scale"], found["unit"]) == (page.angle, page.scale, page.unit)
    assert [line["box"] for line in found["lines"]] == [list(page.line_box(line)) for line in page.lines]
    assert [line["row"] for line in found["lines"]] == [line.row for line in page.lines]
    for line, other in zip(page.lines, found["lines"], strict=True):
        scale = page.best_scale(line)
        assert other["scale"] == scale
        pieces = page.pieces(line, 200 / scale)
        assert len(pieces) == len(other["pieces"])
        for piece, picture in zip(pieces, other["pieces"], strict=True):
            assert (received(picture) == np.asarray(page.picture(piece, scale))[..., 0]).all()
    return page


@pytest.mark.parametrize("name", PAGES)
def test_lines_are_those_of_the_package(modules, name):
    page = check_lines(modules, PAGES[name])
    assert len(page.lines) >= (0 if name in ("noise", "white", "a pixel") else 3)


def test_the_pages_reach_every_way(modules):
    """A page is turned, enlarged, made smaller, averaged first, and softened: each happens to one of these at least."""
    flat = {name: lay_flat(image) for name, image in PAGES.items()}
    assert flat["turned left"].angle > 3 and flat["turned right"].angle < -1
    assert flat["small"].scale > 1 > flat["large"].scale > 1 / 6 >= flat["averaged before it is scaled"].scale
    assert max(line.row for line in flat["columns and a table"].lines) < len(flat["columns and a table"].lines) - 1


@pytest.mark.slow
@pytest.mark.parametrize("angle", [0, 2.2])
def test_lines_of_a_whole_page(modules, angle):
    """Of more ink than is looked at for the page's angle: the same points are drawn."""
    image = open_image(EXAMPLE).rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    page = check_lines(modules, image)
    assert len(page.lines) > 50 and (np.asarray(image.convert("L")) < 128).sum() > 60_000


@settings(max_examples=60)
@given(st.integers(1, 2000), st.integers(1, 2000))
def test_views_and_skip_tokens_are_those_of_the_package(modules, width, height):
    layout, tokens = plan_views(width, height, NANO), ImageTokens(slot=6, start=7, end=8, skip=9)
    found = modules.ask("views", width, height, asdict(NANO), asdict(tokens), 49)
    assert found["kept"] == list(layout.kept)
    assert (found["views"], found["skipped"]) == (layout.views, layout.skipped)
    assert tuple(found["size"]) == layout.content()[2:]
    assert found["ids"] == view_ids(layout, tokens, 49)


@pytest.mark.parametrize("size", [(300, 30), (500, 48), (1536, 96), (1000, 49), (30, 900)])
def test_pixels_of_views_are_those_of_the_package(modules, size):
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, size[::-1], np.uint8))
    wanted = render_views(picture.convert("RGB"), plan_views(*size, NANO)).astype(np.float32) / 255
    found = np.array(modules.ask("pixels", picture, asdict(NANO)), np.float32)
    assert (found == wanted.ravel()).all()
