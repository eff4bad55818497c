"""What makes the verbs that load a model answer sooner: refusals before torch is imported, and imports in a hurry."""

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
    """Imports without the collector of cyclic garbage, which would look through all that they make, again and again.

    A fifth of the time that torch and Transformers take. What is there at the end is not looked through later either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def refuse(model: str, sizes: Sequence[tuple[int, int]]) -> None:
    """Raises `PromptError` where a built-in member or a model folder says that it takes no such first question.

    Only the configuration is read. What cannot be read is left to the loader, which says what is wrong with it.
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
