"""Stopping, streaming and default settings for the `generate` method of the Transformers library."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers.generation.stopping_criteria import StoppingCriteria
from transformers.generation.streamers import BaseStreamer

from sphinx_x.errors import PromptError

DEFAULTS: dict[str, Any] = {"max_new_tokens": 256, "do_sample": False}
"""Settings that apply where neither the call nor its `generation_config` sets them."""
OTHER_STEPS = ("num_beams", "num_return_sequences", "assistant_model", "prompt_lookup_num_tokens")
"""Settings under which the logits of `generate` are not those of one answer, token by token."""


class EndsWith(StoppingCriteria):
    """Stop a row of a batch once its last ids are the given ones."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = torch.tensor(ids)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Map the ids so far (B, T) to whether each row is finished (B,)."""
        self.ids = self.ids.to(input_ids.device)
        return (input_ids[:, -len(self.ids) :] == self.ids).all(-1)


class Says(StoppingCriteria):
    """Stop a row of a batch once it says one of the given texts, wherever the borders of tokens are.

    Args:
        decode: From ids to text.
        stops: The texts.
        begin: Number of the prompt's ids.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str], begin: int) -> None:
        self.decode, self.stops, self.begin = decode, stops, begin
        # a character is at most four tokens (its bytes), and a few tokens before it are for what decoding joins
        self.last = 4 * max(map(len, stops)) + 8

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Map the ids so far (B, T) to whether each row is finished (B,)."""
        said = [self.decode(row) for row in input_ids[:, max(self.begin, input_ids.shape[1] - self.last) :].tolist()]
        finished = [any(stop in text for stop in self.stops) for text in said]
        return torch.tensor(finished, device=input_ids.device)


class Left(StoppingCriteria):
    """Stop all rows once nobody waits for them any more."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Map the ids so far (B, T) to whether each row is finished (B,)."""
        return torch.full((len(input_ids),), self.event.is_set(), device=input_ids.device)


class Clock(StoppingCriteria):
    """Note when the first token is there; it stops nothing.

    Attributes:
        first: Time of the first token, as `time.perf_counter` has it, or None before.
    """

    def __init__(self) -> None:
        self.first: float | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Map the ids so far (B, T) to False for each row (B,)."""
        if self.first is None:
            self.first = time.perf_counter()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class TokenStream(BaseStreamer):
    """Pass generated ids from the thread that generates them to the one that iterates over them."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self.prompt = True

    def put(self, value: torch.Tensor) -> None:
        """Receive ids from the library.

        Args:
            value: First the prompt (B, T), then each new id (B,), or several ids of one row (1, n) at once where an
                assistant proposed them.

        Raises:
            PromptError: Several answers were asked for, which cannot be streamed.
        """
        if len(value if self.prompt or value.ndim == 1 else value[:, 0]) != 1:
            raise PromptError("a stream gives one answer; several (num_return_sequences) come without stream")
        for number in [] if self.prompt else value.flatten().tolist():
            self.queue.put(number)
        self.prompt = False

    def end(self) -> None:
        """Receive the library's signal that generation has ended."""
        self.queue.put(None)

    def fail(self, error: BaseException) -> None:
        """End the stream with an error, which is raised in the reading thread."""
        self.queue.put(error)

    def __iter__(self) -> Iterator[int]:
        """Yield ids as they arrive, until the end."""
        while (item := self.queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item


def pieces(
    ids: Iterable[int], text_of: Callable[[Sequence[int]], str], ends: Sequence[str]
) -> Generator[str, None, str]:
    """Yield an answer in pieces, each as soon as it is certain, and return the whole answer.

    A character of several bytes, or the beginning of a text that ends the answer, is held back until it is complete.

    Args:
        ids: Its ids, as they arrive.
        text_of: From its ids so far to its text so far.
        ends: Texts that end it.
    """
    so_far: list[int] = []
    said = ""
    for number in ids:
        so_far.append(number)
        text = text_of(so_far)
        begun = max((k for end in ends for k in range(1, len(end) + 1) if text.endswith(end[:k])), default=0)
        text = text[: len(text) - begun]
        if len(text) > len(said) and not text.endswith("\ufffd"):
            yield text[len(said) :]
            said = text
    answer = text_of(so_far)
    yield answer[len(said) :]
    return answer
