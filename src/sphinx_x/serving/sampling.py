"""The next token of one answer: greedy, or drawn with the answer's own generator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from sphinx_x.serving.formats import Form


@dataclass(frozen=True)
class Sampling:
    """How an answer is generated.

    Attributes:
        max_tokens: Largest number of tokens.
        temperature: 0 takes the most probable token.
        top_p: Tokens are drawn from the smallest set with at least this probability.
        seed: Seed of the answer's own generator; None for a random one.
        stop: Texts before which the answer ends.
        top_logprobs: Number of most probable tokens to report at each step; None reports no probabilities.
        form: What the answer has to look like; it is of this one answer.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    form: Form | None = None


@dataclass(frozen=True)
class Chosen:
    """A token, and log probabilities where they were asked for.

    Attributes:
        id: The token's id.
        logprob: Its log probability by the model, before temperature.
        top: The most probable ids with theirs.
    """

    id: int
    logprob: float | None = None
    top: list[tuple[int, float]] = field(default_factory=list)


class Scores(NamedTuple):
    """What the model says of the next token of an answer.

    Attributes:
        logits: Logits (vocabulary,).
        best: The most probable token.
        finite: Whether its logit is finite.
        share: Its probability, where that is asked for.
    """

    logits: Tensor
    best: int
    finite: bool
    share: float


class Sampler:
    """Chooses the tokens of one answer."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        # the most probable token is all that matters, whatever else may be set
        plain = replace(sampling, max_tokens=Sampling.max_tokens, top_p=1.0, seed=None, stop=())
        self._plain = plain == Sampling()
        self._generator = torch.Generator()  # on the CPU, so that a seed means the same on every device
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    @property
    def ended(self) -> bool:
        """Whether the answer has a form and is whole, so that nothing can follow."""
        return self.sampling.form is not None and self.sampling.form.ended

    def take(self, scores: Scores) -> Chosen:
        """Choose a token by its scores, as `choose` does by its logits."""
        return Chosen(scores.best) if self._plain and scores.finite else self.choose(scores.logits)

    def choose(self, logits: Tensor) -> Chosen:
        """Choose a token by its logits (vocabulary,).

        Raises:
            ArithmeticError: The logits are not finite.
            FormatError: The answer cannot be kept to its form.
        """
        form, best = self.sampling.form, int(logits.argmax())
        if not torch.isfinite(logits[best]):
            raise ArithmeticError("the model's logits are not finite")
        may = logits if form is None else form.masked(logits)
        number = int(may.argmax()) if self.sampling.temperature == 0 else self._draw(may.float().cpu())
        if form is not None:
            form.take(number)
        if self.sampling.top_logprobs is None:
            return Chosen(number)
        log = logits.float().log_softmax(-1)
        top = log.topk(min(self.sampling.top_logprobs, len(log)))
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return Chosen(number, float(log[number]), list(pairs))

    def _draw(self, logits: Tensor) -> int:
        # the largest is taken away first, so that a tiny temperature cannot overflow
        share = ((logits - logits.max()) / self.sampling.temperature).softmax(-1)
        if self.sampling.top_p < 1:
            share, order = share.sort(descending=True, stable=True)
            share = share.where(share.cumsum(-1) - share < self.sampling.top_p, 0.0)
            return int(order[torch.multinomial(share, 1, generator=self._generator)])
        return int(torch.multinomial(share, 1, generator=self._generator))
