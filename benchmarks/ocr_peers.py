"""Character error rate of Tesseract 5 and RapidOCR on a line set, in the table that `sphinx-x eval nano` prints.

    apt-get install tesseract-ocr tesseract-ocr-eng; pip install rapidocr onnxruntime
    python benchmarks/ocr_peers.py                    # the line set of the package
    python benchmarks/ocr_peers.py runs/line-set --predictions runs/peers

Both get the same crops as SPHINX-Nano, one at a time. Tesseract runs as `tesseract IMAGE - --psm 7` (one text line), so
its time holds the start of a process; RapidOCR runs its recogniser alone, without detection and turning.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from sphinx_x.errors import MissingToolError
from sphinx_x.evaluation.lines import LineResult, Reader, evaluate_lines, format_results, load_line_set


def tesseract() -> Reader:
    """Reads with Tesseract's English model, taking each image for one text line."""
    program = shutil.which("tesseract")
    if program is None:
        raise MissingToolError("no tesseract here: apt-get install tesseract-ocr tesseract-ocr-eng")

    def read(images: list[Image.Image]) -> list[str]:
        texts = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "line.png"
            for image in images:
                image.save(path)
                done = subprocess.run([program, str(path), "-", "--psm", "7"], capture_output=True, check=True)
                texts.append(done.stdout.decode("utf-8"))
        return texts

    return read


def rapidocr() -> Reader:
    """Reads with the recogniser that RapidOCR uses by default."""
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise MissingToolError("no rapidocr here: pip install rapidocr onnxruntime") from error
    engine = RapidOCR(params={"Global.log_level": "warning"})

    def read(images: list[Image.Image]) -> list[str]:
        results = [engine(image, use_det=False, use_cls=False, use_rec=True) for image in images]
        return [" ".join(result.txts or ()) for result in results]

    return read


READERS = {"tesseract": tesseract, "rapidocr": rapidocr}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures Tesseract and RapidOCR on a line set.")
    parser.add_argument("folder", type=Path, nargs="?", help="the line set; the one of the package when left out")
    parser.add_argument("--readers", nargs="+", choices=sorted(READERS), default=list(READERS))
    parser.add_argument("--predictions", type=Path, help="folder for what each reader read, as READER.jsonl")
    parser.add_argument("--limit", type=int, help="only so many lines, spread over the set")
    options = parser.parse_args()
    line_set = load_line_set(options.folder)
    if options.limit:
        line_set = line_set.sample(options.limit)
    results: dict[str, LineResult] = {}
    for name in options.readers:
        path = options.predictions / f"{name}.jsonl" if options.predictions else None
        try:
            reader = READERS[name]()
        except MissingToolError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        results[name] = evaluate_lines(reader, line_set, predictions=path)
    print(format_results(results))


if __name__ == "__main__":
    main()
