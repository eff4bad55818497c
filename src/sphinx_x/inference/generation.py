"""Stopping, streaming and default settings for the `generate` method of the Transformers library."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
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
