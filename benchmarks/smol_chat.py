"""What `chat --model smol` takes on receipts: memory, time to the first word; how often bfloat16 answers otherwise.

    python benchmarks/smol_chat.py SROIE                        # the packaged member, in float32 and bfloat16
    python benchmarks/smol_chat.py SROIE --model FOLDER --count 4
    python benchmarks/smol_chat.py SROIE --evidence             # no model: is the box of the true answer the right one?

SROIE is a folder with img/NAME.jpg, key/NAME.json and box/NAME.csv. Each type of weights has a process of its own,
which alone is measured (VmHWM: the most that was resident, pages of mapped files included).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

QUESTIONS = {
    "company": "Which company issued this receipt?",
    "date": "What is the date?",
    "address": "What is the address?",
    "total": "What is the total?",
}


def resident(name: str) -> float:
    """Return VmRSS or VmHWM of this process in GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e9


def measure(options: argparse.Namespace) -> None:
    """Answer in this process, and print JSON."""
    import torch

    from sphinx_x.inference import SphinxX

    found: dict = {"imported": resident("VmRSS")}
    began = time.perf_counter()
    sphinx = SphinxX.load(options.model, dtype=getattr(torch, options.dtype))
    found |= {"load_seconds": time.perf_counter() - began, "loaded": resident("VmRSS")}
    answers, first = [], []
    for path in images(options):
        for number, question in enumerate(QUESTIONS.values()):
            began = time.perf_counter()
            session = sphinx.session()
            pieces = session.ask(question, path, stream=True, max_new_tokens=40)
            text = next(iter(pieces), "")
            seconds = time.perf_counter() - began
            text += "".join(pieces)
            answers.append(text)
            if not number:  # the others find the picture remembered
                first.append([round(seconds, 2), session.last.prompt_tokens])
    found |= {"peak": resident("VmHWM"), "first": first, "answers": answers}
    print(json.dumps(found))


def images(options: argparse.Namespace) -> list[Path]:
    return sorted((options.folder / "img").glob("*.jpg"))[: options.count]


def compare(options: argparse.Namespace) -> None:
    said = {}
    for dtype in ("float32", "bfloat16"):
        command = [sys.executable, __file__, str(options.folder), "--model", options.model, "--dtype", dtype]
        done = subprocess.run([*command, "--count", str(options.count)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found = said[dtype] = json.loads(done.stdout.splitlines()[-1])
        first = sorted(seconds for seconds, _ in found["first"])
        print(
            f"{dtype}: {found['imported']:.2f} GB after imports, {found['loaded']:.2f} after loading "
            f"({found['load_seconds']:.1f} s), {found['peak']:.2f} at most; first word after "
            f"{first[len(first) // 2]:.1f} s ({first[-1]:.1f} at most), the reading of lines included"
        )
    one, other = (said[dtype]["answers"] for dtype in said)
    print(f"{sum(a != b for a, b in zip(one, other, strict=True))} of {len(one)} answers differ")


def evidence(options: argparse.Namespace) -> None:
    """Print how often the boxes of a true answer overlap those of the lines that say it by half."""
    from sphinx_x.boxes import iou
    from sphinx_x.images import open_image
    from sphinx_x.inference.evidence import find_evidence
    from sphinx_x.model.views import ViewGrid, plan_views
    from sphinx_x.text_lines.reader import LineReader

    reader, counts = LineReader(folder=options.readings), {name: [0, 0, 0] for name in QUESTIONS}
    for path in images(options):
        image = open_image(path)
        layout = plan_views(*image.size, ViewGrid()).with_lines(reader.read(image))
        key = json.loads((options.folder / "key" / f"{path.stem}.json").read_text())
        lines = lines_of(options.folder / "box" / f"{path.stem}.csv")
        for name, question in QUESTIONS.items():
            if not key.get(name):
                continue
            found = find_evidence(key[name], [layout], question)
            wanted = [box for text, box in lines if says(name, key[name], text)]
            right = bool(found) and all(any(iou(one.pixels, box) >= 0.5 for box in wanted) for one in found)
            counts[name] = [a + b for a, b in zip(counts[name], (1, bool(found), right), strict=True)]
            if options.verbose and not right:
                print(path.stem, name, repr(key[name]), [one.text for one in found])
    for name, (said, some, right) in counts.items():
        print(f"{name}: {said} answers, {some} with a box, {right} with boxes of the right lines alone")


def says(name: str, answer: str, text: str) -> bool:
    """Whether a true line says an answer, or of an address a part."""
    from rapidfuzz.fuzz import partial_ratio

    a, b = plain(answer), plain(text)
    # the set's own lines are not spelled as its answers are everywhere
    return a in b or (name in ("address", "company") and len(b) > 2 and (b in a or partial_ratio(a, b) >= 85))


def plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def lines_of(file: Path) -> list[tuple[str, tuple[float, ...]]]:
    found = []
    for row in csv.reader(file.read_text(encoding="utf-8", errors="replace").splitlines(), quoting=csv.QUOTE_NONE):
        if len(row) > 8:
            numbers = [float(n) for n in row[:8]]
            xs, ys = numbers[::2], numbers[1::2]
            found.append((",".join(row[8:]), (min(xs), min(ys), max(xs), max(ys))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="smol")
    parser.add_argument("--count", type=int, default=10, help="number of receipts")
    parser.add_argument("--dtype", help="measure this type in this process")
    parser.add_argument("--evidence", action="store_true")
    parser.add_argument("--readings", type=Path, help="folder where readings of lines are kept")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    evidence(options) if options.evidence else measure(options) if options.dtype else compare(options)


if __name__ == "__main__":
    main()
