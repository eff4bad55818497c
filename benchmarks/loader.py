"""How many samples a second one core makes ready, beside a plain PyTorch data set that does the same work.

    python benchmarks/loader.py DATA            # DATA: a folder with coco128/ (photos) and sroie/ (scanned receipts)
    python benchmarks/loader.py DATA --quick    # small, to see that it runs

Both sides decode, tile, write the prompt, tokenize and put batches together, in one process; their turns alternate.
Ours packs; the peer (`loader_peer.py`) sorts by length and pads. The last rows say how much a training step eats.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))  # the drawn lines that the tests use

import torch
from loader_peer import PaddedSamples, padded_batches

from shards import write_lines
from sphinx_x.data.lengths import Limits
from sphinx_x.data.loader import batches
from sphinx_x.data.mixture import Mixture, Share, open_mixture
from sphinx_x.data.packs import Budget
from sphinx_x.family import get_member
from sphinx_x.model.processing import SphinxXProcessor, build_processor
from sphinx_x.model.tokenizer import byte_tokenizer
from sphinx_x.recipe import AlignRecipe, SourceRecipe, load_recipe
from sphinx_x.training.metrics import Sums
from sphinx_x.training.objective import pack_examples
from sphinx_x.training.trainer import Trainer

BATCH = 16
PACK = Budget(32_768, 128, 2048)


def photos(data: Path) -> list[tuple[Path, str, str]]:
    """Photos with a question and a long answer: the objects in them."""
    found = json.loads((data / "coco128" / "instances.json").read_bytes())
    names = {category["id"]: category["name"] for category in found["categories"]}
    out = []
    for image in found["images"]:
        seen = [names.get(a["category_id"], "a thing") for a in found["annotations"] if a["image_id"] == image["id"]]
        answer = "I see: " + ", ".join(seen or ["nothing that I know"]) + "."
        out.append((data / "coco128" / "images" / image["file_name"], "What is in the picture?", answer))
    return out


def pages(data: Path) -> list[tuple[Path, str, str]]:
    """Scanned receipts, and the text on them."""
    out = []
    for path in sorted((data / "sroie" / "img").iterdir()):
        lines = (data / "sroie" / "box" / f"{path.stem}.csv").read_text(encoding="utf-8", errors="replace").splitlines()
        text = "\n".join(line.split(",", 8)[8] for line in lines if line.count(",") >= 8)
        out.append((path, "Read the text.", text or "Nothing."))
    return out


def written(folder: Path, rows: list[tuple[Path, str, str]], count: int) -> Path:
    """The samples as one file of ours, each of the rows as often as needed."""
    lines = []
    for number in range(count):
        path, question, answer = rows[number % len(rows)]
        content = [{"type": "image"}, {"type": "text", "text": question}]
        messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"id": str(number), "images": [{"path": str(path)}], "messages": messages}))
    file = folder / "samples.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def processor() -> SphinxXProcessor:
    """That of SPHINX-Tiny with a byte vocabulary in place of its own, which no package brings."""
    member = get_member("tiny")
    return build_processor(byte_tokenizer(), member.views, 257, "tokens")


def alternating(ours: Callable[[], int], peer: Callable[[], int], times: int) -> tuple[float, float, float]:
    """Samples a second of both, and the median of the pairs' ratios ours / peer."""
    rates: list[tuple[float, float]] = []
    for _ in range(times + 1):
        pair = []
        for work in (ours, peer):
            began = time.perf_counter()
            count = work()
            pair.append(count / (time.perf_counter() - began))
        rates.append((pair[0], pair[1]))
    first, second = zip(*rates[1:], strict=True)
    return statistics.median(first), statistics.median(second), statistics.median(a / b for a, b in rates[1:])


def loaded(mixture: Mixture) -> tuple[int, int, int]:
    """Takes every pack of a mixture as training does; gives samples, tokens, and tokens that the packs could hold."""
    samples = tokens = room = 0
    for _, packs in batches(mixture.examples, mixture.plan.steps(1), 0):
        for pack in packs:
            micro = pack_examples([pack], torch.device("cpu"))
            samples, tokens, room = samples + len(pack), tokens + micro.tokens, room + PACK.tokens
    return samples, tokens, room


def compare(title: str, rows: list[tuple[Path, str, str]], count: int, times: int) -> str:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = written(folder, rows, count)
        made = processor()
        limits = Limits(8192, 64)
        mixture = open_mixture({"all": Share((file,), 1)}, made, limits, PACK, count, folder / "index", workers=1)
        samples = PaddedSamples(file, made)
        ours, peer, ratio = alternating(lambda: loaded(mixture)[0], lambda: padded_batches(samples, BATCH)[0], times)
        _, tokens, room = loaded(mixture)
        _, real, padded = padded_batches(samples, BATCH)
    shares = f"{1 - tokens / room:.1%} (the last pack's room included) | {1 - real / padded:.1%}"
    return f"| {title} | {ours:.1f} | {peer:.1f} | {ratio:.2f} | {shares} |"


def appetite(times: int) -> str:
    """Samples a second that one core makes ready for SPHINX-Nano, beside those that its training step takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lines(folder, "lines", 400)
        changes = {"align": AlignRecipe(), "folder": folder, "sources": {"lines": SourceRecipe(weight=1)}}
        trainer = Trainer(load_recipe("nano").model_copy(update=changes | {"total_samples": 400}), folder / "run")
        steps = [packs for _, packs in batches(trainer.examples, trainer.mixture.plan.steps(1), 0)]

        def load() -> int:
            steps = batches(trainer.examples, trainer.mixture.plan.steps(1), 0)
            return sum(len(pack) for _, packs in steps for pack in packs)

        def train() -> int:
            trainer.engine.step(steps[0], 1, 1e-4, Sums(), trainer.sources)
            return sum(map(len, steps[0]))

        ready, eaten, ratio = alternating(load, train, times)
    return f"| lines for SPHINX-Nano | {ready:.0f} | {eaten:.0f} (the training step, all cores) | {ratio:.1f} | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    random.seed(0)
    count, times = (8, 1) if options.quick else (128, 5)
    print("| samples/s on one core | ours | peer | ratio | padding: ours, peer |\n|---|---|---|---|---|")
    print(compare("JPEG photos, 640 x 480, 5 views", photos(options.data), count, times), flush=True)
    print(compare("scanned receipts", pages(options.data), count, times), flush=True)
    torch.set_num_threads(2)
    print(appetite(times), flush=True)


if __name__ == "__main__":
    main()
