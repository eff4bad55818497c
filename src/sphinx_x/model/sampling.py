"""Random choices of tokens from generators of their own, so that an answer does not depend on other random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor


class SeededChoice(LogitsProcessor):
    """Draw each row's token with the row's own generator, and leave the library no other to choose.

    It has to see the scores after temperature, top-p and the like; `ImageGeneration` puts it last.

    Args:
        seeds: One for each row. A row draws the same tokens alone as among others.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds, self._generators = list(seeds), []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Map scores (B, vocabulary) to 0 for the token that was drawn and minus infinity for all others."""
        if not self._generators:
            self._generators = [torch.Generator(scores.device).manual_seed(seed) for seed in self.seeds]
        chances = scores.float().softmax(-1)
        drawn = [
            torch.multinomial(row, 1, generator=generator)
            for row, generator in zip(chances, self._generators, strict=True)
        ]
        return torch.full_like(scores, -torch.inf).scatter_(1, torch.stack(drawn), 0.0)
