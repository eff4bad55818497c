"""The OCR engine beside pdfplumber (with pdfium) and PyMuPDF: pages a second, one process each, and what is kept.

    pip install --target PEERS pdfplumber pymupdf
    python benchmarks/ocr_engine.py FOLDER --peers PEERS --pages 400 --rounds 3

All read the same PDFs, chosen by chance below FOLDER, at the same long edge into PNG and words with boxes; the peers do
nothing else (`pdf_peers.py`), the engine does all it does: filters, questions, duplicates, shards, report. They run in
turns, so that a busy machine is as busy for each. Times are of whole processes from their start, the least of all
rounds; CPU time includes the processes that they start. Prints a table in Markdown, ratios against the engine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pypdfium2 as pdfium

HERE = Path(__file__).parent
ENGINE = """
import sys
from sphinx_x.engines.ocr.engine import make_ocr
from sphinx_x.engines.ocr.pdfs import OcrSettings
make_ocr(sys.argv[1], sys.argv[2], OcrSettings(long_edge=int(sys.argv[3])), workers=1)
"""
PEERS = ("pymupdf", "pdfplumber")
LARGE = 60
"""Pages from which a document is passed over, so that many kinds of documents are among few pages."""


@dataclass(frozen=True)
class Took:
    """Seconds of a run: of the processor, and by the clock."""

    cpu: float
    wall: float


def choose(folder: Path, to: Path, pages: int, seed: int) -> int:
    """Links different, readable PDFs below `folder` into `to` up to about so many pages; gives their number."""
    files = sorted(folder.rglob("*.pdf"))
    random.Random(seed).shuffle(files)
    seen: set[bytes] = set()
    total = 0
    for path in files:
        key = hashlib.sha256(path.read_bytes()).digest()
        try:
            with pdfium.PdfDocument(path) as document:
                count = len(document)
        except pdfium.PdfiumError:
            continue
        if key in seen or not 0 < count < LARGE:
            continue
        seen.add(key)
        (to / f"{len(seen):04d}-{path.name}").symlink_to(path.resolve())
        total += count
        if total >= pages:
            break
    return total


def measure(command: Sequence[str], variables: dict[str, str]) -> Took:
    """Runs a command to its end; raises `CalledProcessError` where it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return Took(usage.ru_utime + usage.ru_stime, time.perf_counter() - began)


def commands(folder: Path, out: Path, long_edge: int, peers: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """What is run, and with which variables of the environment."""
    edge = str(long_edge)
    found = {"SPHINX-X": ([sys.executable, "-c", ENGINE, str(folder), str(out), edge], {})}
    for peer in PEERS:
        command = [sys.executable, str(HERE / "pdf_peers.py"), peer, str(folder), str(out)]
        found[peer] = ([*command, "--long-edge", edge, "--pages", str(10**9)], {"PYTHONPATH": str(peers)})
    return found


def rounds(folder: Path, place: Path, long_edge: int, peers: Path, count: int) -> tuple[dict[str, Took], dict]:
    """The least times of all rounds, and the engine's report."""
    best: dict[str, Took] = {}
    report: dict = {}
    for number in range(count):
        for name in ("SPHINX-X", *PEERS):
            out = place / f"{name}-{number}"
            command, variables = commands(folder, out, long_edge, peers)[name]
            took = measure(command, variables | {"OMP_NUM_THREADS": "1"})
            before = best.get(name, took)
            best[name] = Took(min(before.cpu, took.cpu), min(before.wall, took.wall))
            print(f"round {number + 1}: {name} {took.cpu:.1f} s CPU, {took.wall:.1f} s", file=sys.stderr)
            if name == "SPHINX-X":
                report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return best, report


def table(best: dict[str, Took], report: dict, pages: int) -> str:
    """The outcome in Markdown."""
    ours = best["SPHINX-X"]
    lines = [
        "| | CPU, ms/page | pages/s (CPU) | pages/s (clock) | CPU against ours | clock against ours |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {1000 * took.cpu / pages:.1f} | {pages / took.cpu:.1f} | {pages / took.wall:.1f} "
        f"| {took.cpu / ours.cpu:.2f} | {took.wall / ours.wall:.2f} |"
        for name, took in best.items()
    ]
    tally = report["tally"]
    lines += ["", f"{pages} pages of {report['documents']} documents; kept: {tally['samples'] / tally['records']:.1%}"]
    gone = [*tally["left_out"].items(), *tally["set_aside"].items()]
    lines += [f"- {reason}: {number}" for reason, number in sorted(gone, key=lambda item: -item[1])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", type=Path, required=True, help="where pdfplumber and pymupdf were installed to")
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long-edge", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        chosen = Path(name) / "pdfs"
        chosen.mkdir()
        pages = choose(options.folder, chosen, options.pages, options.seed)
        if not pages:
            raise SystemExit(f"{options.folder}: no PDF there that can be read")
        best, report = rounds(chosen, Path(name), options.long_edge, options.peers, options.rounds)
        print(table(best, report, pages))


if __name__ == "__main__":
    main()
