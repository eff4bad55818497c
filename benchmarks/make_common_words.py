"""Makes the common words by which `sphinx_x.engines.pdf.hyphens` tells whether a hyphen at the end of a line stays.

    apt-get download wamerican-small debian-policy debian-faq ...; dpkg-deb -x each into a folder of its own below TEXTS
    python benchmarks/make_common_words.py --words TEXTS/wamerican-small/usr/share/dict/american-english-small \
        --texts TEXTS /usr/share/doc --out src/sphinx_x/engines/pdf/words.txt.gz

The words of small letters of a list of English (SCOWL, whose notice stands in docs/licences.md), and of the texts,
which are technical, those that are found in many folders. The list holds facts about which words are common, no text.
"""

from __future__ import annotations

import argparse
import gzip
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pypdfium2 as pdfium

WORD = re.compile(r"(?<![\w./@\\-])[a-z]{3,}(?![\w/@\\-]|\.\w)")
ENGLISH = frozenset(
    {
        "the",
        "of",
        "and",
        "to",
        "is",
        "that",
        "for",
        "with",
        "this",
        "are",
        "not",
    }
)
LARGEST = 20_000_000
FOLDERS = 12
"""In which a word must be found."""
ENDINGS = frozenset(
    [
        "able",
        "al",
        "ally",
        "ance",
        "ate",
        "ated",
        "ation",
        "ed",
        "en",
        "ence",
        "er",
        "ers",
        "es",
        "est",
        "ful",
        "fully",
        "ible",
        "ic",
        "ical",
        "ing",
        "ings",
        "ion",
        "ions",
        "ism",
        "ist",
        "ity",
        "ive",
        "ize",
        "ized",
        "less",
        "ly",
        "ment",
        "ments",
        "ness",
        "ous",
        "ship",
        "sion",
        "sions",
        "th",
        "tion",
        "tions",
        "tive",
        "ture",
        "ty",
        "ward",
    ]
)
"""Parts of words that stand at the starts of lines; none is a word, or hardly."""


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """The texts below a folder, each with the name of the folder right below it that it is in."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.stat().st_size > LARGEST:
            continue
        name = path.relative_to(folder).parts[0]
        try:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError):
            continue
        if data.startswith(b"%PDF"):
            yield from ((name, page) for page in pages(data))
        elif b"\0" not in data[:4096]:
            yield name, data.decode("utf-8", "ignore")


def pages(data: bytes) -> Iterator[str]:
    """The texts of the pages of a PDF."""
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError:
        return
    for number in range(len(document)):
        page = document[number].get_textpage()
        yield page.get_text_range()
        page.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Makes the list of common words.")
    parser.add_argument("--words", type=Path, required=True, help="a list of words")
    parser.add_argument("--texts", type=Path, nargs="+", required=True, help="folders, each with a folder per package")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found: dict[str, set[str]] = defaultdict(set)
    for folder in options.texts:
        for name, text in texts(folder):
            words = WORD.findall(text)
            if 5 * sum(word in ENGLISH for word in words) < len(words) * 0.5:
                continue
            for word in words:
                found[word].add(name)
    listed = re.findall(r"^[a-z]{2,}$", options.words.read_text(), re.MULTILINE)
    chosen = sorted({*listed, *(word for word, names in found.items() if len(names) >= FOLDERS)} - ENDINGS)
    with gzip.GzipFile(options.out, "wb", mtime=0) as file:
        file.write("\n".join(chosen).encode())
    print(len(chosen), "words")


if __name__ == "__main__":
    main()
