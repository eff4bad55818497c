"""Prints the peak memory of one piece of work, in MB: `python benchmarks/memory.py WORK ...`, a process of its own.

WORK is `chat FOLDER IMAGE TOKENS` or `generate FOLDER IMAGE TOKENS`, or `packed`, `padded` or `longest` with
`SHARDS BATCH MAX_TOKENS`, one optimizer step.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from PIL import Image

STATUS = Path("/proc/self/status")


def peak_megabytes() -> float:
    """The largest resident size of this process so far.

    On Linux it is read from /proc: there `ru_maxrss` also holds the size of the process that started this one.
    """
    if STATUS.exists():
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1e3
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def answer(work: str, folder: str, image: str, tokens: int) -> None:
    """One answer about one line."""
    from sphinx_x.reading import READ

    picture = Image.open(image).convert("RGB")
    if work == "chat":
        from sphinx_x import SphinxX

        SphinxX.load(folder, device="cpu").chat(READ, picture, max_new_tokens=tokens)
    else:
        from peers import PlainGenerate

        PlainGenerate(folder).generate(READ, [picture], tokens)


def train(work: str, shards: str, batch: int, max_tokens: int) -> None:
    """One optimizer step."""
    from material import read_examples, training_recipe
    from peers import PaddedLoop

    from sphinx_x.training.loop import Sums, Trainer

    recipe = training_recipe(Path(shards), batch, 1, max_tokens)
    examples = read_examples(recipe)
    if work == "packed":
        with tempfile.TemporaryDirectory() as run:
            Trainer(recipe, run, device="cpu").step(examples, recipe.learning_rate, Sums())
    else:
        PaddedLoop(recipe, max_tokens if work == "longest" else None).step(examples, recipe.learning_rate)


def main() -> None:
    """The command line."""
    work, what, *rest = sys.argv[1:]
    if work in ("chat", "generate"):
        answer(work, what, rest[0], int(rest[1]))
    else:
        train(work, what, int(rest[0]), int(rest[1]))
    print(f"{peak_megabytes():.1f}")


if __name__ == "__main__":
    main()
