"""What SPHINX-Nano gains from the data of the two engines: held-out lines, paragraphs, marks and whole pages.

    python benchmarks/nano_engines.py make runs/held-out --emoji data/nano/cache/unpacked
    python benchmarks/nano_engines.py measure runs/held-out MODEL --against MODEL_WITHOUT

Every document is of a Debian package outside texlive, from which all training documents come; the emoji pictures are
new ones of the same font. `make` fetches the packages (`apt-get download`), `measure` prints one Markdown table a set.
"""

from __future__ import annotations

import argparse
import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pypdfium2 as pdfium

from sphinx_x.conversation import Image as Part
from sphinx_x.conversation import Message, Text
from sphinx_x.data.shards import SampleReader
from sphinx_x.engines.nano.emoji import make_shard
from sphinx_x.engines.ocr.engine import make_ocr
from sphinx_x.engines.ocr.parts import PartSettings
from sphinx_x.engines.ocr.pdfs import OcrSettings
from sphinx_x.engines.ocr.questions import QuestionSettings
from sphinx_x.engines.pdf.page import read_page
from sphinx_x.engines.som.engine import SomSettings, make_som
from sphinx_x.engines.som.samples import SAMPLES
from sphinx_x.evaluation.metrics import character_errors
from sphinx_x.evaluation.runner import print_sample_figures
from sphinx_x.evaluation.samples import Asked, differences, document_of, judge, rates
from sphinx_x.images import open_image
from sphinx_x.inference import SphinxX
from sphinx_x.reading import READ, read_region
from sphinx_x.sources.base import Raw

LATIN = (
    "debian-edu-doc-es", "debian-edu-doc-it", "debian-faq", "debian-reference-de", "debian-reference-es",
    "debian-reference-fr", "debian-reference-it", "debian-reference-pt", "developers-reference-de",
    "developers-reference-fr", "developers-reference-it", "maint-guide-de", "maint-guide-es", "maint-guide-fr",
    "maint-guide-it",
)  # fmt: skip
CHINESE = ("debian-reference-zh-cn", "maint-guide-zh-cn")
LONG_EDGE = 1754
WHOLE_PAGES = 12
PICTURES = 200
LEADERS = re.compile(r"\s*(?:\.\s*){4,}")
"""Dots that lead to a number: how many of them are read is not counted."""
LONGEST, LONGEST_LINE = 1024, 160
"""Tokens of the answer about a whole page, and about a line."""


def fetch(packages: tuple[str, ...], cache: Path, out: Path) -> None:
    """Puts the PDFs of packages into a folder."""
    for package in packages:
        place = cache / package
        if not place.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "download", package], cwd=cache, check=True, capture_output=True)
            subprocess.run(["dpkg-deb", "-x", next(cache.glob(f"{package}_*.deb")), place], check=True)
        for path in sorted(place.rglob("*.pdf*")):
            target = out / package / path.name.removesuffix(".gz")
            target.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)


def asked(part: PartSettings, pages: int, seed: int, *kinds: str) -> OcrSettings:
    weights = dict.fromkeys(QuestionSettings().weights, 0.0) | dict.fromkeys(kinds, 1.0)
    questions = QuestionSettings(turns=1, answer=400, weights=weights, language="en")
    return OcrSettings(long_edge=LONG_EDGE, pages_per_document=pages, part=part, seed=seed, questions=questions)


def make(out: Path, emoji: Path) -> None:
    """Makes all held-out sets."""
    fetch(LATIN, out / "cache", out / "latin")
    fetch(CHINESE, out / "cache", out / "han")
    line = PartSettings(height=60, lines=1)
    make_ocr(out / "latin", out / "lines", asked(line, 16, 7, "read_page", "read_region", "find_text"))
    make_ocr(out / "latin", out / "paragraphs", asked(PartSettings(), 8, 8, "read_page"))
    make_ocr(out / "han", out / "chinese", asked(line, 60, 7, "read_page"))
    font = next(emoji.rglob("NotoColorEmoji.ttf"))
    (out / "emoji").mkdir(exist_ok=True)
    make_shard(str(out / "emoji"), "emoji-00000", PICTURES, "held out", str(font), "fonts-noto-color-emoji")
    for task in ("short", "questions"):
        settings = SomSettings("7", ("point", "box"), tasks=(task,), most_marks=5, inside=True)
        make_som(SAMPLES, Raw(out / "emoji"), out / f"marks-{task}", settings)


def plain_reading(out: Path, models: list[str]) -> None:
    """Lines read with the one question that all models know."""
    reader = SampleReader(out / "lines")
    lines = []
    for index in range(len(reader)):
        sample = reader[index]
        message = Message("user", (Part(), Text(READ)))
        text = " ".join(region["text"] for region in sample.regions)
        image = open_image(reader.image_bytes(sample))
        lines.append((Asked(sample.id, document_of(sample), 0, "text", (message,), text), image))
    scores = []
    for model in models:
        sphinx = SphinxX.load(model)
        prompts = [sphinx.prompt(one.messages, [image]) for one, image in lines]
        answers = sphinx.answers(prompts, max_new_tokens=LONGEST_LINE)
        scores.append([judge(one, prompts[k], answers[k]) for k, (one, _) in enumerate(lines)])
        rate = rates(scores[-1])["text"]
        print(
            f"{model}: {100 * rate.rate:.2f} % ({100 * rate.low:.2f} to {100 * rate.high:.2f}) of {rate.answers} lines"
        )
    if len(scores) == 2:
        print("difference: {:+.2f} ({:+.2f} to {:+.2f})".format(*(100 * n for n in differences(*scores)["text"])))


def whole_pages(out: Path, model: str) -> None:
    """Reads whole pages with a model: in one look, and cut into lines by the white between them."""
    sphinx = SphinxX.load(model)
    errors = {"in one look": [0, 0], "line by line": [0, 0]}
    paths = sorted((out / "latin").rglob("*.pdf"))[:WHOLE_PAGES]
    for path in paths:
        document = pdfium.PdfDocument(path)
        page = read_page(document, min(len(document) - 1, 12), LONG_EDGE)
        image = page.image.convert("RGB")
        answers = {
            "in one look": sphinx.chat_batch([("Read all the text on this page.", image)], max_new_tokens=LONGEST)[0],
            "line by line": read_region(sphinx, image, (0, 0, *image.size)),
        }
        for way, answer in answers.items():
            wrong, length = character_errors(*(LEADERS.sub(" ... ", text) for text in (answer, page.text)))
            errors[way][0] += wrong
            errors[way][1] += length
    for way, (wrong, length) in errors.items():
        print(f"whole pages, {way}, {model}: {100 * wrong / length:.1f} % of {length} characters on {len(paths)} pages")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    making = actions.add_parser("make")
    making.add_argument("out", type=Path)
    making.add_argument("--emoji", type=Path, required=True, help="A folder with NotoColorEmoji.ttf in it.")
    measuring = actions.add_parser("measure")
    measuring.add_argument("out", type=Path)
    measuring.add_argument("model")
    measuring.add_argument("--against")
    options = parser.parse_args()
    if options.action == "make":
        make(options.out, options.emoji)
        return
    models = [*filter(None, (options.against, options.model))]
    print("### Lines, asked to read the text\n")
    plain_reading(options.out, models)
    for name in ("lines", "marks-short", "marks-questions", "chinese", "paragraphs"):
        print(f"\n### {name}\n", flush=True)
        answers = options.out / f"answers-{name}.jsonl"
        print_sample_figures(options.model, options.against, [options.out / name], answers)
    print("\n### Whole pages\n")
    for model in models:
        whole_pages(options.out, model)


if __name__ == "__main__":
    main()
