"""How a model folder names the package that it needs, through the mechanism of the Transformers library.

The library runs the code that `auto_map` names if that is allowed (`trust_remote_code=True`), and says so if it is not.
In our folders it finds one small file, which imports the classes from this package or says that the package must be
installed.
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
    """Return the module `transformers` in every version that some module has imported.

    The library executes its own `__init__` a second time (in `processing_utils`), so modules that imported it before
    hold another object than those that import it later.
    """
    held = [getattr(module, "__dict__", {}).get("transformers") for module in list(sys.modules.values())]
    named = [m for m in [*held, sys.modules["transformers"]] if getattr(m, "__name__", None) == "transformers"]
    return list({id(module): module for module in named if isinstance(module, ModuleType)}.values())


class StaysInItsPackage:
    """Mixin for classes that the library may find through a folder's code."""

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = None) -> None:
        """Do nothing where the library, having run `CODE_FILE`, would copy the class's source into saved folders."""


class NamesItsPackage(StaysInItsPackage):
    """Mixin for objects saved as JSON: they name `CODE_FILE` as their code and write it next to themselves.

    Attributes:
        auto_classes: Maps the library's Auto class to ours, in the form of `auto_map`.
    """

    auto_classes: dict[str, str] = {}  # noqa: RUF012 (a class default)

    def to_dict(self) -> dict[str, Any]:
        """Return the library's dictionary, with `auto_map`."""
        named = {auto: f"{Path(CODE_FILE).stem}.{name}" for auto, name in self.auto_classes.items()}
        return {**super().to_dict(), "auto_map": named}  # pyright: ignore[reportAttributeAccessIssue]

    def to_json_file(self, json_file_path: Any, *args: Any, **kwargs: Any) -> None:
        """Write the library's file, and the code that it names next to it."""
        super().to_json_file(json_file_path, *args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        (Path(json_file_path).parent / CODE_FILE).write_text(CODE, encoding="utf-8")
