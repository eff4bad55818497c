"""What is refused by name when vLLM loads a model: whatever would change answers in silence, or was never tried."""

# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

from vllm.model_executor.models.config import VerifyAndUpdateConfig

from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.quantized import is_quantized
from sphinx_x.serving.vllm_plugin.member import Member, read_processor

MODE = "sphinx_x"
"""Name of this family's renderer and tokenizer in vLLM."""


def member_of(model_config: Any) -> Member:
    """Return the member of a model that vLLM loads."""
    return Member(read_processor(model_config.model, model_config.revision), model_config.hf_config)


class Refusals(VerifyAndUpdateConfig):
    """vLLM's hook for a model's own checks: refuses, and chooses this package's renderer."""

    @staticmethod
    def verify_and_update_model_config(model_config: Any) -> None:
        """Check what the model is loaded with.

        Raises:
            ValueError: Something is not supported; the message names it.
        """
        images = model_config.multimodal_config
        wrong = {
            "a quantised checkpoint": is_quantized(model_config.hf_config),
            "--quantization": model_config.quantization is not None,
            f"--tokenizer-mode {model_config.tokenizer_mode}": model_config.tokenizer_mode not in ("auto", MODE),
            "--tokenizer": model_config.tokenizer != model_config.model,
            "--skip-tokenizer-init": model_config.skip_tokenizer_init,
            "--enable-prompt-embeds": model_config.enable_prompt_embeds,
            "--runner pooling": model_config.runner_type != "generate",
            "--enable-mm-embeds": images.enable_mm_embeds,
            "--mm-processor-kwargs": bool(images.mm_processor_kwargs),
            "--media-io-kwargs": bool(images.media_io_kwargs),
        }
        _refuse(wrong)
        model_config.tokenizer_mode = MODE

    @staticmethod
    def verify_and_update_config(vllm_config: Any) -> None:
        """Check what the engine is started with.

        Raises:
            ValueError: Something is not supported; the message names it.
        """
        _refuse({"--enable-lora (merge the adapters: sphinx-x merge)": vllm_config.lora_config is not None})


class TransformersBackend(VerifyAndUpdateConfig):
    """The same hook where `--model-impl transformers` puts vLLM's own classes in place of this package's."""

    @staticmethod
    def verify_and_update_model_config(model_config: Any) -> None:
        """Refuse a SPHINX-X model, and no other.

        Raises:
            ValueError: It is one.
        """
        _refuse({"--model-impl transformers (leave it out)": isinstance(model_config.hf_config, SphinxXConfig)})


def _refuse(wrong: dict[str, bool]) -> None:
    for name, there in wrong.items():
        if there:
            raise ValueError(f"SPHINX-X in vLLM does not support {name}")
