"""What a warp does to ink it does to boxes: the ink of every word stays in the word's box, and fills most of it."""

import random

import numpy as np
import pytest
from PIL import Image

from drawn_documents import drawings
from sphinx_x.boxes import sides
from sphinx_x.engines.documents.warp import Warp, make_warp, warped

VISIBLE = 70
"""Ink that is seen; less is what smoothing leaves beside an edge."""


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_ink_of_a_word_is_in_its_box(strength):
    rng = random.Random(8)
    for drawing in drawings("receipt")[:3]:
        warp = make_warp(rng, drawing.ink.size, strength)
        seen = warped(drawing, warp)
        ink = np.asarray(drawing.ink)
        for number in rng.sample(range(len(drawing.words)), 6):
            x1, y1, x2, y2 = map(int, drawing.words[number].box)
            alone = np.zeros_like(ink)
            alone[y1:y2, x1:x2] = ink[y1:y2, x1:x2]
            left, top, right, bottom = warp.ink(Image.fromarray(alone)).point(lambda n: 255 * (n > VISIBLE)).getbbox()
            box = seen.words[number].box
            assert box[0] - 1 <= left and box[1] - 1 <= top and right <= box[2] + 1 and bottom <= box[3] + 1
            wide, high = sides(box)
            assert right - left >= 0.8 * wide - 6 and bottom - top >= 0.6 * high - 6, "a box is no larger than it needs"


def test_nothing_is_seen_outside_boxes_and_nothing_is_lost():
    rng = random.Random(9)
    for drawing in drawings("receipt")[3:7]:
        seen = warped(drawing, make_warp(rng, drawing.ink.size, 1.0))
        ink = np.asarray(seen.ink).copy()
        assert ink.sum() > 0.93 * np.asarray(drawing.ink).sum(dtype=np.int64), "the sheet is in the picture"
        for box in [word.box for word in seen.words] + seen.graphics:
            x1, y1, x2, y2 = map(int, box)
            ink[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = 0
        assert (ink > VISIBLE).sum() == 0
        assert [line.text for line in seen.lines] == [line.text for line in drawing.lines]


def test_a_warp_that_only_moves_moves():
    warp = Warp((100, 60), (140, 90), (20, 10))
    assert warp.boxes([(5, 6, 50, 20)]) == [(25, 16, 70, 30)]
    ink = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 100)).astype(np.uint8))
    assert np.array_equal(np.asarray(warp.ink(ink))[10:70, 20:120], np.asarray(ink))


def test_points_come_back():
    warp = make_warp(random.Random(3), (500, 900), 1.0)
    points = np.random.default_rng(1).uniform((0, 0), (500, 900), (200, 2))
    assert np.abs(warp.back(warp.forth(points)) - points).max() < 0.01
