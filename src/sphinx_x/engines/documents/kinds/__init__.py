"""Kinds of documents: one small module each, found by itself. A module declares its kind in `KIND`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sphinx_x.engines.documents.faces import Faces
from sphinx_x.engines.documents.sheet import Drawing
from sphinx_x.errors import DataError


@dataclass(frozen=True)
class Kind:
    """A kind of document.

    Attributes:
        name: Its name.
        draw: Draws a random one of it.
        share: How often it is made by default, relative to the others.
    """

    name: str
    draw: Callable[[random.Random, Faces], Drawing]
    share: float = 1.0


@functools.cache
def all_kinds() -> dict[str, Kind]:
    """Return all kinds by name, in the order of their names."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    kinds = [importlib.import_module(f"{__name__}.{module}").KIND for module in modules]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)}


def kinds_named(names: Sequence[str]) -> list[Kind]:
    """Return kinds by their names, all of them for no name.

    Raises:
        DataError: There is no such kind.
    """
    known = all_kinds()
    for name in names:
        if name not in known:
            raise DataError(f"{name}: no such kind of document, but {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] if names else list(known.values())
