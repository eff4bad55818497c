"""Documents to test with, drawn in the fonts that matplotlib brings."""

import functools

import pytest

from sphinx_x.engines.documents.faces import find_faces
from sphinx_x.engines.documents.kinds import all_kinds
from sphinx_x.sources.dialogue import rng_of


@functools.cache
def fonts():
    """Return the folder of matplotlib's fonts."""
    pytest.importorskip("matplotlib", reason="its fonts are drawn with: pip install 'sphinx-x[data]'")
    import matplotlib

    return f"{matplotlib.get_data_path()}/fonts/ttf"


@functools.cache
def faces():
    """Return the typefaces among them."""
    return find_faces([fonts()])


@functools.cache
def drawings(kind, count=12):
    """Return some documents of a kind."""
    return [all_kinds()[kind].draw(rng_of(f"{kind} {k}"), faces()) for k in range(count)]
