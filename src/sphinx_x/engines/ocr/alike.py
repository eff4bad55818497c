"""Finds pages that occur twice, nearly twice, or in a benchmark.

Near duplicates: MinHash over runs of words, whose bands are sorted, so that any number of pages fits and the result
does not depend on which process read which page. Benchmarks: correlation of thumbnails, which also works for pages with
little text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sphinx_x.errors import DataError, ImageError
from sphinx_x.images import open_image

HASHES, BANDS = 64, 16
RUN = 5
"""Number of words (or Chinese and Japanese characters) that are hashed together."""
NEIGHBOURS = 8
"""Number of earlier pages of one band that a page is compared with."""
SIDE = 64
"""Side of a thumbnail in pixels: a line of text is about one pixel high."""
SAME_PICTURE, SAME_SHAPE = 0.92, 0.05
"""Smallest correlation, and largest difference of the aspect ratios, of two images that count as the same."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_TOKEN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]|[^\W_]+")


def _mixed(values: np.ndarray) -> np.ndarray:
    """Apply SplitMix64: every bit of the result depends on every bit of the value."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_SEEDS = _mixed(np.arange(HASHES, dtype=np.uint64))


def signature(text: str) -> np.ndarray:
    """Return a text's MinHash (HASHES,) uint32; the share of equal numbers estimates the Jaccard index of two texts."""
    tokens = _TOKEN.findall(text.lower())
    runs = {" ".join(tokens[k : k + RUN]) for k in range(max(len(tokens) - RUN + 1, 1))}
    hashes = np.array([zlib.crc32(run.encode(errors="replace")) for run in sorted(runs)], np.uint64)
    return (_mixed(hashes[None] ^ _SEEDS[:, None]) >> np.uint64(32)).min(1).astype(np.uint32)


def near_duplicates(signatures: np.ndarray, threshold: float) -> np.ndarray:
    """Return (N,) for every page the earlier page that it nearly repeats, or -1.

    Of similar pages the first is kept; a page is only compared with pages that are kept.

    Args:
        signatures: (N, HASHES), in final order.
        threshold: Share of equal numbers from which two pages are near duplicates.
    """
    count = len(signatures)
    earlier: list[list[int]] = [[] for _ in range(count)]
    rows = HASHES // BANDS
    for band in range(BANDS):
        part = np.ascontiguousarray(signatures[:, band * rows : (band + 1) * rows])
        keys = part.view([("", part.dtype)] * rows).ravel() if count else part.ravel()
        _, group = np.unique(keys, return_inverse=True)
        order = np.argsort(group, kind="stable")
        edges = np.flatnonzero(np.diff(group[order])) + 1
        for members in np.split(order, edges):
            for place in range(1, len(members)):
                first = members[: min(place, NEIGHBOURS // 2)].tolist()
                last = members[max(place - NEIGHBOURS // 2, 0) : place].tolist()
                earlier[int(members[place])] += first + last
    out = np.full(count, -1)
    for number, candidates in enumerate(earlier):
        for other in sorted(set(candidates)):
            if out[other] < 0 and (signatures[number] == signatures[other]).mean() >= threshold:
                out[number] = other
                break
    return out


def thumbnail(image: Image.Image) -> np.ndarray:
    """Return a small grey image with mean 0 as (SIDE * SIDE,) int8; the product of two is their correlation."""
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).ravel()
    grey = grey - grey.mean()
    length = float(np.linalg.norm(grey))
    return np.clip(np.rint(grey / max(length, 1e-6) * SCALE), -127, 127).astype(np.int8)


SCALE = 1000.0


class Benchmarks:
    """Images of benchmarks, none of which may be in the data.

    Attributes:
        names: Of the files, below the folder.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.names: list[str] = []
        small: list[np.ndarray] = []
        ratios: list[float] = []
        self.unreadable: list[str] = []
        for path in _pictures(Path(folder)) if folder else []:
            try:
                image = open_image(path)
            except ImageError:
                self.unreadable.append(str(path))
                continue
            self.names.append(path.relative_to(Path(folder or ".")).as_posix())
            small.append(thumbnail(image))
            ratios.append(image.width / image.height)
        self.small = np.array(small, np.int8).reshape(-1, SIDE * SIDE)
        self.ratios = np.array(ratios, np.float64)
        self.lengths = np.linalg.norm(self.small.astype(np.float32), axis=1)

    def find(self, image: Image.Image) -> str | None:
        """Return the name of the benchmark image that an image matches, or None."""
        near = np.flatnonzero(np.abs(self.ratios / (image.width / image.height) - 1) < SAME_SHAPE)
        if not len(near):
            return None
        own = thumbnail(image).astype(np.float32)
        alike = self.small[near].astype(np.float32) @ own
        alike /= np.maximum(self.lengths[near] * np.linalg.norm(own), 1e-6)
        best = int(alike.argmax())
        return self.names[near[best]] if alike[best] >= SAME_PICTURE else None


def _pictures(folder: Path) -> Sequence[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
