"""From prompts to generated ids: the only place that calls the library's `generate`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from transformers import LogitsProcessorList
from transformers.generation.stopping_criteria import StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sphinx_x.confidence import mean_probability
from sphinx_x.inference.features import Features
from sphinx_x.inference.generation import DEFAULTS, Clock, EndsWith, Says
from sphinx_x.inference.options import Options, cut
from sphinx_x.inference.prefix import Prefixes, Start, Tokens, unheld, why_not
from sphinx_x.inference.prompts import Prompt, check_context, context_of
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.sampling import SeededChoice


@dataclass(frozen=True)
class Trace:
    """How one answer came about; of several that were made together, numbers and times are those of all.

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

    ids: tuple[int, ...] = ()
    finish: Literal["stop", "length"] = "stop"
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
        traces: list[Trace] | None = None,
    ) -> list[list[int]]:
        """Return the generated ids, one row for each answer: those to the first prompt, those to the second, ...

        Args:
            prompts: The prompts of one batch.
            options: Options of the answers.
            probabilities: A list to which the mean token probability of each row is added.
            traces: A list to which is added how each row came about.
        """
        context = context_of(self.model)
        for prompt in prompts:
            check_context(context, prompt)
        clock, began = Clock(), time.perf_counter()
        longest = max(len(prompt.ids) for prompt in prompts)
        ids, mask = self._padded(prompts, longest)
        inputs, start, trace = self._seen(prompts, options)
        if traces is not None and ids.device.type != "cpu":
            torch.accelerator.synchronize(ids.device)  # so that the experts' time is theirs
        looked = time.perf_counter()
        settings = self._settings(options, longest, clock, len(prompts))
        if probabilities is not None:
            settings |= {"return_dict_in_generate": True, "output_logits": True}
        out: Any = self.model.generate(  # pyright: ignore[reportAttributeAccessIssue]
            input_ids=ids, attention_mask=mask, **inputs, **settings
        )
        ended = time.perf_counter()
        rows = getattr(out, "sequences", out)  # the former with return_dict_in_generate
        made = [row[longest:].tolist() for row in rows.cpu()]
        ends = [self._end(row, options, filled=len(made) > 1) for row in made]
        if probabilities is not None:
            lengths = [length for length, _ in ends]
            probabilities += mean_probability(out.logits, rows[:, longest:], lengths)
        if start is not None:
            self.prefixes.keep(start, made[0])
        if traces is not None:
            first = clock.first or ended
            times = {"prefill_seconds": first - looked, "decode_seconds": ended - first}
            trace = replace(trace, encode_seconds=looked - began, **times)
            traces += [
                replace(trace, ids=tuple(row[:length]), finish=finish)
                for row, (length, finish) in zip(made, ends, strict=True)
            ]
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

    def _seen(self, prompts: Sequence[Prompt], options: Options) -> tuple[dict[str, Any], Start | None, Trace]:
        """Return what goes into the model besides the ids, and where a prompt goes on from, if it is one alone."""
        if options.library.get("assistant_model") is not None:
            # an assistant has experts of its own, which need the pixels
            views = torch.cat([prompt.views for prompt in prompts]).to(self.device()).float().div_(255)
            images = sum(len(prompt.images) for prompt in prompts)
            trace = Trace(encoded_images=images, no_reuse="the option assistant_model")
            inputs: dict[str, Any] = {"pixel_values": views} if images else {}
            if any(layout.lines for prompt in prompts for layout in prompt.layouts):
                inputs["line_boxes"] = torch.cat([prompt.line_boxes for prompt in prompts]).to(self.device())
            return inputs, None, trace
        seen = self.features.look(prompts)
        own = self.model.generation_config  # pyright: ignore[reportAttributeAccessIssue]
        no_reuse = (
            self.prefixes.refusal
            or why_not(options.library, own, options.library.get("generation_config"))
            or ("several prompts at once" if len(prompts) > 1 else None)
        )
        start, inputs, held = None, {}, 0
        if no_reuse is None:
            start = self.prefixes.begin(Tokens.of(prompts[0], [one.pixels for one in seen]))
            inputs["past_key_values"], held = start.cache, start.held
            ends = [first + length for first, length, _ in start.tokens.images]
            seen = [one for one, end in zip(seen, ends, strict=True) if end > held]
        features = self.features.of(seen, self.device())
        if features is not None and held:
            slots = torch.tensor(prompts[0].ids) == self.model.config.image_token_id
            features = unheld(features, slots, held)
        if features is not None:
            # as the library passes on encoded images
            image = BaseModelOutputWithPooling(pooler_output=features)  # pyright: ignore[reportArgumentType]
            inputs["mm_encoder_outputs"] = {"image": image}
        boxes = torch.cat([prompt.line_boxes for prompt in prompts])
        token = self.model.config.line_token_id
        if held and token is not None:  # those of the last lines are left
            boxes = boxes[len(boxes) - prompts[0].ids[held:].count(token) :]
        if len(boxes):
            line = self.model.get_line_features(boxes.to(self.device()))
            inputs.setdefault("mm_encoder_outputs", {})["line"] = line
        encoded = len({one.key for one in seen if one.features is None})
        return inputs, start, Trace(held_tokens=held, encoded_images=encoded, no_reuse=no_reuse)

    def _settings(self, options: Options, longest: int, clock: Clock, prompts: int) -> dict[str, Any]:
        """Return the settings for `generate`; those of the call come before those of its `generation_config`."""
        given = options.library
        config = given.get("generation_config")
        own = {**DEFAULTS, "eos_token_id": self.tokenizer.eos_token_id, "pad_token_id": self.pad()}
        if given.get("max_length") or getattr(config, "max_length", None):
            del own["max_new_tokens"]  # the library would take it before the other
        settings = {name: value for name, value in own.items() if getattr(config, name, None) is None} | given
        context = context_of(self.model)
        if context is not None and "max_new_tokens" in settings:
            settings["max_new_tokens"] = min(settings["max_new_tokens"], context - longest)
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

    def _end(self, ids: list[int], options: Options, filled: bool) -> tuple[int, Literal["stop", "length"]]:
        """Return the number of an answer's ids, those that end it included, and how it ended.

        Args:
            ids: The ids of its row.
            options: Options of the answers.
            filled: Whether the row may be filled up, as another one of its batch is longer.
        """
        given, config = options.library, options.library.get("generation_config")
        chosen = given.get("eos_token_id", getattr(config, "eos_token_id", None))
        chosen = self.tokenizer.eos_token_id if chosen is None else chosen
        ends = set(chosen if isinstance(chosen, list | tuple) else [chosen]) - {None}
        at = next((k for k, number in enumerate(ids) if number in ends), None)
        length = len(ids) if at is None else at
        while filled and length > 1 and ids[length - 1] == self.pad():
            length -= 1
        said, stop = ids[:length], self.builder.stop_ids()
        # what comes after a text that ends the answer is filling, also where that is an id that ends others
        if said[-len(stop) :] == stop or any(one in self.decode(said) for one in options.stops):
            return length, "stop"
        return (length, "length") if at is None else (at + 1, "stop")
