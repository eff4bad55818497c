"""To come."""

from sphinx_x.data.sources.base import Source

SOURCES: tuple[Source, ...] = ()
