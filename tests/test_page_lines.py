"""Lines of pages: the same whether a page is turned, framed, dark, unevenly lit or noisy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from sphinx_x.page_lines.components import find_components
from sphinx_x.page_lines.ground import flatten
from sphinx_x.page_lines.order import reading_order
from sphinx_x.page_lines.page import lay_flat
from sphinx_x.page_lines.skew import find_angle

FONT = ImageFont.load_default(size=20)
TEXTS = [
    "The harbour office opens at seven in the morning", "and closes when the last ferry has left. Tickets",
    "are sold at both counters, and a family of four pays", "no more than two adults and one child would.",
    "Dogs travel free of charge if they are kept on a lead.",
]  # fmt: skip
SIZE = (700, 300)
LEFT, TOP, PITCH = 70, 60, 40


@pytest.fixture(scope="module")
def page():
    """A page, and the boxes of the ink of its lines."""
    image, boxes = Image.new("RGB", SIZE, "white"), []
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(TEXTS):
        draw.text((LEFT, TOP + PITCH * row), text, fill="black", font=FONT)
        boxes.append(draw.textbbox((LEFT, TOP + PITCH * row), text, font=FONT))
    return image, boxes


def boxes_of(image):
    flat = lay_flat(image)
    return [flat.line_box(line) for line in flat.lines]


def near(found, expected, slack):
    assert len(found) == len(expected), (found, expected)
    for one, other in zip(found, expected, strict=True):
        assert all(abs(a - b) <= slack for a, b in zip(one, other, strict=True)), (found, expected)


def turned_ink(image, box, degrees):
    """The box of the ink of `box` after turning the whole page, told by turning that ink alone."""
    alone = Image.new("L", image.size, 255)
    alone.paste(image.convert("L").crop(box), box[:2])
    ink = np.argwhere(np.asarray(alone.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255)) < 128)
    (top, left), (bottom, right) = ink.min(0), ink.max(0) + 1
    return left, top, right, bottom


@pytest.mark.parametrize("degrees", [-11, -5, -2, -0.6, 0.6, 1.5, 3, 8])
def test_lines_of_a_turned_page_are_where_they_are(page, degrees):
    image, boxes = page
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    near(boxes_of(turned), [turned_ink(image, box, degrees) for box in boxes], slack=4)


@pytest.mark.parametrize("degrees", [-14, -7.3, -0.4, 0, 2.25, 12])
def test_the_angle_is_found(page, degrees):
    turned = page[0].rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    assert find_angle(np.asarray(turned.convert("L")) < 128) == pytest.approx(degrees, abs=0.1)


def framed(image, boxes):
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 680, 280), outline="black", width=3)
    for box in boxes:
        draw.line((30, box[3] + 8, 670, box[3] + 8), fill="black", width=2)
    draw.line((45, 20, 45, 280), fill="black", width=1)


def boxed(image, boxes):
    ImageDraw.Draw(image).rounded_rectangle((40, 40, 660, 270), 12, outline="black", width=2)


def ticked(image, boxes):
    draw = ImageDraw.Draw(image)
    for box in boxes:
        draw.rectangle((30, box[1], 48, box[1] + 18), outline="black", width=2)


@pytest.mark.parametrize("add", [framed, boxed, ticked])
@pytest.mark.parametrize("degrees", [0, 1.5])
def test_rules_and_boxes_change_no_line(page, add, degrees):
    image, boxes = page[0].copy(), page[1]
    add(image, boxes)
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    near(boxes_of(turned), [turned_ink(page[0], box, degrees) for box in boxes], slack=4)


def dark(pixels):
    return 255 - pixels


def faint(pixels):
    return 120 + pixels * 0.4


def lit(pixels):
    return pixels * np.linspace(1, 0.5, pixels.shape[1])[None, :, None]


def noisy(pixels):
    return pixels + np.random.default_rng(0).normal(0, 20, pixels.shape[:2])[..., None]


def banner(pixels):
    """Two lines are light on a dark band."""
    pixels[95:185] = 255 - pixels[95:185] * 0.9
    return pixels


def dusty(pixels):
    """Specks as high as half a letter, each by itself."""
    for x, y in [(300, 20), (560, 285), (30, 280), (610, 25)]:
        pixels[y : y + 5, x : x + 3] = 0
    return pixels


@pytest.mark.parametrize("change", [dusty, dark, faint, lit, noisy, banner])
def test_ground_light_and_noise_change_no_line(page, change):
    image, boxes = page
    pixels = change(np.asarray(image).astype(np.float32)).clip(0, 255).astype(np.uint8)
    near(boxes_of(Image.fromarray(pixels)), boxes, slack=4)


@pytest.mark.parametrize("scale", [0.6, 2.5])
def test_a_page_in_another_resolution_has_the_same_lines(page, scale):
    image, boxes = page
    size = round(SIZE[0] * scale), round(SIZE[1] * scale)
    found = boxes_of(image.resize(size, Image.Resampling.LANCZOS))
    near(found, [tuple(n * scale for n in box) for box in boxes], slack=3 * max(scale, 1))


def test_a_clean_page_is_left_as_it_is(page):
    assert (flatten(page[0]) == np.asarray(page[0].convert("L"))).all()


def test_close_lines_are_parted_and_give_only_their_own_ink(page):
    """Descenders of one line reach into the ascenders of the next."""
    image = Image.new("RGB", (700, 200), "white")
    for row, text in enumerate(TEXTS):
        ImageDraw.Draw(image).text((LEFT, 30 + 19 * row), text, fill="black", font=FONT)
    flat = lay_flat(image)
    assert len(flat.lines) == len(TEXTS)
    for line in flat.lines:
        assert flat.picture(line).height <= 34


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.7))
@settings(max_examples=60, deadline=None)
def test_components_are_those_of_a_flood_fill(seed, share):
    mask = np.random.default_rng(seed).random((13, 17)) < share
    found = find_components(mask)
    assert ((found.labels > 0) == mask).all()
    seen = np.zeros_like(mask)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if seen[start]:
            continue
        count, todo, places = count + 1, [start], []
        seen[start] = True
        while todo:
            y, x = todo.pop()
            places.append((y, x))
            for dy, dx in np.ndindex(3, 3):
                at = (y + dy - 1, x + dx - 1)
                if 0 <= at[0] < 13 and 0 <= at[1] < 17 and mask[at] and not seen[at]:
                    seen[at] = True
                    todo.append(at)
        y, x = np.array(places).T
        label = found.labels[start]
        assert (found.labels[y, x] == label).all() and found.areas[label - 1] == len(places)
        assert found.boxes[label - 1].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert len(found) == count


def row(y, *cells):
    """Boxes of cells at (x, width)."""
    return [(x, y, x + width, y + 14) for x, width in cells]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        # a till's receipt: names and prices
        (
            [*row(0, (0, 120), (300, 40)), *row(30, (0, 190), (310, 30)), *row(60, (0, 80), (300, 40))],
            [[0, 1], [2, 3], [4, 5]],
        ),
        # a form: labels and values
        (
            [*row(0, (0, 120), (300, 140)), *row(50, (0, 130), (300, 90)), *row(100, (0, 50), (300, 200))],
            [[0, 1], [2, 3], [4, 5]],
        ),
        # a heading over two columns of prose, with lines at the same heights
        (
            [*row(0, (0, 500)), *(cell for y in (40, 60, 80, 100) for cell in row(y, (0, 240), (280, 240)))],
            [[0], [1], [3], [5], [7], [2], [4], [6], [8]],
        ),
        # a table, and a line below it that ends where its second column does
        (
            [*row(0, (0, 120), (300, 60), (500, 60)), *row(40, (0, 90), (300, 60), (500, 60)), *row(80, (0, 360))],
            [[0, 1, 2], [3, 4, 5], [6]],
        ),
        # an address at the upper right, a heading, a paragraph
        ([*row(0, (400, 100)), *row(20, (420, 80)), *row(70, (0, 200)), *row(100, (0, 500))], [[0], [1], [2], [3]]),
        # one line after the other
        ([*row(0, (0, 300)), *row(20, (0, 300)), *row(40, (0, 100))], [[0], [1], [2]]),
        ([], []),
    ],
)  # fmt: skip
def test_reading_order(boxes, expected):
    assert reading_order(np.array(boxes, np.int64).reshape(-1, 4), 11.0) == expected


@pytest.mark.parametrize("kind", ["static", "white", "one pixel"])
def test_what_is_no_page_has_no_lines(kind):
    rng = np.random.default_rng(0)
    pixels = {
        "static": rng.integers(0, 255, (600, 600), np.uint8),
        "white": np.full((300, 300), 255, np.uint8),
        "one pixel": np.zeros((1, 1), np.uint8),
    }[kind]
    assert len(lay_flat(Image.fromarray(pixels)).lines) * 20 <= math.prod(pixels.shape) / 400
