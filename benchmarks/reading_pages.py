"""How well `sphinx-x read` reads whole pages as people bring them: turned, noisy, framed, dark, in columns.

    apt-get install tesseract-ocr; pip install rapidocr onnxruntime rapidfuzz
    python benchmarks/reading_pages.py                       # prints two Markdown tables
    python benchmarks/reading_pages.py --out runs/pages      # and writes pages, texts and answers there
    python benchmarks/reading_pages.py --receipts ../shared/data/sroie    # beside them, real receipts (SROIE's layout)

Three readers see the same pictures in one run: SPHINX-Nano with `read_region`, Tesseract with its own segmentation,
RapidOCR with detection and recognition. Error: edit distance of characters over the length of the text, both with every
run of white space as one space; a page that is refused counts as nothing read (100 %). Words: F1 of the words as two
bags, which does not depend on the order of blocks. Pages that no reader of print can read are to be refused: of them is
told what was said.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from page_drawings import Page, readable_pages, unreadable_pages
from PIL import Image

from sphinx_x.errors import ImageError, MissingToolError
from sphinx_x.evaluation.metrics import character_errors, normalise_text
from sphinx_x.images import open_image
from sphinx_x.inference import SphinxX
from sphinx_x.reading import read_region

Reader = Callable[[Image.Image], str]
"""Reads a page; raises `ImageError` where it refuses."""
GIBBERISH = 0.5
"""Share of wrong characters above which what was read is of no use."""


def nano(model: str) -> Reader:
    """A member of the family, line by line."""
    sphinx = SphinxX.load(model)
    return lambda image: read_region(sphinx, image, (0, 0, *image.size))


def tesseract() -> Reader:
    """Tesseract's English model with its own segmentation of the page."""
    program = shutil.which("tesseract")
    if program is None:
        raise MissingToolError("no tesseract here: apt-get install tesseract-ocr tesseract-ocr-eng")

    def read(image: Image.Image) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.png"
            image.save(path)
            done = subprocess.run([program, str(path), "-"], capture_output=True, check=True)
        return done.stdout.decode("utf-8")

    return read


def rapidocr() -> Reader:
    """RapidOCR as it comes: detection, turning, recognition."""
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise MissingToolError("no rapidocr here: pip install rapidocr onnxruntime") from error
    engine = RapidOCR(params={"Global.log_level": "critical"})
    return lambda image: "\n".join(getattr(engine(image), "txts", None) or ())


@dataclass(frozen=True)
class Score:
    """How a reader did on a page. refused: its reason, else nothing."""

    errors: int
    length: int
    words: float
    answer: str
    refused: str = ""

    @property
    def rate(self) -> float:
        """Wrong characters over characters."""
        return self.errors / max(self.length, 1)


def measure(reader: Reader, page: Page) -> Score:
    """Reads a page and compares; in capitals where the truth has no others, as SROIE's."""
    try:
        answer, refused = reader(page.image), ""
    except ImageError as error:
        answer, refused = "", str(error)
    compared = answer.upper() if page.text.isupper() else answer
    errors, length = character_errors(compared, page.text)
    said, true = (Counter(normalise_text(text).split()) for text in (compared, page.text))
    words = 2 * (said & true).total() / max(said.total() + true.total(), 1)
    return Score(errors, length, words, answer, refused)


def receipts(folder: Path, count: int) -> list[Page]:
    """Real receipts: `img/*.jpg` with `box/*.csv` (eight corners and the text, one line each)."""
    pages = []
    for path in sorted((folder / "img").glob("*.jpg"))[:count]:
        rows = csv.reader((folder / "box" / f"{path.stem}.csv").open(encoding="utf-8"), quoting=csv.QUOTE_NONE)
        text = "\n".join(",".join(row[8:]) for row in rows)
        pages.append(Page(f"receipt {path.stem}", open_image(path), text))
    return pages


def table(pages: list[Page], scores: dict[str, list[Score]]) -> str:
    """One row a page, then all of them."""
    rows = ["| page | characters | " + " | ".join(f"{name}: error, words" for name in scores) + " |"]
    rows.append("|---" * (2 + len(scores)) + "|")
    for k, page in enumerate(pages):
        cells = [
            f"refused, {s[k].words:.2f}" if s[k].refused else f"{s[k].rate:.1%}, {s[k].words:.2f}"
            for s in scores.values()
        ]
        rows.append(f"| {page.name} | {next(iter(scores.values()))[k].length} | " + " | ".join(cells) + " |")
    sums = []
    for some in scores.values():
        length = sum(score.length for score in some)
        rate = sum(score.errors for score in some) / max(length, 1)
        mean = sum(score.rate for score in some) / len(some)
        useless = sum(score.rate > GIBBERISH and not score.refused for score in some)
        words = sum(score.words for score in some) / len(some)
        sums.append(f"{rate:.1%}, {words:.2f}; mean of pages {mean:.1%}; {useless} of gibberish")
    rows.append(f"| all | {sum(s.length for s in next(iter(scores.values())))} | " + " | ".join(sums) + " |")
    return "\n".join(rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures readers on whole pages.")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--readers", nargs="+", choices=("nano", "tesseract", "rapidocr"))
    parser.add_argument("--out", type=Path, help="Where pages, texts and answers go.")
    parser.add_argument("--receipts", type=Path, help="A folder with img/ and box/ of SROIE.")
    parser.add_argument("--count", type=int, default=20, help="How many of its receipts.")
    parser.add_argument("--only", help="Only pages with this in their name.")
    options = parser.parse_args()
    makers = {"nano": lambda: nano(options.model), "tesseract": tesseract, "rapidocr": rapidocr}
    readers: dict[str, Reader] = {}
    for name in options.readers or makers:
        try:
            readers[name] = makers[name]()
        except MissingToolError as error:
            print(f"{name}: {error}", file=sys.stderr)
    sets = {"pages": readable_pages(), "unreadable": unreadable_pages()}
    if options.receipts:
        sets["receipts"] = receipts(options.receipts, options.count)
    for title, pages in sets.items():
        pages = [page for page in pages if not options.only or options.only in page.name]
        scores: dict[str, list[Score]] = {}
        for name, reader in readers.items():
            began = time.perf_counter()
            scores[name] = [measure(reader, page) for page in pages]
            print(f"{name}, {title}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
            if options.out:
                write(options.out / title, name, pages, scores[name])
        if pages and title != "unreadable":
            print(f"\n{table(pages, scores)}\n", flush=True)
        elif pages:
            for name, some in scores.items():
                for page, score in zip(pages, some, strict=True):
                    said = score.refused or repr(normalise_text(score.answer)[:100])
                    print(f"{name}, {page.name}: {said}", flush=True)


def write(folder: Path, reader: str, pages: list[Page], scores: list[Score]) -> None:
    """Pages, their texts, and what a reader read."""
    folder.mkdir(parents=True, exist_ok=True)
    for page, score in zip(pages, scores, strict=True):
        stem = "".join(c if c.isalnum() else "-" for c in page.name)
        page.image.save(folder / f"{stem}.png")
        (folder / f"{stem}.txt").write_text(page.text, encoding="utf-8")
        (folder / f"{stem}.{reader}.txt").write_text(score.refused or score.answer, encoding="utf-8")


if __name__ == "__main__":
    main()
