"""The PDF reader beside PyMuPDF: CPU time a page for a page's picture and its text as blocks, lines and words.

    pip install --target PEERS --no-deps pymupdf
    python benchmarks/page_reader.py FOLDER --peers PEERS --rounds 5

Both read every page of the same PDFs at the same long edge, one process each, in turns; the order changes with every
round. What each leaves in memory: the picture, and blocks, lines and words with boxes and fonts. The reader does all it
does (text that nobody sees, wrong maps, reading order, classes of layout, filters of pages); PyMuPDF does nothing else.
CPU time is that of the process while it reads, without imports. Prints the medians and their ratio. PyMuPDF is AGPL: it
is a peer here, and nowhere else in this project.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MOST = 60
"""Pages of a document that are read."""


def by_reader(path: Path, long_edge: int) -> int:
    """All stages of the reader, and the filters of pages; gives the number of pages."""
    import pypdfium2 as pdfium

    from sphinx_x.engines.ocr.filters import Limits, judge
    from sphinx_x.engines.pdf.page import read_page

    with pdfium.PdfDocument(path) as document:
        document.init_forms()
        count = min(len(document), MOST)
        for number in range(count):
            page = read_page(document, number, long_edge)
            judge(page, Limits())
            _ = page.text
    return count


def by_pymupdf(path: Path, long_edge: int) -> int:
    """Picture, words, and blocks with lines and spans; gives the number of pages."""
    import pymupdf

    with pymupdf.open(path) as document:
        count = min(len(document), MOST)
        for number in range(count):
            page = document[number]
            scale = long_edge / max(page.rect.width, page.rect.height)
            page.get_pixmap(matrix=pymupdf.Matrix(scale, scale))
            text = page.get_textpage()
            page.get_text("words", textpage=text)
            page.get_text("dict", textpage=text, flags=pymupdf.TEXTFLAGS_DICT & ~pymupdf.TEXT_PRESERVE_IMAGES)
    return count


READERS: dict[str, Callable[[Path, int], int]] = {"SPHINX-X": by_reader, "PyMuPDF": by_pymupdf}


def read_all(name: str, folder: Path, long_edge: int) -> tuple[int, float]:
    """Pages, and seconds of CPU time for reading them; the first document is read before that once more."""
    files = sorted(folder.rglob("*.pdf"))
    READERS[name](files[0], long_edge)
    began = time.process_time()
    return sum(READERS[name](path, long_edge) for path in files), time.process_time() - began


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", type=Path, help="where PyMuPDF was installed to")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--long-edge", type=int, default=1024)
    parser.add_argument("--only", choices=READERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(*read_all(options.only, options.folder, options.long_edge))
        return
    took: dict[str, list[float]] = {name: [] for name in READERS}
    pages = 0
    for number in range(options.rounds):
        for name in list(READERS)[:: 1 if number % 2 else -1]:
            command = [sys.executable, __file__, str(options.folder), "--only", name]
            paths = [os.environ.get("PYTHONPATH", ""), str(options.peers) if name == "PyMuPDF" else ""]
            more = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
            command += ["--long-edge", str(options.long_edge)]
            done = subprocess.run(command, env=os.environ | more, capture_output=True, text=True, check=True)
            count, seconds = done.stdout.split()
            pages = int(count)
            took[name].append(1000 * float(seconds) / pages)
        print(f"round {number + 1}: " + ", ".join(f"{name} {times[-1]:.2f}" for name, times in took.items()))
    ours, theirs = (statistics.median(took[name]) for name in ("SPHINX-X", "PyMuPDF"))
    ratios = [a / b for a, b in zip(took["SPHINX-X"], took["PyMuPDF"], strict=True)]
    print(f"{pages} pages, ms of CPU a page: SPHINX-X {ours:.2f}, PyMuPDF {theirs:.2f}, {ours / theirs:.2f} times")
    print(f"ratios of the rounds: {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
