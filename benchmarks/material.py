"""What the benchmarks run on: a model folder, text lines, and training shards drawn here; nothing is downloaded."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sphinx_x.data.blend import Blend, Source
from sphinx_x.data.loader import Augmentation, Example, Examples, open_source
from sphinx_x.data.sample import Sample, write_shard
from sphinx_x.family import get_member, new_model, new_processor
from sphinx_x.model.tokenizer import byte_tokenizer
from sphinx_x.reading import READ
from sphinx_x.training.recipe import AlignRecipe, AugmentRecipe, Recipe, SourceRecipe, load_recipe

SOURCE = "drawn"
LETTERS = np.array(list("etaoinshrdlucmfwypvbgkETAOINSHR0123456789"))


def fresh_model(folder: Path) -> Path:
    """A folder with Nano's random start."""
    model, processor = new_model(get_member("nano"))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def draw_line(text: str, size: int) -> Image.Image:
    """Black text on white in PIL's own font."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = map(int, font.getbbox(text))
    image = Image.new("RGB", (right - left + 8, bottom - top + 8), "white")
    ImageDraw.Draw(image).text((4 - left, 4 - top), text, "black", font)
    return image


def draw_shard(folder: Path, count: int, seed: int = 0) -> None:
    """Writes `count` samples of one to ten made-up words each, asked for as SPHINX-Nano is trained."""
    rng = np.random.default_rng(seed)

    def samples():
        for number in range(count):
            words = ["".join(rng.choice(LETTERS, rng.integers(2, 10))) for _ in range(rng.integers(1, 11))]
            file = io.BytesIO()
            draw_line(" ".join(words), int(rng.integers(14, 24))).save(file, "png")
            asked = [{"type": "image"}, {"type": "text", "text": READ}]
            messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": " ".join(words)}]
            yield Sample(f"{SOURCE}-{number}", [], messages), [file.getvalue()]

    write_shard(folder, f"{SOURCE}-0", samples())


def training_recipe(shards: Path, batch: int, steps: int, max_tokens: int | None = None) -> Recipe:
    """Nano's recipe on drawn shards, without augmentation and alignment loss. max_tokens: another longest row."""
    recipe = load_recipe("nano")
    changes = {
        "folder": shards,
        "data": None,
        "sources": {SOURCE: SourceRecipe(weight=1.0)},
        "align": AlignRecipe(),
        "augment": AugmentRecipe(),
        "batch": batch,
        "samples": batch * steps,
        "max_tokens": max_tokens or recipe.max_tokens,
    }
    return recipe.model_copy(update=changes)


def read_examples(recipe: Recipe) -> list[Example]:
    """All examples of the recipe's run, in its order; raises ValueError where one cannot be used."""
    reader = open_source(recipe.folder, SOURCE)
    blend = Blend([Source(SOURCE, len(reader), 1.0)], recipe.samples, recipe.seed)
    processor = new_processor(get_member("nano"), byte_tokenizer(), tokens_per_view=49)
    examples = Examples([reader], blend, processor, Augmentation(), recipe.max_tokens)
    read = [examples[k] for k in range(recipe.samples)]
    errors = [example.error for example in read if example.error]
    if errors:
        raise ValueError(f"{len(errors)} drawn samples cannot be used: {errors[0]}")
    return read
