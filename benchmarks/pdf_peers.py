"""The OCR engine's raw work done plainly: page images and words with boxes, by pdfplumber and by PyMuPDF.

    python benchmarks/pdf_peers.py pdfplumber FOLDER OUT --long-edge 1600 --pages 200
    python benchmarks/pdf_peers.py pymupdf    FOLDER OUT --long-edge 1600 --pages 200

Each page becomes NAME.png, and a line of words.jsonl with its words and their boxes in pixels: one process, nothing
filtered. Prints pages a second. PyMuPDF is AGPL: it is a peer here, and nowhere else in this project.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Words = list[tuple[str, tuple[float, float, float, float]]]
Page = tuple[bytes, Words]


def by_pdfplumber(path: Path, long_edge: int) -> Iterator[Page]:
    """Words by pdfplumber, the picture by pdfium (which pdfplumber uses as well), PNG by Pillow."""
    import pdfplumber

    with pdfplumber.open(path) as document:
        for page in document.pages:
            scale = long_edge / max(float(page.width), float(page.height))
            picture = page.to_image(resolution=72 * scale).original
            words = [
                (w["text"], tuple(float(w[key]) * scale for key in ("x0", "top", "x1", "bottom")))
                for w in page.extract_words()
            ]
            content = io.BytesIO()
            picture.convert("RGB").save(content, "PNG")
            page.close()
            yield content.getvalue(), words


def by_pymupdf(path: Path, long_edge: int) -> Iterator[Page]:
    """Words and picture by PyMuPDF."""
    import pymupdf

    with pymupdf.open(path) as document:
        for page in document:
            scale = long_edge / max(page.rect.width, page.rect.height)
            picture = page.get_pixmap(matrix=pymupdf.Matrix(scale, scale))
            words = [(w[4], tuple(number * scale for number in w[:4])) for w in page.get_text("words")]
            yield picture.tobytes("png"), words


PEERS: dict[str, Callable[[Path, int], Iterator[Page]]] = {"pdfplumber": by_pdfplumber, "pymupdf": by_pymupdf}


def run(peer: str, files: list[Path], out: Path, long_edge: int, pages: int) -> tuple[int, float]:
    """Works through files until there are `pages` pages; gives how many there were, and seconds."""
    out.mkdir(parents=True, exist_ok=True)
    began, done = time.perf_counter(), 0
    with (out / "words.jsonl").open("w", encoding="utf-8") as lines:
        for path in files:
            for number, (picture, words) in enumerate(PEERS[peer](path, long_edge), 1):
                name = f"{path.stem}-{number}"
                (out / f"{name}.png").write_bytes(picture)
                lines.write(json.dumps({"id": name, "words": words}, ensure_ascii=False) + "\n")
                done += 1
                if done == pages:
                    return done, time.perf_counter() - began
    return done, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--long-edge", type=int, default=1600)
    parser.add_argument("--pages", type=int, default=200)
    options = parser.parse_args()
    files = sorted(options.folder.rglob("*.pdf"))
    done, seconds = run(options.peer, files, options.out, options.long_edge, options.pages)
    print(f"{options.peer}: {done} pages in {seconds:.1f} s, {done / seconds:.2f} pages/s")


if __name__ == "__main__":
    main()
