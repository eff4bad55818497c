"""SPHINX-Nano learns a form of one's own from 100 samples, and is asked about 50 others before and after.

The samples are price labels that are drawn here: what is to be written down is not how it stands on the label. To be
run from a folder where `data/labels` and `runs/finetune` (`runs/finetune-lora`) may be made:

    python examples/finetune.py          # every weight is trained
    python examples/finetune.py --lora   # low-rank adapters instead
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from sphinx_x import SphinxX
from sphinx_x.evaluation.samples import Score, rates, score_samples
from sphinx_x.recipe import LoraRecipe, load_recipe
from sphinx_x.training.trainer import train

DATA = Path("data/labels")
QUESTION = "Write down the label."
GOODS = (
    *("Oat drink", "Rye bread", "Plums", "Sea salt", "Green tea", "Olive oil", "Walnuts", "Red lentils", "Honey"),
    *("Soft cheese", "Basmati rice", "Apple juice", "Dark chocolate", "Peanuts", "Spelt flour", "Black pepper"),
    *("Tomato paste", "Raisins", "Corn flakes", "Mustard", "Butter", "Yoghurt", "Cider vinegar", "Cane sugar"),
)
SIZES = ("100 g", "250 g", "500 g", "1 kg", "2 kg", "0.5 l", "0.75 l", "1 l")
COLOURS = ("#ffe14d", "#ffffff", "#f6c7c7", "#cfe8cf")


def label(rng: random.Random) -> tuple[Image.Image, str]:
    """A label, `2.49 Oat drink 1 l #4711`, and what is to be written down: `Oat drink | 1 l | EUR 2.49 | no. 4711`."""
    good, size, number = rng.choice(GOODS), rng.choice(SIZES), rng.randint(1000, 9999)
    price = f"{rng.randint(0, 29)}.{rng.choice('123456789')}9"
    picture = Image.new("RGB", (600, rng.randint(28, 38)), rng.choice(COLOURS))
    draw = ImageDraw.Draw(picture)
    left, middle = rng.randint(4, 16), picture.height / 2
    for text, height in ((price, 22), (good, 17), (size, 17), (f"#{number}", 17)):
        font = ImageFont.load_default(height)
        draw.text((left, middle), text, fill="black", font=font, anchor="lm")
        left += draw.textlength(text, font=font) + rng.randint(14, 24)
    picture = picture.crop((0, 0, round(left), picture.height))
    return picture, f"{good} | {size} | EUR {price} | no. {number}"


def make_samples(folder: Path = DATA, train: int = 100, held_out: int = 50, seed: int = 0) -> None:
    """Writes train.jsonl and held-out.jsonl with their pictures, in the form that docs/data.md describes."""
    rng = random.Random(seed)
    for name, count in (("train", train), ("held-out", held_out)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        lines = []
        for index in range(count):
            picture, answer = label(rng)
            path = f"{name}/{index:03d}.png"
            picture.save(folder / path)
            messages = [
                {"role": "user", "content": f"<image>{QUESTION}"},
                {"role": "assistant", "content": answer},
            ]
            sample = {"id": f"{name}-{index}", "source": path, "images": [{"path": path}], "messages": messages}
            lines.append(json.dumps(sample) + "\n")
        (folder / f"{name}.jsonl").write_text("".join(lines))


def ask(model: str | Path, folder: Path = DATA) -> list[Score]:
    """What a model answers about the labels that it was not trained on."""
    return score_samples(SphinxX.load(model), [folder / "held-out.jsonl"], longest=64)


def show(name: str, scores: Sequence[Score]) -> None:
    """Prints the share of wrong characters, the labels without an error, and some answers."""
    exact = sum(score.errors == 0 for score in scores)
    print(
        f"{name}: {100 * rates(scores)['text'].rate:.1f} % of characters wrong, {exact} of {len(scores)} labels right"
    )
    for score in scores[:3]:
        print(f"  {score.asked.text}   was written down as   {score.answer}")


def main(arguments: Sequence[str] | None = None) -> tuple[list[Score], list[Score]]:
    """Makes samples, asks, trains, asks again; gives both sets of answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora", action="store_true", help="train low-rank adapters instead of every weight")
    lora = parser.parse_args(arguments).lora
    make_samples()
    before = ask("nano")
    show("before", before)
    recipe = load_recipe("finetune-nano")
    if lora:
        recipe = recipe.model_copy(update={"lora": LoraRecipe(rank=16, alpha=32.0), "learning_rate": 2e-3})
    after = ask(train(recipe, Path("runs/finetune-lora" if lora else "runs/finetune")))
    show("after", after)
    return before, after


if __name__ == "__main__":
    main()
