"""Answers in the form of OpenAI's API, with what this server adds under `sphinx_x` and in `usage`."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from sphinx_x.inference import SphinxX
from sphinx_x.inference.evidence import Evidence, find_evidence
from sphinx_x.inference.pointing import Places, find_places
from sphinx_x.model.views import Layout
from sphinx_x.serving.jobs import Job
from sphinx_x.serving.preparing import Prepared
from sphinx_x.serving.sampling import Chosen

_PLACE_ENDS = frozenset("]>:")
"""A place ends with a bracket, and a mark is cited with one of the others."""


class Answer:
    """Writes one answer, whole or in chunks.

    Attributes:
        job: The job that generates it.
    """

    def __init__(self, sphinx: SphinxX, name: str, prepared: Prepared, job: Job) -> None:
        self._sphinx, self._name, self._prepared, self.job = sphinx, name, prepared, job
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        self._begun, self._said, self._told = False, "", Places()
        self._written = 0  # tokens whose probabilities have been told

    def whole(self, tokens: Sequence[Chosen], reason: str) -> dict[str, Any]:
        """Return the body of a response that is not streamed."""
        message = {"role": "assistant", "content": self.job.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": self._logprobs(tokens), "finish_reason": reason}
        added = {"usage": self.usage(), "sphinx_x": self.extension()}
        return {**self._head("chat.completion"), "choices": [choice], **added}

    def chunk(self, piece: str, tokens: Sequence[Chosen], reason: str | None) -> dict[str, Any]:
        """Return one chunk of a stream.

        The last one, with a reason, has the extension. Another one has all places so far where the answer points at
        more than before.
        """
        delta: dict[str, Any] = {} if self._begun else {"role": "assistant", "content": ""}
        if piece:
            delta["content"] = piece
        self._begun, self._said = True, self._said + piece
        logprobs = self._logprobs(tokens) if tokens else None
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        if reason is not None:
            added = {"sphinx_x": self.extension()}
        elif not _PLACE_ENDS.isdisjoint(piece) and (places := self._places(self._said)) != self._told:
            self._told, added = places, {"sphinx_x": asdict(places)}
        else:
            added = {}
        return {**self._head("chat.completion.chunk"), "choices": [choice], **added}

    def usage_chunk(self) -> dict[str, Any]:
        """Return the chunk that ends a stream with `include_usage`."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage()}

    def usage(self) -> dict[str, Any]:
        """Return the numbers of tokens, and of sub-images that were skipped."""
        prompt = self._prepared.prompt
        return {
            "prompt_tokens": len(prompt.ids),
            "completion_tokens": self.job.generated,
            "total_tokens": len(prompt.ids) + self.job.generated,
            "prompt_tokens_details": {"cached_tokens": self.job.cached},
            "image_tokens": prompt.visual_tokens,
            "skipped_views": sum(layout.skipped for layout in prompt.layouts),
        }

    def extension(self) -> dict[str, Any]:
        """Return how images were seen, what the answer points at, its stages' seconds, and what makes it doubtful."""
        probability = self.job.probability
        return {
            "images": [transform(layout) for layout in self._prepared.prompt.layouts],
            **asdict(self._places(self.job.text)),
            "evidence": [asdict(line) for line in self._evidence()],
            "seconds": {name: round(value, 6) for name, value in asdict(self.job.seconds).items()},
            "probability": probability,
            "doubt": self._sphinx.model.config.ability().doubt(probability),
        }

    def _places(self, said: str) -> Places:
        prompt = self._prepared.prompt
        return find_places(said, prompt.layouts, prompt.text)

    def _evidence(self) -> tuple[Evidence, ...]:
        prompt = self._prepared.prompt
        return find_evidence(self.job.text, prompt.layouts, prompt.question)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._name}

    def _logprobs(self, tokens: Iterable[Chosen]) -> dict[str, Any] | None:
        if self._prepared.sampling.top_logprobs is None:
            return None
        written = []
        for chosen in tokens:
            assert chosen.logprob is not None
            top = [self._token(number, logprob) for number, logprob in chosen.top]
            written.append({**self._token(chosen.id, chosen.logprob), "top_logprobs": top})
            self._written += 1
        return {"content": written, "refusal": None}

    @cached_property
    def _letter(self) -> list[int]:
        """The id of a letter, by the builder: prompts of others are encoded meanwhile, by the same tokenizer."""
        return self._sphinx.processor.prompt_builder().text("a", first=True)[-1:]

    def _token(self, number: int, logprob: float) -> dict[str, Any]:
        # some tokenizers write the first id of a text without its blank, so others are decoded behind one
        tokenizer = self._sphinx.processor.tokenizer
        before = self._letter if self._written else []
        text = str(tokenizer.decode([*before, number]))[len(str(tokenizer.decode(before))) :]
        # a part of a character has no text of its own, and its bytes are the tokenizer's affair
        broken = "\ufffd" in text
        return {"token": text, "logprob": max(logprob, -9999.0), "bytes": None if broken else list(text.encode())}


def transform(layout: Layout) -> dict[str, Any]:
    """Return where an image lies on the square canvas that the model sees, and which of its sub-images were skipped.

    A point (x, y) of the image lies at (left + x * scale, top + y * scale) on the canvas.
    """
    scale = layout.grid.canvas / layout.side
    return {
        "width": layout.width,
        "height": layout.height,
        "canvas": layout.grid.canvas,
        "scale": float(scale),
        "left": float(layout.left * scale),
        "top": float(layout.top * scale),
        "rows": layout.grid.rows,
        "columns": layout.grid.columns,
        "kept": list(layout.kept),
        "skipped": layout.skipped,
        "lines": sum(not line.is_object for line in layout.lines),
        "objects": sum(line.is_object for line in layout.lines),
        "lines_left_out": layout.lines_left_out,
    }


def event(data: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
"""The event that ends a stream."""
