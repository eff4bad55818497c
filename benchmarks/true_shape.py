"""Training steps of a member in its true shape, with made-up weights and samples: seconds a step and peak memory.

    python benchmarks/true_shape.py tiny --lora
    python benchmarks/true_shape.py tiny --moments bfloat16 --tokens 2048

The figures need no real weights; the losses mean nothing. The experts are frozen, as in the paper. Beside the peak
stands what `--dry-run` would say of the same recipe.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import torch

from sphinx_x.data.loader import Example
from sphinx_x.family import build_config, get_member
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.recipe import LoraRecipe, PackRecipe, Recipe
from sphinx_x.training.distributed import World
from sphinx_x.training.engine import Engine
from sphinx_x.training.lora import add_adapters
from sphinx_x.training.metrics import Sums


def made_up(name: str, tokens: Any = None) -> SphinxXForConditionalGeneration:
    """The member in bfloat16; matrices hold small numbers, norms ones. tokens: as for `build_config`."""
    with torch.device("meta"):
        model = SphinxXForConditionalGeneration(build_config(get_member(name), tokens)).to(torch.bfloat16)
    model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                parameter.normal_(0.0, 0.02, generator=generator)
    text = model.model.language_model  # the angles of positions are no weights
    text.rotary_emb = type(text.rotary_emb)(config=text.config)
    return model


def example(model: SphinxXForConditionalGeneration, tokens: int) -> Example:
    """One image of all its views and random text behind it, a quarter of which is learned."""
    config = model.config
    grid, ids = config.view_grid(), []
    views = grid.rows * grid.columns + int(grid.global_view)
    for _ in range(views):
        ids += [config.start_token_id, *[config.image_token_id] * config.tokens_per_view, config.end_token_id]
    rest = max(tokens - len(ids), 64)
    ids = torch.cat([torch.tensor(ids), torch.randint(100, min(config.text_config.vocab_size - 16, 20000), (rest,))])
    labels = ids.clone()
    labels[: -rest // 4] = -100
    pictures = torch.randint(0, 255, (views, 3, grid.view_height, grid.view_width), dtype=torch.uint8)
    return Example(ids, labels, pictures, torch.empty(0, dtype=torch.int64), 0, "made up")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("member", nargs="?", default="tiny")
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--moments", default="float32")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--tokens", type=int, default=1536)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    recipe = Recipe(
        member=options.member,
        start="made up",
        total_samples=options.steps,
        pack=PackRecipe(tokens=options.tokens, views=8),
        max_tokens=options.tokens,
        optimizer_state_dtype=options.moments,
        activation_checkpointing=options.recompute,
        lora=LoraRecipe() if options.lora else None,
        folder=Path("."),
        sources={"a": {}},  # pyright: ignore[reportArgumentType]
    )
    model = made_up(options.member)
    if recipe.lora is not None:
        add_adapters(model, recipe.lora)
    engine = Engine(model, recipe, World(torch.device("cpu")))
    trained = sum(p.numel() for p in engine.optimizer.masters.values())
    print(f"{model.num_parameters() / 1e9:.2f} billion parameters, {trained / 1e6:.1f} million trained", flush=True)
    sample = example(model, options.tokens)
    for number in range(options.steps):
        began = time.perf_counter()
        done = engine.step([[sample]], 1, 2e-5, Sums(), ["a"])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"step {number + 1}: {time.perf_counter() - began:.1f} s, {len(sample.ids)} tokens, {len(sample.views)} "
            f"views, gradient {done.norm:.3g}, peak {peak:.1f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
