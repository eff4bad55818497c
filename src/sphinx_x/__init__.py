"""SPHINX-X: makes, trains, runs and measures a family of multimodal large language models (arXiv 2402.05935)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx_x.inference import SphinxX

# OpenMP threads sleep while they wait for work. By default they spin, which takes the cores from everything else that
# runs: training beside another program took six times as long. PyTorch reads this when it is loaded, so it is set here;
# a user's own setting is kept.
_CHOSEN = bool({"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY"} & os.environ.keys())
if not _CHOSEN:
    os.environ["OMP_WAIT_POLICY"] = "passive"
WAITING_KNOWN = _CHOSEN or "torch" not in sys.modules
"""Whether PyTorch knows how its threads are to wait; if it was loaded before, only processes started later do."""

__version__ = "0.1.0"
__all__ = ["SphinxX", "__version__"]


def __getattr__(name: str) -> Any:
    """Import `SphinxX` on its first use, so that the command line starts fast."""
    if name == "SphinxX":
        from sphinx_x.inference import SphinxX

        return SphinxX
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
