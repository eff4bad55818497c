"""How images go through the library's `generate`: encoded once before the prompt is processed, repeated by whole rows.

The library passes encoded images on as `mm_encoder_outputs`, by modality: {"image": output with `pooler_output`}. Its
versions from 5.18 on encode them before the prompt is processed; for older ones it is done here. Places of lines go the
same way, as "line".

Shapes: B rows, T tokens, S image slots of all rows, V kept views, N slots of a view, D width of the LLM.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from packaging.version import Version
from torch import Tensor
from transformers import GenerationMixin, LogitsProcessorList, SuppressTokensLogitsProcessor, __version__
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sphinx_x.model.sampling import SeededChoice

Encoded = dict[str, BaseModelOutputWithPooling]
IMAGES_IN_CHUNKS = Version(__version__) >= Version("5.23")
"""Whether the library can process a prompt with images in chunks (`prefill_chunk_size`)."""


def slot_features(encoded: Encoded | None, kind: str = "image") -> Tensor | None:
    """Return the features for the image slots of all rows, or for their lines, in order (S, D), or None without any."""
    pooled: Any = (encoded or {}).get(kind, {}).get("pooler_output")
    if pooled is None:
        return None
    return torch.cat([part.flatten(0, -2) for part in pooled])


def repeat_rows(features: Tensor, slots: Tensor, times: int) -> Tensor:
    """Repeat the features of each row for its beams or answers.

    A row keeps the order of its views: v0 v1 v0 v1, not v0 v0 v1 v1.

    Args:
        features: Features (S, D) of the slots of B rows.
        slots: Number of slots of each row (B,).
        times: How many times in succession each row is repeated.

    Returns:
        Features (S x times, D).
    """
    rows = features.split(slots.tolist())
    return torch.cat([row for row in rows for _ in range(times)])


def _repeated(features: Tensor, slots: Tensor, times: int) -> BaseModelOutputWithPooling:
    rows = repeat_rows(features, slots.sum(-1), times)[None]
    return BaseModelOutputWithPooling(pooler_output=rows)  # pyright: ignore[reportArgumentType]


def _held(model_kwargs: dict[str, Any]) -> int:
    """Return the number of tokens that the cache already holds."""
    cache = model_kwargs.get("past_key_values")
    return 0 if cache is None else int(cache.get_seq_length())


class ImageGeneration(GenerationMixin):
    """The library's `generate`, for rows with any number of images of any number of views each."""

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        inputs_embeds: Tensor | None = None,
        is_first_iteration: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Prepare the inputs of a step; images go in with the prompt only, as later steps find them in the cache."""
        if not is_first_iteration and kwargs.get("use_cache", True):
            kwargs.pop("mm_encoder_outputs", None)  # the library does this from 5.18 on
        return super().prepare_inputs_for_generation(  # pyright: ignore[reportAttributeAccessIssue]
            input_ids, inputs_embeds=inputs_embeds, is_first_iteration=is_first_iteration, **kwargs
        )

    def _prepare_multimodal_encoder_kwargs_for_generation(self, model_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Encode the images and places, once for the whole call of `generate`; called by the library."""
        pixels, encoded = model_kwargs.pop("pixel_values", None), model_kwargs.pop("mm_encoder_outputs", None)
        boxes = model_kwargs.pop("line_boxes", None)
        if pixels is not None:
            if encoded:
                raise ValueError("give pixel_values or mm_encoder_outputs, not both")
            image = self.get_image_features(pixels, return_dict=True)  # pyright: ignore[reportAttributeAccessIssue]
            image.pixels = pixels  # for an assistant, which has its own experts
            encoded = {"image": image}
        if boxes is not None:
            line = self.get_line_features(boxes)  # pyright: ignore[reportAttributeAccessIssue]
            line.boxes = boxes  # likewise
            encoded = {**(encoded or {}), "line": line}
        if encoded:
            model_kwargs["mm_encoder_outputs"] = encoded
        return model_kwargs

    def _expand_inputs_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, expand_size: int = 1, input_ids: Tensor | None = None, **model_kwargs: Any
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Repeat each row, with all views of its images, for several beams or answers; called by the library.

        Raises:
            ValueError: The numbers of slots and features differ.
        """
        model_kwargs = self._prepare_multimodal_encoder_kwargs_for_generation(model_kwargs)
        encoded = model_kwargs.pop("mm_encoder_outputs", None)
        features, trunk = slot_features(encoded), cast(Any, self).model
        # a continued cache holds the images of earlier turns, whose slots are still in the ids
        if features is not None and (expand_size > 1 or not _held(model_kwargs)):
            slots = trunk.find_slots(input_ids, model_kwargs.get("inputs_embeds"))
            trunk.check_slots(slots, features)
        if features is not None and expand_size > 1:
            encoded = {**cast(Encoded, encoded), "image": _repeated(features, slots, expand_size)}
        places = slot_features(encoded, "line")
        if places is not None and (expand_size > 1 or not _held(model_kwargs)):
            lines = trunk.find_lines(input_ids, model_kwargs.get("inputs_embeds"))
            trunk.check_lines(lines, places)
            if expand_size > 1:
                encoded = {**cast(Encoded, encoded), "line": _repeated(places, lines, expand_size)}
        ids, model_kwargs = super()._expand_inputs_for_generation(  # pyright: ignore[reportAttributeAccessIssue]
            expand_size=expand_size, input_ids=input_ids, **model_kwargs
        )
        return ids, model_kwargs if encoded is None else {**model_kwargs, "mm_encoder_outputs": encoded}

    def _prefill(
        self, input_ids: Tensor, generation_config: Any, model_kwargs: dict[str, Any], is_first_iteration: bool = True
    ) -> Any:
        """Process the prompt, including an assistant's, for which the library never sets `is_first_iteration`."""
        first = is_first_iteration or not _held(model_kwargs)
        if generation_config.prefill_chunk_size:
            if first and model_kwargs.get("inputs_embeds") is not None:
                raise ValueError("prefill_chunk_size cuts input_ids; inputs_embeds go in as a whole")
            if model_kwargs.get("mm_encoder_outputs") and not IMAGES_IN_CHUNKS:
                raise ValueError(f"prefill_chunk_size with images needs transformers 5.23, this is {__version__}")
        return super()._prefill(  # pyright: ignore[reportAttributeAccessIssue]
            input_ids, generation_config, model_kwargs, first
        )

    def _get_candidate_generator(self, *, model_kwargs: dict[str, Any], **kwargs: Any) -> Any:
        """Return the library's candidate generator; called by the library.

        An assistant that is a member of the family encodes the images with its own experts. Candidates looked up in the
        prompt end before an image, whose slots would have nothing to fill them.
        """
        if kwargs["generation_config"].prompt_lookup_num_tokens:
            images = cast(Any, self).config.image_tokens().all()
            no_image = SuppressTokensLogitsProcessor(images, device=kwargs["input_ids"].device)
            kwargs["logits_processor"] = LogitsProcessorList([*kwargs["logits_processor"], no_image])
        assistant = kwargs.get("assistant_model")
        encoded = model_kwargs.get("mm_encoder_outputs") or {}
        given = {"pixel_values": getattr(encoded.get("image"), "pixels", None)}
        given["line_boxes"] = getattr(encoded.get("line"), "boxes", None)
        given = {name: value for name, value in given.items() if value is not None}
        if isinstance(assistant, ImageGeneration) and assistant is not self and given:
            seen = {name: value.to(cast(Any, assistant).device) for name, value in given.items()}
            model_kwargs = {**model_kwargs, **assistant._prepare_multimodal_encoder_kwargs_for_generation(seen)}
        return super()._get_candidate_generator(  # pyright: ignore[reportAttributeAccessIssue]
            model_kwargs=model_kwargs, **kwargs
        )

    def _get_logits_processor(self, *given: Any, **named: Any) -> LogitsProcessorList:
        """Return the library's processors; a seeded choice comes after all others. Called by the library."""
        processors = super()._get_logits_processor(*given, **named)  # pyright: ignore[reportAttributeAccessIssue]
        return LogitsProcessorList(sorted(processors, key=lambda one: isinstance(one, SeededChoice)))
