"""A member in lmms-eval, through its plug-in entry: `lmms-eval --model sphinx_x --model_args pretrained=MODEL ...`.

`serving.lmms_manifest` names this class to lmms-eval. Answers are those of `SphinxX.chat_batch`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformers import GenerationConfig
from transformers.utils.logging import tqdm

from sphinx_x.conversation import Image, Message, Part, Text
from sphinx_x.errors import DataError, UnsupportedError, needs_extra
from sphinx_x.evaluation.asking import WINDOW, batched
from sphinx_x.evaluation.clips import MIDDLE
from sphinx_x.evaluation.ranks import Rank
from sphinx_x.images import Source
from sphinx_x.inference import SphinxX
from sphinx_x.video import sample_frames

with needs_extra("lmms-eval", "the plug-in of lmms-eval"):
    from lmms_eval.api.model import lmms  # pyright: ignore[reportMissingImports]

OF_OTHERS = ("image_aspect_ratio",)
"""Options that tasks give to LLaVA about its way to pad images; a member's own way is in its configuration."""


class LmmsSphinxX(lmms):
    """A member as lmms-eval asks it.

    Args:
        pretrained: As for `SphinxX.load`.
        batch_size: Questions at once; it changes no answer.
        device: As PyTorch names it; by default the accelerator of this rank.
        frames: Frames of a video, spread evenly; by default the middle one.
        options: Further options for `SphinxX.load` (dtype, bits, base, revision, ...).
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str = "nano",
        batch_size: int | str = 1,
        device: str | None = None,
        frames: int = MIDDLE,
        **options: Any,
    ) -> None:
        super().__init__()
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise DataError(f"batch_size: a number from 1 on, not {batch_size!r}")
        self.batch_size, self.frames = int(batch_size), frames
        self._rank, self._world_size = (
            int(os.environ.get(name, alone)) for name, alone in (("RANK", 0), ("WORLD_SIZE", 1))
        )
        rank = Rank(self._rank, self._world_size, int(os.environ.get("LOCAL_RANK", 0)))
        self.sphinx = SphinxX.load(pretrained, device=rank.device(device), **options)
        self.device = next(self.sphinx.model.parameters()).device

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answer requests (context, doc_to_messages, options of generation, number, task, split), in their order."""
        found: dict[int, str] = {}
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault(repr(request.args[2]), []).append(number)
        with tqdm(total=len(requests), disable=self._rank != 0, desc="answers") as bar:
            for numbers in groups.values():
                generation, stops = generation_options(requests[numbers[0]].args[2])
                # as many images in memory as belong to these batches
                for window in batched(numbers, WINDOW * self.batch_size):
                    prompts = [self.sphinx.prompt(*self._asked(requests[number].args)) for number in window]
                    answers = self.sphinx.answers(prompts, self.batch_size, **generation)
                    found |= {number: cut(answer, stops) for number, answer in zip(window, answers, strict=True)}
                    bar.update(len(window))
        return [found[number] for number in range(len(requests))]

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Refused: members are measured by what they say."""
        raise UnsupportedError("lmms-eval: this task asks for likelihoods; members answer tasks of generate_until")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Refused: no benchmark of the paper has rounds."""
        raise UnsupportedError("lmms-eval: this task has several rounds; members answer tasks of generate_until")

    def _asked(self, request: tuple[Any, ...]) -> tuple[list[Message], list[Source]]:
        """Return the conversation of a request, and its images."""
        _, doc_to_messages, _, number, task, split = request
        images: list[Source] = []
        messages = []
        for message in doc_to_messages(self.task_dict[task][split][number]):
            parts = tuple(part for content in message["content"] for part in self._parts(content, images))
            messages.append(Message(message["role"], parts))
        return messages, images

    def _parts(self, content: Mapping[str, Any], images: list[Source]) -> Iterator[Part]:
        """The parts of one piece of content, whose images are added to a list."""
        kind = content["type"]
        if kind == "text":
            yield Text(content["text"])
        elif kind == "image":
            images.append(content["url"])
            yield Image()
        elif kind == "video":
            clip = (content.get("start_time") or 0.0, content.get("end_time"))
            for frame in sample_frames(content["url"], self.frames, *clip):
                images.append(frame)
                yield Image()
        else:
            raise UnsupportedError(f"lmms-eval: members take text, images and videos, not {kind!r}")


def generation_options(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a task's options as the library's `generate` takes them, and the texts at which answers end.

    A temperature of 0 is greedy, and so is none unless `do_sample` is true.

    Raises:
        UnsupportedError: It is an option that `generate` does not have.
    """
    options = {name: value for name, value in given.items() if value is not None and name not in OF_OTHERS}
    until = options.pop("until", [])
    stops = [stop for stop in ([until] if isinstance(until, str) else until) if stop]
    unknown = sorted(name for name in options if not hasattr(GenerationConfig(), name))
    if unknown:
        raise UnsupportedError(f"lmms-eval: {unknown[0]}: no option of generate")
    temperature = float(options.get("temperature", 1 if options.get("do_sample") else 0))
    options["do_sample"] = bool(options.get("do_sample", True)) and temperature > 0
    if not options["do_sample"]:
        options = {name: value for name, value in options.items() if name not in ("temperature", "top_p", "top_k")}
    return options, stops


def cut(answer: str, stops: Sequence[str]) -> str:
    """Return an answer up to the first of some texts."""
    return answer[: min((place for stop in stops if (place := answer.find(stop)) >= 0), default=len(answer))]
