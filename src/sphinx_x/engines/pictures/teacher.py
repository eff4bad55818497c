"""The frozen classifier as a teacher: what its own head says of a picture, in common words, and how sure it is."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from sphinx_x.checkpoints.experts import open_expert
from sphinx_x.checkpoints.packages import BASES, base_folder
from sphinx_x.checkpoints.rules import convert
from sphinx_x.checkpoints.weights import WeightFiles
from sphinx_x.engines.pictures.words import Word, classes
from sphinx_x.errors import DataError, SphinxXError
from sphinx_x.model.experts import build_expert

HEAD = "_fc"
"""The name of the classifier behind the expert, which members do not use."""

NEARLY = 1.35
"""Ratio of the sides up to which a picture is seen as a square, as a whole."""


class Opinion:
    """What the teacher says of a picture.

    Attributes:
        words: The probability of each common word, the largest first.
    """

    def __init__(self, chances: list[float]) -> None:
        sums: dict[str, float] = defaultdict(float)
        best: dict[str, tuple[float, Word]] = {}
        for chance, word in zip(chances, classes(), strict=True):
            sums[word.word] += chance
            best[word.word] = max(best.get(word.word, (-1.0, word)), (chance, word), key=lambda one: one[0])
        self.words = dict(sorted(sums.items(), key=lambda one: (-one[1], one[0])))
        self._best = best

    @property
    def first(self) -> tuple[Word, float]:
        """The likeliest word with its likeliest own name, and the word's probability."""
        word, chance = next(iter(self.words.items()))
        return self._best[word][1], chance

    def own_chance(self) -> float:
        """Return the probability of that own name."""
        return self._best[next(iter(self.words))][0]


class Teacher:
    """An EfficientNet-Lite with its head of ImageNet's 1,000 classes.

    Args:
        name: The name of base weights in a package (`sphinx-x import packages` has them), or a folder or a file.

    Raises:
        DataError: It has no head of 1,000 classes.
        SphinxXError: It cannot be read.
    """

    def __init__(self, name: str) -> None:
        path = base_folder(name) if name in BASES else Path(name)
        expert = open_expert(path)
        self.config = expert.config
        self.model = build_expert(expert.config)
        part = expert.part("")
        self.model.load_state_dict(dict(convert(part.rules, part.source.read)))
        self.model.eval().requires_grad_(False)
        files = WeightFiles(path)
        names = [f"{expert.prefix}{HEAD}.{kind}" for kind in ("weight", "bias")]
        if not set(names) <= set(files.tensors()):
            raise DataError(f"{name}: has no classifier: {names[0]} is missing")
        self.weight, self.bias = (files.read(one).float() for one in names)
        if len(self.bias) != len(classes()):
            raise DataError(f"{name}: has {len(self.bias)} classes, and ImageNet has {len(classes())}")

    def opinion(self, image: Image.Image) -> Opinion:
        """Return what it says of an RGB picture: the mean over the whole and, if it is long, its middle."""
        with torch.inference_mode():
            views = torch.stack([self._pixels(view) for view in _views(image)])
            pooled, _ = self.model.features(views)
            chances = (pooled @ self.weight.T + self.bias).softmax(-1).mean(0)
        return Opinion(chances.tolist())

    def _pixels(self, image: Image.Image) -> Tensor:
        """Return (3, H, W) as the expert reads it."""
        config = self.config
        small = image.resize((config.width, config.height), Image.Resampling.BICUBIC)
        pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(config.height, config.width, 3)
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (config.mean, config.std))
        return (pixels.permute(2, 0, 1) / 255 - mean) / std


def _views(image: Image.Image) -> list[Image.Image]:
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    middle = image.crop((left, top, left + side, top + side))
    return [image] if max(image.size) <= NEARLY * side else [image, middle]


@lru_cache(maxsize=1)
def teacher_named(name: str) -> Teacher:
    """Return the teacher of this process.

    Raises:
        DataError: It cannot be used.
    """
    try:
        return Teacher(name)
    except DataError:
        raise
    except SphinxXError as error:
        raise DataError(f"teacher: {error}") from error
