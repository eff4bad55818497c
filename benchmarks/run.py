"""SPHINX-Nano on this machine, each number beside the same work done plainly, as one Markdown table.

    make bench
    python benchmarks/run.py --only batch --only decode     # some rows
    python benchmarks/run.py --model runs/nano/model        # other weights of Nano
    python benchmarks/run.py --quick                        # tiny sizes: shows that it runs, measures nothing

The peers are in `peers.py`, what is measured how in `rows.py`. A quiet machine is needed: other work changes ratios too.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# As the command line sets them, before torch is imported, for both sides and for the processes started here.
for name, value in {
    "OMP_WAIT_POLICY": "passive",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}.items():
    os.environ.setdefault(name, value)

import torch
import transformers
from material import fresh_model
from rows import QUICK, ROWS, Bench, Row, Size

from sphinx_x.inference import BUILT_IN, built_in_models

ROOT = Path(__file__).parent.parent
HEAD = "| work | unit | here | peer | here / peer | the peer | |\n|---|---|---:|---:|---:|---|---|"


def facts(model: str) -> str:
    """What the numbers were measured on."""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}"
    return "\n".join(
        [
            f"- machine: {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}{load}",
            f"- {versions}",
            f"- {torch.get_num_threads()} threads, OMP_WAIT_POLICY={os.environ['OMP_WAIT_POLICY']}",
            f"- commit {_commit()}, {time.strftime('%Y-%m-%d %H:%M')}",
            f"- {model}",
        ]
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def line_of(row: Row) -> str:
    """One row in Markdown."""
    return f"| {row.work} | {row.unit} | {_number(row.here)} | {_number(row.peer)} | {_ratio(row)} | {row.other} | {row.note} |"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(row: Row) -> str:
    return f"{row.here / row.peer:.2f}" if row.peer else "-"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures SPHINX-Nano beside plain loops; prints a Markdown table.")
    parser.add_argument("--only", action="append", choices=list(ROWS), help="this row; may be given again")
    parser.add_argument("--model", type=Path, help="a model folder of Nano; by default the weights of the package")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        size = QUICK if options.quick else Size()
        model = f"weights: {options.model or 'nano of the package'}"
        folder = options.model or BUILT_IN / "nano"
        if options.model is None and "nano" not in built_in_models():
            folder = fresh_model(Path(scratch) / "model")
            model = "weights: FRESH AND RANDOM, for the package holds none; answers mean nothing, and have another length"
        print(f"{facts(model)}\n\nHere / peer: above 1 is better where the unit has ↑, below 1 where it has ↓.\n\n{HEAD}")
        bench = Bench(folder, Path(scratch), size)
        for name in options.only or ROWS:
            for row in ROWS[name](bench):
                print(line_of(row), flush=True)
    if options.quick:
        print("\nQuick run: the numbers measure nothing.", file=sys.stderr)


if __name__ == "__main__":
    main()
