"""The reference's numbers: checkpoints made from their recipe, and what the reference computed with them.

Weights are not stored: each tensor follows from its name. A small part of the numbers lies in `tests/reference`; all of
them in the folder `golden` that CI lays beside the repository.
"""

from __future__ import annotations

import json
import math
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F

from paths import REFERENCE

SUBSET = REFERENCE
VOCABULARY = 512
IMAGES = ("square", "wide", "tall")


def weight(name: str, shape: tuple[int, ...], kind: str) -> torch.Tensor:
    """The tensor of that name, float32."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    z = np.asarray(generator.standard_normal(size=shape, dtype=np.float32), np.float32)
    one = np.float32
    fan_in = float(np.prod(shape[1:])) if len(shape) > 1 else 1.0
    scaled = {
        "emb": lambda: z,
        "gamma": lambda: one(0.3) + one(0.1) * z,
        "norm": lambda: one(1.0) + one(0.1) * z,
        "bias": lambda: one(0.05) * z,
        "mat": lambda: z * one(1.0 / math.sqrt(fan_in)),
        "raw": lambda: one(0.5) * z,
    }
    return torch.from_numpy(np.asarray(scaled[kind](), np.float32))


@dataclass(frozen=True)
class Variant:
    """One configuration of the reference and its numbers. home: the folder of images and tokenizer."""

    folder: Path
    home: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.folder / "golden.json").read_text())

    @property
    def numbers(self) -> Any:
        return np.load(self.folder / "golden.npz")

    def image(self, name: str) -> PIL.Image.Image:
        return PIL.Image.open(self.home / "images" / f"{name}.png")

    def state(self) -> dict[str, torch.Tensor]:
        listed = json.loads((self.folder / "state_dict.json").read_text())
        return {name: weight(name, tuple(shape), kind) for name, shape, _, kind in listed}

    def checkpoint(self, out: Path) -> Path:
        """A checkpoint folder in the reference's format."""
        out.mkdir(parents=True)
        torch.save({"model": self.state()}, out / "consolidated.00-of-01.model.pth")
        for name in ("config.json", "meta.json"):
            shutil.copyfile(self.folder / name, out / name)
        shutil.copyfile(self.home / "tokenizer" / "tokenizer.model", out / "tokenizer.model")
        return out


def tokens_of(processor: Any, views: int, text_ids: list[int]) -> list[int]:
    """The reference's sequence: the first token, the views, the text."""
    image = processor.prompt_builder().image_tokens
    view = [image.start, *[image.slot] * processor.tokens_per_view, image.end]
    return [text_ids[0], *view * views, *text_ids[1:]]


def inputs_of(sphinx: Any, variant: Variant, name: str) -> Any:
    """What the processor makes of the reference's prompt and image."""
    facts = variant.facts
    images = [variant.image(name)] if name in IMAGES else None
    text = ("<image>" if images else "") + facts["prompts"].get(name, facts["prompts"]["square"])
    return sphinx.processor(text=text, images=images, return_tensors="pt")


def logits_of(sphinx: Any, inputs: Any, rows: int) -> np.ndarray:
    """The last `rows` rows of logits, image tokens left out."""
    with torch.no_grad():
        return sphinx.model(**inputs).logits[0, -rows:, :VOCABULARY].float().numpy()


def greedy(sphinx: Any, inputs: Any, count: int = 8) -> list[int]:
    """Greedy ids."""
    out = sphinx.model.generate(**inputs, max_new_tokens=count, do_sample=False, eos_token_id=None)
    return out[0, inputs["input_ids"].shape[1] :].tolist()


def cpu_half_bicubic(colors: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The other way to resample in half precision, with half sums: what the reference's code does on a CPU."""
    if colors.shape[-2:] == size:
        return colors
    return F.interpolate(colors.half(), size, mode="bicubic", align_corners=False).to(colors.dtype)
