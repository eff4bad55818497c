"""The alignment loss: visual tokens learn early which characters they show.

A vision-language model made from nothing first learns the language of its labels and finds the image late. This loss
reads the text of a line off the visual tokens themselves, by connectionist temporal classification (CTC): each token of
the line's map, from left to right, yields a few frames of character scores. It only shapes the visual tokens: its one
linear layer is dropped when training ends, and answers come from the LLM alone.

Shapes: V views, N tokens of a view, D width of the LLM, F frames of a view, S size of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.data.loader import Example

BLANK = 0
"""The CTC blank: the id of the padding token, which no text holds."""


class AlignmentHead(nn.Module):
    """One linear layer from a visual token to `frames` frames of vocabulary scores."""

    def __init__(self, width: int, vocabulary: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.scores = nn.Linear(width, frames * vocabulary)

    def forward(self, features_VND: Tensor, examples: Sequence[Example]) -> tuple[Tensor, int]:
        """Features of the examples' views, in order -> (summed loss, number of characters it is over)."""
        # the global token comes first in a view and shows no place of the line
        scores_VFS = self.scores(features_VND[:, 1:]).unflatten(-1, (self.frames, -1)).flatten(1, 2)
        counts = [len(example.views) for example in examples]
        pieces = scores_VFS[: sum(counts)].split(counts)
        chosen = [k for k, example in enumerate(examples) if len(example.line)]
        if not chosen:
            return 0.0 * scores_VFS.float().sum(), 0  # reaches the layer's weights, as it must on every rank
        scores = nn.utils.rnn.pad_sequence([pieces[k].flatten(0, 1) for k in chosen])
        texts = [examples[k].line for k in chosen]
        loss = F.ctc_loss(
            scores.float().log_softmax(-1),
            torch.cat(texts).to(scores.device),
            torch.tensor([counts[k] * scores_VFS.shape[1] for k in chosen]),
            torch.tensor([len(text) for text in texts]),
            blank=BLANK,
            reduction="sum",
            zero_infinity=True,
        )
        return loss, sum(len(text) for text in texts)
