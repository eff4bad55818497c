"""How probable a model considers its own answers: the mean probability of the generated tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def mean_probability(logits: Sequence[torch.Tensor], ids: torch.Tensor, lengths: Sequence[int]) -> list[float]:
    """Return the mean probability of the generated tokens of each row.

    What ends an answer counts, so that an empty one has a probability as well. The arithmetic mean is in the unit of
    the share of tokens that are right, and one ambiguous letter does not outweigh a line that is otherwise certain.

    Args:
        logits: One tensor (B, vocabulary) for each step, as `generate` returns them with `return_dict_in_generate` and
            `output_logits` (before temperature and the like; `scores` work too).
        ids: The generated ids (B, T), without those of the prompt; T is the number of steps.
        lengths: Number of ids of each row's answer, those that end it included; what follows them is padding.

    Returns:
        One value from 0 to 1 for each row.

    Raises:
        ValueError: The numbers of steps and of ids differ, or there are none.
    """
    if not len(logits) or len(logits) != ids.shape[1]:
        raise ValueError(f"logits of {len(logits)} steps for {ids.shape[1]} generated ids")
    chosen = torch.stack(
        [step.float().softmax(-1).gather(1, ids[:, k : k + 1].to(step.device))[:, 0] for k, step in enumerate(logits)],
        dim=1,
    )
    places = torch.arange(ids.shape[1], device=chosen.device)
    counts = (places < torch.tensor(lengths, device=chosen.device)[:, None]).to(chosen.dtype)
    return ((chosen * counts).sum(1) / counts.sum(1)).tolist()
