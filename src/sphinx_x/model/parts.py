"""Parts of a model by name: `experts`, `projector`, `lines`, `language_model`, `align`, or a pattern for full names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from torch import nn

from sphinx_x.errors import RecipeError

PARTS = {
    "experts": ("model.model.vision.groups.*.experts.*",),
    "projector": ("model.model.vision.groups.*.projector.*",),
    "lines": ("model.model.line_places.*",),
    "language_model": ("model.model.language_model.*", "model.lm_head.*"),
    "align": ("align.*",),
}


def in_part(part: str, name: str) -> bool:
    """Return whether a parameter with this full name belongs to a part."""
    return any(fnmatchcase(name, pattern) for pattern in PARTS.get(part, (part,)))


def freeze(module: nn.Module, parts: Iterable[str]) -> None:
    """Exclude parts from training.

    Raises:
        RecipeError: A part has no parameters, or none are left.
    """
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for part in parts:
        found = [parameter for name, parameter in parameters.items() if in_part(part, name)]
        if not found:
            raise RecipeError(f"freeze: no parameter is named {part}")
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise RecipeError("freeze: nothing is left to be trained")


def whole_modules(model: nn.Module, parts: Iterable[str]) -> list[str]:
    """Return the paths of the modules that hold the parameters of parts which are trained whole beside adapters.

    Raises:
        RecipeError: A part has no parameters, or some of the language model's, which gets the adapters.
    """
    modules: dict[str, None] = {}
    for part in parts:
        found = [name for name, _ in model.named_parameters() if in_part(part, f"model.{name}")]
        if not found:
            raise RecipeError(f"lora.whole: no parameter is named {part}")
        below = next((name for name in found if in_part("language_model", f"model.{name}")), None)
        if below is not None:
            raise RecipeError(f"lora.whole: {part}: {below} is the language model's, which gets adapters")
        modules |= dict.fromkeys(name.rpartition(".")[0] for name in found)
    return list(modules)


def rates_of(names: Iterable[str], rates: Mapping[str, float]) -> dict[str, float]:
    """Return the learning rate factor of each parameter: that of the last part that it is in, or 1.

    Raises:
        RecipeError: A part has no trainable parameters.
    """
    factors = dict.fromkeys(names, 1.0)
    for part, factor in rates.items():
        found = [name for name in factors if in_part(part, name)]
        if not found:
            raise RecipeError(f"lr_multipliers: no parameter that is trained is named {part}")
        factors.update(dict.fromkeys(found, factor))
    return factors
