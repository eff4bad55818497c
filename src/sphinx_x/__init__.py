"""SPHINX-X: makes, trains, runs and measures a family of multi-modal large language models (arXiv 2402.05935)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx_x.inference import SphinxX

__version__ = "0.1.0"
__all__ = ["SphinxX", "__version__"]


def __getattr__(name: str) -> Any:
    """`SphinxX` is imported when it is first used, so that the command line starts fast."""
    if name == "SphinxX":
        from sphinx_x.inference import SphinxX

        return SphinxX
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
