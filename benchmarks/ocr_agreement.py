"""Whether text layers of pages that the OCR engine keeps say what the pages show: beside Tesseract 5 and RapidOCR.

    apt-get install tesseract-ocr tesseract-ocr-all; pip install rapidocr onnxruntime rapidfuzz
    sphinx-x data ocr PDFS -o data/ocr --settings two_pages_a_document.yaml     # pages_per_document: 2
    python benchmarks/ocr_agreement.py pick data/ocr PDFS runs/agreement --count 200
    python benchmarks/ocr_agreement.py read runs/agreement        # goes on where it was stopped
    python benchmarks/ocr_agreement.py table runs/agreement       # figures, which go to ocr_agreement.json
    python benchmarks/ocr_agreement.py table                      # as they were when the labels were given

`pick` takes pages by chance, as even over groups of script and language as there are pages. `read` shows both readers
the page at 200 dpi, upright. Tesseract has its model of the language (page segmentation 3); RapidOCR has one model, of
Chinese, Japanese and Latin letters, and is left out elsewhere. Two figures for a page: the character error rate of
the reader against the text layer, and, as readers order blocks in another way, the F1 of their words as two bags. Both
texts are normalised alike: NFKC, one kind of quotes and dashes, no hyphens at line ends; letters keep their case only
for the character error rate; Chinese and Japanese characters are words of their own.

The labels of `ocr_agreement.json` were given by eye: every page on which all its readers disagree (see `disagrees`) was
looked at beside its text layer. `right`: letters and words are those of the page; `order`: but parts of a line stand in
another order; `wrong`: other letters, or words torn apart, in more than 2 % of the text. `now`: `left out` where the
engine has learned to leave the page out since.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pypdfium2 as pdfium
from PIL import Image

from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.pdf.languages import language
from sphinx_x.engines.pdf.page import Page, read_page
from sphinx_x.engines.pdf.picture import render, scale_for
from sphinx_x.engines.pdf.turns import QUARTERS
from sphinx_x.errors import MissingToolError

LABELS = Path(__file__).with_suffix(".json")
DPI = 200
LONG_EDGE = 1024
"""Of the page as the engine reads it."""
MODELS = {
    "en": "eng", "de": "deu", "fr": "fra", "es": "spa", "pt": "por", "it": "ita", "nl": "nld", "sv": "swe", "da": "dan",
    "pl": "pol", "cs": "ces", "sk": "slk", "hu": "hun", "fi": "fin", "tr": "tur", "vi": "vie", "ro": "ron",
    "la": "lat", "ru": "rus", "uk": "ukr", "bg": "bul", "sr": "srp", "mn": "mon", "el": "ell+grc", "ar": "ara",
    "fa": "fas", "he": "heb", "zh": "chi_sim+chi_tra", "ja": "jpn", "ko": "kor",
}  # fmt: skip
"""Tesseract's models; with a page of another script than Latin, English as well."""
UNKNOWN = {"cyrillic": "rus+srp+mon", "arabic": "ara+fas", "latin": "eng"}
"""Its models where the language cannot be told."""
RAPIDOCR_READS = ("latin", "han")
FAR, APART = 0.1, 0.8
"""Character error rate above, and F1 below which a reader disagrees with a text layer."""
SAME = str.maketrans(
    {**dict.fromkeys("‘’‚‛`´′", "'"), **dict.fromkeys("“”„‟«»″", '"'), **dict.fromkeys("‐‑‒–—―−", "-")}
)
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")


def lines_of(path: Path) -> list[dict]:
    """Records of a file of JSON lines; none where there is no file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def add(path: Path, record: dict) -> None:
    """Appends a record to a file of JSON lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def pages_of(sources: Sequence[str], folder: Path) -> Iterator[tuple[str, int, pdfium.PdfDocument, Page]]:
    """Name, page number from 1, document and page of each `NAME#page=N`."""
    for source in sources:
        name, _, number = source.rpartition("#page=")
        document = pdfium.PdfDocument(folder / name)
        try:
            yield name, int(number), document, read_page(document, int(number) - 1, LONG_EDGE)
        finally:
            document.close()


def pick(kept: Path, pdfs: Path, out: Path, count: int, seed: int, only: str) -> None:
    """Writes the list of pages, and each page's picture and text layer."""
    out.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[str]] = defaultdict(list)
    for sample in SampleReader(kept):
        groups["/".join(language("\n".join(region["text"] for region in sample.regions)))].append(sample.source)
    names = sorted(name for name in groups if name.startswith(only))
    rng = random.Random(seed)
    for name in names:
        rng.shuffle(groups[name])
    taken: list[tuple[str, str]] = []
    for turn in range(max(map(len, groups.values()))):
        taken += [(groups[name][turn], name) for name in names if turn < len(groups[name])]
    taken = taken[:count]
    rng.shuffle(taken)  # so that a run that was stopped half way is a sample as well
    print(dict(Counter({name: len(groups[name]) for name in names})))
    pages = pages_of([source for source, _ in taken], pdfs)
    for number, ((_, group), (name, place, document, page)) in enumerate(zip(taken, pages, strict=True)):
        picture = f"{number:04d}.png"
        upright(document, place - 1, page.turned).save(out / picture)
        text = "\n".join(block.text for block in page.blocks if block.lines)
        record = {"document": name, "page": place, "group": group, "picture": picture, "text": text}
        add(out / "pages.jsonl", record)


def upright(document: pdfium.PdfDocument, number: int, turned: int) -> Image.Image:
    """A page's picture for the readers, its text upright."""
    page = document[number]
    image, _ = render(page, scale_for(page, round(max(page.get_size()) * DPI / 72)))
    page.close()
    return image.transpose(QUARTERS[turned - 1]) if turned else image


def tesseract() -> Callable[[Image.Image, str], str]:
    """Reads a page of a language with Tesseract."""
    program = shutil.which("tesseract")
    if program is None:
        raise MissingToolError("no tesseract here: apt-get install tesseract-ocr")

    def read(image: Image.Image, group: str) -> str:
        script, spoken = group.split("/")
        models = MODELS.get(spoken) or UNKNOWN.get(script, "eng")
        models += "" if script == "latin" else "+eng"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.png"
            image.save(path, dpi=(DPI, DPI))
            command = [program, str(path), "-", "--psm", "3", "-l", models]
            return subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8")

    return read


def rapidocr() -> Callable[[Image.Image, str], str]:
    """Reads a page with RapidOCR's detector, turner and recogniser."""
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise MissingToolError("no rapidocr here: pip install rapidocr onnxruntime") from error
    threads = {"EngineConfig.onnxruntime.intra_op_num_threads": 1, "EngineConfig.onnxruntime.inter_op_num_threads": 1}
    engine = RapidOCR(params={"Global.log_level": "warning", **threads})
    return lambda image, _: "\n".join(engine(np.asarray(image.convert("RGB"))).txts or ())


READERS = {"tesseract": tesseract, "rapidocr": rapidocr}


def read(out: Path, names: Sequence[str], doubtful: bool) -> None:
    """Lets the readers read every page that they have not read yet; doubtful: those first that others disagree with."""
    done = {(entry["picture"], entry["reader"]) for entry in lines_of(out / "readings.jsonl")}
    readers = {name: READERS[name]() for name in names}
    pages = lines_of(out / "pages.jsonl")
    if doubtful:
        apart = {row["picture"] for row in compare(out) if disagrees(row)}
        pages.sort(key=lambda entry: entry["picture"] not in apart)
    for entry in pages:
        image = Image.open(out / entry["picture"])
        for name, reader in readers.items():
            reads = name != "rapidocr" or entry["group"].split("/")[0] in RAPIDOCR_READS
            if not reads or (entry["picture"], name) in done:
                continue
            started = time.perf_counter()
            text = reader(image, entry["group"])
            seconds = round(time.perf_counter() - started, 2)
            add(out / "readings.jsonl", {"picture": entry["picture"], "reader": name, "seconds": seconds, "text": text})


def normalised(text: str) -> str:
    """One way to write what can be written in several."""
    text = unicodedata.normalize("NFKC", text.translate(SAME)).translate(SAME)
    text = re.sub(r"(?<=[^\W\d_])-\s*\n\s*(?=[^\W\d_])", "", text)
    text = re.sub(r"[\u064b-\u065f\u0591-\u05c7\u200b-\u200f\u202a-\u202e]", "", text)  # points and marks of direction
    return " ".join(re.sub(r"(?:\.\s*){3,}", " ", text).split())


def error_rate(text: str, truth: str) -> float:
    """Character error rate, without white space."""
    from rapidfuzz.distance import Levenshtein

    text, truth = (re.sub(r"\s", "", normalised(t)) for t in (text, truth))
    return Levenshtein.distance(text, truth) / max(len(truth), 1)


def agreement(text: str, truth: str) -> float:
    """F1 of two bags of words."""
    found, true = (Counter(WORD.findall(normalised(t).casefold())) for t in (text, truth))
    both = sum((found & true).values())
    return 2 * both / max(sum(found.values()) + sum(true.values()), 1)


def compare(out: Path) -> list[dict]:
    """Every page that was read, with each reader's `cer` and `f1`."""
    readings: dict[str, dict[str, str]] = defaultdict(dict)
    for entry in lines_of(out / "readings.jsonl"):
        readings[entry["picture"]][entry["reader"]] = entry["text"]
    rows = []
    for entry in lines_of(out / "pages.jsonl"):
        row = {key: entry[key] for key in ("document", "page", "group", "picture")}
        for reader, text in readings[entry["picture"]].items():
            row[reader] = {
                "cer": round(error_rate(text, entry["text"]), 3),
                "f1": round(agreement(text, entry["text"]), 3),
            }
        if readings[entry["picture"]]:
            rows.append(row)
    return rows


def disagrees(row: dict) -> bool:
    """Whether every reader of a page disagrees with its text layer."""
    return all(row[name]["cer"] > FAR and row[name]["f1"] < APART for name in READERS if name in row)


def interval(wrong: int, total: int) -> tuple[float, float]:
    """Wilson's interval of 95 % of a share."""
    z, share = 1.96, wrong / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max((middle - half) / (1 + z * z / total), 0.0), (middle + half) / (1 + z * z / total)


def labelled(out: Path | None) -> list[dict]:
    """Pages with figures, `verdict` and `reason`; of `out`, which are also written down, or as they were."""
    known = json.loads(LABELS.read_text(encoding="utf-8"))
    if out is None:
        return known
    seen = {(entry["document"], entry["page"]): entry for entry in known}
    rows = []
    for row in compare(out):
        old = seen.get((row["document"], row["page"]), {})
        row |= {key: old.get(key, "") for key in ("verdict", "reason")}
        rows.append(row | ({"now": old["now"]} if "now" in old else {}))
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    LABELS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return rows


def table(out: Path | None) -> None:
    """Prints figures by group of language, what is still to be looked at, and the share of wrong text layers."""
    rows = labelled(out)
    groups: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(row)
        groups[f"{row['group'].split('/')[0]} (all)"].append(row)
    head = "".join(f"{name + ' ' + key:>16}" for name in READERS for key in ("cer", "f1"))
    print(f"{'group':<16}{'pages':>6}{head}{'disagree':>10}{'looked at':>10}{'order':>7}{'wrong':>7}   (medians)")
    for name, members in sorted(groups.items()):
        figures = ""
        for reader in READERS:
            right = [row[reader] for row in members if reader in row and row["verdict"] != "wrong"]
            for key in ("cer", "f1"):
                figures += f"{statistics.median(figure[key] for figure in right):>16.3f}" if right else f"{'-':>16}"
        verdicts = Counter(row["verdict"] for row in members)
        counts = (sum(map(disagrees, members)), len(members) - verdicts[""], verdicts["order"], verdicts["wrong"])
        print(f"{name:<16}{len(members):>6}{figures}{counts[0]:>10}{counts[1]:>10}{counts[2]:>7}{counts[3]:>7}")
    for row in rows:
        if disagrees(row) and not row["verdict"]:
            print("to look at:", json.dumps(row, ensure_ascii=False))
    for script in sorted({row["group"].split("/")[0] for row in rows}):
        for name, lost in (("as picked", ""), ("of those still kept", "left out")):
            kept = [row for row in rows if row["group"].startswith(script + "/") and row.get("now", "kept") != lost]
            wrong = sum(row["verdict"] == "wrong" for row in kept)
            low, high = interval(wrong, len(kept))
            print(f"{script}, {name}: {wrong} of {len(kept)} wrong, {wrong / len(kept):.1%} [{low:.1%}, {high:.1%}]")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compares text layers with what OCR programs read.")
    commands = parser.add_subparsers(dest="command", required=True)
    picking = commands.add_parser("pick", help="choose pages of an OCR run")
    picking.add_argument("kept", type=Path, help="the folder that `sphinx-x data ocr` made")
    picking.add_argument("pdfs", type=Path, help="the folder of PDFs that it was made of")
    picking.add_argument("--count", type=int, default=200)
    picking.add_argument("--seed", type=int, default=0)
    picking.add_argument("--only", default="", help="beginning of a group's name, such as latin/")
    reading = commands.add_parser("read", help="let the readers read them")
    reading.add_argument("--readers", nargs="+", choices=sorted(READERS), default=list(READERS))
    reading.add_argument("--doubtful", action="store_true", help="pages that others disagree with come first")
    showing = commands.add_parser("table", help="print the figures")
    for command in (picking, reading):
        command.add_argument("out", type=Path, help="folder of the pages, and of what was read")
    showing.add_argument("out", type=Path, nargs="?", help="the same; left out: what is written down already")
    options = parser.parse_args()
    if options.command == "pick":
        pick(options.kept, options.pdfs, options.out, options.count, options.seed, options.only)
    elif options.command == "read":
        read(options.out, options.readers, options.doubtful)
    else:
        table(options.out)


if __name__ == "__main__":
    sys.exit(main())
