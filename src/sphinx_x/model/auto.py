"""How a model folder names the package that it needs, by the Transformers library's own means.

The library runs the code that `auto_map` names where it is allowed to (`trust_remote_code=True`) and says so where it
is not. What it finds in our folders is one small file, which takes the classes from this package, or says that it is to
be installed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

CODE_FILE = "modeling_sphinx_x.py"
CODE = '''"""A SPHINX-X model: its code is the package sphinx-x (pip install sphinx-x), which this file asks for."""

try:
    from sphinx_x.model.config import SphinxXConfig
    from sphinx_x.model.modeling import SphinxXForConditionalGeneration, SphinxXModel
    from sphinx_x.model.processing import SphinxXImageProcessor, SphinxXProcessor
except ModuleNotFoundError as error:
    if error.name != "sphinx_x":
        raise
    raise ImportError("this is a SPHINX-X model, and its package is missing: pip install sphinx-x") from error

__all__ = [
    "SphinxXConfig",
    "SphinxXForConditionalGeneration",
    "SphinxXImageProcessor",
    "SphinxXModel",
    "SphinxXProcessor",
]
'''


def library_objects() -> list[ModuleType]:
    """The module `transformers`, as every module that has imported it holds it.

    The library executes its own `__init__` a second time (in `processing_utils`), so that whoever imported it before
    holds another object than whoever does after.
    """
    held = [getattr(module, "__dict__", {}).get("transformers") for module in list(sys.modules.values())]
    named = [m for m in [*held, sys.modules["transformers"]] if getattr(m, "__name__", None) == "transformers"]
    return list({id(module): module for module in named if isinstance(module, ModuleType)}.values())


class StaysInItsPackage:
    """Mixed into what the library may find through a folder's code."""

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = None) -> None:
        """Called by the library when it has run `CODE_FILE`, to copy the class's own source into folders from then on:
        ours is not copied."""


class NamesItsPackage(StaysInItsPackage):
    """Mixed into what is saved as JSON: it names `CODE_FILE` as its code and writes that beside itself.

    auto_classes: the library's Auto class -> our class, as `auto_map` wants them.
    """

    auto_classes: dict[str, str] = {}  # noqa: RUF012 (a class default)

    def to_dict(self) -> dict[str, Any]:
        """As the library's, with `auto_map`."""
        named = {auto: f"{Path(CODE_FILE).stem}.{name}" for auto, name in self.auto_classes.items()}
        return {**super().to_dict(), "auto_map": named}  # pyright: ignore[reportAttributeAccessIssue]

    def to_json_file(self, json_file_path: Any, *args: Any, **kwargs: Any) -> None:
        """As the library's, and the code that is named beside it."""
        super().to_json_file(json_file_path, *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        (Path(json_file_path).parent / CODE_FILE).write_text(CODE, encoding="utf-8")
