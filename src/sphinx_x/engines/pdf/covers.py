"""Text that is drawn but not seen: under bars, pictures and other fills, and on layers that are off.

Candidates are cheap to find: text over which something is drawn later, text of layers, and text in forms (which may
belong to layers) that overlaps other objects. Only these are checked in pixels: the page is rendered without the text
in question, and the text by itself. A character is seen if leaving it out changes most of the pixels of its ink.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pypdfium2 as pdfium
from PIL import Image

from sphinx_x.engines.pdf.drawings import Painted
from sphinx_x.engines.pdf.text_layer import Frame, native
from sphinx_x.engines.pdf.tuned import COVER_CELL, COVERED_SIDE, FAINTEST, SEEN_CHANGE, SEEN_SHARE, THIN

POINTS = tuple((across, down) for across in (-0.4, 0.4) for down in (-0.8, -0.4, 0, 0.4, 0.8))
"""Where a box is checked for anything over it, in halves of its sides from its centre. Most of these points lie under
what hides a character, but not under ruled lines."""

_set_active = native("FPDFPageObj_SetIsActive", ctypes.c_int)


def covered(
    page: pdfium.PdfPage,
    frame: Frame,
    painted: Painted,
    keys: Sequence[int],
    boxes: np.ndarray,
    scale: float,
    picture: Image.Image | None = None,
) -> np.ndarray:
    """Return whether each character is drawn but cannot be seen, (N,).

    Args:
        page: The page.
        frame: From points of the page to pixels of its rendering.
        painted: What is drawn on the page.
        keys: Addresses of the characters' text objects, 0 for none.
        boxes: (N, 4) in pixels of the rendering.
        scale: Pixels per point, as in `PdfPage.render`.
        picture: A rendering of the whole page, grey or in colour, if there is one already.
    """
    hidden = np.zeros(len(keys), bool)
    doubtful = _doubtful(frame, painted, keys, boxes).tolist()
    if not doubtful:
        return hidden
    shown = _pixels(page, scale)[..., :3] if picture is None else _array(picture)
    while doubtful:
        objects = {keys[k] for k in doubtful}
        with _without(objects):
            bare = _pixels(page, scale)[..., : shown.shape[2]]
        with _without([*painted.others, *(key for key in painted.texts if key not in objects)]):
            opacity = _pixels(page, scale, alone=True)[..., 3]
        change = _change(shown, bare)
        for k in doubtful:
            x1, y1, x2, y2 = _whole(boxes[k], frame)
            hidden[k] = _share_seen(opacity[y1:y2, x1:x2], change[y1:y2, x1:x2]) < SEEN_SHARE
        doubtful = _again(painted, keys, doubtful, hidden)
    return hidden


def _again(painted: Painted, keys: Sequence[int], doubtful: Sequence[int], hidden: np.ndarray) -> list[int]:
    """Return the characters to check again: those of objects that may be off and are partly hidden.

    Text of a layer that is off may lie over other text that was left out with it, so that what changed there is not its
    own. The set shrinks each time, because objects of which nothing is hidden are left out of it.
    """
    under = {keys[k] for k in doubtful if hidden[k]}
    partly = {keys[k] for k in doubtful if not hidden[k]} & under & (painted.nested | painted.layered)
    if not partly or len(under) == len({keys[k] for k in doubtful}):
        return []
    return [k for k in doubtful if keys[k] in under]


def _array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def _change(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the largest difference of any channel between two pictures (H, W, C), as (H, W)."""
    # one channel at a time, as numpy is slow along an axis of three
    differences = (np.maximum(a[..., k], b[..., k]) - np.minimum(a[..., k], b[..., k]) for k in range(a.shape[2]))
    return functools.reduce(np.maximum, differences)


def _share_seen(opacity: np.ndarray, change: np.ndarray) -> float:
    """Return the share of a character's ink that can be seen, 0 if it has no ink.

    Strokes are thin and hence grey at the size of a page, so ink is all that is at least half as dark as the darkest
    pixel.

    Args:
        opacity: Of the character's pixels.
        change: Largest change of a channel when the character is left out.
    """
    darkest = int(opacity.max(initial=0))
    if darkest < FAINTEST:
        return 0.0
    own = 2 * opacity.astype(int) >= darkest
    return float((change[own] > min(SEEN_CHANGE, darkest // 4)).mean())


def _whole(box: np.ndarray, frame: Frame) -> tuple[int, int, int, int]:
    """Return the pixels of a box; a thin box gets those beside it as well, where it may be drawn."""
    low, high = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    thin = (high - low < THIN).astype(int)
    low, high = (side.clip(0, [frame.width, frame.height]) for side in (low - thin, high + thin))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _doubtful(frame: Frame, painted: Painted, keys: Sequence[int], boxes: np.ndarray) -> np.ndarray:
    """Return the indices of the characters that have to be checked in pixels."""
    own = set(keys) - {0}
    if painted.crowded or own - painted.texts.keys():
        return np.flatnonzero([key != 0 for key in keys])
    nested = bool(own & painted.nested)
    first = 0 if nested else min((painted.texts[key] for key in own), default=len(painted.places))
    covers = [k for k in range(first, len(painted.places)) if painted.covers[k]]
    if not covers and not nested and not own & painted.layered:
        return np.zeros(0, int)
    doubtful, inner = _belongs(keys, painted.layered), _belongs(keys, painted.nested)
    if covers:
        orders = np.array([0 if key in painted.nested else painted.texts.get(key, 0) for key in keys])
        last, half = _last(frame, painted, covers), np.maximum(boxes[:, 2:] - boxes[:, :2], COVERED_SIDE) / 2
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        count = np.zeros(len(keys), int)
        for across, down in POINTS:
            x, y = ((middle + half * (across, down)).clip(0, [frame.width - 1, frame.height - 1])).astype(int).T
            count += last[y, x] > orders
        doubtful |= 2 * count > len(POINTS)
    if nested:
        over = {keys[k] for k in np.flatnonzero(inner & _over_others(frame, keys, boxes)).tolist()}
        doubtful |= _belongs(keys, over)  # a layer is on or off with all of its text
    return np.flatnonzero(doubtful)


def _belongs(keys: Sequence[int], objects: set[int]) -> np.ndarray:
    """Return whether each character belongs to one of these text objects, (N,)."""
    return np.array([key in objects for key in keys], bool) if objects else np.zeros(len(keys), bool)


def _last(frame: Frame, painted: Painted, covers: Sequence[int]) -> np.ndarray:
    """Return the last object at each pixel that may cover text, counted from 1, as (H, W); 0 for none."""
    grid = np.zeros((frame.height, frame.width), np.int32)
    places = frame.boxes(np.array([painted.places[k] for k in covers]))
    limits = [frame.width, frame.height]
    low = np.floor(places[:, :2]).clip(0, limits).astype(int)
    high = np.ceil(places[:, 2:]).clip(0, limits).astype(int)
    for k, (x1, y1), (x2, y2) in zip(covers, low.tolist(), high.tolist(), strict=True):
        grid[y1:y2, x1:x2] = k + 1
    return grid


def _over_others(frame: Frame, keys: Sequence[int], boxes: np.ndarray) -> np.ndarray:
    """Return whether the centre of each character lies in the box of one from another text object, (N,)."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys), 1)}
    own = np.array([numbers[key] for key in keys])
    grid = np.zeros((2, frame.height // COVER_CELL + 1, frame.width // COVER_CELL + 1), np.int32)
    low = np.round(boxes[:, :2] / COVER_CELL).clip(0).astype(int)
    high = np.round(boxes[:, 2:] / COVER_CELL).clip(0).astype(int)
    for way, step in enumerate((1, -1)):  # whichever of two comes last, one of the grids shows the other
        for number, (x1, y1), (x2, y2) in zip(
            own[::step].tolist(), low[::step].tolist(), high[::step].tolist(), strict=True
        ):
            grid[way, y1 : y2 + 1, x1 : x2 + 1] = number
    x = ((boxes[:, 0] + boxes[:, 2]) / 2 / COVER_CELL).clip(0, grid.shape[2] - 1).astype(int)
    y = ((boxes[:, 1] + boxes[:, 3]) / 2 / COVER_CELL).clip(0, grid.shape[1] - 1).astype(int)
    return (grid[:, y, x] != own).any(0)


@contextmanager
def _without(objects: Iterable[int]) -> Iterator[None]:
    """Keep objects, given by their addresses, from being drawn."""
    handles = [ctypes.c_void_p(key) for key in objects]
    for handle in handles:
        _set_active(handle, 0)
    try:
        yield
    finally:
        for handle in handles:
            _set_active(handle, 1)


def _pixels(page: pdfium.PdfPage, scale: float, alone: bool = False) -> np.ndarray:
    """Render a page as (H, W, 4), the fourth channel unused; or, if `alone`, only its content, as ink with opacity."""
    more: dict[str, Any] = {"fill_color": (0, 0, 0, 0), "draw_annots": False, "may_draw_forms": False} if alone else {}
    bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=True, **more)  # pyright: ignore[reportArgumentType]
    pixels = bitmap.to_numpy().copy()
    bitmap.close()
    return pixels
