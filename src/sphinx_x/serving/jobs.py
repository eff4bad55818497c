"""One answer: what is asked of the engine, how far it is, and what is reported of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sphinx_x.inference.features import Look
from sphinx_x.inference.prefix import Start, Tokens
from sphinx_x.serving.sampling import Chosen, Sampler, Sampling
from sphinx_x.serving.text import TextStream


@dataclass
class Seconds:
    """Time that each stage of an answer took, in seconds.

    Attributes:
        queue: From the request to the beginning of the work.
        encode: Encoding images.
        prefill: Processing the prompt.
        decode: From the first token to the last.
        first: From the request to the first token.
    """

    queue: float = 0.0
    encode: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    first: float = 0.0


@dataclass(frozen=True)
class Event:
    """News of an answer.

    Attributes:
        piece: Text that has been added; may be empty.
        tokens: The tokens that have been added, where their probabilities were asked for.
        reason: Why the answer has ended (`stop`, `length`, `cancelled`, `timeout`), None while it goes on.
        error: What went wrong.
    """

    piece: str = ""
    tokens: tuple[Chosen, ...] = ()
    reason: str | None = None
    error: BaseException | None = None

    @property
    def last(self) -> bool:
        """Whether nothing more will come."""
        return self.reason is not None or self.error is not None


@dataclass(eq=False)
class Job:
    """One answer.

    Attributes:
        ids: Token ids of the prompt.
        tokens: The same with what its images show.
        images: Its images, until work on it begins.
        line_boxes: Boxes (L, 4) of the lines of all its images, of a member that reads them.
        sampling: How the answer is generated.
        emit: Called with each event, in the engine's thread.
        deadline: When the answer is given up, by `time.monotonic`.
        image_tokens: Number of visual tokens of the prompt.
        skipped: Number of sub-images that were skipped.
        seconds: What each stage took.
        cached: Number of the prompt's tokens whose keys and values were remembered.
        generated: Number of tokens generated.
        text: The whole answer, once it has ended.
        probability: Mean probability of the tokens, the end included, once the answer has ended; None where the
            member declares no measure for it.
    """

    ids: list[int]
    tokens: Tokens
    images: list[Look]
    sampling: Sampling
    emit: Callable[[Event], None]
    deadline: float = float("inf")
    image_tokens: int = 0
    skipped: int = 0
    line_boxes: Tensor | None = None
    seconds: Seconds = field(default_factory=Seconds)
    cached: int = 0
    generated: int = 0
    text: str = ""
    probability: float | None = None
    begun: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Give the answer up; its row is freed before the next step."""
        self.cancelled.set()


@dataclass(eq=False)
class Progress:
    """A job that the engine works on.

    Attributes:
        job: The job.
        sampler: Its sampler.
        text: Its text so far.
        looks: Those of its images whose keys and values are not remembered.
        start: Where its prompt goes on from, where keys and values may be remembered.
        slots: The features (S, D) of the slots that remain, once all images are encoded.
        places: What is added to the tokens (L, D) of the lines that remain.
        cache: Keys and values of the prompt, and of the answer where rows do not share a cache.
        place: Its row in that cache, which prompts that are processed together share.
        done: Number of tokens of the prompt that are in the cache.
        filled: Number of image slots among those, since work on it began.
        placed: Number of lines among those, likewise.
        ids: Ids generated.
        probabilities: Probability of each of them.
        first: When the first token came.
        held: Tokens whose probabilities are not reported yet, with the length of the text before each.
    """

    job: Job
    sampler: Sampler
    text: TextStream
    looks: list[Look] = field(default_factory=list)
    start: Start | None = None
    slots: Tensor | None = None
    places: Tensor | None = None
    cache: Any = None
    place: int = 0
    done: int = 0
    filled: int = 0
    placed: int = 0
    ids: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    first: float = 0.0
    held: list[tuple[Chosen, int]] = field(default_factory=list)
