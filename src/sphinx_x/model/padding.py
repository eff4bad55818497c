"""Changing the padding of a model: official weights were trained with the image in the middle of its square.

With centred padding, no sub-image of a 2 x 2 grid is ever padding only, so nothing can be skipped. With the image in
the corner and a skip token in place of each sub-image of padding, wide and tall images cost less; but the weights have
to learn it.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.experts import Expert
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.views import PADDINGS


def with_padding(model: Any, processor: SphinxXProcessor, padding: str) -> None:
    """Change the padding of a model and its processor in place.

    Experts that take their views from the whole canvas (those of official checkpoints) then take each view by itself,
    as there is no whole canvas once sub-images are left out. The padding keeps its colour and the views their size.
    Nothing changes if the model already has this padding.

    Args:
        model: The model.
        processor: Its processor.
        padding: `corner` with skip tokens, or `center` without.

    Raises:
        ValueError: The padding has another name.
    """
    if padding not in PADDINGS:
        raise ValueError(f"padding is one of {', '.join(PADDINGS)}, not {padding!r}")
    config: SphinxXConfig = model.config
    corner = padding == "corner"
    if (config.view_grid().padding, config.view_grid().skip) == (padding, corner):
        return
    grid = replace(config.view_grid(), padding=padding, skip=corner)
    config.views = asdict(grid)
    processor.image_processor.views = asdict(grid)
    model.model.vision.grid = grid
    if not corner:
        return
    config.groups = [
        asdict(replace(group, experts=tuple(replace(expert, resample="antialias") for expert in group.experts)))
        for group in config.group_configs()
    ]
    for module in model.model.vision.modules():
        if isinstance(module, Expert):
            module.resample = "antialias"
