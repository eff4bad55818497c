"""The rows of the table: each function measures one kind of work here and the same work done plainly.

Both sides of a row run in turn in the same process (start-up and memory: in processes of their own), and every number
is the median of a side's turns. Where both sides give answers or losses, these are compared first.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from material import draw_shard, read_examples, training_recipe
from peers import IMPORTS, PaddedLoop, PlainGenerate, length_grouped
from PIL import Image
from torch import Tensor

from sphinx_x import SphinxX
from sphinx_x.data.loader import Example
from sphinx_x.evaluation.lines import load_line_set
from sphinx_x.model.attention import attend
from sphinx_x.model.config import ConvNextConfig, DinoV2Config, GroupConfig
from sphinx_x.model.mixture import MixtureOfVisualExperts
from sphinx_x.model.packed import round_up
from sphinx_x.model.processing import render_views
from sphinx_x.model.views import Layout, ViewGrid, plan_views
from sphinx_x.reading import READ
from sphinx_x.training.loop import Sums, Trainer
from sphinx_x.training.packing import TOKENS, split_batch

BATCH = 32
"""Lines of one generated batch, on both sides."""
ASPECTS = (1, 2, 3, 10)
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Size:
    """How much is run. repetitions: turns of each side; starts: the same for whole processes; answer: longest answer
    in tokens; batch, steps: samples of an optimizer step, and steps of a turn; longest: the longest allowed row."""

    repetitions: int = 9
    starts: int = 5
    lines: int = 128
    answer: int = 120
    batch: int = 48
    steps: int = 4
    longest: int = 1024


QUICK = Size(repetitions=1, starts=1, lines=3, answer=6, batch=3, steps=1, longest=256)


@dataclass(frozen=True)
class Row:
    """One line of the table: a number here, the number of the peer, and what the peer is."""

    work: str
    unit: str
    here: float
    peer: float
    other: str
    note: str = ""


@dataclass(frozen=True)
class Bench:
    """folder: the model's; scratch: for files of this run; command: how `sphinx-x` is called."""

    folder: Path
    scratch: Path
    size: Size

    @cached_property
    def sphinx(self) -> SphinxX:
        """The model through this package."""
        return SphinxX.load(self.folder, dtype=torch.float32, device="cpu")

    @cached_property
    def plain(self) -> PlainGenerate:
        """The model through the library alone."""
        return PlainGenerate(self.folder)

    @cached_property
    def lines(self) -> list[Image.Image]:
        """Packaged text lines."""
        chosen = load_line_set().sample(self.size.lines)
        return chosen.images(chosen.lines)

    @cached_property
    def line(self) -> Image.Image:
        """The line of middle width."""
        return sorted(self.lines, key=lambda image: image.width)[len(self.lines) // 2]

    @cached_property
    def line_file(self) -> Path:
        """The same as a file."""
        path = self.scratch / "line.png"
        self.line.save(path)
        return path

    @cached_property
    def shards(self) -> Path:
        """Training samples."""
        draw_shard(self.scratch / "shards", self.size.batch * self.size.steps)
        return self.scratch / "shards"


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def in_turn(repetitions: int, sides: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """The median of what each side measures: one turn to warm up, then turns of all sides, every other one reversed."""
    names = list(sides)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-1, repetitions):
        for name in names if turn % 2 else reversed(names):
            value = sides[name]()
            if turn >= 0:
                measured[name].append(value)
    return {name: statistics.median(values) for name, values in measured.items()}


def must_equal(here: Sequence[str], peer: Sequence[str]) -> None:
    """Stops the run where the answers of both sides differ."""
    for number, (ours, theirs) in enumerate(zip(here, peer, strict=True)):
        if ours != theirs:
            raise AssertionError(f"answer {number} differs: {ours!r} here, {theirs!r} by the peer")


def _stream_both(bench: Bench, tokens: int) -> dict[str, Callable[[], Iterator[str]]]:
    return {
        "here": lambda: bench.sphinx.chat(READ, bench.line, stream=True, max_new_tokens=tokens),
        "peer": lambda: bench.plain.stream(READ, bench.line, tokens),
    }


def first_token(bench: Bench) -> Iterator[Row]:
    """Time to the first token of one line, from the opened image on."""
    sides = _stream_both(bench, bench.size.answer)
    must_equal(["".join(sides["here"]()).strip()], ["".join(sides["peer"]()).strip()])

    def measure(start: Callable[[], Iterator[str]]) -> float:
        began = time.perf_counter()
        stream = start()
        next(stream)
        first = time.perf_counter() - began
        list(stream)  # the rest, so that no thread goes on beside the next turn
        return first

    medians = in_turn(bench.size.repetitions, {k: lambda v=v: measure(v) for k, v in sides.items()})
    note = f"one line of {bench.line.width} x {bench.line.height} pixels; answers equal"
    yield Row("time to first token", "ms ↓", 1e3 * medians["here"], 1e3 * medians["peer"], "generate, streamer", note)


def decode(bench: Bench) -> Iterator[Row]:
    """Tokens a second behind the first: the time of a whole answer less that of an answer of one token."""
    count = bench.plain.generate(READ, [bench.line], bench.size.answer).shape[1]
    sides = {f"{k} whole": v for k, v in _stream_both(bench, bench.size.answer).items()}
    sides |= {f"{k} one": v for k, v in _stream_both(bench, 1).items()}
    took = in_turn(bench.size.repetitions, {k: lambda v=v: seconds(lambda: list(v())) for k, v in sides.items()})
    here, peer = ((count - 1) / max(took[f"{k} whole"] - took[f"{k} one"], 1e-9) for k in ("here", "peer"))
    yield Row("decoding one line", "tokens/s ↑", here, peer, "generate, streamer", f"{count} tokens of one answer")


def batch(bench: Bench) -> Iterator[Row]:
    """Lines a second in batches."""
    answers: dict[str, list[str]] = {}

    def here() -> None:
        pairs = [(READ, image) for image in bench.lines]
        answers["here"] = bench.sphinx.chat_batch(pairs, batch_size=BATCH, max_new_tokens=bench.size.answer)

    def peer() -> None:
        answers["peer"] = bench.plain.batch(READ, bench.lines, BATCH, bench.size.answer)

    repetitions = -(-bench.size.repetitions // 2)
    took = in_turn(repetitions, {"here": lambda: seconds(here), "peer": lambda: seconds(peer)})
    must_equal(answers["here"], answers["peer"])
    rates = {k: len(bench.lines) / v for k, v in took.items()}
    note = f"{len(bench.lines)} packaged lines; answers equal"
    other = f"generate, batches of {BATCH} by width"
    yield Row("reading lines in batches", "lines/s ↑", rates["here"], rates["peer"], other, note)


def training(bench: Bench) -> Iterator[Row]:
    """Samples a second of optimizer steps, and the share of padding among the rows that the LLM computes."""
    size = bench.size
    recipe = training_recipe(bench.shards, size.batch, size.steps, size.longest)
    examples = read_examples(recipe)
    batches = [examples[first : first + size.batch] for first in range(0, len(examples), size.batch)]
    grouped = length_grouped(examples, size.batch)
    trainer = Trainer(recipe, bench.scratch / "run", device="cpu")
    padded, longest = PaddedLoop(recipe), PaddedLoop(recipe, size.longest)
    rate, sums = recipe.learning_rate, Sums()

    trainer.step(batches[0], rate, sums)
    losses = [sums.loss / sums.trained, padded.step(batches[0], rate), longest.step(batches[0], rate)]
    if max(losses) > 1.01 * min(losses):
        raise AssertionError(f"the losses of one batch differ: {losses}")

    sides = {
        "here": lambda: seconds(lambda: [trainer.step(b, rate, Sums()) for b in batches]) / len(batches),
        "padded": lambda: seconds(lambda: [padded.step(b, rate) for b in grouped]) / len(grouped),
        "longest": lambda: seconds(lambda: longest.step(batches[0], rate)),
    }
    took = in_turn(-(-size.repetitions // 2), sides)
    rates = {name: size.batch / value for name, value in took.items()}
    note = f"{recipe.dtype}, {size.batch} samples a step; losses equal"
    names = {"padded": "plain loop, similar lengths", "longest": f"plain loop, padded to {size.longest}"}
    for name, other in names.items():
        yield Row("training", "samples/s ↑", rates["here"], rates[name], other, note)
    here = _packed_padding(batches, recipe.micro_tokens)
    share = {
        "padded": sum(padded.padding(b) for b in grouped) / len(grouped),
        "longest": longest.padding(batches[0]),
    }
    note = f"here attention, which pads by itself, computes {100 * _attention_padding(batches, trainer):.0f} %"
    for name, other in names.items():
        yield Row("padding in training", "% ↓", 100 * here, 100 * share[name], other, note)


def _packed_padding(batches: Sequence[Sequence[Example]], micro_tokens: int) -> float:
    """Share of the rows of packs that belong to no sample."""
    lengths = [sum(len(e.ids) for e in run) for b in batches for run in split_batch(b, micro_tokens)]
    return 1 - sum(lengths) / sum(round_up(length, TOKENS) for length in lengths)


def _attention_padding(batches: Sequence[Sequence[Example]], trainer: Trainer) -> float:
    sums = Sums()
    for examples in batches:
        trainer.step(examples, 0.0, sums)
    return 1 - sums.tokens / sums.attended


def encoder(bench: Bench) -> Iterator[Row]:
    """The visual experts on one image of each shape, with skipping and with every sub-image encoded."""
    nano = bench.sphinx.model.model
    grids = {
        "Nano": (nano.features, bench.sphinx.processor.image_processor.grid(), nano.config.tokens_per_view),
        "2 x 2, tiny experts": _small_member(2),
        "3 x 3, tiny experts": _small_member(3),
    }
    for name, (features, grid, tokens) in grids.items():
        for aspect in ASPECTS:
            image = Image.effect_noise((grid.canvas, max(grid.canvas // aspect, 1)), 64).convert("RGB")
            layout = plan_views(image.width, image.height, grid)
            full = replace(layout, kept=(True,) * grid.cells)
            views = {k: torch.from_numpy(render_views(image, v)) / 255 for k, v in (("here", layout), ("peer", full))}
            with torch.inference_mode():
                _check_kept(features, layout, views)
                sides = {k: lambda v=v: seconds(lambda: features(v)) for k, v in views.items()}
                took = in_turn(bench.size.repetitions, sides)
            lengths = [side.views * (tokens + 2) + side.skipped for side in (layout, full)]
            note = f"{lengths[0]} instead of {lengths[1]} visual tokens ({lengths[0] / lengths[1]:.2f})"
            here, peer = 1e3 * took["here"], 1e3 * took["peer"]
            yield Row(f"encoding {aspect}:1, {name}", "ms ↓", here, peer, "no skipping", note)


def _small_member(side: int) -> tuple[Callable[[Tensor], Tensor], ViewGrid, int]:
    """Experts of a member with side x side sub-images: its tokens and maps, but few channels and pixels."""
    torch.manual_seed(0)
    convnext = ConvNextConfig(
        height=128, width=128, channels=(24, 48, 96, 192), depths=(1, 1, 2, 1), strides=((2, 2),) * 3 + ((1, 1),)
    )
    size = {"height": 64, "width": 64, "patch": (4, 4), "positions": (16, 16)}
    dino = DinoV2Config(**size, channels=96, depth=4, heads=3, hidden=256)
    group = GroupConfig((convnext, dino), (16, 16))
    experts = MixtureOfVisualExperts((group,), 128).eval()
    return experts, ViewGrid(side, side, 128, 128), group.length


def _check_kept(features: Callable[[Tensor], Tensor], layout: Layout, views: dict[str, Tensor]) -> None:
    """What the kept views give does not depend on the others."""
    kept = torch.tensor([True] * layout.grid.global_view + list(layout.kept))
    torch.testing.assert_close(features(views["here"]), features(views["peer"])[kept], rtol=1e-3, atol=1e-3)


def attention(bench: Bench) -> Iterator[Row]:
    """Attention of a training step, forward and backward: Nano's visual expert, and a group of packed rows."""
    cases = (
        ("49 keys, 64 views, 3 heads", (64, 3, 49, 64), False),
        ("200 keys, 8 rows, 4 heads, causal", (8, 4, 200, 64), True),
    )
    for name, shape, causal in cases:
        torch.manual_seed(0)
        leaves = [torch.randn(shape, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]

        def plain(leaves: list[Tensor] = leaves, causal: bool = causal) -> Tensor:
            return attend(*leaves, causal=causal)

        def fused(leaves: list[Tensor] = leaves, causal: bool = causal) -> Tensor:
            return F.scaled_dot_product_attention(*leaves, is_causal=causal)

        torch.testing.assert_close(plain(), fused(), rtol=0.05, atol=0.05)
        times = 20 if bench.size.repetitions > 1 else 1

        def run(call: Callable[[], Tensor], times: int = times) -> float:
            return seconds(lambda: [call().sum().backward() for _ in range(times)]) / times

        took = in_turn(bench.size.repetitions, {"here": lambda p=plain: run(p), "peer": lambda f=fused: run(f)})
        note = "bfloat16, forward and backward"
        yield Row(f"attention, {name}", "ms ↓", 1e3 * took["here"], 1e3 * took["peer"], "the fused kernel", note)


def start(bench: Bench) -> Iterator[Row]:
    """Start-up: the help text, and the first word of an answer, each from the start of the process."""
    script = Path(sys.executable).with_name("sphinx-x")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "sphinx_x.cli"]
    asked = ["chat", str(bench.line_file), READ, "-m", str(bench.folder), "--max-new-tokens", str(bench.size.answer)]
    first = {
        "here": lambda: _until_word([*command, *asked]),
        "peer": lambda: seconds(lambda: _run([sys.executable, "-c", IMPORTS])),
    }
    help_text = {
        "here": lambda: seconds(lambda: _run([*command, "--help"])),
        "peer": lambda: seconds(lambda: _run([sys.executable, "-c", "import typer"])),
    }
    took = in_turn(bench.size.starts, help_text)
    yield Row("`sphinx-x --help`", "s ↓", took["here"], took["peer"], "only imports typer")
    took = in_turn(bench.size.starts, first)
    yield Row("first word of `sphinx-x chat`", "s ↓", took["here"], took["peer"], "only imports torch and Llama")


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _until_word(command: Sequence[str]) -> float:
    """Seconds until a command has printed its first word."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        said = b""
        # a word is over where white space follows it, or where nothing more comes
        while (piece := os.read(process.stdout.fileno(), 4096)) and len((said + b"." + piece).split()) < 2:
            said += piece
        took = time.perf_counter() - began
        process.stdout.read()
        errors = process.stderr.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {errors[-300:]}")
    return took


def memory(bench: Bench) -> Iterator[Row]:
    """Peak memory of processes that do one thing."""
    size = bench.size
    asked = [str(bench.folder), str(bench.line_file), str(size.answer)]
    trained = [str(bench.shards), str(size.batch), str(size.longest)]
    arguments = {"chat": asked, "generate": asked, "packed": trained, "padded": trained, "longest": trained}

    def peak(work: str) -> float:
        return float(_run([sys.executable, str(HERE / "memory.py"), work, *arguments[work]]))

    peaks = {work: statistics.median(peak(work) for _ in range(-(-size.starts // 2))) for work in arguments}
    note = f"{size.batch} samples"
    yield Row("peak memory, chat", "MB ↓", peaks["chat"], peaks["generate"], "generate")
    yield Row("peak memory, training step", "MB ↓", peaks["packed"], peaks["padded"], "plain loop", note)
    other = f"plain loop, padded to {size.longest}"
    yield Row("peak memory, training step", "MB ↓", peaks["packed"], peaks["longest"], other, note)


ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "first-token": first_token,
    "decode": decode,
    "batch": batch,
    "training": training,
    "encoder": encoder,
    "attention": attention,
    "start": start,
    "memory": memory,
}
