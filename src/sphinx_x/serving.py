"""SPHINX-X inside other servers: vLLM's plug-in, and the Transformers library's own command line."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sphinx_x.errors import MissingToolError, one_line


def register() -> None:
    """Makes the Transformers library and what is built on it know the family; harmless when called again.

    vLLM calls it in every one of its processes (entry point `vllm.general_plugins`) and then serves a model folder
    with its Transformers backend.
    """
    from sphinx_x.model import modeling, processing  # noqa: F401 (registers the processor)

    modeling.register()
    if torch.cpu._is_amx_tile_supported():
        torch.cpu._init_amx()  # vLLM's attention on a CPU uses the matrix unit without asking the system for it


def transformers_cli(arguments: Sequence[str]) -> None:
    """The library's `transformers` command (`serve`, `chat`, ...), which knows the family; built-in names are folders.

    Raises `MissingToolError` where the library lacks what a command needs.
    """
    from sphinx_x.inference import BUILT_IN, built_in_models

    register()
    known = built_in_models()
    try:
        from transformers.cli.transformers import app

        app([str(BUILT_IN / word) if word in known else word for word in arguments], prog_name="transformers")
    except ImportError as error:
        raise MissingToolError(one_line(error)) from error
