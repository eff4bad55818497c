"""Made-up documents: how many a second one core makes, and whether an independent reader finds what they should say.

    python benchmarks/made_up_documents.py --count 40 --fonts FOLDER          # speed
    python benchmarks/made_up_documents.py --count 10 --fonts FOLDER --read   # RapidOCR beside them, seconds each

With `--read`, RapidOCR detects and reads every picture. Told for each kind: the share of fields all of whose words are
in its text (letters and digits alone), and the share of our lines that one of its boxes overlaps by 0.4 of their union.
What it misses is worn or small print as often as a wrong box, its boxes have a margin that ours have not, and it parts
lines elsewhere: 1.0 is not to be expected. `shift` is the mean distance of the middles of boxes that overlap, right and
down, in heights of the line; boxes in a wrong place would show there.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from sphinx_x.boxes import Box, around, centre, iou, sides
from sphinx_x.engines.documents.engine import DocumentSettings, Made, make_document
from sphinx_x.engines.documents.faces import FOLDERS, find_faces
from sphinx_x.engines.documents.kinds import all_kinds


def plain(text: str) -> str:
    """Returns the letters and digits of a text."""
    return "".join(char for char in text.lower() if char.isalnum())


def compare(made: Made, engine, found: Counter, shifts: list[tuple[float, float]]) -> None:
    """Counts what an OCR engine finds of a document, and how far its boxes are from ours."""
    picture = np.asarray(Image.open(io.BytesIO(made.picture)).convert("RGB"))[..., ::-1]
    result = engine(np.ascontiguousarray(picture))
    texts = list(result.txts or ())
    boxes: list[Box] = [around(points.tolist()) for points in result.boxes] if texts else []
    text = plain(" ".join(texts))
    fields = [fact for fact in made.drawing.facts if not fact.about and plain(fact.value)]
    found["fields"] += len(fields)
    found["fields read"] += sum(all(plain(word) in text for word in fact.value.split()) for fact in fields)
    lines = made.drawing.lines
    found["lines"] += len(lines)
    for line in lines:
        box = max(boxes, key=lambda box: iou(line.box, box), default=line.box)
        if boxes and iou(line.box, box) >= 0.4:
            high = sides(line.box)[1]
            away = [(there - here) / high for here, there in zip(centre(line.box), centre(box), strict=True)]
            found.update({"lines found": 1})
            shifts.append((away[0], away[1]))


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description="Measures the speed of made-up documents.")
    parser.add_argument("--count", type=int, default=40, help="documents of each kind")
    parser.add_argument("--fonts", type=Path, action="append", help="a folder of fonts; repeatable")
    parser.add_argument("--kind", action="append", help="a kind; repeatable; all by default")
    parser.add_argument("--wear", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--read", action="store_true", help="compare with RapidOCR")
    options = parser.parse_args()
    engine = None
    if options.read:
        from rapidocr import RapidOCR

        engine = RapidOCR(params={"Global.log_level": "warning"})
    faces = find_faces(options.fonts or FOLDERS)
    print(f"{len(faces.faces)} typefaces, {options.count} documents of each kind, wear {options.wear:g}\n")
    print(
        "| kind | documents/s of one core | answers | KB each |"
        + (" fields read | lines found | shift |" * bool(engine))
    )
    print("|---|---|---|---|" + "---|---|---|" * bool(engine))
    for kind in options.kind or all_kinds():
        settings = DocumentSettings(kinds=(kind,), wear=options.wear, seed=options.seed)
        make_document(0, settings, faces)  # fonts are loaded once in a process
        begun = time.process_time()
        made = [make_document(number, settings, faces) for number in range(options.count)]
        rate = options.count / (time.process_time() - begun)
        answers = sum(len(one.asked.messages) // 2 for one in made) / options.count
        size = sum(len(one.picture) for one in made) / options.count / 1000
        row = f"| {kind} | {rate:.1f} | {answers:.1f} | {size:.0f} |"
        if engine is not None:
            found: Counter = Counter()
            shifts: list[tuple[float, float]] = []
            for one in made:
                compare(one, engine, found, shifts)
            right, down = np.mean(shifts, axis=0) if shifts else (0.0, 0.0)
            row += f" {found['fields read'] / max(found['fields'], 1):.2f} |"
            row += f" {found['lines found'] / max(found['lines'], 1):.2f} | {right:+.2f}, {down:+.2f} |"
        print(row, flush=True)


if __name__ == "__main__":
    main()
