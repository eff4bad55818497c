"""Options of an answer: those of the library's `generate`, and `stop` and `seed`, which it lacks or has otherwise."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sphinx_x.errors import PromptError


@dataclass(frozen=True)
class Options:
    """Options of an answer.

    Attributes:
        library: What goes to `generate`.
        stops: Texts before the first of which an answer ends.
        seed: Seed of the random choices; None for the global generator, and where nothing is random.
    """

    library: dict[str, Any]
    stops: tuple[str, ...] = ()
    seed: int | None = None


def read_options(given: Mapping[str, Any]) -> Options:
    """Return the options of a call.

    A temperature above 0, or a `top_p` below 1, means that tokens are drawn; a temperature of 0 means that they are
    not.

    Raises:
        PromptError: A value is none that the option can have, or two contradict each other.
    """
    library = dict(given)
    stops, seed = _stops(library.pop("stop", None)), _seed(library.pop("seed", None))
    temperature = _number(library, "temperature", 0, sys.float_info.max)
    top_p = _number(library, "top_p", 0, 1)
    if temperature == 0:
        if library.get("do_sample"):
            raise PromptError("temperature: 0 always takes the most probable token, which do_sample=True contradicts")
        library.update(do_sample=False)
        library.pop("temperature")
        library.pop("top_p", None)
    elif temperature is not None or (top_p is not None and top_p < 1):
        if library.get("do_sample") is False:
            name = "top_p" if temperature is None else "temperature"
            raise PromptError(f"{name}: do_sample=False always takes the most probable token")
        library.setdefault("do_sample", True)
    if seed is not None and _beams(library) > 1:
        raise PromptError("seed: beams have no generator of their own; leave out num_beams or seed")
    drawn = library.get("do_sample", getattr(library.get("generation_config"), "do_sample", False))
    return Options(library, stops, seed if drawn else None)  # what is not drawn needs no seed


def cut(text: str, stops: Sequence[str]) -> str:
    """Return a text up to the first of the stop texts."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]


def _beams(library: Mapping[str, Any]) -> int:
    return library.get("num_beams") or getattr(library.get("generation_config"), "num_beams", None) or 1


def _stops(given: Any) -> tuple[str, ...]:
    stops = (given,) if isinstance(given, str) else () if given is None else given
    if not isinstance(stops, list | tuple) or not all(isinstance(stop, str) and stop for stop in stops):
        raise PromptError("stop: must be a text or a list of texts, none of them empty")
    return tuple(stops)


def _seed(given: Any) -> int | None:
    if given is not None and (type(given) is not int or not 0 <= given < 2**63):
        raise PromptError(f"seed: must be a whole number from 0 on, not {given!r}")
    return given


def _number(library: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    """Return an option that is a number from `low` to `high`; only a temperature may be `low` itself."""
    value: Any = library.get(name)
    if value is None:
        return None
    # NaN is neither
    if type(value) not in (int, float) or not (low < value <= high or (value == low and name == "temperature")):
        wanted = "from 0 on" if name == "temperature" else f"above {low} and at most {high}"
        raise PromptError(f"{name}: must be a number {wanted}, not {value!r}")
    return value
