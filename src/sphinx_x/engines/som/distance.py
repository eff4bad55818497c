"""The exact Euclidean distance transform, and where it is greatest: the place of a mark's label."""

from __future__ import annotations

import numpy as np

SIDE = 384
"""Rows and columns that are transformed at full detail; larger masks are pooled to blocks that lie wholly inside."""


def squared_distances(mask: np.ndarray) -> np.ndarray:
    """Squared distance (int64, in pixels) of every pixel of a mask (H, W) to the nearest pixel that is not in it.

    What lies beyond the border is not in the mask. Two passes (Saito and Toriwaki 1994; Meijster et al. 2000): the
    distance along columns by running maxima, then the least over shifts along rows. A shift by d adds d squared, so no
    shift beyond the greatest distance found so far can lower anything: the work is area times greatest distance.
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
    """Squared distances of the blocks of a mask (H, W) and the side of a block in pixels, 1 up to `side` pixels.

    A block counts where all of it is in the mask; where none does (a thin mask), nothing is pooled.
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
