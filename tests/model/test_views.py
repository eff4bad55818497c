"""Geometry of views: which sub-images are kept, and where boxes go."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_x.errors import ImageError
from sphinx_x.family import get_member
from sphinx_x.model.processing import render_views
from sphinx_x.model.prompt import view_ids
from sphinx_x.model.views import ViewGrid, plan_views
from sphinx_x.text_lines.line import Reading, TextLine

SQUARE_2 = ViewGrid(2, 2, 224, 224)
SQUARE_3 = ViewGrid(3, 3, 224, 224)
BANDS = get_member("nano").views
GRIDS = [SQUARE_2, SQUARE_3, BANDS, ViewGrid(2, 2, 224, 224, padding="center"), ViewGrid(4, 4, 8, 8, max_upscale=2.0)]
sizes = st.tuples(st.integers(1, 3000), st.integers(1, 3000))


@pytest.mark.parametrize(
    ("grid", "size", "skipped"),
    [
        (SQUARE_2, (1000, 1000), 0),
        (SQUARE_2, (1000, 501), 0),
        (SQUARE_2, (1000, 500), 2),
        (SQUARE_2, (500, 1000), 2),
        (SQUARE_2, (1000, 1), 2),
        (SQUARE_3, (1000, 1000), 0),
        (SQUARE_3, (1499, 1000), 0),
        (SQUARE_3, (1500, 1000), 3),
        (SQUARE_3, (2999, 1000), 3),
        (SQUARE_3, (3000, 1000), 6),
        (BANDS, (800, 26), 30),
        (BANDS, (384, 48), 31),
        (BANDS, (385, 48), 30),
        (BANDS, (384, 49), 30),
        (BANDS, (20000, 1), 30),
        (BANDS, (1, 1), 31),
    ],
)
def test_skipped_by_hand(grid, size, skipped):
    assert plan_views(*size, grid).skipped == skipped


@pytest.mark.parametrize(("grid", "kept"), [(SQUARE_2, 0), (replace(SQUARE_2, global_view=False), 4)])
def test_a_page_of_text_keeps_its_global_view_alone(grid, kept):
    layout = plan_views(100, 100, grid)
    lines = tuple(TextLine((0, 9 * k, 50, 9 * k + 8), "word") for k in range(5))
    full = layout.with_lines(Reading(lines, page=True))
    assert sum(full.kept) == kept and full.views == kept + grid.global_view and full.skipped == 4 - kept
    assert full.line_boxes == layout.with_lines(Reading(lines)).line_boxes
    assert len(render_views(PIL.Image.new("RGB", (100, 100)), full)) == full.views


@pytest.mark.parametrize(
    ("member", "size", "tokens"),
    [
        ("tiny", (1, 1), 1295),
        ("tiny", (2, 1), 779),
        ("plus-2k", (1, 1), 2590),
        ("plus-2k", (3, 2), 1816),
        ("plus-2k", (3, 1), 1042),
        ("nano", (800, 26), 2 * 51 + 30),
    ],
)
def test_visual_tokens_of_the_paper(member, size, tokens):
    from sphinx_x.model.config import ImageTokens

    found = get_member(member)
    per_view = 49 if member == "nano" else 257
    scale = 1 if member == "nano" else 100
    layout = plan_views(size[0] * scale, size[1] * scale, found.views)
    assert len(view_ids(layout, ImageTokens(0, 1, 2, 3), per_view)) == tokens


@pytest.mark.parametrize("grid", GRIDS)
@given(size=sizes)
def test_kept_exactly_where_the_image_is(grid, size):
    layout = plan_views(*size, grid)
    left, top, right, bottom = layout.content()
    assert 0 <= left < right <= grid.canvas and 0 <= top < bottom <= grid.canvas
    for number, kept in enumerate(layout.kept):
        x1, y1, x2, y2 = layout.cell(number)
        assert kept == (left < x2 and x1 < right and top < y2 and y1 < bottom)


@given(size=st.tuples(st.integers(2, 3000), st.integers(2, 3000)))
def test_centred_padding_never_skips_in_two_by_two(size):
    assert plan_views(*size, ViewGrid(2, 2, 224, 224, padding="center")).skipped == 0


@pytest.mark.parametrize("padding", ["corner", "center"])
@given(size=sizes)
def test_nothing_is_skipped_where_that_is_off(padding, size):
    assert plan_views(*size, ViewGrid(3, 3, 224, 224, padding=padding, skip=False)).skipped == 0


@pytest.mark.parametrize("size", [(300, 40), (40, 300), (90, 90)])
def test_padding_that_is_encoded_is_padding(size):
    """The same views as with skipping, and the others white."""
    picture = PIL.Image.effect_noise(size, 90).convert("RGB")
    skipping, whole = (plan_views(*size, ViewGrid(4, 4, 24, 24, global_view=True, skip=skip)) for skip in (True, False))
    assert whole.views == 17 and not whole.skipped
    some, all_views = render_views(picture, skipping), render_views(picture, whole)
    kept = np.array([True, *skipping.kept])
    assert np.array_equal(all_views[kept], some) and (all_views[~kept] == 255).all()


@pytest.mark.parametrize("size", [(90, 40), (41, 90), (64, 64), (7, 300)])
def test_padding_before_scaling_is_pillows_own(size):
    """As if the padded square were made whole and scaled at once, whatever the strips."""
    picture = PIL.Image.effect_noise(size, 90).convert("RGB")
    grid, color, side = ViewGrid(2, 2, 24, 24, padding="center"), (122, 116, 104), max(size)
    square = PIL.Image.new("RGB", (side, side), color)
    square.paste(picture, ((side - size[0]) // 2, (side - size[1]) // 2))
    whole = np.asarray(square.resize((48, 48), PIL.Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sphinx_x.model.processing.STRIP_PIXELS", 5 * side)
        views = render_views(picture, plan_views(*size, grid), color)
    assert np.array_equal(views[1], whole[:, :24, :24]) and np.array_equal(views[4], whole[:, 24:, 24:])


def test_an_image_too_long_for_its_square_is_refused():
    grid = ViewGrid(2, 2, 512, 512, padding="center")
    with pytest.raises(ImageError, match="too long"):
        render_views(PIL.Image.new("RGB", (200_000, 1)), plan_views(200_000, 1, grid))


@pytest.mark.parametrize("grid", GRIDS)
@given(size=sizes, at=st.tuples(*[st.integers(0, 1000)] * 4))
def test_boxes_go_there_and_back(grid, size, at):
    layout = plan_views(*size, grid)
    box = tuple(share * size[k % 2] / 1000 for k, share in enumerate(at))
    there = layout.to_square(box)
    assert all(-1e-9 <= n <= 1 + 1e-9 for n in there)
    assert layout.from_square(there) == pytest.approx(box, abs=1e-6)


def test_small_images_are_not_enlarged_beyond_the_limit():
    assert plan_views(50, 20, BANDS).content() == (0, 0, 50, 20)
    assert plan_views(50, 20, ViewGrid(4, 4, 200, 200, max_upscale=2.0)).content() == (0, 0, 100, 40)
    assert plan_views(50, 25, SQUARE_2).content() == (0, 0, 448, 224)
    assert plan_views(7, 7, BANDS).side == Fraction(768)


@pytest.mark.parametrize("grid", [SQUARE_2, BANDS, ViewGrid(2, 2, 32, 32, global_view=True)])
@pytest.mark.parametrize("size", [(300, 20), (90, 300), (64, 64)])
def test_rendered_views_hold_the_image_and_nothing_is_lost(grid, size):
    layout = plan_views(*size, grid)
    black = PIL.Image.new("RGB", size)
    views = render_views(black, layout)
    assert views.shape == (layout.views, 3, grid.view_height, grid.view_width)
    cells = views[1:] if grid.global_view else views
    assert all((view == 0).any() for view in cells)
    left, top, right, bottom = layout.content()
    assert (cells == 0).all(axis=1).sum() == (right - left) * (bottom - top)


def test_views_come_row_by_row_with_the_global_one_first():
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)]
    picture = np.zeros((64, 64, 3), np.uint8)
    for k, color in enumerate(colors):
        picture[(k // 2) * 32 : (k // 2 + 1) * 32, (k % 2) * 32 : (k % 2 + 1) * 32] = color
    grid = ViewGrid(2, 2, 32, 32)
    views = render_views(PIL.Image.fromarray(picture), plan_views(64, 64, grid))
    assert [tuple(view[:, 16, 16]) for view in views[1:]] == colors
    assert tuple(views[0][:, 4, 4]) == colors[0] and tuple(views[0][:, 28, 28]) == colors[3]


def test_an_image_without_area_is_refused():
    with pytest.raises(ImageError, match="no area"):
        plan_views(0, 5, SQUARE_2)


def test_the_canvas_must_be_square():
    with pytest.raises(ValueError, match="square"):
        ViewGrid(2, 3, 10, 10)
