"""From prompts to generated ids: the only place that calls the library's `generate`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import LogitsProcessorList
from transformers.generation.stopping_criteria import StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sphinx_x.confidence import mean_probability
from sphinx_x.inference.features import Features, Look
from sphinx_x.inference.generation import DEFAULTS, Clock, EndsWith, Says
from sphinx_x.inference.options import Options, cut
from sphinx_x.inference.prefix import Prefixes, Start, Tokens, unheld, why_not
from sphinx_x.inference.prompts import Prompt
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.sampling import SeededChoice


@dataclass
class Trace:
    """How one answer came about; filled while it is made.

    Attributes:
        ids: Ids of the answer, with those that end it.
        finish: `stop` where the answer ended by itself or at a stop text, `length` where it was cut off.
        held_tokens: Number of the prompt's tokens whose keys and values were remembered.
        encoded_images: Number of images that the experts looked at, the others being remembered.
        no_reuse: Why keys and values could not be reused, or None where they could.
        encode_seconds: Time to open the images and to get their features.
        prefill_seconds: Time from then to the first token.
        decode_seconds: Time for all further tokens.
    """

    ids: list[int] = field(default_factory=list)
    finish: str = ""
    held_tokens: int = 0
    encoded_images: int = 0
    no_reuse: str | None = None
    encode_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0


class Runner:
    """Generates ids with one model, with what is remembered of earlier prompts.

    Attributes:
        features: What is remembered of images.
        prefixes: What is remembered of prompts.
    """

    def __init__(
        self,
        model: SphinxXForConditionalGeneration,
        processor: SphinxXProcessor,
        features: Features,
        prefixes: Prefixes,
    ) -> None:
        self.model, self.tokenizer = model, processor.tokenizer
        self.builder = processor.prompt_builder()
        self.features, self.prefixes = features, prefixes

    @torch.inference_mode()
    def run(
        self,
        prompts: Sequence[Prompt],
        options: Options,
        probabilities: list[float] | None = None,
        trace: Trace | None = None,
    ) -> list[list[int]]:
        """Return the generated ids, one row for each answer: those to the first prompt, those to the second, ...

        Args:
            prompts: The prompts of one batch.
            options: Options of the answers.
            probabilities: A list to which the mean token probability of each row is added.
            trace: Filled with how the first row came about.
        """
        trace, clock, began = trace or Trace(), Clock(), time.perf_counter()
        longest = max(len(prompt.ids) for prompt in prompts)
        ids, mask = self._padded(prompts, longest)
        inputs, start = self._seen(prompts, options, trace)
        looked = time.perf_counter()
        settings = self._settings(options, longest, clock, len(prompts))
        if probabilities is not None:
            settings |= {"return_dict_in_generate": True, "output_logits": True}
        out: Any = self.model.generate(  # pyright: ignore[reportAttributeAccessIssue]
            input_ids=ids, attention_mask=mask, **inputs, **settings
        )
        ended = time.perf_counter()
        rows = getattr(out, "sequences", out)  # the former with return_dict_in_generate
        if probabilities is not None:
            ends = [self.tokenizer.eos_token_id, self.pad()]
            probabilities += mean_probability(out.logits, rows[:, longest:], ends)
        made = [row[longest:].tolist() for row in rows.cpu()]
        if start is not None:
            self.prefixes.keep(start, made[0])
        first = clock.first or ended
        trace.encode_seconds, trace.prefill_seconds = looked - began, first - looked
        trace.decode_seconds = ended - first
        self._finish(trace, made[0], options)
        return made

    def text(self, ids: Sequence[int], stops: Sequence[str] = ()) -> str:
        """Return what an answer's ids say, up to where it ends or a stop text begins."""
        return cut(self.decode(ids), [self.builder.stop_text(), *stops]).strip()

    def decode(self, ids: Sequence[int]) -> str:
        """Return what ids say, without special tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def pad(self) -> int:
        """Return the id that rows are filled up with."""
        tokenizer = self.tokenizer
        return next((k for k in (tokenizer.pad_token_id, tokenizer.eos_token_id) if k is not None), 0)

    def device(self) -> torch.device:
        """Return the device for inputs; offloaded parts of the model have none of their own."""
        devices = (parameter.device for parameter in self.model.parameters())
        return next((device for device in devices if device.type != "meta"), torch.device("cpu"))

    def _padded(self, prompts: Sequence[Prompt], longest: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the prompts' ids (B, T) filled up on their left, and their attention mask."""
        ids = torch.full((len(prompts), longest), self.pad())
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt.ids) :] = torch.tensor(prompt.ids)
            mask[row, longest - len(prompt.ids) :] = 1
        return ids.to(self.device()), mask.to(self.device())

    def _seen(self, prompts: Sequence[Prompt], options: Options, trace: Trace) -> tuple[dict[str, Any], Start | None]:
        """Return what goes into the model besides the ids, and where a prompt goes on from, if it is one alone."""
        if options.library.get("assistant_model") is not None:
            # an assistant has experts of its own, which need the pixels
            trace.no_reuse = "the option assistant_model"
            views = torch.cat([prompt.views for prompt in prompts]).to(self.device()).float().div_(255)
            trace.encoded_images = sum(len(prompt.images) for prompt in prompts)
            return {"pixel_values": views} if len(views) else {}, None
        seen = self.features.look(prompts)
        own = self.model.generation_config  # pyright: ignore[reportAttributeAccessIssue]
        trace.no_reuse = (
            self.prefixes.refusal
            or why_not(options.library, own, options.library.get("generation_config"))
            or ("several prompts at once" if len(prompts) > 1 else None)
        )
        if trace.no_reuse is not None:
            features = self._features(seen, trace)
            return {} if features is None else _encoded(features), None
        image_ids = self.model.config.image_tokens().all()
        start = self.prefixes.begin(Tokens.of(prompts[0], [one.pixels for one in seen], image_ids))
        trace.held_tokens = start.held
        new = [
            one
            for one, (first, length, _) in zip(seen, start.tokens.images, strict=True)
            if first + length > start.held
        ]
        features = self._features(new, trace)
        if features is not None:
            slots = torch.tensor(prompts[0].ids) == self.model.config.image_token_id
            features = unheld(features, slots, start.held)
        return {"past_key_values": start.cache} | ({} if features is None else _encoded(features)), start

    def _features(self, seen: Sequence[Look], trace: Trace) -> torch.Tensor | None:
        trace.encoded_images = len({one.key for one in seen if one.features is None})
        return self.features.of(seen, self.device())

    def _settings(self, options: Options, longest: int, clock: Clock, prompts: int) -> dict[str, Any]:
        """Return the settings for `generate`; those of the call come before those of its `generation_config`."""
        given = options.library
        config = given.get("generation_config")
        own = {**DEFAULTS, "eos_token_id": self.tokenizer.eos_token_id, "pad_token_id": self.pad()}
        settings = {name: value for name, value in own.items() if getattr(config, name, None) is None} | given
        criteria = [*given.get("stopping_criteria", ()), clock]
        stop = self.builder.stop_ids()
        if stop != [self.tokenizer.eos_token_id]:
            criteria.append(EndsWith(stop))
        if options.stops:
            criteria.append(Says(self.decode, options.stops, longest))
        settings["stopping_criteria"] = StoppingCriteriaList(criteria)
        if options.seed is not None:
            times = given.get("num_return_sequences") or getattr(config, "num_return_sequences", None) or 1
            seeds = [options.seed + k for _ in range(prompts) for k in range(times)]
            processors = [*given.get("logits_processor", ()), SeededChoice(seeds)]
            settings["logits_processor"] = LogitsProcessorList(processors)
        return settings

    def _finish(self, trace: Trace, ids: list[int], options: Options) -> None:
        """Note an answer's ids, without what its row is filled up with, and whether it ended by itself."""
        given = options.library.get("eos_token_id", self.tokenizer.eos_token_id)
        ends = set(given if isinstance(given, list | tuple) else [given]) - {None}
        length = next((k + 1 for k, number in enumerate(ids) if number in ends), 0)
        stop = self.builder.stop_ids()
        by_itself = length or ids[-len(stop) :] == stop or any(one in self.decode(ids) for one in options.stops)
        trace.ids = ids[:length] if length else ids
        trace.finish = "stop" if by_itself else "length"


def _encoded(features: torch.Tensor) -> dict[str, Any]:
    """Return features (V, N, D) as the library passes encoded images on."""
    return {"mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=features)}}  # pyright: ignore[reportArgumentType]
