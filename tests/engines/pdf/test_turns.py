"""Boxes of a page that is turned by quarters."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sphinx_x.engines.pdf.turns import turn_boxes


@given(st.lists(st.tuples(*[st.integers(0, 100)] * 4), min_size=1), st.integers(0, 3))
def test_turning_boxes(boxes, quarters):
    array = np.array([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in boxes], float)
    once = turn_boxes(array, quarters, 100, 120)
    sides = (100, 120) if quarters % 2 == 0 else (120, 100)
    assert np.allclose(turn_boxes(once, 4 - quarters, *sides), array)
    assert (once[:, 2:] >= once[:, :2]).all()
    assert (once >= 0).all()


def test_turning_follows_the_picture():
    pixels = np.zeros((30, 20), np.uint8)
    pixels[4:9, 11:17] = 1
    for quarters in range(4):
        x1, y1, x2, y2 = turn_boxes(np.array([[11, 4, 17, 9]]), quarters, 20, 30)[0]
        turned = np.rot90(pixels, quarters)
        assert turned[y1:y2, x1:x2].all()
        assert turned.sum() == (y2 - y1) * (x2 - x1)
