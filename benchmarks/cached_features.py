"""Samples per second of a training step of SPHINX-Smol with features of its frozen experts stored, and without.

    python benchmarks/cached_features.py

Fresh weights of SPHINX-Smol's shape but for a small language model (`--layers`), pictures of noise, one dialogue each,
bfloat16. Three passes over the same samples in turn: computed; computed and stored; from the store. A pass is the time
of loading and of steps, without measuring lengths. Only projectors and language model learn. Lines are not read.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import sphinx_x.training.engine as engine
from sphinx_x.data.loader import batches
from sphinx_x.family import get_member, new_model
from sphinx_x.recipe import Recipe
from sphinx_x.training.metrics import Sums
from sphinx_x.training.trainer import Trainer


def write_samples(folder: Path, count: int) -> None:
    """Pictures of 640 x 480 pixels with a question and an answer."""
    folder.mkdir(parents=True)
    rng, lines = np.random.default_rng(0), []
    for k in range(count):
        small = rng.integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{k}.jpg", quality=90)
        asked = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}
        answer = {"role": "assistant", "content": f"Picture {k}."}
        lines.append(json.dumps({"id": str(k), "images": [f"{k}.jpg"], "messages": [asked, answer]}))
    (folder / "noise-00000.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def rate(recipe: Recipe, folder: Path) -> float:
    """Samples per second of one pass."""
    trainer = Trainer(recipe, folder)
    steps = trainer.mixture.plan.steps(1)
    began, samples = time.perf_counter(), 0
    for step, packs in batches(trainer.examples, steps, 0):
        examples = [example for pack in packs for example in pack]
        assert not any(example.error for example in examples), examples[0].error
        trainer.engine.step(packs, trainer.engine.micro_batches(len(step.packs)), 1e-4, Sums(), trainer.sources)
        samples += len(examples)
    return samples / (time.perf_counter() - began)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures stored features of frozen experts.")
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--layers", type=int, default=2, help="layers of the language model; SmolLM2 has 30")
    options = parser.parse_args()
    smol, nano = get_member("smol"), get_member("nano")
    # Nano's bytes for words, as fresh weights have no tokenizer of their own
    llm = {**smol.llm, "vocab_size": nano.llm["vocab_size"], "num_hidden_layers": options.layers}
    member = replace(nano, llm=llm, views=smol.views, groups=smol.groups)
    engine.new_model = lambda _, seed: new_model(member, seed)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        write_samples(folder / "data", options.samples)
        fields = {"member": "nano", "folder": folder / "data", "sources": {"noise": {"weight": 1}}}
        fields |= {"total_samples": options.samples, "pack": {"tokens": 2000, "views": 20}, "max_tokens": 1000}
        recipe = Recipe(**fields, freeze=["experts"], workers=0)
        stored = Recipe(**{**recipe.model_dump(), "feature_cache": folder / "features"})
        passes = {"computed": recipe, "computed and stored": stored, "from the store": stored}
        rates = {name: rate(one, folder / name.replace(" ", "-")) for name, one in passes.items()}
        size = sum(file.stat().st_size for file in (folder / "features").rglob("*.safetensors"))
        print(f"| {options.layers} layers | samples/s | ratio |\n|---|---|---|")
        for name, found in rates.items():
            print(f"| {name} | {found:.2f} | {found / rates['computed']:.2f} |")
        print(f"stored: {size / options.samples / 1e3:.0f} kB a picture")


if __name__ == "__main__":
    main()
