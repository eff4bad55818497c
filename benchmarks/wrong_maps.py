"""How many wrong maps from codes to letters the OCR engine finds, and how many right ones it takes for wrong.

    python benchmarks/wrong_maps.py PDFS --documents 60

One page by chance of each of so many documents, of those pages that are kept. The text layer's letters (Latin, Greek,
Cyrillic; of both cases alike) are exchanged as a wrong map of every font would do it: each for the next of its
alphabet, by chance, and by chance among letters of the same form (up, down or neither), which no judgement by heights
can find. Counted are pages left out as broken, and characters of letters that are marked as such.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pypdfium2 as pdfium

from sphinx_x.engines.ocr.filters import Limits, judge
from sphinx_x.engines.pdf import page as page_module
from sphinx_x.engines.pdf.page import read_page
from sphinx_x.engines.pdf.text_layer import Characters, read_characters
from sphinx_x.engines.pdf.trust import BELOW, LOW, TALL
from sphinx_x.errors import SphinxXError

ALPHABETS = ("abcdefghijklmnopqrstuvwxyz", "αβγδεζηθικλμνξοπρστυφχψω", "абвгдежзийклмнопрстуфхцчшщъыьэюя")
FORMS = (sorted(LOW), sorted(BELOW), sorted(TALL), *(list(alphabet) for alphabet in ALPHABETS[1:]))
Maker = Callable[[random.Random], dict[str, str]]


def shifted(_: random.Random) -> dict[str, str]:
    """Every letter is said to be the next one."""
    return {a: b for letters in ALPHABETS for a, b in zip(letters, letters[1:] + letters[0], strict=True)}


def by_chance(rng: random.Random) -> dict[str, str]:
    """Letters of an alphabet in any order."""
    return {a: b for letters in ALPHABETS for a, b in zip(letters, rng.sample(letters, len(letters)), strict=True)}


def of_one_form(rng: random.Random) -> dict[str, str]:
    """Letters in another order among those that are as high and as deep."""
    return {a: b for letters in FORMS for a, b in zip(letters, rng.sample(letters, len(letters)), strict=True)}


WAYS: Mapping[str, Maker] = {"next letter": shifted, "by chance": by_chance, "of one form": of_one_form}


def read_with(document: pdfium.PdfDocument, number: int, claims: Mapping[str, str]) -> page_module.Page:
    """A page whose text layer says other letters."""
    every = dict(claims) | {a.upper(): b.upper() for a, b in claims.items()}

    def altered(page: pdfium.PdfPage, frame: page_module.Frame) -> Characters:
        chars = read_characters(page, frame)
        chars.text = [every.get(text, text) for text in chars.text]
        return chars

    page_module.read_characters = altered
    try:
        return read_page(document, number, 1024)
    finally:
        page_module.read_characters = read_characters


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Wrong maps from codes to letters: how many are found.")
    parser.add_argument("pdfs", type=Path)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    paths = sorted(options.pdfs.rglob("*.pdf"))
    rng.shuffle(paths)
    pages, found, letters, marked = 0, Counter(), Counter(), Counter()
    for path in paths:
        if pages >= options.documents:
            break
        try:
            document = pdfium.PdfDocument(path)
            number = rng.randrange(len(document))
            if judge(read_page(document, number, 1024), Limits()):
                continue
        except (pdfium.PdfiumError, SphinxXError, ValueError):
            continue
        pages += 1
        for way, make in WAYS.items():
            claims = make(rng)
            page = read_with(document, number, claims)
            reason = judge(page, Limits())
            found[way] += reason == "broken Unicode"
            known = [text.lower() in claims for text in page.chars.text]
            letters[way] += sum(known)
            marked[way] += int(page.chars.broken[known].sum())
            if reason is None:
                print(f"not found, {way}: {path.relative_to(options.pdfs)}#page={number + 1}", flush=True)
        document.close()
    for way in WAYS:
        print(
            f"{way}: {found[way]} of {pages} pages left out, {marked[way] / letters[way]:.1%} of their letters marked"
        )


if __name__ == "__main__":
    main()
