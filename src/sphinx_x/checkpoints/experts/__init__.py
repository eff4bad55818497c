"""Visual experts from their own files, recognised by the names of their tensors.

Each file next to this one knows one kind: its names, its sizes, how to recognise it. A new file here is found
automatically.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sphinx_x.checkpoints.experts.base import FORMS, OFFICIAL_PARTS, ExpertFile, OfficialPart
from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.parts import Backbone
from sphinx_x.checkpoints.recognise import read_config
from sphinx_x.checkpoints.weights import WeightFiles
from sphinx_x.errors import CheckpointError

__all__ = ["OFFICIAL_PARTS", "OfficialPart", "expert_model_types", "open_expert", "open_experts"]

COUNTER = ".num_batches_tracked"
"""How the name of a number that batch norms keep for training ends; it changes no result."""

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)


def expert_model_types() -> set[str]:
    """Return the values of `model_type` that the library's config.json of an expert may have."""
    return {name for form in FORMS for name in form.model_types}


@told_in_one_line
def open_expert(path: str | Path, place: int | None = None) -> Backbone:
    """Open a visual expert from its own files, in any of the formats that the README and the docs name.

    Args:
        path: A folder, or a file in one.
        place: Which of a member's places for experts it is for, counted from 1; by default its kind decides.

    Raises:
        CheckpointError: It is not a known expert, or it is more than one.
    """
    source = WeightFiles(path)
    tensors = source.tensors()
    found = [(form, prefix) for form in FORMS for prefix in form.prefixes(tensors)]
    if len(found) == 1:
        form, prefix = found[0]
        known = form.read(ExpertFile(tensors, prefix, _settings(Path(path)), source.name))
        inside = tuple(prefix + part for part in known.inside)

        def ignore(name: str) -> bool:
            return not name.startswith(inside) or name.endswith(COUNTER)

        return Backbone(known.config, source, prefix, ignore, known.rules, place)
    if found:
        several = ", ".join(f"{form.title} at {prefix or 'the top'}" for form, prefix in found)
        raise CheckpointError(f"{path}: more than one visual expert ({several}); give a file that has one")
    titles = ", ".join(sorted({form.title for form in FORMS}))
    raise CheckpointError(f"{path}: not a visual expert that is known ({titles}){_instead(Path(path))}")


def open_experts(given: Iterable[str], fetch: Any = Path) -> list[Backbone]:
    """Open the values of `--expert`: PATH, or NUMBER=PATH for a place; `fetch` turns an address into a path."""
    opened = []
    for text in given:
        part = re.fullmatch(r"(?:([0-9]{1,3})=)?(.+)", text, re.S)
        if part is None:
            raise CheckpointError("--expert: an empty path")
        opened.append(open_expert(fetch(part[2]), int(part[1]) if part[1] else None))
    return opened


def _instead(path: Path) -> str:
    """Return what a folder holds instead of an expert."""
    from sphinx_x.checkpoints.forms import EXPERT, form_of  # `recognise` imports this package

    form = form_of(path) if path.is_dir() and (path / "config.json").is_file() else None
    return f"; it {form.what}" if form and form.kind != EXPERT else ""


def _settings(path: Path) -> dict[str, Any]:
    """Return the settings that timm, open_clip or the library keep next to the weights (a folder, or a file in one)."""
    folder = path if path.is_dir() else path.parent
    found = [folder / name for name in ("open_clip_config.json", "config.json") if (folder / name).is_file()]
    colors = folder / "preprocessor_config.json"
    settings = read_config(found[0]) if found else {}
    theirs = {"pretrained_cfg", "model_cfg"} & settings.keys() or settings.get("model_type") in expert_model_types()
    if path.is_file() and not theirs:
        return {}  # it belongs to something else in the same folder
    return {**read_config(colors), **settings} if found and colors.is_file() else settings
