"""From a prompt's views to the features that fill its slots: the one place where images are encoded for an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from sphinx_x.inference import SphinxX


def encode_images(sphinx: SphinxX, images: Sequence[Tensor]) -> Iterator[Tensor]:
    """Encode images one after another, so that other work can be done between two of them.

    Args:
        sphinx: The model.
        images: The kept views (V, 3, H, W) uint8 of each image.

    Yields:
        The features (S, D) of the slots of each image.
    """
    for views in images:
        pixels = views.to(sphinx.model.device).float().div_(255)
        yield sphinx.model.model.features(pixels).flatten(0, -2)
