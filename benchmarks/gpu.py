"""What an accelerator gives: the same answers as the CPU, a sharded training step, and speeds beside the library's own.

    python benchmarks/gpu.py                        # CUDA; eight minutes, 16 GB of its memory with SPHINX-Tiny's shape
    python benchmarks/gpu.py --member intern2       # 40 GB
    python benchmarks/gpu.py --device cpu --member nano --turns 1      # a look at the script itself

Three tables. *Answers*: SPHINX-Nano reads packaged lines on the CPU in float32, and on the device in float32 and
bfloat16; how many answers are the same, and how far their probabilities are apart. *Training*: four steps of Nano's own
recipe on the same samples: on the CPU, on the device, on one rank of FSDP2, and with compiled layers; the loss of
another sample before and after them. *Speeds*: `floor.py` for a member of true shape and made-up weights ("over the
floor" is the inverse of the share of the peak).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import floor
import torch
import torch.distributed as dist
from true_shape import example

from sphinx_x import SphinxX
from sphinx_x.evaluation.lines import load_line_set
from sphinx_x.evaluation.report import markdown_table
from sphinx_x.reading import READ
from sphinx_x.recipe import PackRecipe, ParallelRecipe, load_recipe
from sphinx_x.studies.measure import ItemSums
from sphinx_x.training.distributed import World, backend_of, leave, meshed
from sphinx_x.training.engine import Engine

LINES = 50
STEPS = 4
TOKENS = 2048
RATE = 1e-4


def answers(device: str) -> str:
    """SPHINX-Nano's answers about packaged lines, on the CPU and on a device."""
    line_set = load_line_set().sample(LINES)
    pictures = line_set.images(line_set.lines)
    rows, first, sure = [], [], []
    for where, dtype in (("cpu", "float32"), (device, "float32"), (device, "bfloat16")):
        sphinx = SphinxX.load("nano", device=where, dtype=dtype)
        prompts = [sphinx.prompt_for(READ, [picture]) for picture in pictures]
        probabilities: list[float] = []
        began = time.perf_counter()
        texts = sphinx.answers(prompts, probabilities=probabilities, max_new_tokens=120)
        seconds = time.perf_counter() - began
        if not first:
            first, sure = texts, probabilities
        same = sum(one == other for one, other in zip(texts, first, strict=True))
        apart = max(abs(one - other) for one, other in zip(probabilities, sure, strict=True))
        rows.append((where, dtype, f"{same} of {len(texts)}", f"{apart:.1e}", f"{len(texts) / seconds:.1f}"))
    return "\n".join(markdown_table(("device", "type", "same answers", "probabilities apart", "lines/s"), rows))


@contextmanager
def one_rank(device: torch.device) -> Iterator[World]:
    """The world of a single rank whose weights are sharded all the same."""
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(backend_of(device), init_method=f"file://{folder}/store", rank=0, world_size=1)
        try:
            yield meshed(device, ParallelRecipe())
        finally:
            leave()


def trained(world: World, dtype: str, compiled: bool = False) -> tuple[float, float, float]:
    """The loss of a sample before and after some steps of Nano on others, and the seconds of the last step."""
    torch.manual_seed(0)
    model = SphinxX.load("nano", dtype="float32", device="cpu").model
    pack = PackRecipe(tokens=TOKENS, views=64)
    changes = {"dtype": dtype, "compile": compiled, "pack": pack, "max_tokens": TOKENS, "data": None}
    recipe = load_recipe("nano").model_copy(update=changes)
    samples = [example(model, TOKENS) for _ in range(STEPS + 1)]  # the same for every way
    engine, seen, seconds = Engine(model, recipe, world), [], 0.0

    def look() -> None:
        sums = ItemSums()
        engine.look(samples[:1], sums, ["a"])
        nats, tokens = sums.items["a"]["made up"]
        seen.append(nats / tokens)

    look()
    for sample in samples[1:]:
        began = time.perf_counter()
        engine.step([[sample]], 1, RATE, ItemSums(), ["a"])
        if world.device.type != "cpu":
            torch.accelerator.synchronize(world.device)
        seconds = time.perf_counter() - began
    look()
    return seen[0], seen[1], seconds


def steps(device: torch.device) -> str:
    """Losses of the same training, done in several ways."""
    rows = []

    def tell(name: str, world: World, dtype: str, compiled: bool = False) -> None:
        before, after, seconds = trained(world, dtype, compiled)
        rows.append((name, dtype, f"{before:.5f}", f"{after:.5f}", f"{seconds * 1e3:,.0f}"))

    tell("cpu", World(torch.device("cpu")), "float32")
    for dtype in ("float32", "bfloat16"):
        tell(f"{device}", World(device), dtype)
        with one_rank(device) as world:
            tell(f"{device}, FSDP2 on one rank", world, dtype)
    tell(f"{device}, compiled layers", World(device), "bfloat16", compiled=True)
    heading = ("where", "type", "loss before", "after four steps", "last step, ms")
    return "\n".join(markdown_table(heading, rows))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--member", default="tiny", help="of the speeds")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args(arguments)
    device, began = torch.device(options.device), time.perf_counter()
    torch.backends.cuda.matmul.allow_tf32 = False  # or float32 would not be
    torch.backends.cudnn.allow_tf32 = False
    print(f"{device}: {torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type}")
    print(answers(options.device), flush=True)
    print(steps(device), flush=True)
    floor.main([options.member, "--device", options.device, "--turns", f"{options.turns}"])
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
