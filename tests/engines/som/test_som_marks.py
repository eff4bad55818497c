"""Marks: distances against brute force, labels that never touch or leave the image, contrast, masks in COCO's form."""

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sphinx_x.boxes import overlaps
from sphinx_x.engines.som.colours import SHAPE, TEXT, contrast, ink_on, palette
from sphinx_x.engines.som.distance import pooled_distances, squared_distances
from sphinx_x.engines.som.draw import draw_marks, fits
from sphinx_x.engines.som.labels import NO_ROOM
from sphinx_x.engines.som.marks import KINDS, MarkSettings, label_of, mark_image, place_marks
from sphinx_x.engines.som.outlines import area_of, outline, simplify
from sphinx_x.engines.som.overlaps import resolve
from sphinx_x.engines.som.regions import Region, Rle, cut_out
from sphinx_x.errors import DataError


@st.composite
def masks(draw, most: int = 14):
    height, width = draw(st.integers(1, most)), draw(st.integers(1, most))
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 20)) / 20
    return np.random.default_rng(seed).random((height, width)) < share


def brute(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    outside = np.argwhere(~padded)
    found = np.zeros(padded.shape, np.int64)
    for y, x in np.argwhere(padded):
        found[y, x] = ((outside - (y, x)) ** 2).sum(1).min()
    return found[1:-1, 1:-1]


@given(masks())
def test_distances_equal_brute_force(mask):
    assert (squared_distances(mask) == brute(mask)).all()


def test_distances_of_a_disc_and_of_a_full_mask():
    y, x = np.mgrid[:201, :201]
    disc = (x - 120) ** 2 + (y - 80) ** 2 < 60**2
    assert np.unravel_index(squared_distances(disc).argmax(), disc.shape) == (80, 120)
    assert squared_distances(np.ones((3, 7), bool)).max() == 4


def test_pooled_distances_stay_close_to_exact_ones():
    y, x = np.mgrid[:450, :600]
    mask = ((x - 250) / 200) ** 2 + ((y - 200) / 150) ** 2 < 1
    pooled, step = pooled_distances(mask, side=150)
    assert step == 4
    row, column = np.unravel_index(pooled.argmax(), pooled.shape)
    exact = squared_distances(mask)
    there = exact[row * step + step // 2, column * step + step // 2]
    assert math.sqrt(there) >= math.sqrt(exact.max()) - 2 * step
    thin = np.zeros((2000, 2000), bool)
    thin[1000] = True
    assert pooled_distances(thin, side=300)[1] == 1


@given(masks())
def test_runs_of_a_mask_give_it_back(mask):
    assert (Rle.of(mask).mask() == mask).all()


def compressed(counts: list[int]) -> str:
    """Runs as COCO's files hold them, written from the same description as the reader."""
    text = ""
    for number, count in enumerate(counts):
        value = count - counts[number - 2] if number > 2 else count
        more = True
        while more:
            low, value = value & 31, value >> 5
            more = value != (-1 if low & 16 else 0)
            text += chr(low + 32 * more + 48)
    return text


@given(masks(40))
def test_compressed_runs_are_read(mask):
    runs = Rle.of(mask)
    data = {"size": [runs.height, runs.width], "counts": compressed(list(runs.counts))}
    assert Rle.from_coco(data) == runs == Rle.from_coco(data | {"counts": list(runs.counts)})


def test_a_known_compressed_mask():
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:4] = True
    assert compressed([5, 2, 2, 2, 2, 2, 5]) == "5220003"
    assert (Rle.from_coco({"size": [4, 5], "counts": "5220003"}).mask() == mask).all()
    with pytest.raises(DataError, match="run lengths"):
        Rle.from_coco({"size": [4, 4], "counts": "5220003"})


@given(masks())
def test_the_outline_goes_around_the_largest_piece(mask):
    around = outline(mask)
    assert bool(around) == mask.any()
    if around:
        assert area_of(around) >= 1
        inside = cut_out(Region(polygons=(around,)), (mask.shape[1], mask.shape[0]))
        filled = np.zeros(mask.shape, bool)
        filled[inside.where] = inside.mask
        pieces = squared_distances(mask)
        row, column = np.unravel_index(pieces.argmax(), mask.shape)
        assert filled.sum() >= 1
        assert filled[row, column] or (filled & mask).sum() >= 1


def test_the_outline_of_a_rectangle_has_its_corners():
    mask = np.zeros((9, 9), bool)
    mask[2:5, 1:7] = True
    mask[3, 3] = False
    assert set(outline(mask)) == {(1, 2), (7, 2), (7, 5), (1, 5)}


@given(st.integers(3, 60), st.integers(3, 12))
def test_simplified_polygons_keep_corners_in_order(corners, most):
    circle = tuple((math.cos(2 * math.pi * k / corners), math.sin(2 * math.pi * k / corners)) for k in range(corners))
    kept = simplify(circle, most)
    assert len(kept) == min(corners, most)
    places = [circle.index(corner) for corner in kept]
    assert places == sorted(places)
    if most >= 8:
        assert abs(area_of(kept)) > 0.5 * abs(area_of(circle))


def test_every_colour_takes_readable_text_and_every_picture_a_colour():
    for seed in range(20):
        colours = palette(str(seed))
        assert len(set(colours)) == len(colours) == 20
        assert all(contrast(ink_on(colour), colour) >= TEXT for colour in colours)
        for grey in range(0, 256, 5):
            assert max(contrast(colour, (grey, grey, grey)) for colour in colours) >= SHAPE
    assert palette("a") == palette("a") != palette("b")
    assert round(contrast((0, 0, 0), (255, 255, 255)), 6) == 21


@st.composite
def scenes(draw):
    """An image of any shape, also 1 x 1 and very long, with up to 60 regions of all sorts, some outside of it."""
    width, height = draw(st.sampled_from([(1, 1), (1, 400), (900, 9), (40, 40), (320, 200), (2000, 60), (3200, 240)]))
    rng = random.Random(draw(st.integers(0, 10**9)))
    noise = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (height, width, 3), np.uint8)
    regions = []
    for _ in range(draw(st.integers(0, 60))):
        x, y = rng.uniform(-10, width), rng.uniform(-10, height)
        w, h = rng.choice([(0.5, 0.5), (3, 4), (30, 10), (width, height), (rng.uniform(1, width), rng.uniform(1, 50))])
        kind = rng.randrange(3)
        if kind == 0:
            regions.append(Region(box=(x, y, x + w, y + h)))
        elif kind == 1:
            regions.append(Region(polygons=(((x, y), (x + w, y + h / 2), (x, y + h)),)))
        else:
            mask = np.zeros((height, width), bool)
            mask[max(int(y), 0) : max(int(y + h), 0), max(int(x), 0) : max(int(x + w), 0)] = True
            regions.append(Region(mask=mask if rng.random() < 0.5 else Rle.of(mask)))
    return Image.fromarray(noise), regions


def check_marks(image, regions, marked):
    marks = marked.marks
    numbers = [mark.region for mark in marks] + [number for number, _ in marked.left_out]
    assert sorted(numbers) == list(range(len(regions))), "every region is marked or left out with a reason"
    assert all(reason for _, reason in marked.left_out)
    assert len({mark.label for mark in marks}) == len(marks)
    for mark in marks:
        left, top, right, bottom = mark.rect
        assert 0 <= left < right <= image.width and 0 <= top < bottom <= image.height
        assert mark.font >= 10
        assert fits(mark)
        assert contrast(mark.colour, mark.ink) >= TEXT
        below = np.asarray(image.crop(mark.rect)).reshape(-1, 3).mean(0)
        assert contrast(mark.colour, below) >= SHAPE
        x1, y1, x2, y2 = mark.box
        assert 0 <= x1 < x2 <= image.width and 0 <= y1 < y2 <= image.height
        assert 0 <= mark.point[0] <= image.width and 0 <= mark.point[1] <= image.height
        assert all(x1 <= x <= x2 and y1 <= y <= y2 for x, y in mark.polygon)
        assert 3 <= len(mark.polygon) <= 16 and 0 < mark.share <= 1
    for one, other in itertools.combinations(marks, 2):
        assert not overlaps(one.rect, other.rect)


@settings(max_examples=60, deadline=None)
@given(scenes(), st.sampled_from(KINDS), st.booleans(), st.sampled_from(["numbers", "letters"]))
def test_marks_are_legible_and_nothing_is_lost(scene, kind, beside, alphabet):
    image, regions = scene
    marked = place_marks(image, regions, MarkSettings(kind=kind, beside=beside, alphabet=alphabet))
    check_marks(image, regions, marked)
    drawn = draw_marks(image, marked, regions)
    assert drawn.size == image.size and (marked.marks == ()) == (drawn.tobytes() == image.tobytes())
    for mark in marked.marks:  # nothing is drawn over a label
        assert drawn.getpixel((mark.rect[0] + 1, mark.rect[1] + 1)) == mark.colour


def test_two_hundred_regions():
    rng = random.Random(5)
    image = Image.new("RGB", (1280, 960), "#777")
    regions = []
    for _ in range(200):
        x, y = rng.uniform(0, 1200), rng.uniform(0, 900)
        regions.append(Region(box=(x, y, x + rng.uniform(8, 200), y + rng.uniform(8, 150))))
    marked = place_marks(image, regions)
    check_marks(image, regions, marked)
    assert len(marked.marks) > 120
    assert {reason for _, reason in marked.left_out} <= {"region hidden by others", NO_ROOM}


def test_small_regions_take_their_pixels_from_large_ones():
    large, small = Region(box=(0, 0, 100, 100)), Region(box=(30, 30, 70, 70))
    kept, left_out = resolve([large, small], (100, 100), 0.3, 1)
    assert not left_out and [one.number for one in kept] == [0, 1]
    x, y = kept[0].best()
    assert not (30 <= x <= 70 and 30 <= y <= 70), "the label of the large one would stand on the small one"
    assert kept[1].best() == (49.5, 49.5) or kept[1].best() == (50.5, 50.5)
    assert math.isclose(kept[0].share, 1.0) and math.isclose(kept[1].share, 0.16)
    _, left_out = resolve([Region(box=(0, 0, 50, 50)), Region(box=(0, 0, 50, 49))], (100, 100), 0.3, 1)
    assert left_out == {0: "region hidden by others"}


def test_a_hidden_region_hides_nothing():
    middle = Region(box=(10, 0, 52, 40))
    parts = [Region(box=(10, 0, 30, 40)), Region(box=(30, 0, 50, 40))]
    large = Region(box=(0, 0, 62, 40))
    kept, left_out = resolve([large, middle, *parts], (100, 100), 0.3, 1)
    assert left_out == {1: "region hidden by others"}
    area = next(one for one in kept if one.number == 0).pixels.area
    assert area == 62 * 40 - 40 * 40


def test_the_label_stands_where_the_region_is_deepest():
    mask = np.zeros((200, 300), bool)
    mask[20:180, 20:60] = True
    mask[20:120, 60:280] = True
    image = Image.new("RGB", (300, 200), "white")
    (mark,) = place_marks(image, [Region(mask=mask)]).marks
    exact = np.sqrt(squared_distances(mask))
    assert exact[int(mark.point[1]), int(mark.point[0])] == exact.max()
    left, top, right, bottom = mark.rect
    assert abs((left + right) / 2 - mark.point[0]) <= 1 and abs((top + bottom) / 2 - mark.point[1]) <= 1


def test_the_text_of_small_regions_can_stay_readable():
    image = Image.new("RGB", (400, 300), "white")
    line = Region(box=(100, 100, 180, 108), text="total")
    (inside,) = place_marks(image, [line]).marks
    (beside,) = place_marks(image, [line], MarkSettings(beside=True)).marks
    assert overlaps(inside.rect, line.bounds()) and not overlaps(beside.rect, line.bounds())
    assert beside.moved and not inside.moved


def test_a_label_does_not_hide_its_region():
    image = Image.new("RGB", (400, 300), "white")
    (mark,) = place_marks(image, [Region(box=(100, 100, 110, 110))]).marks
    assert mark.moved and not overlaps(mark.rect, mark.box)
    (mark,) = place_marks(image, [Region(box=(100, 100, 160, 160))]).marks
    assert not mark.moved


def test_runs_of_another_size_are_not_written_out():
    image = Image.new("RGB", (40, 30), "white")
    for side in (10**5, 10**9):
        marked = place_marks(image, [Region(mask=Rle(side, side, (0, side * side)))])
        assert marked.left_out == ((0, "mask is not of the image's size"),)
    large = place_marks(Image.new("RGB", (2000, 30)), [Region(mask=Rle(10**9, 10**9, (10**18,)))])
    assert large.left_out == ((0, "mask is not of the image's size"),)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("corner", range(4))
def test_corners_that_are_no_numbers(wrong, corner):
    corners = [(5.0, 5.0), (30.0, 5.0), (30.0, 25.0), (5.0, 25.0)]
    corners[corner] = (wrong, corners[corner][1])
    marked = place_marks(Image.new("RGB", (40, 30)), [Region(polygons=(tuple(corners),), box=(5, 5, 30, 25))])
    assert marked.left_out == ((0, "region outside its image"),)


def test_a_box_that_disagrees_with_its_polygon_is_not_believed():
    image = Image.new("RGB", (200, 200), "white")
    polygon = ((100.0, 100.0), (180.0, 100.0), (180.0, 180.0), (100.0, 180.0))
    (mark,) = place_marks(image, [Region(box=(0, 0, 20, 20), polygons=(polygon,))]).marks
    assert mark.box == (100, 100, 180, 180) and mark.polygon == polygon


def test_far_corners_are_drawn_at_the_border():
    image = Image.new("RGB", (80, 60), "white")
    far = Region(polygons=(((-1e9, -1e9), (1e9, -1e9), (1e9, 1e9), (-1e9, 1e9)),))
    for kind in KINDS:
        marked = place_marks(image, [far], MarkSettings(kind=kind))
        assert marked.marks[0].box == (0, 0, 80, 60)
        draw_marks(image, marked, [far])


def crosses(a, b, c, d) -> bool:
    def side(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def test_pieces_that_are_joined_to_one_polygon_give_no_crossing_lines():
    left = [(20 + 15 * math.cos(t), 40 + 15 * math.sin(t)) for t in np.linspace(0, 2 * math.pi, 20)]
    right = [(80 + 18 * math.cos(t), 40 + 18 * math.sin(t)) for t in np.linspace(0, 2 * math.pi, 20)]
    joined = (*left[:10], *right, *left[10:])
    (mark,) = place_marks(Image.new("RGB", (120, 80)), [Region(polygons=(joined,))], MarkSettings(kind="polygon")).marks
    lines = list(itertools.pairwise([*mark.polygon, mark.polygon[0]]))
    assert not any(crosses(*one, *other) for one, other in itertools.combinations(lines, 2))
    assert len(mark.polygon) <= 16


def test_reasons_why_a_region_gets_no_mark():
    image = Image.new("RGB", (60, 60), "white")
    places = [Region(box=(-20, 5, -3, 20)), Region(box=(1, 1, 3, 3)), Region(mask=np.ones((5, 5), bool)), Region()]
    places += [Region(mask=np.zeros((60, 60), bool)), Region(box=(float("nan"), 0, 4, 4))]
    marked = place_marks(image, places)
    assert [reason for _, reason in marked.left_out] == [
        "region outside its image",
        "region too small",
        "mask is not of the image's size",
        "region has no place",
        "mask is empty",
        "region outside its image",
    ]
    small = place_marks(Image.new("RGB", (6, 6)), [Region(box=(0, 0, 6, 6))])
    assert small.left_out == ((0, NO_ROOM),)


def test_large_images_are_resolved_on_fewer_pixels():
    image = Image.new("RGB", (4000, 3000), "white")
    mask = np.zeros((3000, 4000), bool)
    mask[500:1500, 1000:3000] = True
    _, marked = mark_image(image, [mask, (10, 10, 900, 400), (3990, 2990, 4000, 3000)], MarkSettings(kind="mask"))
    check_marks(image, [0, 1, 2], marked)
    assert len(marked.marks) == 3
    assert math.dist(marked.marks[0].point, (2000, 1000)) < 510
    assert marked.marks[0].box == (1000, 500, 3000, 1500)


def test_labels():
    assert [label_of(k) for k in (0, 9)] == ["1", "10"]
    assert [label_of(k, "letters") for k in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]
    assert len({label_of(k, "letters") for k in range(2000)}) == 2000


def test_wrong_settings_and_places_are_told():
    for wrong in ({"kind": "star"}, {"alphabet": "runes"}, {"corners": 2}, {"font": 0}):
        with pytest.raises(DataError):
            MarkSettings(**wrong)
    with pytest.raises(DataError, match="region 2"):
        mark_image(Image.new("RGB", (9, 9)), [(0, 0, 5, 5), (5, 5, 5, 9)])
