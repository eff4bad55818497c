"""Speed of SPHINX-Nano on this machine, each row beside the same work done plainly, in one run.

    python benchmarks/run.py            # the whole table, a few minutes
    python benchmarks/run.py --quick    # small, to see that it runs

Ours and the peer's repetitions alternate; a figure is the median, and only the ratio carries over to other machines.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from peers import first_piece, generate
from PIL import Image

from sphinx_x.evaluation.lines import load_line_set
from sphinx_x.family import get_member, new_model
from sphinx_x.inference import SphinxX
from sphinx_x.model.attention import attend
from sphinx_x.model.processing import render_views
from sphinx_x.model.views import ViewGrid, plan_views
from sphinx_x.reading import READ

Row = tuple[str, str, str, str]


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def medians(ours: Callable[[], float], peer: Callable[[], float], times: int) -> tuple[float, float, float]:
    """Medians of both, measured in turn after one warm-up each, and the median of the pairs' ratios peer / ours."""
    ours(), peer()
    pairs = [(ours(), peer()) for _ in range(times)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second), statistics.median(b / a for a, b in pairs)


def first_token(sphinx: SphinxX, image: Image.Image, times: int) -> Row:
    """Time to the first piece of a streamed answer."""

    def ours() -> float:
        began = time.perf_counter()
        stream = sphinx.chat(READ, image, stream=True, max_new_tokens=30)
        next(iter(stream))
        seconds = time.perf_counter() - began
        list(stream)
        return seconds

    mine, other, ratio = medians(ours, lambda: first_piece(sphinx.model, sphinx.processor, image), times)
    return "first piece of text, ms", f"{1e3 * mine:.0f}", f"{1e3 * other:.0f} (generate, its streamer)", f"{ratio:.2f}"


def decoding(sphinx: SphinxX, image: Image.Image, times: int) -> Row:
    """Tokens a second of one answer of 60 tokens."""
    settings = {"max_new_tokens": 60, "min_new_tokens": 60}
    inputs = sphinx.processor(
        text="<|bos|><|user|><image>Read the text.<|assistant|>", images=[image], return_tensors="pt"
    )
    with torch.inference_mode():
        mine, other, ratio = medians(
            lambda: timed(lambda: sphinx.chat(READ, image, **settings)),
            lambda: timed(lambda: sphinx.model.generate(**inputs, do_sample=False, **settings)),
            times,
        )
    return "decoding one line, tokens/s", f"{60 / mine:.0f}", f"{60 / other:.0f} (generate)", f"{ratio:.2f}"


def batch_reading(sphinx: SphinxX, lines: int, times: int) -> Row:
    """Lines a second of `chat_batch`; the answers of both sides must be equal."""
    line_set = load_line_set().sample(lines)
    images = line_set.images(line_set.lines)
    answers: dict[str, list[str]] = {}

    def ours() -> float:
        return timed(lambda: answers.update(ours=sphinx.chat_batch([(READ, i) for i in images], max_new_tokens=120)))

    def peer() -> float:
        return timed(lambda: answers.update(peer=generate(sphinx.model, sphinx.processor, images, 32)))

    mine, other, ratio = medians(ours, peer, times)
    assert answers["ours"] == answers["peer"], "both sides must read the same"
    count = len(images)
    return (
        f"reading {count} lines, lines/s",
        f"{count / mine:.1f}",
        f"{count / other:.1f} (generate, batches of 32)",
        f"{ratio:.2f}",
    )


def skipping(times: int) -> list[Row]:
    """Encoder time and sequence length with and without skipping, for four aspects."""
    model, _ = new_model(get_member("nano"))
    per_view = model.config.tokens_per_view + 2
    out: list[Row] = []
    for name, grid in (
        ("16 x 2", get_member("nano").views),
        ("2 x 2", ViewGrid(2, 2, 384, 384)),
        ("3 x 3", ViewGrid(3, 3, 256, 256)),
    ):
        for aspect in (1, 2, 3, 10):
            layout = plan_views(768, 768 // aspect, grid)
            everything = replace(layout, kept=(True,) * grid.cells)
            picture = Image.new("RGB", (768, 768 // aspect))
            views = [_band(render_views(picture, plan)) for plan in (layout, everything)]

            def encode(pixels: torch.Tensor) -> float:
                with torch.inference_mode():
                    return timed(lambda: model.model.features(pixels))

            mine, other, ratio = medians(lambda v=views: encode(v[0]), lambda v=views: encode(v[1]), times)
            tokens = layout.views * per_view + layout.skipped, everything.views * per_view
            title = f"encoding {aspect}:1 on {name}, ms (tokens)"
            out.append(
                (
                    title,
                    f"{1e3 * mine:.0f} ({tokens[0]})",
                    f"{1e3 * other:.0f} ({tokens[1]}) without skipping",
                    f"{ratio:.2f}",
                )
            )
    return out


def _band(views: np.ndarray) -> torch.Tensor:
    """Views as Nano's experts take them: the same number, in their size."""
    return torch.nn.functional.interpolate(torch.from_numpy(views).float() / 255, (48, 384))


FUSED = torch.nn.functional.scaled_dot_product_attention


def attention(times: int) -> list[Row]:
    """Forward and backward pass of short attention in bfloat16."""
    out: list[Row] = []
    for count, heads, keys, causal in ((64, 3, 49, False), (8, 4, 200, True)):
        parts = [torch.randn(count, heads, keys, 64, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]

        def step(function: Callable[..., torch.Tensor]) -> float:
            def work() -> None:
                result = function()
                result.backward(result.detach())

            return timed(work)

        mine, other, ratio = medians(
            lambda p=parts, c=causal: step(lambda: attend(*p, causal=c)),
            lambda p=parts, c=causal: step(lambda: FUSED(*p, is_causal=c)),
            5 * times,
        )
        out.append(
            (
                f"attention over {keys} keys, both passes, ms",
                f"{1e3 * mine:.1f}",
                f"{1e3 * other:.1f} (fused kernel)",
                f"{ratio:.2f}",
            )
        )
    return out


IMPORTS = "import torch\nfrom transformers import AutoProcessor, GenerationMixin, LlamaModel, PreTrainedModel"


def start_up(folder: str, image: Path, times: int) -> list[Row]:
    """The command line as whole processes."""
    command = [sys.executable, "-m", "sphinx_x.cli"]

    def run(*arguments: str) -> float:
        return timed(lambda: subprocess.run([*arguments], check=True, capture_output=True))

    chat = [*command, "chat", str(image), READ, "-m", folder, "--max-new-tokens", "1"]
    mine, other, ratio = medians(lambda: run(*chat), lambda: run(sys.executable, "-c", IMPORTS), times)
    shown = statistics.median(run(*command, "--help") for _ in range(times))
    return [
        ("`sphinx-x --help`, s", f"{shown:.2f}", "", ""),
        ("`chat` to its first word, s", f"{mine:.2f}", f"{other:.2f} (imports alone)", f"{ratio:.2f}"),
    ]


def peak_memory(folder: str) -> list[Row]:
    """Largest resident memory of a process that imports, and of one that reads a line."""
    work = "from sphinx_x import SphinxX\nfrom PIL import Image\n"
    work += f"SphinxX.load({folder!r}).chat('Read the text.', Image.new('RGB', (500, 28)))"
    sizes = []
    for script in (work, IMPORTS):
        tail = "\nprint(next(x for x in open('/proc/self/status') if x.startswith('VmHWM')).split()[1])"
        done = subprocess.run([sys.executable, "-c", script + tail], check=True, capture_output=True, text=True)
        sizes.append(int(done.stdout.split()[-1]) / 1e3)
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return [
        (
            "memory to read a line, MB",
            f"{sizes[0]:.0f}",
            f"{sizes[1]:.0f} (imports alone)",
            f"{sizes[1] / sizes[0]:.2f}",
        ),
        ("memory of this benchmark, training included, MB", f"{mine:.0f}", "", ""),
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--quick", action="store_true", help="small sizes, one repetition")
    options = parser.parse_args()
    times = 1 if options.quick else 5
    torch.set_flush_denormal(True)
    sphinx = SphinxX.load(options.model)
    line_set = load_line_set().sample(1)
    image = line_set.images(line_set.lines)[0]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, commit {commit}"
    print(f"{machine}\n")
    print("| what | SPHINX-X | peer | peer / ours (time) |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "line.png"
        image.save(file)
        rows: list[Callable[[], list[Row]]] = [
            lambda: [first_token(sphinx, image, times)],
            lambda: [decoding(sphinx, image, times)],
            lambda: [batch_reading(sphinx, 8 if options.quick else 128, max(1, times // 2))],
            lambda: skipping(times),
            lambda: attention(times),
            lambda: start_up(options.model, file, times),
            lambda: peak_memory(options.model),
        ]
        for row in rows:
            for cells in row():
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
