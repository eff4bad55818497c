"""Layout classes and reading order of the OCR engine against pages that were labelled by eye.

    apt-get download PACKAGE; dpkg-deb -x PACKAGE_*.deb PDFS/PACKAGE     # each package named in ocr_layout.json
    python benchmarks/ocr_layout.py PDFS
    python benchmarks/ocr_layout.py PDFS --part held-out --draw pages/   # pictures with both kinds of boxes

A label is a region of the page's picture (turned upright): its class, its box in shares of the picture's sides, drawn
by eye and shrunk to the ink; labels stand in reading order, those with `"order": false` (notes in the margin) stand
anywhere. What has no label is furniture: running heads, page numbers, line numbers. How it was labelled: a paragraph, a
heading, a displayed formula, a footnote is one region each; so is a listing of program code, blank lines included, a
list or a description list with all its items, a table of contents, a column of an index.

Parts: `tuning` was looked at while the rules were made; `held-out` was labelled and measured after that, and then
looked at; `fresh` was labelled last, and only what it showed of captions between two tables was mended.

A region is found when a region of the same class overlaps it with at least half of their union, each used once. A page
is in order when its lines come region by region in the order of the labels, none torn apart.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pypdfium2 as pdfium

from sphinx_x.boxes import Box, iou
from sphinx_x.drawing import draw_places
from sphinx_x.engines.pdf.page import Page, read_page

CLASSES = ("title", "text", "list", "table", "figure", "caption")
OVERLAP = 0.5
Labelled = tuple[str, Box]


@dataclass
class Tally:
    """Counts over pages. found, labelled, named: regions by class; tau: one a page; wrong: pages out of order."""

    found: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    tau: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    pages: int = 0

    def add(self, name: str, labels: Sequence[Labelled], named: Sequence[Labelled], visited: Sequence[int]) -> None:
        """Counts a page. visited: the numbers of the labelled regions that its lines lie in, line by line."""
        self.pages += 1
        self.labelled.update(kind for kind, _ in labels)
        self.named.update(kind for kind, _ in named)
        self.found.update(labels[k][0] for k, _ in matched(labels, named))
        self.tau.append(kendall(visited))
        runs = [number for number, _ in itertools.groupby(visited)]
        if runs != sorted(set(runs)):
            self.wrong.append(name)

    def table(self) -> str:
        """Precision, recall and F1 by class, and the order."""
        lines = [f"{'class':10}{'labelled':>10}{'precision':>11}{'recall':>8}{'F1':>7}"]
        for kind in (*CLASSES, "all"):
            found, labelled, named = (
                counts.total() if kind == "all" else counts[kind] for counts in (self.found, self.labelled, self.named)
            )
            shares = (found / max(named, 1), found / max(labelled, 1), 2 * found / max(named + labelled, 1))
            lines.append(f"{kind:10}{labelled:10}{shares[0]:11.3f}{shares[1]:8.3f}{shares[2]:7.3f}")
        right = 1 - len(self.wrong) / max(self.pages, 1)
        mean = sum(self.tau) / max(len(self.tau), 1)
        lines.append(f"{self.pages} pages; in order {right:.1%}; Kendall's tau {mean:.3f} (mean of pages)")
        return "\n".join(lines)


def matched(labels: Sequence[Labelled], named: Sequence[Labelled]) -> list[tuple[int, int]]:
    """Pairs of regions of one class that overlap enough, the best first, each region once."""
    pairs = [
        (iou(label[1], other[1]), k, n)
        for k, label in enumerate(labels)
        for n, other in enumerate(named)
        if label[0] == other[0]
    ]
    out: list[tuple[int, int]] = []
    for share, k, n in sorted(pairs, reverse=True):
        if share >= OVERLAP and all(k != a and n != b for a, b in out):
            out.append((k, n))
    return out


def kendall(visited: Sequence[int]) -> float:
    """Kendall's tau between the numbers of regions and the mean rank of the lines in them; 1 for less than two."""
    ranks: dict[int, list[int]] = {}
    for rank, number in enumerate(visited):
        ranks.setdefault(number, []).append(rank)
    means = [sum(ranks[number]) / len(ranks[number]) for number in sorted(ranks)]
    pairs = list(itertools.combinations(means, 2))
    return sum((b > a) - (b < a) for a, b in pairs) / len(pairs) if pairs else 1.0


def visits(page: Page, labels: Sequence[Labelled], free: Sequence[int]) -> list[int]:
    """The labelled regions that the page's lines lie in, in the engine's order; without figures and those in `free`."""
    width, height = page.image.size
    places = [k for k, (kind, _) in enumerate(labels) if kind != "figure" and k not in free]
    out = []
    for line in page.lines:
        x, y = (line.box[0] + line.box[2]) / 2 / width, (line.box[1] + line.box[3]) / 2 / height
        inside = [
            k for k in places if labels[k][1][0] <= x <= labels[k][1][2] and labels[k][1][1] <= y <= labels[k][1][3]
        ]
        out += inside[:1]
    return out


def named_regions(page: Page) -> list[Labelled]:
    """The engine's regions, boxes in shares of the picture's sides."""
    w, h = page.image.size
    boxes = [(region.label, region.box) for region in page.regions if region.label]
    return [(kind, (x1 / w, y1 / h, x2 / w, y2 / h)) for kind, (x1, y1, x2, y2) in boxes]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures layout classes and reading order of the OCR engine.")
    parser.add_argument("pdfs", type=Path, help="folder with one unpacked package in each folder")
    parser.add_argument("--labels", type=Path, default=Path(__file__).with_name("ocr_layout.json"))
    parser.add_argument("--part", choices=("tuning", "held-out", "fresh"), help="only this part")
    parser.add_argument("--draw", type=Path, help="folder for pictures: labels wide and red, the engine's regions thin")
    options = parser.parse_args()
    parts: dict[str, Tally] = {}
    missing = 0
    for entry in json.loads(options.labels.read_text("utf-8")):
        if options.part not in (None, entry["part"]):
            continue
        path = options.pdfs / entry["package"] / entry["file"]
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            missing += 1
            print(f"missing, or another version: {entry['package']}/{entry['file']}", file=sys.stderr)
            continue
        document = pdfium.PdfDocument(path)
        page = read_page(document, entry["page"] - 1, 1024)
        document.close()
        labels: list[Labelled] = [(label["class"], tuple(label["box"])) for label in entry["regions"]]
        free = [k for k, label in enumerate(entry["regions"]) if not label.get("order", True)]
        name = f"{path.stem}-{entry['page']}"
        tally = parts.setdefault(entry["part"], Tally())
        tally.add(name, labels, named_regions(page), visits(page, labels, free))
        if options.draw:
            draw(page, labels, options.draw / f"{name}.png")
    for part, tally in parts.items():
        print(f"\n{part}\n{tally.table()}\nout of order: {', '.join(tally.wrong) or 'none'}")
    if missing:
        sys.exit(f"{missing} pages were not measured")


def draw(page: Page, labels: Sequence[Labelled], path: Path) -> None:
    """A picture with the labels and what the engine says."""
    w, h = page.image.size
    truth = [((x1 * w, y1 * h, x2 * w, y2 * h), kind, "#d62728") for kind, (x1, y1, x2, y2) in labels]
    named = [(region.box, region.label, "#1f77b4") for region in page.regions]
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_places(draw_places(page.image, truth, 5), named).save(path)


if __name__ == "__main__":
    main()
