"""SPHINX-X: makes, trains, runs and measures a family of multimodal large language models (arXiv 2402.05935)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx_x.inference import SphinxX

# OpenMP threads wait for work for a moment (some 50 microseconds), and then sleep. By default they spin for long, which
# takes the cores from everything else that runs: beside two busy programs, decoding on two cores took eight times as
# long, and training beside another program six times. Without any spinning, decoding on idle cores took 1.3 times as
# long, as each product of a token ends sooner than a thread wakes up. PyTorch reads this when it is loaded, so it is
# set here; a user's own setting is kept. Only GNU's OpenMP knows the second variable.
_CHOSEN = bool({"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY"} & os.environ.keys())
if not _CHOSEN:
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "20000"}
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
