"""Reading a page in a browser (examples/web) beside the same graphs in Python, and the float32 ones, in one run.

    python examples/web/build.py
    python benchmarks/browser_reading.py            # about two minutes, needs Chromium

All run on one thread. Rounds alternate; the figures are medians of what one line of the page takes, in ms, without
opening and cutting the page.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))  # the browser that the tests drive

from browser import Browser  # noqa: E402
from sphinx_x.checkpoints.onnx import export_onnx  # noqa: E402
from sphinx_x.images import open_image  # noqa: E402
from sphinx_x.inference import BUILT_IN  # noqa: E402
from sphinx_x.inference.onnx import OnnxModel  # noqa: E402
from sphinx_x.page_lines.page import lay_flat  # noqa: E402
from sphinx_x.reading import read_lines  # noqa: E402
from static_server import served_folder  # noqa: E402

PART = (170, 330, 1105, 598)
"""Eight lines of the page of the demo."""
DONE = "!document.querySelector('#took').hidden || !document.querySelector('#error').hidden"


def in_browser(browser: Browser, file: Path, lines: int) -> dict[str, float]:
    """Milliseconds of one line, in all and by stage."""
    browser.choose("#file", file)
    browser.wait("document.querySelector('#took').hidden")
    browser.wait(DONE, 300)
    told = browser.run("JSON.parse(document.querySelector('#took').dataset.times)")
    stages = {stage: told[stage] / lines for stage in ("encode", "prefill", "decode")}
    return {"browser, int8": sum(stages.values()), **{f"- {stage}": value for stage, value in stages.items()}}


def in_python(model: OnnxModel, image: Image.Image, lines: int) -> float:
    """Milliseconds of one line."""
    start = time.perf_counter()
    lay_flat(image)
    cut = time.perf_counter()
    read_lines(model, image, (0, 0, *image.size))  # pyright: ignore[reportArgumentType]
    return 1000 * (time.perf_counter() - cut - (cut - start)) / lines


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--dist", type=Path, default=ROOT / "examples" / "web" / "dist", help="what build.py built")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    image = open_image(ROOT / "examples" / "ledger-introduction.pdf").crop(PART)
    lines = len(lay_flat(image).lines)
    with tempfile.TemporaryDirectory() as aside, served_folder(given.dist) as server:
        image.save(file := Path(aside) / "part.png")
        models = {}
        for name, int8 in (("Python, int8", True), ("Python, float32", False)):
            export_onnx(BUILT_IN / "nano", Path(aside) / name, int8=int8)
            models[name] = OnnxModel(Path(aside) / name, threads=1)
        browser = Browser(Path(aside) / "profile", server.url)
        try:
            browser.go(f"{server.url}/", "'ready' in document.documentElement.dataset")
            rounds = []
            for _ in range(given.rounds + 1):
                found = in_browser(browser, file, lines)
                rounds.append({**found, **{name: in_python(model, image, lines) for name, model in models.items()}})
        finally:
            browser.close()
    medians = {name: statistics.median(one[name] for one in rounds[1:]) for name in rounds[0]}  # the first warms up
    print(f"{lines} lines, {given.rounds} rounds\n\n| one line | ms | to Python, int8 |\n|---|---|---|")
    for name, value in medians.items():
        print(f"| {name} | {value:.0f} | {value / medians['Python, int8']:.2f} |")


if __name__ == "__main__":
    main()
