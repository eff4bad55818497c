"""What vLLM is told about the family; nothing here imports vLLM before it asks."""

# pyright: reportMissingImports=false

from __future__ import annotations

from sphinx_x.model.modeling import SphinxXForConditionalGeneration

TRANSFORMERS = ("TransformersMultiModalForCausalLM", "TransformersMultiModalMoEForCausalLM")
"""The classes that vLLM takes for any model of the Transformers library that has images."""


def register_in_vllm() -> None:
    """Register the model, its renderer and its checks with vLLM; calling it again is harmless."""
    from vllm import ModelRegistry
    from vllm.model_executor.models.config import MODELS_CONFIG_MAP
    from vllm.renderers.registry import RENDERER_REGISTRY
    from vllm.tokenizers.registry import TokenizerRegistry

    from sphinx_x.serving.vllm_plugin.refusals import MODE, Refusals, TransformersBackend
    from sphinx_x.serving.vllm_plugin.stops import stop_where_answers_end

    here = __package__
    name = SphinxXForConditionalGeneration.__name__
    ModelRegistry.register_model(name, f"{here}.model:SphinxXForVllm")
    MODELS_CONFIG_MAP[name] = Refusals
    for backend in TRANSFORMERS:
        MODELS_CONFIG_MAP.setdefault(backend, TransformersBackend)
    if MODE not in RENDERER_REGISTRY.renderers:
        TokenizerRegistry.register(MODE, "vllm.tokenizers.hf", "CachedHfTokenizer")
        RENDERER_REGISTRY.register(MODE, f"{here}.renderer", "Renderer")
    stop_where_answers_end()
