"""What vLLM is told about the family, in each of its processes."""

# pyright: reportMissingImports=false

from __future__ import annotations

from sphinx_x.errors import MissingToolError

VERSION = "0.32."
"""The versions of vLLM whose inner workings this plug-in knows begin so."""
TRANSFORMERS = ("TransformersMultiModalForCausalLM", "TransformersMultiModalMoEForCausalLM")
"""The classes that vLLM takes for any model of the Transformers library that has images."""


def check_version(version: str) -> None:
    """Check that this plug-in is made for a version of vLLM.

    vLLM goes on without a plug-in that fails, so this comes before anything else becomes known: its general classes
    would take the model, and answer otherwise.

    Raises:
        MissingToolError: It is not.
    """
    if not version.startswith(VERSION):
        what = f"SPHINX-X is a plug-in of vLLM {VERSION}x, this is {version}"
        raise MissingToolError(f"{what} (pip install 'sphinx-x[vllm]')")


def register_in_vllm() -> None:
    """Register the model, its renderer and its checks with vLLM; calling it again is harmless.

    Raises:
        MissingToolError: This plug-in is not made for this version of vLLM.
    """
    import vllm

    check_version(vllm.__version__)
    from vllm import ModelRegistry
    from vllm.model_executor.models.config import MODELS_CONFIG_MAP
    from vllm.renderers.registry import RENDERER_REGISTRY
    from vllm.tokenizers.registry import TokenizerRegistry

    from sphinx_x.model.modeling import SphinxXForConditionalGeneration
    from sphinx_x.serving.vllm_plugin.refusals import MODE, Refusals, TransformersBackend
    from sphinx_x.serving.vllm_plugin.stops import stop_where_answers_end

    name, here = SphinxXForConditionalGeneration.__name__, __package__
    ModelRegistry.register_model(name, f"{here}.model:SphinxXForVllm")
    MODELS_CONFIG_MAP[name] = Refusals
    for backend in TRANSFORMERS:
        MODELS_CONFIG_MAP.setdefault(backend, TransformersBackend)
    if MODE not in RENDERER_REGISTRY.renderers:
        TokenizerRegistry.register(MODE, "vllm.tokenizers.hf", "CachedHfTokenizer")
        RENDERER_REGISTRY.register(MODE, f"{here}.renderer", "Renderer")
    stop_where_answers_end()
