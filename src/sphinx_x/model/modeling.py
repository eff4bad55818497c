"""SPHINX-X: a mixture of visual experts in front of any causal language model of the Transformers library.

Shapes: B batch, T tokens, V kept views of all images together, N embedding slots of a view, L lines of all images
together, D width of the LLM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils.generic import ModelOutput, can_return_tuple
from transformers.utils.import_utils import torch_compilable_check

from sphinx_x.model import packed  # noqa: F401 (registers the packed attention)
from sphinx_x.model.auto import StaysInItsPackage, library_objects
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.generation import Encoded, ImageGeneration, slot_features
from sphinx_x.model.line_places import LinePlaces
from sphinx_x.model.mixture import MixtureOfVisualExperts
from sphinx_x.model.quantized import MixtralOfLinears, check_reached, is_quantized, prefer_exact_kernels
from sphinx_x.model.routing import load_balancing_loss

NEVER = -(2.0**14)
"""Logit of the image tokens. A softmax gives them no probability, and whatever is computed from all logits (label
smoothing, entropies, divergences) stays finite and small in every dtype, unlike with the least finite number."""


class SphinxXPreTrainedModel(StaysInItsPackage, PreTrainedModel):
    """What both models share: names and capabilities, as the library asks for them."""

    config: SphinxXConfig
    config_class = SphinxXConfig
    base_model_prefix = "model"
    input_modalities = ["image", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _no_split_modules = ["LlamaDecoderLayer", "MixtralDecoderLayer", "MixtureOfVisualExperts"]  # noqa: RUF012
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: SphinxXConfig, *inputs: Any, **kwargs: Any) -> None:
        super().__init__(config, *inputs, **kwargs)
        if is_quantized(config):
            check_reached(config)
            # the library's quantisers read this as "do not quantise"; only here, as it would also widen plain float16
            self._keep_in_fp32_modules = ["vision", "model.vision"]

    @classmethod
    def from_pretrained(cls, *inputs: Any, **kwargs: Any) -> Any:
        """Load a model as the library does; one that is quantised for a CPU gets kernels that fit it."""
        loaded = super().from_pretrained(*inputs, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded  # with output_loading_info
        if getattr(model, "is_quantized", False):
            prefer_exact_kernels(model)
        return loaded

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise a module without weights; called by the library."""
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            scale_by_fan_in(module)
        else:
            super()._init_weights(module)


@torch.no_grad()
def scale_by_fan_in(layer: nn.Linear | nn.Conv2d) -> None:
    """Initialise weights scaled by the fan-in, so that a member of any width starts at the same scale."""
    nn.init.trunc_normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class SphinxXModel(SphinxXPreTrainedModel):
    """The trunk: visual experts, projector and LLM, without the output layer."""

    def __init__(self, config: SphinxXConfig) -> None:
        super().__init__(config)
        self.vision = MixtureOfVisualExperts(config.group_configs(), config.view_grid(), config.text_config.hidden_size)
        if is_quantized(config) and config.text_config.model_type == "mixtral":
            self.language_model = MixtralOfLinears(config.text_config)  # pyright: ignore[reportArgumentType]
        else:
            self.language_model = AutoModel.from_config(config.text_config)
        self.line_places = None if config.lines is None else LinePlaces(config.text_config.hidden_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the LLM's embedding table; its rows of start, end and skip are the learned embeddings."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding table."""
        self.language_model.set_input_embeddings(value)

    @can_return_tuple
    def get_image_features(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Encode images as the library asks for it.

        Args:
            pixel_values: Kept views (V, 3, H, W) with values from 0 to 1.

        Returns:
            An output whose `pooler_output` is (V, N, D), or a tuple if `return_dict` is false.
        """
        return BaseModelOutputWithPooling(pooler_output=self.features(pixel_values))  # pyright: ignore[reportArgumentType]

    def features(self, pixel_values: Tensor) -> Tensor:
        """Map kept views (V, 3, H, W) with values from 0 to 1 to the features (V, N, D) that fill their slots.

        Raises:
            ValueError: The model has no visual experts.
        """
        if not self.config.groups:
            raise ValueError("this model has no visual experts: it takes text only")
        return self.vision(pixel_values.float())

    def get_line_features(self, line_boxes: Tensor) -> BaseModelOutputWithPooling:
        """Embed places of lines, as `mm_encoder_outputs` takes them.

        Args:
            line_boxes: Boxes (L, 4) of the lines of all images, relative to the padded square.

        Returns:
            An output whose `pooler_output` is (1, L, D).
        """
        return BaseModelOutputWithPooling(pooler_output=self.places(line_boxes)[None])  # pyright: ignore[reportArgumentType]

    def places(self, line_boxes: Tensor) -> Tensor:
        """Map boxes of lines (L, 4), relative to the padded square, to what is added to their tokens (L, D).

        Raises:
            ValueError: The model reads no lines.
        """
        if self.line_places is None:
            raise ValueError("this model reads no lines: it takes no line_boxes")
        return self.line_places(line_boxes)

    def embed(self, input_ids: Tensor, features: Tensor | None, places: Tensor | None = None) -> Tensor:
        """Embed token ids (B, T) as (B, T, D).

        Args:
            input_ids: Token ids (B, T).
            features: What fills the image slots, in order, (V, N, D).
            places: What is added to the tokens of lines, in order, (L, D).

        Raises:
            ValueError: The numbers of slots and features, or of lines and places, differ.
        """
        embeddings = self._filled(self.get_input_embeddings()(input_ids), self.find_slots(input_ids), features)
        return self._placed(embeddings, self.find_lines(input_ids), places)

    def find_slots(self, input_ids: Tensor | None, inputs_embeds: Tensor | None = None) -> Tensor:
        """Return which positions of ids (B, T), or of embeddings (B, T, D) if given, are image slots (B, T)."""
        return self._find(self.config.image_token_id, input_ids, inputs_embeds)

    def find_lines(self, input_ids: Tensor | None, inputs_embeds: Tensor | None = None) -> Tensor | None:
        """Return which positions are tokens of lines (B, T), as `find_slots` does; None if the model reads no lines."""
        token = self.config.line_token_id
        return None if token is None else self._find(token, input_ids, inputs_embeds)

    def _find(self, token: int, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("give input_ids or inputs_embeds")
            return input_ids == token
        slot = torch.full((), token, dtype=torch.int64, device=inputs_embeds.device)
        return (inputs_embeds == self.get_input_embeddings()(slot)).all(-1)

    def check_slots(self, slots: Tensor, features: Tensor | None) -> None:
        """Check that there are as many slots (B, T) as features (..., D).

        In a compiled or exported graph the check is part of the graph: it stops the program, without this message.

        Raises:
            ValueError: The numbers differ.
        """
        wanted = 0 if features is None else features.shape[:-1].numel()
        torch_compilable_check(
            slots.sum() == wanted,
            lambda: f"the token ids have {int(slots.sum())} image slots, the images fill {wanted}",
        )

    def _filled(self, embeddings: Tensor, slots: Tensor, features: Tensor | None) -> Tensor:
        self.check_slots(slots, features)
        if features is None:
            return embeddings
        slots = slots[..., None].to(embeddings.device)
        return embeddings.masked_scatter(slots, features.to(embeddings.device, embeddings.dtype))

    def check_lines(self, lines: Tensor | None, places: Tensor | None) -> None:
        """Check that there are as many tokens of lines (B, T) as places (..., D), as `check_slots` does.

        Raises:
            ValueError: The numbers differ.
        """
        wanted = 0 if places is None else places.shape[:-1].numel()
        if lines is None:
            if wanted:
                raise ValueError("this model reads no lines: it takes no line_boxes")
            return
        torch_compilable_check(
            lines.sum() == wanted,
            lambda: f"the token ids have {int(lines.sum())} lines, and there are {wanted} boxes of lines",
        )

    def _placed(self, embeddings: Tensor, lines: Tensor | None, places: Tensor | None) -> Tensor:
        self.check_lines(lines, places)
        if lines is None or places is None:
            return embeddings
        moved = torch.zeros_like(embeddings).masked_scatter(
            lines[..., None].to(embeddings.device), places.to(embeddings.device, embeddings.dtype)
        )
        return embeddings + moved

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        mm_encoder_outputs: Encoded | None = None,
        line_boxes: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Map token ids (B, T) and the kept views (V, 3, H, W) of their images to hidden states (B, T, D).

        Args:
            input_ids: Token ids (B, T).
            pixel_values: Kept views (V, 3, H, W), with values from 0 to 1.
            attention_mask: As for the LLM.
            position_ids: As for the LLM.
            past_key_values: As for the LLM.
            inputs_embeds: Embeddings (B, T, D) in place of the ids. Images, if given as well, go to the positions whose
                embedding is that of an image slot.
            mm_encoder_outputs: The result of `get_image_features` in place of the views, as {"image": output}, and that
                of `get_line_features` in place of the boxes, as {"line": output}.
            line_boxes: Boxes (L, 4) of the lines of all images, relative to the padded square, for a model that reads
                lines.
            kwargs: Further arguments for the LLM.

        Raises:
            ValueError: The numbers of slots and features, or of lines and boxes, differ.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        if pixel_values is not None and mm_encoder_outputs:
            raise ValueError("give pixel_values or mm_encoder_outputs, not both")
        features = slot_features(mm_encoder_outputs) if pixel_values is None else self.features(pixel_values)
        places = slot_features(mm_encoder_outputs, "line") if line_boxes is None else self.places(line_boxes)
        if inputs_embeds is None:
            inputs_embeds = self.embed(cast(Tensor, input_ids), features, places)
        else:
            lines = None if places is None else self.find_lines(None, inputs_embeds)
            if features is not None:
                inputs_embeds = self._filled(inputs_embeds, self.find_slots(None, inputs_embeds), features)
            inputs_embeds = self._placed(inputs_embeds, lines, places)
        return self.language_model(
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )


@dataclass
class SphinxXOutput(ModelOutput):
    """The output of `SphinxXForConditionalGeneration`.

    Attributes:
        loss: A scalar, if labels were given.
        logits: (B, T, vocabulary).
        past_key_values: The cache.
        hidden_states: Of each layer, if requested.
        attentions: Of each layer, if requested.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Any = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class SphinxXForConditionalGeneration(SphinxXPreTrainedModel, ImageGeneration, GenerationMixin):
    """SPHINX-X with its output layer: an ordinary image-text-to-text model of the library."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012
    _tp_plan = {"lm_head": "colwise_gather_output"}  # noqa: RUF012

    def __init__(self, config: SphinxXConfig) -> None:
        super().__init__(config)
        self.model = SphinxXModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the LLM's embedding table."""
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding table."""
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """Return the output layer."""
        return self.lm_head

    def get_image_features(self, pixel_values: Tensor, **kwargs: Any) -> Any:
        """See `SphinxXModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, **kwargs)

    def get_line_features(self, line_boxes: Tensor) -> Any:
        """See `SphinxXModel.get_line_features`."""
        return self.model.get_line_features(line_boxes)

    def logits(self, hidden: Tensor) -> Tensor:
        """Map hidden states (..., D) to logits (..., vocabulary), which are `NEVER` for the image tokens."""
        logits = self.lm_head(hidden)
        never = torch.tensor(self.config.image_tokens().all(), device=logits.device)
        return logits.index_fill(-1, never, NEVER)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: Encoded | None = None,
        line_boxes: Tensor | None = None,
        **kwargs: Any,
    ) -> SphinxXOutput:
        """Map token ids (B, T) and kept views (V, 3, H, W) to logits (B, T, vocabulary), and with labels to a loss.

        If the LLM is a mixture of experts, the loss includes its load-balancing loss with the weight in the
        configuration, over the tokens that `attention_mask` keeps.

        Args:
            input_ids: As for `SphinxXModel.forward`, like the next five.
            pixel_values: Kept views.
            attention_mask: As for the LLM.
            position_ids: As for the LLM.
            past_key_values: As for the LLM.
            inputs_embeds: Embeddings in place of the ids.
            labels: (B, T), -100 where nothing is to be learned; image tokens are always left out.
            logits_to_keep: As in the library: the number of last positions with logits, or their indices.
            mm_encoder_outputs: Encoded images in place of the views, and of the boxes.
            line_boxes: Boxes of lines, as for `SphinxXModel.forward`.
            kwargs: Further arguments for the LLM. `num_items_in_batch` divides the loss; with `return_dict=False` the
                result is a tuple.
        """
        balanced = labels is not None and getattr(self.config.text_config, "router_aux_loss_coef", 0) > 0
        if balanced:
            kwargs["output_router_logits"] = True
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            mm_encoder_outputs=mm_encoder_outputs,
            line_boxes=line_boxes,
            return_dict=True,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.logits(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            # image tokens cannot be predicted, so they are not learned
            never = torch.tensor(self.config.image_tokens().all(), device=labels.device)
            labels = labels.masked_fill(torch.isin(labels, never), -100)
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.text_config.vocab_size, **kwargs
            )
        if balanced and loss is not None:
            text = self.config.text_config
            real = None if attention_mask is None else attention_mask.flatten().bool()
            balance = load_balancing_loss(outputs.router_logits, text.num_experts_per_tok, real)
            loss = loss + text.router_aux_loss_coef * balance.to(loss.device)
        return SphinxXOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def register() -> None:
    """Register SPHINX-X with the library (its Auto classes and its server); calling it again is harmless."""
    AutoConfig.register(SphinxXConfig.model_type, SphinxXConfig, exist_ok=True)
    AutoModel.register(SphinxXConfig, SphinxXModel, exist_ok=True)
    AutoModelForCausalLM.register(SphinxXConfig, SphinxXForConditionalGeneration, exist_ok=True)
    AutoModelForImageTextToText.register(SphinxXConfig, SphinxXForConditionalGeneration, exist_ok=True)
    # `transformers serve` and vLLM look up an architecture by its name in the library, and in this table
    name = SphinxXForConditionalGeneration.__name__
    for library in library_objects():
        setattr(library, name, SphinxXForConditionalGeneration)
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[SphinxXConfig.model_type] = name


register()
