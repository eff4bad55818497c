"""Reading a page in parts, and the pictures drawn of it, with a stand-in for the model."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from sphinx_x.drawing import Mark, draw_boxes, draw_views
from sphinx_x.errors import ImageError
from sphinx_x.evaluation.metrics import character_error_rate
from sphinx_x.family import get_member
from sphinx_x.inference import SphinxX
from sphinx_x.model.views import plan_views
from sphinx_x.reading import find_lines, find_text, read_region

FONT = ImageFont.load_default(size=20)
HEADING = "One heading over both"
LEFT = ["left one", "left two", "left three"]
RIGHT = ["right one", "right two"]


@pytest.fixture
def page():
    """A page with a heading over two columns, and the boxes of the ink of its lines and words."""
    image = Image.new("RGB", (700, 300), "white")
    draw, boxes, words = ImageDraw.Draw(image), {}, {}
    for text, x, y in [
        (HEADING, 60, 20),
        *[(text, 60, 90 + 40 * k) for k, text in enumerate(LEFT)],
        *[(text, 400, 90 + 40 * k) for k, text in enumerate(RIGHT)],
    ]:
        draw.text((x, y), text, fill="black", font=FONT)
        boxes[text] = draw.textbbox((x, y), text, font=FONT)
        for word in text.split():
            left = x + draw.textlength(text[: text.index(word)], font=FONT)
            words[word] = draw.textbbox((left, y), word, font=FONT)
    return image, boxes, words


class Reader:
    """Stands in for a model: knows the pictures of texts by their ink."""

    def __init__(self, page, boxes, words=(), widest=10_000):
        self.widest = widest
        pieces = {**boxes, **dict(words)}
        self.known = {self._key(page.crop(box)): text for text, box in pieces.items()}

    def _key(self, image):
        ink = np.argwhere(np.asarray(image.convert("L")) < 128)
        (top, left), (bottom, right) = ink.min(0), ink.max(0) + 1
        return image.convert("L").crop((left, top, right, bottom)).tobytes()

    @property
    def processor(self):
        grid = SimpleNamespace(columns=1, view_width=self.widest)
        return SimpleNamespace(image_processor=SimpleNamespace(grid=lambda: grid))

    def probable_answers(self, pairs, max_new_tokens=0):
        return [(self.known[self._key(image)], 1.0) for _, image in pairs]


def inside(inner, outer, slack=4):
    return all(abs(a - b) <= slack for a, b in zip(inner, outer, strict=True))


def test_a_wide_line_is_read_in_pieces_and_no_word_is_cut(page):
    image, boxes, words = page
    first, last = boxes[HEADING][0], boxes[HEADING][2]
    one = words["heading"][2] - first + 20  # as wide as "One heading"
    pieces = {"One heading": (first, *boxes[HEADING][1:2], words["heading"][2], boxes[HEADING][3])}
    pieces["over both"] = (words["over"][0], boxes[HEADING][1], last, boxes[HEADING][3])
    assert read_region(Reader(image, {**boxes, **pieces}, widest=one), image, (50, 10, 400, 60)) == HEADING
    assert read_region(Reader(image, boxes, words, widest=1), image, (50, 10, 400, 60)) == HEADING


def test_lines_come_in_reading_order_with_their_ink(page):
    image, boxes, _words = page
    found = find_lines(image)
    assert len(found) == 6
    for box, text in zip(found, [HEADING, *LEFT, *RIGHT], strict=True):
        assert inside(box, boxes[text], slack=7), text


def test_lines_of_a_dark_page(page):
    image, _, _ = page
    dark = Image.fromarray(255 - np.asarray(image))
    assert find_lines(dark) == find_lines(image)


def test_nothing_on_the_page():
    assert find_lines(Image.new("RGB", (50, 50), "white")) == []


def test_a_region_is_read_line_by_line(page):
    image, boxes, _words = page
    assert read_region(Reader(image, boxes), image, (50, 80, 300, 300)) == "\n".join(LEFT)
    assert read_region(Reader(image, boxes), image, (-50, -50, 9999, 60)) == HEADING


def test_slivers_of_neighbours_are_left_out(page):
    image, boxes, _words = page
    top = boxes[LEFT[1]][1] - 12
    bottom = boxes[LEFT[2]][1] + 3
    assert read_region(Reader(image, boxes), image, (50, top, 300, bottom)) == LEFT[1]


@pytest.mark.parametrize(
    ("box", "says"),
    [((10, 10, 10, 50), "no area"), ((800, 0, 900, 50), "no area"), ((0, 250, 700, 300), "nothing to read")],
)
def test_regions_without_text(page, box, says):
    image, boxes, _words = page
    with pytest.raises(ImageError, match=says):
        read_region(Reader(image, boxes), image, box)


def test_a_text_is_found_in_its_line_and_put_back_on_the_page(page):
    image, boxes, words = page
    reader = Reader(image, boxes, words)
    found = find_text(reader, image, "right two")
    assert found is not None and found.read == "right two" and found.likeness == 1.0
    assert inside(found.line, boxes["right two"], slack=7) and inside(found.box, boxes["right two"])
    one = find_text(reader, image, "heading")
    assert one is not None and one.read == HEADING and inside(one.box, words["heading"])


def test_a_text_that_is_not_there(page):
    image, boxes, _words = page
    assert find_text(Reader(image, boxes), image, "quite another phrase") is None
    assert find_text(Reader(image, boxes), Image.new("RGB", (9, 9)), "x") is None


class Unsure(Reader):
    """Holds only some texts probable."""

    def __init__(self, page, boxes, sure):
        super().__init__(page, boxes)
        self.sure, self.asked = sure, 0

    def probable_answers(self, pairs, max_new_tokens=0):
        self.asked += len(pairs)
        said = [self.known.get(self._key(image), "another size") for _, image in pairs]
        return [(text, 0.95 if text in self.sure else 0.4) for text in said]


def test_a_page_that_the_model_is_not_sure_of_is_refused_with_a_reason(page):
    image, boxes, _words = page
    unsure = Unsure(image, boxes, sure=())
    with pytest.raises(ImageError, match=r"cannot be read: .* mean probability of 0\.40, below 0\.75 \(handwriting"):
        read_region(unsure, image, (0, 0, *image.size))
    assert unsure.asked == 3 * len(boxes) + 3  # every line in three sizes, and three upside down
    with pytest.raises(ImageError, match="cannot be read"):
        find_text(unsure, image, HEADING)


def test_a_page_that_stands_on_its_head_is_refused_by_name(page):
    """Its lines look like other letters, of which the model is fairly sure."""
    image, boxes, _words = page
    right_way = image.transpose(Image.Transpose.ROTATE_180)

    class Fairly(Unsure):
        def probable_answers(self, pairs, max_new_tokens=0):
            known = [self.known.get(self._key(image)) for _, image in pairs]
            return [(text or "~paxse", 0.95 if text else 0.82) for text in known]

    with pytest.raises(ImageError, match="stands on its head"):
        read_region(Fairly(image, boxes, sure=()), right_way, (0, 0, *image.size))


def test_letters_that_are_too_small_are_the_reason(page):
    image, boxes, _words = page
    small = image.resize((210, 90), Image.Resampling.LANCZOS)
    with pytest.raises(ImageError, match=r"letters of [345] pixels are too small"):
        read_region(Unsure(image, boxes, sure=()), small, (0, 0, 210, 90))


def test_a_line_that_the_model_is_not_sure_of_is_left_out_of_a_page_that_it_reads(page):
    image, boxes, _words = page
    sure = [HEADING, *LEFT, RIGHT[0]]
    left_out = []
    assert read_region(Unsure(image, boxes, sure), image, (0, 0, *image.size), left_out).splitlines() == sure
    assert len(left_out) == len(boxes) - len(sure) and all(line.probability == 0.4 for line in left_out)


@pytest.mark.parametrize("degrees", [-3, 2])
def test_a_region_and_a_text_of_a_turned_page(page, degrees):
    image, boxes, words = page
    upright = {text: image.crop(box) for text, box in {**boxes, **words}.items()}
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor="white")

    class Alike(Unsure):
        def probable_answers(self, pairs, max_new_tokens=0):
            return [(self.nearest(image), 1.0) for _, image in pairs]

        def nearest(self, shown):
            ink = np.argwhere(np.asarray(shown.convert("L")) < 128)
            (top, left), (bottom, right) = ink.min(0), ink.max(0) + 1
            shown = shown.convert("L").crop((left, top, right, bottom))

            def distance(text):
                known = upright[text].convert("L")
                apart = abs(known.width - shown.width) + abs(known.height - shown.height)
                pixels = np.asarray(shown.resize(known.size), np.float32) - np.asarray(known, np.float32)
                return apart + np.abs(pixels).mean()

            return min(upright, key=distance)

    def moved(box):
        turn, centre, middle = np.radians(degrees), np.array(image.size) / 2, np.array(turned.size) / 2
        corners = np.array([(x, y) for x in (box[0], box[2]) for y in (box[1], box[3])]) - centre
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        points = corners @ rotation.T + middle
        return (*points.min(0), *points.max(0))

    reader = Alike(image, boxes, sure=())
    assert read_region(reader, turned, moved(boxes[LEFT[1]])) == LEFT[1]
    assert read_region(reader, turned, (0, 0, *turned.size)).splitlines() == [HEADING, *LEFT, *RIGHT]
    found = find_text(reader, turned, "heading")
    assert found is not None and found.read == HEADING and inside(found.box, moved(words["heading"]), slack=4)


@pytest.mark.slow
def test_nano_reads_a_turned_page_and_refuses_scrawl():
    sphinx = SphinxX.load("nano")
    texts = ["The harbour office opens at seven in the morning", "and closes when the last ferry has left."]
    image = Image.new("RGB", (800, 300), "white")
    for row, text in enumerate(texts):
        ImageDraw.Draw(image).text((60, 80 + 40 * row), text, fill="black", font=FONT)
    turned = image.rotate(3, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    said = read_region(sphinx, turned, (0, 0, *turned.size))
    assert character_error_rate([said], ["\n".join(texts)]) < 0.05
    with pytest.raises(ImageError, match="stands on its head"):
        read_region(sphinx, image.transpose(Image.Transpose.ROTATE_180), (0, 0, 800, 300))
    points = np.random.default_rng(0).uniform((60, 60), (740, 240), (400, 2))
    scrawl = Image.new("RGB", (800, 300), "white")
    for row in range(4):
        part = points[100 * row : 100 * row + 100]
        part = np.stack([np.sort(part[:, 0]), 60 + 50 * row + (part[:, 1] - 60) / 6], axis=1)
        ImageDraw.Draw(scrawl).line([tuple(p) for p in part], fill="black", width=2)
    with pytest.raises(ImageError, match=r"cannot be read|nothing to read"):
        read_region(sphinx, scrawl, (0, 0, 800, 300))


def test_skipped_views_are_drawn_grey():
    layout = plan_views(800, 26, get_member("nano").views)
    cells = [(layout.cell(number), kept) for number, kept in enumerate(layout.kept)]
    drawn = np.asarray(draw_views(Image.new("RGB", (800, 26), "white"), 768, layout.content(), cells))
    for (x1, y1, x2, y2), kept in cells:
        middle = drawn[y1 + 10, x1 + 100]
        assert (middle == 255).all() == kept, (x1, y1, x2, y2)


def test_boxes_are_drawn_where_they_are():
    image = Image.new("RGB", (200, 100), "white")
    drawn = np.asarray(draw_boxes(image, [Mark((50, 60, 150, 90), "a")], width=1))
    assert (drawn[60:91, 50] != 255).any(axis=1).all() and (drawn[90, 50:151] != 255).any(axis=1).all()
    assert (drawn[70:80, 60:140] == 255).all()
    assert (np.asarray(image) == 255).all()
