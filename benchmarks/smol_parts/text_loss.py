"""What a model still knows of text: its loss on prose, beside that of the language model that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from smol_parts.paragraphs import prose
from sphinx_x.data.shards import SampleReader
from sphinx_x.evaluation.metrics import BOOTSTRAP_DRAWS, interval
from sphinx_x.inference import SphinxX
from sphinx_x.model.prompt import Encoded

T = TypeVar("T")
TEXTS = 60
LONGEST = 512
"""Tokens of a text."""


@torch.inference_mode()
def losses(sphinx: SphinxX, folder: Path | None = None, count: int = TEXTS) -> dict[str, np.ndarray]:
    """Return (texts, 2) of every kind of text: the summed loss in nats, and the number of tokens that have one.

    Args:
        sphinx: The model.
        folder: Samples without pictures; of their dialogues, the answers count.
        count: Number of texts of each kind.
    """
    builder = sphinx.processor.prompt_builder()
    kinds: dict[str, list[Encoded]] = {"prose": []}
    for text in _spread(prose(), count):
        encoded = Encoded()
        encoded.add(builder.text(text, first=True), trained=True)
        kinds["prose"].append(encoded)
    if folder is not None:
        samples = SampleReader(folder)
        chosen = (samples[number] for number in _spread(range(len(samples)), count))
        kinds["dialogues"] = [builder.encode(sample.messages, []) for sample in chosen]
    return {kind: np.array([_loss(sphinx, encoded) for encoded in some]) for kind, some in kinds.items()}


def _spread(some: Sequence[T], count: int) -> Sequence[T]:
    return [some[number * len(some) // count] for number in range(count)] if len(some) > count else some


def _loss(sphinx: SphinxX, encoded: Encoded) -> tuple[float, int]:
    device = next(sphinx.model.parameters()).device
    ids = torch.tensor([encoded.ids[:LONGEST]], device=device)
    trained = torch.tensor(encoded.trained[1:LONGEST], device=device)
    logits = sphinx.model(input_ids=ids).logits[0, :-1].float()
    return F.cross_entropy(logits[trained], ids[0, 1:][trained], reduction="sum").item(), int(trained.sum())


def compared(model: Mapping[str, np.ndarray], base: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Return both losses a token by kind, and how much larger the model's is, with its 95 % interval over texts."""
    found = {}
    for kind, own in model.items():
        table = np.concatenate([own, base[kind][:, :1]], axis=1)
        draws = np.random.default_rng(0).integers(len(table), size=(BOOTSTRAP_DRAWS, len(table)))
        sums, drawn = table.sum(axis=0), table[draws].sum(axis=1)
        low, high = interval(drawn[:, 0] / drawn[:, 2] - 1)
        found[kind] = {
            "model": sums[0] / sums[1],
            "base": sums[2] / sums[1],
            "increase": [sums[0] / sums[2] - 1, low, high],
            "texts": len(table),
            "tokens": int(sums[1]),
        }
    return found
