"""Boxes against the pixels that they hold: one of whole numbers is a set of pixels, and what is done with it is too."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paths import ROOT
from sphinx_x.boxes import (
    Box,
    area,
    around,
    centre,
    clip,
    contains,
    encloses,
    from_xywh,
    grown,
    intersection,
    iou,
    moved,
    nearest,
    overlaps,
    share_within,
    sides,
    union,
)

coordinates = st.integers(-6, 6)
any_boxes = st.tuples(coordinates, coordinates, coordinates, coordinates)
lengths = st.integers(1, 8)
boxes = st.builds(lambda x, y, width, height: (x, y, x + width, y + height), coordinates, coordinates, lengths, lengths)
points = st.tuples(coordinates, coordinates)


def pixels(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    """The pixels of a box of whole numbers, none for an empty one."""
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


@given(any_boxes)
def test_area_counts_pixels(box: tuple) -> None:
    assert area(box) == len(pixels(box))


@given(boxes)
def test_sides_and_centre(box: tuple) -> None:
    width, height = sides(box)
    held = pixels(box)
    assert (width, height) == (len({x for x, _ in held}), len({y for _, y in held}))
    middles = [(x + 0.5, y + 0.5) for x, y in held]
    assert centre(box) == tuple(sum(numbers) / len(held) for numbers in zip(*middles, strict=True))
    assert from_xywh((*box[:2], width, height)) == box


@given(st.lists(boxes, min_size=1, max_size=4))
def test_union_is_the_least_box_around(some: list) -> None:
    around = union(some)
    assert all(pixels(box) <= pixels(around) and encloses(around, box) for box in some)
    for side, step in enumerate((1, 1, -1, -1)):
        smaller = [*around]
        smaller[side] += step
        assert not all(encloses(smaller, box) for box in some)


@given(st.lists(points, min_size=1, max_size=5))
def test_around_points(some: list) -> None:
    found = around(some)
    assert all(contains(found, point) for point in some)
    assert found == union([(*point, *point) for point in some])


def test_union_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError):
        union([])


@given(any_boxes, any_boxes)
def test_intersection_holds_the_common_pixels(one: tuple, other: tuple) -> None:
    assert pixels(intersection(one, other)) == pixels(one) & pixels(other)


@given(boxes, boxes)
def test_overlaps(one: tuple, other: tuple) -> None:
    assert overlaps(one, other) == overlaps(other, one) == bool(pixels(one) & pixels(other))


@given(boxes, boxes, st.integers(0, 4))
def test_overlaps_with_a_gap(one: tuple, other: tuple, gap: int) -> None:
    # fewer than `gap` rows and columns of white between the two
    white = [max(0, -side) for side in sides(intersection(one, other))]
    touching = any(side == 0 for side in sides(intersection(one, other)))
    assert overlaps(one, other, gap) == (all(n < gap for n in white) if gap else not any(white) and not touching)
    assert overlaps(one, other, gap) == bool(pixels(grown(one, gap)) & pixels(other))


@given(boxes, boxes)
def test_shares(one: tuple, other: tuple) -> None:
    common, either = pixels(one) & pixels(other), pixels(one) | pixels(other)
    assert iou(one, other) == iou(other, one) == len(common) / len(either)
    assert share_within(one, other) == len(common) / len(pixels(one))


@given(any_boxes, boxes)
def test_shares_of_empty_boxes(one: tuple, other: tuple) -> None:
    if not pixels(one):
        assert iou(one, other) == iou(one, one) == share_within(one, other) == 0


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
        ((0, 0, 4, 4), (1, 1, 3, 3), 0.25),
        ((0, 0, 1, 1), (1, 0, 2, 1), 0.0),
        ((0, 0, 1, 1), (5, 5, 6, 6), 0.0),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0.0),
    ],
)
def test_iou(first: tuple, second: tuple, wanted: float) -> None:
    assert iou(first, second) == pytest.approx(wanted)
    assert iou(second, first) == pytest.approx(wanted)


@given(boxes, boxes)
def test_encloses(outer: tuple, inner: tuple) -> None:
    assert encloses(outer, inner) == (pixels(inner) <= pixels(outer))


@given(boxes, points)
def test_nearest_point(box: tuple, point: tuple) -> None:
    found = nearest(box, point)
    assert contains(box, found) and (found == point) == contains(box, point)
    corners = [(x, y) for x in range(box[0], box[2] + 1) for y in range(box[1], box[3] + 1)]
    assert (point in corners) == contains(box, point)
    away = [(x - point[0]) ** 2 + (y - point[1]) ** 2 for x, y in corners]
    assert (found[0] - point[0]) ** 2 + (found[1] - point[1]) ** 2 == min(away)


@given(any_boxes, st.tuples(st.integers(0, 6), st.integers(0, 6)))
def test_clip_holds_the_pixels_inside(box: tuple, size: tuple) -> None:
    assert pixels(clip(box, size)) == pixels(box) & pixels((0, 0, *size))


@given(boxes, coordinates, coordinates)
def test_moved(box: tuple, x: int, y: int) -> None:
    assert pixels(moved(box, x, y)) == {(a + x, b + y) for a, b in pixels(box)}
    assert moved(moved(box, x, y), -x, -y) == box


@given(boxes, st.integers(0, 4))
def test_grown(box: tuple, margin: int) -> None:
    wide = pixels(grown(box, margin))
    near = range(-margin, margin + 1)
    assert wide == {(x + dx, y + dy) for x, y in pixels(box) for dx in near for dy in near}
    assert grown(grown(box, margin), -margin) == box


@pytest.mark.parametrize(
    ("box", "written"), [((-3, -2, 9, 9), "[0, 0, 5, 4]"), ((-3.0, -2.5, 4.5, 3.5), "[0.0, 0.0, 4.5, 3.5]")]
)
def test_numbers_stay_what_they_are(box: Box, written: str) -> None:
    assert json.dumps(clip(box, (5, 4))) == written


def test_lists_are_taken() -> None:
    assert union([[0, 0, 1, 1], [2, 2, 3, 3]]) == (0, 0, 3, 3)
    assert clip([0, 0, 9, 9], [4, 5]) == (0, 0, 4, 5)


def test_there_is_one_kind_of_box() -> None:
    another = re.compile(
        r"^(?:Box|Rect) = |^\w+ = (?:tuple\[(?:int|float)(?:, (?:int|float)){3}\]|list\[float\])$", re.M
    )
    found = {
        path.name: another.findall(path.read_text(encoding="utf-8"))
        for path in (ROOT / "src" / "sphinx_x").rglob("*.py")
        if path.name != "boxes.py"
    }
    assert not {name: lines for name, lines in found.items() if lines}
