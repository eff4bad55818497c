"""From opened images to what vLLM hands to the model: views of bytes, and the ids in place of each placeholder.

Shapes: V kept views of all images together, H x W pixels of a view.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import PIL.Image
import torch
from transformers import BatchFeature
from vllm.exceptions import VLLMValidationError
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.parse import ImageProcessorItems, MultiModalDataParser
from vllm.multimodal.processing import (
    BaseDummyInputsBuilder,
    BaseMultiModalProcessor,
    BaseProcessingInfo,
    PromptReplacement,
    PromptUpdateDetails,
)

from sphinx_x.errors import SphinxXError
from sphinx_x.model.processing import render_views
from sphinx_x.serving.vllm_plugin.member import Member, open_images
from sphinx_x.serving.vllm_plugin.refusals import member_of


class Parser(MultiModalDataParser):
    """Opens images as everywhere in this package; takes nothing else."""

    def _get_subparsers(self) -> Mapping[str, Any]:
        return {"image": self._parse_image_data}

    def _parse_image_data(self, data: Any) -> ImageProcessorItems | None:
        if data is None:
            return None
        try:
            return ImageProcessorItems(open_images(data))
        except SphinxXError as error:
            raise VLLMValidationError(str(error), parameter="image") from error


class Info(BaseProcessingInfo):
    """What vLLM asks about a member's images."""

    def __init__(self, ctx: Any) -> None:
        super().__init__(ctx)
        self.member: Member = member_of(ctx.model_config)

    def get_data_parser(self) -> Parser:
        """Return what opens images."""
        return Parser(expected_hidden_size=self._get_expected_hidden_size())

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Return how many images a conversation may have: None for any number."""
        return {"image": self.member.config.ability().most_pictures} if self.member.config.groups else {}

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int]:
        """Return the number of tokens of an image of which nothing is skipped."""
        if not self.member.config.groups:
            return {}
        return {"image": len(self.member.image_ids(self.member.layout(self.largest())))}

    def largest(self) -> PIL.Image.Image:
        """Return a white image that fills the canvas."""
        side = self.member.processor.image_processor.grid().canvas
        return PIL.Image.new("RGB", (side, side), (255, 255, 255))


class DummyInputs(BaseDummyInputsBuilder[Info]):
    """The largest inputs, on which vLLM measures memory."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """Return a prompt of placeholders only."""
        return self.info.member.processor.image_token * mm_counts.get("image", 0)

    def get_dummy_mm_data(self, seq_len: int, mm_counts: Mapping[str, int], mm_options: Any) -> dict[str, Any]:
        """Return images that fill the canvas."""
        return {"image": [self.info.largest()] * mm_counts.get("image", 0)}


class Processor(BaseMultiModalProcessor[Info]):
    """Renders views as bytes: vLLM would turn floats into the model's dtype before they are normalised."""

    def apply(self, inputs: Any, timing_ctx: Any) -> Any:
        """Process one prompt with its images; called by vLLM.

        Raises:
            VLLMValidationError: Options are given that would change the views, or placeholders and images differ.
        """
        for name in ("hf_processor_mm_kwargs", "media_io_kwargs"):
            given = getattr(inputs, name, None)
            if given and any(given.values()):
                raise VLLMValidationError(
                    f"{name.removeprefix('hf_processor_')}: not supported, views are made as the model's grid says"
                )
        try:
            self.info.member.check_ids(inputs.prompt, inputs.mm_data_items.get_count("image", strict=False))
        except SphinxXError as error:
            raise VLLMValidationError(str(error)) from error
        return super().apply(inputs, timing_ctx)

    def _apply_hf_processor_main(self, mm_items: Any, hf_kwargs: Mapping[str, object]) -> BatchFeature:
        images = mm_items["image"].get_all() if mm_items.get_count("image", strict=False) else []
        if not images:
            return BatchFeature({})
        layouts = [self.info.member.layout(image) for image in images]
        color = tuple(self.info.member.processor.image_processor.padding_color)
        views = [
            torch.from_numpy(render_views(image, layout, color)) for image, layout in zip(images, layouts, strict=True)
        ]
        counts = torch.tensor([layout.views for layout in layouts])
        return BatchFeature({"pixel_values": torch.cat(views), "num_image_patches": counts})

    def _get_mm_fields_config(self, hf_inputs: Any, hf_processor_mm_kwargs: Any) -> Mapping[str, MultiModalFieldConfig]:
        counts = hf_inputs.get("num_image_patches", torch.empty(0))
        return {
            "pixel_values": MultiModalFieldConfig.flat_from_sizes("image", counts),
            "num_image_patches": MultiModalFieldConfig.batched("image", keep_on_cpu=True),
        }

    def _get_prompt_updates(
        self, mm_items: Any, hf_processor_mm_kwargs: Any, out_mm_kwargs: Any
    ) -> Sequence[PromptReplacement]:
        slot = self.info.member.builder.image_tokens.slot

        def replacement(number: int) -> PromptUpdateDetails:
            image = mm_items.get_items("image", ImageProcessorItems).get(number)
            ids = self.info.member.image_ids(self.info.member.layout(image))
            return PromptUpdateDetails.select_token_id(ids, slot)

        return [PromptReplacement(modality="image", target=[slot], replacement=replacement)]
