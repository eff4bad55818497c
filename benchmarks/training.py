"""Training speed of SPHINX-Nano on its own recipe's data, beside other ways to train the same model, in one run.

    python benchmarks/training.py DATA      # DATA: the recipe's folder, e.g. data/nano, made by `sphinx-x train nano`
    python benchmarks/training.py DATA --quick    # small, to see that it runs

Behind the table comes where the time of one step goes, and its floor.

Peers: the reference's way (every sample padded to the longest allowed, no packing); batches of samples of like length,
padded to the longest of each; Transformers' Trainer with padded batches. All get the same samples in the same order of
the mixture, the same number of samples a step, and bfloat16 with float32 weights. The alignment loss is left out, as no
peer has it. Ways take turns; a figure is the median over rounds, and ratios are medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from peers import PlainLoop, TransformersTrainer
from profile_step import profile

from sphinx_x.data.loader import Example, batches
from sphinx_x.family import get_member, new_model
from sphinx_x.recipe import AlignRecipe, PackRecipe, load_recipe
from sphinx_x.training.metrics import Sums
from sphinx_x.training.trainer import Trainer
from sphinx_x.work.files import read_lines

BATCH = 8
"""Samples that a peer computes at once."""


def open_trainer(data: Path, folder: Path, quick: bool = False) -> Trainer:
    """Nano's recipe as it is, without the alignment loss; with small packs where it is only to be seen that it runs."""
    recipe = load_recipe("nano")
    if quick:
        recipe = recipe.model_copy(update={"pack": PackRecipe(tokens=2048, views=64)})
    changes = {"align": AlignRecipe(), "folder": data, "data": None, "total_samples": 512}
    sources = {name: source.model_copy(update={"end": None}) for name, source in recipe.sources.items()}
    for name, source in recipe.sources.items():  # the mixture of the end of the run
        sources[name] = source.model_copy(update={"weight": source.weight if source.end is None else source.end})
        sources[name] = sources[name].model_copy(update={"end": None})
    return Trainer(recipe.model_copy(update=changes | {"sources": sources}), folder)


def ways(trainer: Trainer, steps: Sequence[Sequence[list[Example]]]) -> dict[str, tuple[Callable[[], Any], Callable]]:
    """Name -> what does a round, and what gives the share of padding afterwards."""
    sums = Sums()
    flat = [[example for pack in packs for example in pack] for packs in steps]

    def ours() -> None:
        for packs in steps:
            trainer.engine.step(packs, 1, 1e-4, sums, trainer.sources)

    made: dict[str, tuple[Callable[[], Any], Callable]] = {
        "SPHINX-X": (ours, lambda: 1 - sums.tokens / sums.rows),
    }
    longest = trainer.recipe.max_tokens
    for name, pad in (("padded to the longest allowed", longest), ("padded, samples of like length", None)):
        loop = PlainLoop(new_model(get_member("nano"))[0], torch.bfloat16, BATCH, pad)
        made[name] = (
            lambda loop=loop: [loop.step(examples) for examples in flat],
            lambda loop=loop: 1 - loop.real / loop.rows,
        )
    theirs = TransformersTrainer(new_model(get_member("nano"))[0], BATCH)
    made["Transformers Trainer"] = (lambda: theirs.steps(flat), lambda: 1 - theirs.real / theirs.rows)
    return made


def table(trainer: Trainer, count: int, rounds: int) -> str:
    """A Markdown table of all ways. count: steps of a round."""
    taken = batches(trainer.examples, trainer.mixture.plan.steps(1), 0)
    steps = [packs for _, packs in zip(range(count), (packs for _, packs in taken), strict=False)]
    samples = sum(len(pack) for packs in steps for pack in packs)
    all_ways = ways(trainer, steps)
    seconds: dict[str, list[float]] = {name: [] for name in all_ways}
    for number in range(rounds + 1):
        for name, (work, _) in all_ways.items():
            began = time.perf_counter()
            work()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    mine = seconds["SPHINX-X"]
    lines = ["| way | samples/s | padding of rows | time against ours |", "|---|---|---|---|"]
    for name, (_, padding) in all_ways.items():
        ratio = statistics.median(b / a for a, b in zip(mine, seconds[name], strict=True))
        speed = samples / statistics.median(seconds[name])
        lines.append(f"| {name} | {speed:.1f} | {100 * padding():.1f} % | {ratio:.2f} |")
    return "\n".join(lines)


def overhead(data: Path, samples: int, quick: bool) -> str:
    """Share of a real run's time that is not forward, backward or optimizer: loading, counting, logging, saving."""
    with tempfile.TemporaryDirectory() as name:
        recipe = open_trainer(data, Path(name), quick).recipe
        changes = {"total_samples": samples, "log_every": 5, "save_every": 10}
        again = Trainer(recipe.model_copy(update=changes), Path(name) / "run")
        again.run()
        records = read_lines(Path(name) / "run" / "log.jsonl")
    busy = statistics.median(record["busy"] for record in records[1:] or records)
    return f"Not in forward, backward or optimizer: {100 * (1 - busy):.1f} % of the time of a run"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = open_trainer(options.data, Path(folder) / "run", options.quick)
        print(table(trainer, *((1, 1) if options.quick else (3, 5))), flush=True)
        print("\n" + profile(trainer) + "\n", flush=True)
    print(overhead(options.data, 100 if options.quick else 1000, options.quick))


if __name__ == "__main__":
    main()
