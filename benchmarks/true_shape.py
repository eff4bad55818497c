"""SPHINX-Tiny-1k in its true shape (3.09 B parameters, random weights): import, load in bfloat16, answer, with memory.

    python benchmarks/true_shape.py [--work FOLDER]

Needs 13 GB of disk. Each step runs in a process of its own; memory is the highest resident size, mapped pages of the
weights included, and its anonymous part.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from imports import ROOT, AnonymousMemory, make_checkpoint, official_shapes


def resident_peak() -> int:
    """The highest resident size of this process so far, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def make(work: Path) -> None:
    tokenizer = ROOT / "tests" / "reference" / "tokenizer" / "tokenizer.model"
    make_checkpoint(work / "official", official_shapes(22, 40, (3, 4, 30, 3)), 1, tokenizer)


def run_import(work: Path) -> None:
    from sphinx_x.checkpoints.accessory import import_accessory

    start = time.perf_counter()
    with AnonymousMemory() as memory:
        import_accessory([work / "official"], work / "model")
    print(f"import: {time.perf_counter() - start:.1f} s, {memory.peak / 1e9:.2f} GB anonymous at most")


def answer(work: Path) -> None:
    import PIL.Image

    from sphinx_x.inference import SphinxX

    with AnonymousMemory() as memory:
        start = time.perf_counter()
        sphinx = SphinxX.load(work / "model", dtype="bfloat16")
        loaded, size = time.perf_counter() - start, sum(p.numel() for p in sphinx.model.parameters())
        print(
            f"load: {loaded:.1f} s, {size / 1e9:.2f} B parameters; anonymous memory then {memory._now() / 1e9:.2f} GB"
        )
        for name in ("square", "wide"):
            image = PIL.Image.open(ROOT / "tests" / "reference" / "images" / f"{name}.png")
            times: list[float] = []
            clock = [lambda ids, scores, times=times: _tick(times, ids)]
            start = time.perf_counter()
            prompt = sphinx.prompt_for("What is in the image?", image)
            sphinx._generate([prompt], max_new_tokens=9, min_new_tokens=9, stopping_criteria=clock)
            first, later = times[0] - start, (times[-1] - times[0]) / (len(times) - 1)
            print(f"{name}: {len(prompt.ids)} ids, first token {first:.1f} s, then {later:.2f} s a token")
    print(f"memory at most: {resident_peak() / 1e9:.2f} GB resident (goal: 12), {memory.peak / 1e9:.2f} GB anonymous")


def _tick(times: list[float], ids: torch.Tensor) -> torch.Tensor:
    """Notes the time; ends nothing."""
    times.append(time.perf_counter())
    return torch.zeros(len(ids), dtype=torch.bool)


STEPS = {"make": make, "import": run_import, "answer": answer}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--step", choices=STEPS, default=None, help="one step of a run in the folder --work")
    args = parser.parse_args()
    if args.step:
        STEPS[args.step](args.work)
        return
    work = Path(tempfile.mkdtemp(dir=args.work))
    try:
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, "--work", str(work)]
            subprocess.run(command, check=True, env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
