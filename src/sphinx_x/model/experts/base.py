"""The interface of a visual expert: one backbone with its own resolution, normalisation and token layout.

Experts are small plain modules with plain parameter names. The mixture needs two things of them: `channels`, and a
forward pass that turns views with values from 0 to 1 into a global token and a map. Each expert is one file of this
package, with a dataclass for its fields and a module that `register` makes known under the dataclass's kind.

Shapes: B views, C channels, H x W pixels, h x w positions of the map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

from sphinx_x.model.resampling import CLIP_MEAN, CLIP_STD, RESAMPLING, resample
from sphinx_x.model.views import ViewGrid


@dataclass(frozen=True)
class ExpertConfig:
    """The fields that all experts' configurations share.

    Attributes:
        kind: The name under which its module is registered.
        height: Input height in pixels.
        width: Input width in pixels.
        channels: Channels of its tokens, or of its stages, of which the last gives the tokens.
        mean: Mean of the colours it was trained on, from 0 to 1.
        std: Standard deviation of these colours.
        resample: How views are resized for it, see `sphinx_x.model.resampling`.
    """

    kind: str = ""
    height: int = 224
    width: int = 224
    channels: int | tuple[int, ...] = 0
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    resample: str = "antialias"

    def __post_init__(self) -> None:
        if self.resample not in RESAMPLING:
            raise ValueError(f"resample must be one of {RESAMPLING}, not {self.resample!r}")

    @property
    def token_channels(self) -> int:
        """Number of channels of its tokens."""
        return self.channels[-1] if isinstance(self.channels, tuple) else self.channels


class Expert(nn.Module):
    """Base class that resizes and normalises views; a subclass computes `features`.

    Attributes:
        channels: Width of its tokens.
    """

    config_class: type[ExpertConfig]
    """The dataclass that describes it, set by `register`."""

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self.channels = config.token_channels
        self.size, self.resample = (config.height, config.width), config.resample
        self.mean, self.std = config.mean, config.std

    def forward(self, pixels_B3HW: Tensor, grid: ViewGrid) -> tuple[Tensor, Tensor]:
        """Compute the features of views.

        Colours are normalised in the precision of the input, the features are computed in that of the weights.

        Args:
            pixels_B3HW: Views of `grid`, with values from 0 to 1.
            grid: The model's views.

        Returns:
            The global token (B, C) and the map (B, C, h, w).
        """
        pixels_B3HW = resample(pixels_B3HW, self.size, self.resample, grid)
        mean = pixels_B3HW.new_tensor(self.mean)[:, None, None]
        std = pixels_B3HW.new_tensor(self.std)[:, None, None]
        dtype = next(p.dtype for p in self.parameters() if p.is_floating_point())
        return self.features(((pixels_B3HW - mean) / std).to(dtype))

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised views of the expert's own size to the global token (B, C) and the map (B, C, h, w)."""
        raise NotImplementedError("an expert defines its features")


_KINDS: dict[str, type[Expert]] = {}
AnyExpert = TypeVar("AnyExpert", bound=type[Expert])


def register(config_class: type[ExpertConfig]) -> Callable[[AnyExpert], AnyExpert]:
    """Class decorator that registers a module as the expert described by `config_class`.

    Raises:
        ValueError: Another module is registered under this kind.
    """

    def known(expert: AnyExpert) -> AnyExpert:
        kind = config_class.kind
        if not kind or kind in _KINDS:
            raise ValueError(f"{expert.__name__} needs a kind of its own, not {kind!r}")
        expert.config_class = config_class
        _KINDS[kind] = expert
        return expert

    return known


def find_expert(kind: Any) -> type[Expert]:
    """Return the module of a kind of expert.

    Raises:
        ValueError: No expert is registered under this name; the message lists the known ones.
    """
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of visual expert {kind!r}; known: {', '.join(sorted(_KINDS))}")
    return _KINDS[kind]


def read_expert(fields: Mapping[str, Any]) -> ExpertConfig:
    """Return the configuration that a dictionary of a config.json describes; lists become tuples.

    Raises:
        ValueError: The kind is unknown, or a field has an invalid value.
        TypeError: This kind has no such field.
    """
    config_class = find_expert(fields.get("kind")).config_class
    return config_class(**{name: as_tuples(value) for name, value in fields.items()})


def as_tuples(value: Any) -> Any:
    """Convert nested lists to tuples: JSON has no tuples, and configurations are compared."""
    return tuple(as_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value


def build_expert(config: ExpertConfig) -> Expert:
    """Build the expert that a configuration describes, with fresh weights."""
    return find_expert(config.kind)(config)
