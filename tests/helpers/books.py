"""PDFs of pages of words by chance."""

import random
from pathlib import Path

from paths import ROOT
from pdf_pages import PageOf, Pdf, paragraph, show

WORDS = (ROOT / "LICENSE").read_text().split()


def page_operators(seed: int, lines: int = 30) -> list[str]:
    """A page of words by chance, in paragraphs, with a heading."""
    rng = random.Random(seed)
    said = [" ".join(rng.choices(WORDS, k=9))[:80] for _ in range(lines)]
    return [show(f"Page of seed {seed}", 60, 780, 16), *paragraph(said, 60, 740)]


def book(path: Path, *seeds: int) -> Path:
    return Pdf([PageOf(page_operators(seed)) for seed in seeds]).write(path)
