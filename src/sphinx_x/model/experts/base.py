"""What a visual expert is: one backbone, with its own resolution, its own normalisation and its own token layout.

Small plain modules with plain parameter names. What the mixture asks of an expert: `channels`, and a forward that
turns views of values between 0 and 1 into a global token and a map. An expert is one file of this package: a dataclass
with its fields and a module that `register` makes known under the kind that the dataclass names.

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
    """What the configuration of every expert says.

    kind: the name by which its module is found; height, width: pixels that it wants; channels: of its tokens, or of
    its stages, the last of which gives the tokens; mean, std: of the colours that it wants; resample: how views are
    brought to its size, see `sphinx_x.model.resampling`.
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
        """Channels of its tokens."""
        return self.channels[-1] if isinstance(self.channels, tuple) else self.channels


class Expert(nn.Module):
    """Brings views to the expert's size and colours; a subclass computes `features`. channels: width of its tokens."""

    config_class: type[ExpertConfig]
    """The dataclass that describes it; `register` sets it."""

    def __init__(self, config: ExpertConfig) -> None:
        super().__init__()
        self.channels = config.token_channels
        self.size, self.resample = (config.height, config.width), config.resample
        self.mean, self.std = config.mean, config.std

    def forward(self, pixels_B3HW: Tensor, grid: ViewGrid) -> tuple[Tensor, Tensor]:
        """Views of `grid` with values from 0 to 1 -> global token (B, C), map (B, C, h, w).

        Colours are computed in the precision they come in, the features in that of the weights.
        """
        pixels_B3HW = resample(pixels_B3HW, self.size, self.resample, grid)
        mean = pixels_B3HW.new_tensor(self.mean)[:, None, None]
        std = pixels_B3HW.new_tensor(self.std)[:, None, None]
        dtype = next(p.dtype for p in self.parameters() if p.is_floating_point())
        return self.features(((pixels_B3HW - mean) / std).to(dtype))

    def features(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised views of the expert's own size -> global token (B, C), map (B, C, h, w)."""
        raise NotImplementedError("an expert defines its features")


_KINDS: dict[str, type[Expert]] = {}
AnyExpert = TypeVar("AnyExpert", bound=type[Expert])


def register(config_class: type[ExpertConfig]) -> Callable[[AnyExpert], AnyExpert]:
    """Class decorator: makes a module known as the expert that `config_class` describes.

    Raises:
        ValueError: Another module is known under this kind.
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
    """The module of a kind of experts.

    Raises:
        ValueError: No expert is known under this name; the message has the known ones.
    """
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of visual expert {kind!r}; known: {', '.join(sorted(_KINDS))}")
    return _KINDS[kind]


def read_expert(fields: Mapping[str, Any]) -> ExpertConfig:
    """The configuration that a dictionary of a config.json describes; lists become tuples.

    Raises:
        ValueError: The kind is not known, or a field has a value that it cannot have.
        TypeError: A field is not one of this kind's.
    """
    config_class = find_expert(fields.get("kind")).config_class
    return config_class(**{name: as_tuples(value) for name, value in fields.items()})


def as_tuples(value: Any) -> Any:
    """Lists, and lists in them, as tuples: JSON knows no tuples, and configurations are compared."""
    return tuple(as_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value


def build_expert(config: ExpertConfig) -> Expert:
    """The expert that a configuration describes, with fresh weights."""
    return find_expert(config.kind)(config)
