"""The exact Euclidean distance transform, and its maximum: the place of a mark's label."""

from __future__ import annotations

import numpy as np

SIDE = 384
"""Rows and columns that are transformed at full detail; larger masks are pooled to blocks that lie entirely inside."""


def squared_distances(mask: np.ndarray) -> np.ndarray:
    """Return the squared distance (int64, in pixels) of every pixel of a mask (H, W) to the nearest one outside.

    Everything beyond the border is outside of the mask. Two passes (Saito and Toriwaki 1994; Meijster et al. 2000): the
    distance along columns by running maxima, then the minimum over shifts along rows. A shift by d adds d squared, so
    no shift beyond the largest distance so far can lower anything: the cost is area times largest distance.
    """
    inside = np.pad(np.asarray(mask, bool), 1)
    rows = np.arange(inside.shape[0])[:, None]
    above = rows - np.maximum.accumulate(np.where(inside, 0, rows), axis=0)
    last = inside.shape[0] - 1
    below = np.minimum.accumulate(np.where(inside, last, rows)[::-1], axis=0)[::-1] - rows
    columns = np.minimum(above, below).astype(np.int64) ** 2
    found = columns.copy()
    shift = 1
    while shift < inside.shape[1] and shift * shift < found.max(initial=0):
        np.minimum(found[:, shift:], columns[:, :-shift] + shift * shift, out=found[:, shift:])
        np.minimum(found[:, :-shift], columns[:, shift:] + shift * shift, out=found[:, :-shift])
        shift += 1
    return found[1:-1, 1:-1]


def pooled_distances(mask: np.ndarray, side: int = SIDE) -> tuple[np.ndarray, int]:
    """Return squared distances of a mask's blocks, and the side of a block (1 for masks up to `side` pixels).

    A block counts if all of it is in the mask; if there is none (a thin mask), nothing is pooled.
    """
    step = -(-max(mask.shape) // side)
    if step > 1:
        height, width = (-(-n // step) * step for n in mask.shape)
        whole = np.zeros((height, width), bool)
        whole[: mask.shape[0], : mask.shape[1]] = mask
        blocks = np.asarray(whole.reshape(height // step, step, width // step, step).all(axis=(1, 3)))
        if blocks.any():
            return squared_distances(blocks), step
    return squared_distances(mask), 1
