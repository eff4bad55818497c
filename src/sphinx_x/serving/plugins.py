"""SPHINX-X inside other programs: plug-ins of vLLM and lmms-eval, and the Transformers library's own command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sphinx_x.errors import MissingToolError, one_line


def register() -> None:
    """Register the family with the Transformers library; calling it again is harmless."""
    from sphinx_x.model import modeling, processing  # noqa: F401 (registers the processor)

    modeling.register()


def register_in_vllm() -> None:
    """Register the family with vLLM, which calls it in each of its processes (entry point `vllm.general_plugins`).

    Calling it again is harmless.
    """
    from sphinx_x.serving.vllm_plugin import registering

    registering.register_in_vllm()
    register()
    if torch.cpu._is_amx_tile_supported():
        torch.cpu._init_amx()  # vLLM's CPU attention uses the matrix unit without requesting it from the system


def lmms_manifest() -> Any:
    """Tell lmms-eval which class is the model `sphinx_x` (entry point `lmms_eval.models`)."""
    from lmms_eval.models.registry_v2 import ModelManifest  # pyright: ignore[reportMissingImports]

    return ModelManifest(model_id="sphinx_x", chat_class_path="sphinx_x.evaluation.lmms.LmmsSphinxX")


def transformers_cli(arguments: Sequence[str]) -> None:
    """Run the library's `transformers` command (`serve`, `chat`, ...) with the family registered.

    Built-in names are replaced by their folders.

    Raises:
        MissingToolError: The library lacks what a command needs.
    """
    from sphinx_x.inference import built_in_models, find_model

    register()
    known = built_in_models()
    try:
        from transformers.cli.transformers import app

        app([str(find_model(word)) if word in known else word for word in arguments], prog_name="transformers")
    except ImportError as error:
        raise MissingToolError(one_line(error)) from error
