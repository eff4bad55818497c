"""Faster answers from the verbs that load a model: refusals before torch is imported, and quicker imports."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from sphinx_x.errors import PromptError
from sphinx_x.model.abilities import Abilities


@contextmanager
def imports() -> Iterator[None]:
    """Import without the cyclic garbage collector, which would scan everything that imports create, again and again.

    The collector would take a fifth of the time that torch and Transformers need. What exists at the end is not scanned
    later either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def refuse(model: str, sizes: Sequence[tuple[int, int]]) -> None:
    """Check a first question against what a built-in member or a model folder declares.

    Only the configuration is read. If that fails, the loader will report what is wrong with it.

    Raises:
        PromptError: The member does not take such a question.
    """
    folder = Path(model) if Path(model).is_dir() else Path(str(resources.files("sphinx_x"))) / "weights" / model
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        said, views = Abilities.from_dict(config.get("abilities")), config["views"]
        canvas = int(views["rows"]) * int(views["view_height"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    refusal = said.refusal(sizes, 1, canvas)
    if refusal is not None:
        raise PromptError(refusal)
