"""Keys and values of prompts that were processed before, so that a further turn or question computes only what is new.

Two prompts have in common what their ids have in common, up to the first image that is another one: the slots of all
images have the same ids, so that ids alone would give the second page the first one's keys.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import DynamicCache, GenerationConfig

from sphinx_x.inference.bounded import Bounded
from sphinx_x.inference.features import weights_key
from sphinx_x.inference.growing import GrowingLayer, growing_cache
from sphinx_x.inference.prompts import Prompt

if TYPE_CHECKING:
    from sphinx_x.model.modeling import SphinxXForConditionalGeneration

CACHE_BYTES = 2**30
"""Default size of the cache of keys and values."""
MOST = 128
"""Number of prompts that are kept at most, as a new one is compared with all of them."""
LEAST = 16
"""Number of tokens in common from which on it is worth going on from them."""
REPLACED = 8
"""A prompt is forgotten once a new one has all of it in common but one in so many tokens."""
CACHED = ("use_cache", True)
HARMLESS = {
    *("max_new_tokens", "min_new_tokens", "max_length", "min_length", "max_time", "do_sample", "temperature", "top_k"),
    *("top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h", "repetition_penalty"),
    *("no_repeat_ngram_size", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias"),
    *("eos_token_id", "pad_token_id", "bos_token_id", "stopping_criteria", "logits_processor", "streamer"),
    *("return_dict_in_generate", "output_logits", "output_scores", "renormalize_logits", "generation_config"),
    *("output_attentions", "output_hidden_states", "transformers_version"),
}
"""Options of `generate` that change which token is taken, but not what the model computes from the tokens so far."""


def why_not(generation: Mapping[str, Any], *configs: GenerationConfig | None) -> str | None:
    """Return which option keeps an answer from reusing keys and values, or None; one that is not known does as well."""
    given = [generation, *(config.to_diff_dict() for config in configs if config is not None)]
    for name, value in itertools.chain.from_iterable(options.items() for options in given):
        alone = name in ("num_beams", "num_return_sequences") and value == 1
        if not (name in HARMLESS or name.startswith("_") or value is None or alone or (name, value) == CACHED):
            return f"the option {name}"
    return None


@dataclass(frozen=True)
class Tokens:
    """What keys and values were computed of.

    Attributes:
        ids: Token ids (T,).
        images: For each image its first token, the number of its tokens, and the digest of its pixels.
    """

    ids: np.ndarray
    images: tuple[tuple[int, int, bytes], ...]

    @classmethod
    def of(cls, prompt: Prompt, digests: Sequence[bytes]) -> Tokens:
        """Return the tokens of a prompt with the digests of its images."""
        pairs = zip(prompt.places, digests, strict=True)
        return cls(np.array(prompt.ids), tuple((first, length, digest) for (first, length), digest in pairs))

    def common(self, other: Tokens) -> int:
        """Return the number of first tokens that are the same here and there."""
        length = min(len(self.ids), len(other.ids))
        differ = np.flatnonzero(self.ids[:length] != other.ids[:length])
        same = int(differ[0]) if len(differ) else length
        for mine, theirs in zip(self.images, other.images, strict=False):
            if mine != theirs:
                return min(same, mine[0], theirs[0])
        return same

    def followed_by(self, ids: Sequence[int], length: int) -> Tokens:
        """Return these tokens with an answer's ids behind them, `length` in all."""
        return Tokens(np.concatenate([self.ids, np.array(ids, self.ids.dtype)])[:length], self.images)


@dataclass(frozen=True)
class Kept:
    """Keys and values, and the tokens and weights that they were computed from."""

    tokens: Tokens
    cache: DynamicCache
    weights: bytes

    def bytes(self) -> int:
        """Return the size of the keys and values in memory."""
        layers: list[Any] = self.cache.layers
        tensors = [tensor for layer in layers for tensor in (layer.keys, layer.values)]
        return sum(tensor.untyped_storage().nbytes() for tensor in tensors if tensor is not None)


@dataclass(frozen=True)
class Start:
    """Where a prompt goes on from.

    Attributes:
        tokens: The prompt.
        weights: The weights that compute it.
        cache: Keys and values of its first tokens, to be added to.
        held: Number of these tokens.
    """

    tokens: Tokens
    weights: bytes
    cache: DynamicCache
    held: int


class Prefixes:
    """Keys and values of earlier prompts.

    Attributes:
        kept: The prompts that are remembered, with their answers.
    """

    def __init__(self, model: SphinxXForConditionalGeneration, most_bytes: int = CACHE_BYTES) -> None:
        self._model, self._numbers = model, itertools.count()
        self.kept: Bounded[Kept] = Bounded(most_bytes, Kept.bytes, MOST)
        self._refused, self._pauses, self._lock = self._refusal(), 0, threading.Lock()

    @property
    def refusal(self) -> str | None:
        """Why none can be reused at present, in words, or None."""
        return "the cache is paused" if self._pauses else self._refused

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Compute every prompt anew inside: what an answer is does not depend on what was asked before it."""
        with self._lock:
            self._pauses += 1
        try:
            yield
        finally:
            with self._lock:
                self._pauses -= 1

    def _refusal(self) -> str | None:
        if not self.kept.most_bytes:
            return "the cache is switched off (prefix_bytes is 0)"
        if getattr(self._model, "hf_device_map", None):
            return "the model is spread over devices"
        kinds = {type(layer).__name__ for layer in self._empty().layers if type(layer) is not GrowingLayer}
        if kinds:
            return f"keys and values of this language model cannot be cut ({', '.join(sorted(kinds))})"
        return None

    def begin(self, tokens: Tokens) -> Start:
        """Return where a prompt goes on from; at least its last token is left to be computed."""
        weights = weights_key(self._model)
        best, held = None, LEAST - 1
        for key, kept in self.kept.items():
            if kept.weights != weights:
                self.kept.drop(key)
                continue
            common = min(kept.tokens.common(tokens), len(tokens.ids) - 1)
            if common > held:
                best, held = key, common
        found = self.kept.get(best)
        return (
            Start(tokens, weights, self._empty(), 0)
            if found is None
            else Start(tokens, weights, _cut(found.cache, held), held)
        )

    def keep(self, start: Start, answer: Sequence[int]) -> None:
        """Remember a prompt with the ids of its answer, in place of those that are hardly more than a part of it.

        Args:
            start: What `begin` returned; its cache now holds the prompt, and the answer but for its last ids.
            answer: Ids of the answer.
        """
        length = min(start.cache.get_seq_length(), len(start.tokens.ids) + len(answer))
        tokens = start.tokens.followed_by(answer, length)
        for key, other in self.kept.items():
            rest = len(other.tokens.ids) - other.tokens.common(tokens)
            if other.weights == start.weights and rest * REPLACED <= len(other.tokens.ids):
                self.kept.drop(key)
        self.kept.put(next(self._numbers), Kept(tokens, _cut(start.cache, length), start.weights))

    def _empty(self) -> DynamicCache:
        return growing_cache(self._model.config.get_text_config(decoder=True))


def _cut(cache: DynamicCache, length: int) -> DynamicCache:
    """Return the first `length` tokens of a cache, which stays as it is and shares its memory with the result."""
    new = copy.copy(cache)
    new.layers = [copy.copy(layer) for layer in cache.layers]
    more = cache.get_seq_length() - length
    if more > 0:
        new.crop(-more)
    return new


def unheld(features: torch.Tensor, slots: torch.Tensor, held: int) -> torch.Tensor | None:
    """Return the features of the slots that a cache does not hold yet, as one row (1, S, D), or None if it holds all.

    Args:
        features: Features (V, N, D) of all views whose slots it does not hold, or of more.
        slots: Which tokens (T,) are slots.
        held: Number of first tokens that the cache holds.
    """
    rows, rest = features.flatten(0, 1), int(slots[held:].sum())
    return rows[len(rows) - rest :][None] if rest else None
