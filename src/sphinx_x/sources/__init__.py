"""The public sets that SPHINX-X is trained on (paper, table 9), each as a `Source`; one file for each group."""

from __future__ import annotations

from sphinx_x.errors import DataError
from sphinx_x.sources import (
    agent,
    captions,
    charts,
    classification,
    detection,
    documents,
    grounding,
    instruction,
    layout,
    pose,
    science,
    spotting,
    text,
    vqa,
)
from sphinx_x.sources.base import Source

GROUPS = (
    text,
    detection,
    pose,
    classification,
    grounding,
    vqa,
    charts,
    documents,
    captions,
    instruction,
    layout,
    spotting,
    agent,
    science,
)
SOURCES: dict[str, Source] = {source.name: source for group in GROUPS for source in group.SOURCES}


def get_source(name: str) -> Source:
    """Return a set by its name.

    Raises:
        DataError: There is no such set; the message lists those that exist.
    """
    if name not in SOURCES:
        raise DataError(f"{name!r} is not one of {', '.join(SOURCES)}")
    return SOURCES[name]
