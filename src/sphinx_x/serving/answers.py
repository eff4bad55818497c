"""Answers in the form of OpenAI's API, with what this server adds under `sphinx_x` and in `usage`."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sphinx_x.boxes import clip
from sphinx_x.conversation import parse_boxes
from sphinx_x.inference import SphinxX
from sphinx_x.model.views import Layout
from sphinx_x.serving.jobs import Job
from sphinx_x.serving.preparing import Prepared
from sphinx_x.serving.sampling import Chosen


class Answer:
    """Writes one answer, whole or in chunks.

    Attributes:
        job: The job that generates it.
    """

    def __init__(self, sphinx: SphinxX, name: str, prepared: Prepared, job: Job) -> None:
        self._sphinx, self._name, self._prepared, self.job = sphinx, name, prepared, job
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        self._begun = False

    def whole(self, tokens: Sequence[Chosen], reason: str) -> dict[str, Any]:
        """Return the body of a response that is not streamed."""
        message = {"role": "assistant", "content": self.job.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": self._logprobs(tokens), "finish_reason": reason}
        added = {"usage": self.usage(), "sphinx_x": self.extension()}
        return {**self._head("chat.completion"), "choices": [choice], **added}

    def chunk(self, piece: str, tokens: Sequence[Chosen], reason: str | None) -> dict[str, Any]:
        """Return one chunk of a stream; the last one, with a reason, has the extension."""
        delta: dict[str, Any] = {} if self._begun else {"role": "assistant", "content": ""}
        if piece:
            delta["content"] = piece
        self._begun = True
        logprobs = self._logprobs(tokens) if tokens else None
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        added = {} if reason is None else {"sphinx_x": self.extension()}
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
        """Return how each image was seen, the boxes of the answer, its stages' seconds, and what makes it doubtful."""
        layouts = self._prepared.prompt.layouts
        probability = self.job.probability
        return {
            "images": [transform(layout) for layout in layouts],
            "boxes": found_boxes(self.job.text, layouts),
            "seconds": {name: round(value, 6) for name, value in asdict(self.job.seconds).items()},
            "probability": probability,
            "doubt": self._sphinx.model.config.ability().doubt(probability),
        }

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
        return {"content": written, "refusal": None}

    def _token(self, number: int, logprob: float) -> dict[str, Any]:
        text = str(self._sphinx.processor.tokenizer.decode([number]))
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
    }


def found_boxes(text: str, layouts: Sequence[Layout]) -> list[dict[str, Any]]:
    """Return the boxes written in an answer.

    Args:
        text: The answer.
        layouts: Those of the images.

    Returns:
        For each box `relative`, as written: relative to the padded square; and `pixels`, for each image in order: the
        same box in pixels of that image. An answer does not say which of several images it means.
    """
    return [
        {
            "relative": list(box),
            "pixels": [list(clip(layout.from_square(box), (layout.width, layout.height))) for layout in layouts],
        }
        for box in parse_boxes(text)
    ]


def event(data: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
"""The event that ends a stream."""
