"""Seconds to the first word, and memory: measured in a process of its own, which does nothing else.

python -m smol_parts.speed MODEL BASE FAST PICTURE ...     # BASE: "" for the one that adapters name; FAST: 0 or 1
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

QUESTION = "What is the total?"


def measured(model: str, pictures: Sequence[Path], base: str | None = None, fast: bool = False) -> dict[str, object]:
    """Run this module as a process and return what it found."""
    command = [sys.executable, "-m", "smol_parts.speed", model, base or "", f"{fast:d}", *map(str, pictures)]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": paths})
    return json.loads(done.stdout.splitlines()[-1])


def _measure(model: str, base: str, fast: bool, pictures: Sequence[str]) -> dict[str, object]:
    import resource

    begun = time.perf_counter()
    import torch

    from sphinx_x import SphinxX

    sphinx = SphinxX.load(model, base=base or None, fast=fast)
    loaded = time.perf_counter() - begun
    firsts = []
    for picture in pictures:
        begun = time.perf_counter()
        pieces = iter(sphinx.chat(QUESTION, picture, stream=True, max_new_tokens=16))
        next((piece for piece in pieces if piece), None)
        firsts.append(time.perf_counter() - begun)
        list(pieces)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "load_seconds": loaded,
        "first_word_seconds": [median(firsts[1:] or firsts), min(firsts), max(firsts)],
        "first_picture_seconds": firsts[0],
        "pictures": len(firsts),
        "peak_memory_gb": peak / 1e9,
        "threads": torch.get_num_threads(),
        "device": str(next(sphinx.model.parameters()).device),
    }


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], sys.argv[2], sys.argv[3] == "1", sys.argv[4:])))
