"""The model in vLLM: its language model of vLLM's layers, this package's visual experts as they are.

Shapes: V kept views of all images together, N embedding slots of a view, D width of the LLM.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from vllm.model_executor.models.transformers.causal import CausalMixin
from vllm.model_executor.models.transformers.moe import MoEMixin
from vllm.model_executor.models.transformers.multimodal import MultiModalMixin
from vllm.multimodal import MULTIMODAL_REGISTRY

from sphinx_x.model.modeling import NEVER
from sphinx_x.serving.vllm_plugin.inputs import DummyInputs, Info, Processor

HEAD, EMBEDDINGS = "lm_head.weight", "model.language_model.embed_tokens.weight"


@contextmanager
def without_vision(model: Any) -> Iterator[None]:
    """Take the visual experts out of a model while its layers are replaced, and put them back.

    They are small beside the language model, every rank has them whole, and their lists named `experts` are no mixture
    of experts.
    """
    vision, model.vision = model.vision, nn.Identity()
    yield
    model.vision = vision


def untied(weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Pass on weights of a tied model without a copy that its output layer may have.

    Raises:
        ValueError: It is no copy.
    """
    found: dict[str, Tensor] = {}
    for name, weight in weights:
        if name in (HEAD, EMBEDDINGS):
            found[name] = weight
        if name != HEAD:
            yield name, weight
    if HEAD in found and EMBEDDINGS in found and not found[HEAD].equal(found[EMBEDDINGS]):
        raise ValueError(f"tie_word_embeddings is set, but {HEAD} and {EMBEDDINGS} differ")


@MULTIMODAL_REGISTRY.register_processor(Processor, info=Info, dummy_inputs=DummyInputs)
class SphinxXForVllm(MultiModalMixin, CausalMixin):
    """A member in vLLM, built by its Transformers backend; a mixture of experts becomes a `SphinxXMoEForVllm`."""

    def __new__(cls, *, vllm_config: Any, prefix: str = "") -> SphinxXForVllm:
        """Choose the class for a language model with experts."""
        return super().__new__(SphinxXMoEForVllm if vllm_config.model_config.is_moe else SphinxXForVllm)

    def __init__(self, *, vllm_config: Any, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        self._never = torch.tensor(self.config.image_tokens().all(), device=self.device_config.device)

    @classmethod
    def get_placeholder_str(cls, modality: str, i: int) -> str | None:
        """Return nothing: the renderer puts images where they belong."""
        return None

    def recursive_replace(self) -> None:
        """Replace the language model's layers by vLLM's, and leave the visual experts alone."""
        with without_vision(self.model):
            super().recursive_replace()

    def embed_multimodal(self, **kwargs: Any) -> list[Tensor]:
        """Encode images; called by vLLM.

        Args:
            kwargs: `pixel_values`, the kept views (V, 3, H, W) uint8 of all images, and `num_image_patches`, the number
                of views of each.

        Returns:
            The features (views x N, D) of each image.
        """
        pixels = kwargs.get("pixel_values")
        if pixels is None:
            return []
        counts = kwargs["num_image_patches"].flatten().tolist()
        features = self.model.features(pixels.float().div_(255))
        return [image.flatten(0, 1) for image in features.split(counts)]

    def compute_logits(self, hidden_states: Tensor) -> Tensor | None:
        """Map hidden states to logits, which are `NEVER` for the image tokens; None on ranks that do not sample."""
        logits = super().compute_logits(hidden_states)
        return None if logits is None else logits.index_fill_(-1, self._never, NEVER)

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        """Load a checkpoint; called by vLLM.

        Raises:
            ValueError: The output layer is tied to the embeddings, but the checkpoint has another one; the Transformers
                library would not tie them then.
        """
        return super().load_weights(untied(weights) if self._get_tie_word_embeddings() else weights)

    def _get_tie_word_embeddings(self) -> bool:
        return self.config.tie_word_embeddings  # of the whole model; the language model's own has no say


class SphinxXMoEForVllm(MoEMixin, SphinxXForVllm):
    """The same for a language model that is a mixture of experts."""

    def recursive_replace(self) -> None:
        """Do the same as for other language models, before `MoEMixin` looks for experts."""
        with without_vision(self.model):
            super().recursive_replace()
