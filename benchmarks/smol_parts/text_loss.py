"""What a model still knows of text: its loss on prose, beside that of the language model that it was made of."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from smol_parts.paragraphs import prose
from sphinx_x.evaluation.metrics import BOOTSTRAP_DRAWS, interval
from sphinx_x.inference import SphinxX

TEXTS = 60
LONGEST = 512
"""Tokens of a text."""


@torch.inference_mode()
def losses(sphinx: SphinxX, count: int = TEXTS) -> np.ndarray:
    """Return (texts, 2): the summed loss of each text in nats, and the number of its tokens that have one."""
    found = []
    for text in prose()[:: max(1, len(prose()) // count)][:count]:
        ids = torch.tensor([sphinx.processor.prompt_builder().text(text, first=True)[:LONGEST]])
        ids = ids.to(next(sphinx.model.parameters()).device)
        logits = sphinx.model(input_ids=ids).logits[0, :-1].float()
        found.append((F.cross_entropy(logits, ids[0, 1:], reduction="sum").item(), ids.shape[1] - 1))
    return np.array(found)


def compared(model: np.ndarray, base: np.ndarray) -> dict[str, object]:
    """Return both losses a token, and how much larger the model's is, with its 95 % interval over draws of texts."""
    table = np.concatenate([model, base[:, :1]], axis=1)
    draws = np.random.default_rng(0).integers(len(table), size=(BOOTSTRAP_DRAWS, len(table)))
    sums, drawn = table.sum(axis=0), table[draws].sum(axis=1)
    low, high = interval(drawn[:, 0] / drawn[:, 2] - 1)
    return {
        "model": sums[0] / sums[1],
        "base": sums[2] / sums[1],
        "increase": [sums[0] / sums[2] - 1, low, high],
        "texts": len(table),
        "tokens": int(sums[1]),
    }
