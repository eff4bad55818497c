"""Which experts the tokens of a batch go to, counted by hooks while the model answers as usual.

Every token that the language model computes is counted once: those of the prompt when it is processed, those of the
answer as they are generated. Padding is not counted, nor what the model computes for an answer that has ended while
others of its batch go on, nor the last token of an answer, which is never computed. So the counts of a question do not
depend on the questions that share its batch.

Shapes: T tokens, E experts, k experts a token goes to, L layers with experts, M modalities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sphinx_x.errors import DataError
from sphinx_x.evaluation.routing.routers import Routers
from sphinx_x.inference import Prompt, SphinxX

MODALITIES = ("image", "skip", "start", "end", "text", "answer")
"""`image`: the slots of views; `skip`: left-out views; `start`, `end`: around views; `text`: everything else of the
prompt, the template's words included; `answer`: what the model generates."""
TEXT, ANSWER = MODALITIES.index("text"), MODALITIES.index("answer")


@dataclass(frozen=True)
class Usage:
    """How often experts were used.

    Attributes:
        tokens: Number of tokens (M,).
        counts: How many of them went to each expert (L, M, E); each token goes to k.
        weights: The sum of the weights that the experts had in these tokens' outputs (L, M, E).
    """

    tokens: np.ndarray
    counts: np.ndarray
    weights: np.ndarray

    @classmethod
    def empty(cls, layers: int, experts: int) -> Usage:
        """Return the usage by no token."""
        shape = (layers, len(MODALITIES), experts)
        return cls(np.zeros(len(MODALITIES), np.int64), np.zeros(shape, np.int64), np.zeros(shape))

    def __add__(self, other: Usage) -> Usage:
        """Return the usage by the tokens of both."""
        return Usage(self.tokens + other.tokens, self.counts + other.counts, self.weights + other.weights)


def count(labels_T: np.ndarray, chosen_LTk: np.ndarray, weights_LTk: np.ndarray, experts: int) -> Usage:
    """Count the experts of tokens.

    Args:
        labels_T: The modality of each token, its place in `MODALITIES`.
        chosen_LTk: The experts that it goes to in each layer.
        weights_LTk: Their weights.
        experts: Number of experts.
    """
    shape = (len(MODALITIES), experts)
    counts, sums = [], []
    for chosen_Tk, weights_Tk in zip(chosen_LTk, weights_LTk, strict=True):
        places = (labels_T[:, None] * experts + chosen_Tk).ravel()
        counts.append(np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape))
        sums.append(np.bincount(places, weights_Tk.ravel(), shape[0] * shape[1]).reshape(shape))
    return Usage(np.bincount(labels_T, minlength=shape[0]), np.stack(counts), np.stack(sums))


class _Routed(NamedTuple):
    """What one router said about the tokens of one pass: experts and weights (B T, k)."""

    chosen: Tensor
    weights: Tensor


@dataclass
class _Pass:
    """One pass of the language model: ids (B, T), which of them are real (B, T), what each router said."""

    ids: Tensor
    real: Tensor
    routed: list[_Routed] = field(default_factory=list)


class _Counted(NamedTuple):
    """A pass on the CPU: ids and real (B, T), experts and weights (L, B, T, k)."""

    ids: np.ndarray
    real: np.ndarray
    chosen: np.ndarray
    weights: np.ndarray


class Watcher:
    """Counts the experts of the batches that are answered within `batch`; made by `watched`."""

    def __init__(self, sphinx: SphinxX, routers: Routers) -> None:
        self.routers, self._prefixes = routers, sphinx.prefixes
        self._passes: list[_Pass] | None = None
        tokens = sphinx.model.config.image_tokens()
        self._special = {tokens.slot: 0, tokens.skip: 1, tokens.start: 2, tokens.end: 3}
        ends = ([sphinx.processor.tokenizer.eos_token_id], sphinx.processor.prompt_builder().stop_ids())
        self._ends = [list(ids) for ids in ends if ids and None not in ids]

    @contextmanager
    def batch(self, prompts: Sequence[Prompt]) -> Iterator[list[Usage]]:
        """Watch the answers to the prompts of one batch, in the order of its rows.

        Yields:
            A list that has the usage of each prompt with its answer once the context ends without an error.
        """
        found: list[Usage] = []
        self._passes = []
        try:
            with self._prefixes.paused():  # tokens that are remembered pass no router
                yield found
            found += self._usages(prompts)
        finally:
            self._passes = None

    def begin(self, _: Any, __: Any, given: dict[str, Any]) -> None:
        """Begin a pass; called before the model's trunk."""
        if self._passes is None:
            return
        ids, mask = given["input_ids"].detach(), given.get("attention_mask")
        # the library leaves out a mask that hides nothing
        real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask[:, -ids.shape[1] :].bool()
        assert real.shape == ids.shape, "a mask of another form than generate gives"
        self._passes.append(_Pass(ids, real))

    def record(self, _: Any, __: Any, output: Any) -> None:
        """Keep what a router says; called after each router."""
        if self._passes is None:
            return
        if not (isinstance(output, tuple) and len(output) == 3 and not torch.is_floating_point(output[2])):
            raise DataError(f"--routing: the routers of a {self.routers.config.model_type} cannot be watched")
        _, weights, chosen = output
        now = self._passes[-1]
        now.routed.append(_Routed(chosen.detach().flatten(0, -2), weights.detach().flatten(0, -2)))

    def _usages(self, prompts: Sequence[Prompt]) -> list[Usage]:
        passes = [self._on_cpu(one) for one in self._passes or ()]
        assert passes, "nothing was computed"
        return [self._usage(row, prompt.ids, passes) for row, prompt in enumerate(prompts)]

    def _on_cpu(self, one: _Pass) -> _Counted:
        if len(one.routed) != len(self.routers.modules):
            kind = self.routers.config.model_type
            raise DataError(f"--routing: a {kind} cannot be watched: it does not call each router once for a token")
        shape = (len(one.routed), *one.ids.shape, -1)
        chosen = torch.stack([routed.chosen.cpu() for routed in one.routed]).view(shape)
        weights = torch.stack([routed.weights.cpu() for routed in one.routed]).view(shape)
        return _Counted(one.ids.cpu().numpy(), one.real.cpu().numpy(), chosen.numpy(), weights.double().numpy())

    def _usage(self, row: int, prompt: Sequence[int], passes: Sequence[_Counted]) -> Usage:
        """The usage by one row of a batch."""
        ids = [one.ids[row][one.real[row]] for one in passes]
        said = np.concatenate(ids).tolist()
        assert said[: len(prompt)] == list(prompt), "the rows of a batch are not its prompts"
        length = len(prompt) + self._answer_length(said, len(prompt))
        chosen, weights = (
            np.concatenate([getattr(one, name)[:, row][:, one.real[row]] for one in passes], axis=1)[:, :length]
            for name in ("chosen", "weights")
        )
        labels = [self._special.get(number, TEXT) for number in prompt] + [ANSWER] * (length - len(prompt))
        return count(np.array(labels), chosen, weights, self.routers.experts)

    def _answer_length(self, said: Sequence[int], start: int) -> int:
        """How many of the computed tokens after the prompt precede the end of the answer."""
        for place in range(start, len(said)):
            if any(list(said[max(place + 1 - len(end), 0) : place + 1]) == end for end in self._ends):
                return place - start
        return len(said) - start


@contextmanager
def watched(sphinx: SphinxX, routers: Routers) -> Iterator[Watcher]:
    """Hang hooks into a model and its routers, and take them away again."""
    watcher = Watcher(sphinx, routers)
    with ExitStack() as hooks:
        begin = sphinx.model.model.register_forward_pre_hook(watcher.begin, with_kwargs=True)
        hooks.callback(begin.remove)
        for router in routers.modules:
            hooks.callback(router.register_forward_hook(watcher.record).remove)
        yield watcher
