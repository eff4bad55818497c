"""How probable a model holds its own answers: the mean probability of the tokens that it generated."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def mean_probability(logits: Sequence[torch.Tensor], ids: torch.Tensor, ends: Sequence[int]) -> list[float]:
    """Mean probability of the generated tokens of each row, up to and with the first end.

    The end counts, so that an answer of nothing has a probability as well. An arithmetic mean: it is in the unit of the
    share of tokens that are right, and one letter that could be two does not outweigh a line that is sure.

    Args:
        logits: One tensor (B, vocabulary) for each step, as `generate` gives them with `return_dict_in_generate` and
            `output_logits` (before temperature and the like; `scores` work too).
        ids: (B, T) the generated ids, without those of the prompt; T is the number of steps.
        ends: Ids that end an answer. What follows the first of them in a row is padding.

    Returns:
        One value from 0 to 1 for each row.

    Raises:
        ValueError: The number of steps and of ids differ, or there are none.
    """
    if not len(logits) or len(logits) != ids.shape[1]:
        raise ValueError(f"logits of {len(logits)} steps for {ids.shape[1]} generated ids")
    chosen = torch.stack(
        [step.float().softmax(-1).gather(1, ids[:, k : k + 1].to(step.device))[:, 0] for k, step in enumerate(logits)],
        dim=1,
    )
    ended = torch.isin(ids, torch.tensor(ends, dtype=ids.dtype, device=ids.device)).long().cumsum(1)
    # ends in front of each token: the first end itself has none and counts, what follows it does not
    before = torch.nn.functional.pad(ended, (1, 0))[:, :-1]
    counts = (before == 0).to(chosen.device, chosen.dtype)
    return ((chosen * counts).sum(1) / counts.sum(1)).tolist()
