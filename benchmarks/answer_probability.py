"""Does SPHINX-Nano know when it is wrong? Mean probability of an answer's tokens against what is wrong with it.

    python benchmarks/answer_probability.py [MODEL] [--pictures FOLDER]

Reads the packaged lines, which were kept out of training. Half of their documents give the threshold: all but one in a
hundred of the lines read well (at most a tenth of the characters wrong) have a higher probability. The other half says
how many good and bad answers lie below it. Then what the model was not made for: two lines in one picture, lines drawn
so large that they cross its bands, questions that it was never asked, and small pictures out of a folder. Prints
Markdown; `Abilities.probable` of a member's config holds the threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sphinx_x import SphinxX
from sphinx_x.evaluation.lines import load_line_set
from sphinx_x.evaluation.metrics import character_errors
from sphinx_x.images import open_image
from sphinx_x.reading import READ

WELL, LOST = 0.1, 0.01
"""Share of wrong characters of a line that counts as read; share of such lines that may lie below the threshold."""
LONGEST = 160
FOREIGN = ("What is the capital of France?", "How many people are there?", "Describe the picture.")


def glued(images: Sequence[Image.Image]) -> list[Image.Image]:
    """Every two neighbours as two lines of one picture."""
    pictures = []
    for upper, lower in zip(images[::2], images[1::2], strict=False):
        picture = Image.new("RGB", (max(upper.width, lower.width), upper.height + lower.height), "white")
        picture.paste(upper, (0, 0))
        picture.paste(lower, (0, upper.height))
        pictures.append(picture)
    return pictures


def enlarged(images: Sequence[Image.Image], height: int = 72, widest: int = 768) -> list[Image.Image]:
    """Lines drawn `height` pixels high, those that are no wider than the canvas then."""
    sizes = [(round(image.width * height / image.height), height) for image in images]
    return [image.resize(size) for image, size in zip(images, sizes, strict=True) if size[0] <= widest]


def small(folder: Path, count: int = 60, side: int = 256) -> list[Image.Image]:
    """Pictures of a folder, made small enough to be taken."""
    pictures = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:count]:
        picture = open_image(path)
        picture.thumbnail((side, side))
        pictures.append(picture)
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="nano")
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    sphinx = SphinxX.load(options.model)
    sphinx.model.config.abilities = None  # what it would refuse is measured as well

    def asked(question: str, images: Sequence[Image.Image]) -> list[tuple[str, float]]:
        return sphinx.probable_answers([(question, image) for image in images], max_new_tokens=LONGEST)

    lines = load_line_set()
    images = lines.images(lines.lines)
    wrong, probable = [], []
    for line, (answer, probability) in zip(lines.lines, asked(READ, images), strict=True):
        errors, length = character_errors(answer, line.text)
        wrong.append(errors / length)
        probable.append(probability)
    wrong, probable = np.array(wrong), np.array(probable)
    documents = sorted({line.document for line in lines.lines})
    first = np.array([documents.index(line.document) % 2 == 0 for line in lines.lines])
    threshold = float(np.quantile(probable[first & (wrong <= WELL)], LOST))
    print(f"threshold: {threshold:.3f} (from {(first & (wrong <= WELL)).sum()} lines of half of the documents)\n")
    print("| answers | number | below the threshold |\n|---|---|---|")

    def tell(name: str, values: np.ndarray) -> None:
        print(f"| {name} | {len(values)} | {100 * np.mean(values < threshold):.0f} % |", flush=True)

    rest = ~first
    tell("lines of the other half, at most a tenth wrong", probable[rest & (wrong <= WELL)])
    for least in (WELL, 0.2):
        tell(f"lines of all documents, more than {100 * least:.0f} % wrong", probable[wrong > least])
    others = {
        "two lines in one picture": (READ, glued(images[::4])),
        "lines 72 pixels high": (READ, enlarged(images[::2])),
        **{f'a line, asked "{question}"': (question, images[::10]) for question in FOREIGN},
    }
    if options.pictures:
        others |= {f'small pictures, asked "{q}"': (q, small(options.pictures)) for q in (READ, "What is this?")}
    for name, (question, pictures) in others.items():
        tell(name, np.array([probability for _, probability in asked(question, pictures)]))


if __name__ == "__main__":
    main()
