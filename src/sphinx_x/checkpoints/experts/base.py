"""How a visual expert is recognised by its tensors' names, and what its own file in this package provides.

For one kind, each such file has the rules from other names to ours, and infers the sizes from the tensors. `form`
registers a format of the kind's files, `official` its place in the reference's checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from sphinx_x.checkpoints import probe
from sphinx_x.checkpoints.rules import Rule
from sphinx_x.errors import CheckpointError, plain
from sphinx_x.model.experts import ExpertConfig

Rules = Callable[[Any, str, str], list[Rule]]
"""Makes rules from a configuration, the prefix of their names and the prefix of ours."""
HEAD = 64
"""Width of an attention head in every DINOv2, in CLIP's ViT-B and ViT-L and in the Q-Former."""


@dataclass(frozen=True)
class ExpertFile:
    """The tensors of a file under `prefix`, which every name that is asked for continues.

    Attributes:
        tensors: All tensors of the file, on the meta device.
        prefix: The beginning of the expert's names.
        settings: The settings next to the weights (config.json and the like).
        name: How messages refer to it.
    """

    tensors: Mapping[str, Tensor]
    prefix: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def has(self, name: str) -> bool:
        """Return whether there is such a tensor."""
        return self.prefix + name in self.tensors

    def shape(self, name: str, dimensions: int | None = None) -> tuple[int, ...]:
        """Return a tensor's shape; raise `CheckpointError` if it is missing or has another number of dimensions."""
        return probe.shape(self.tensors, self.prefix + name, dimensions)

    def patch(self, name: str) -> tuple[int, tuple[int, int]]:
        """Return the output channels and the (vertical, horizontal) patch size of a patch convolution."""
        channels, _, down, across = self.shape(name, 4)
        return channels, (down, across)

    def count(self, name: str) -> int:
        """Return how many numbered parts follow ("blocks."); raise `CheckpointError` if a number is missing."""
        return probe.count(self.tensors, self.prefix + name)

    def length(self, name: str, axis: int, default: int) -> int:
        """Return the length of an axis of a tensor of the first block, or the default if there are no blocks."""
        return self.shape(name)[axis] if self.has(name) else default

    def square(self, name: str, axis: int, more: int = 0) -> tuple[int, int]:
        """Return the rows and columns of the positions along an axis of a tensor, after `more` other entries."""
        return probe.square(self.shape(name)[axis] - more, self.prefix + name)

    def colors(self, name: str, default: tuple[float, ...], settings: Mapping[str, Any] | None = None) -> Any:
        """Return a mean or a standard deviation of the three colours from the settings."""
        values = (self.settings if settings is None else settings).get(name) or default
        numbers = tuple(float(value) for value in values)
        if len(numbers) != 3 or not all(0 < number < 10 for number in numbers):
            raise self.refused(f"{values} are no mean or spread of three colours")
        return numbers

    @property
    def model_type(self) -> str:
        """The library's name for it, for messages."""
        return plain(str(self.settings.get("model_type", "model")), 40)

    def refused(self, why: str) -> CheckpointError:
        """Return the error that says why this file is refused."""
        return CheckpointError(f"{self.name}: {why}")


@dataclass(frozen=True)
class Known:
    """A recognised expert file.

    Attributes:
        config: The expert's configuration.
        rules: The rules from its names to ours.
        inside: Prefixes, after that of the file, of the names that belong to the expert.
    """

    config: ExpertConfig
    rules: Rules
    inside: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """A format of the files of a kind of expert.

    Attributes:
        title: The expert's name in messages.
        names: Names of tensors that, all under one prefix, distinguish it from every other format.
        model_types: Values that `model_type` may have in the library's config.json.
        read: Recognises the file.
    """

    title: str
    names: tuple[str, ...]
    model_types: tuple[str, ...]
    read: Callable[[ExpertFile], Known]

    def prefixes(self, tensors: Mapping[str, Tensor]) -> Iterator[str]:
        """Yield the prefixes under which all of its names occur in a file."""
        first = self.names[0]
        for name in tensors:
            prefix = name.removesuffix(first)
            begins = name.endswith(first) and (not prefix or prefix.endswith("."))
            if begins and all(prefix + other in tensors for other in self.names):
                yield prefix


@dataclass(frozen=True)
class OfficialPart:
    """The place of a kind in the reference's checkpoints.

    Attributes:
        prefix: The beginning of its names.
        sizes: Infers its configuration.
        rules: The rules from its names to ours.
    """

    prefix: str
    sizes: Callable[[ExpertFile], ExpertConfig]
    rules: Rules

    def config(self, tensors: Mapping[str, Tensor]) -> ExpertConfig:
        """Return the expert's configuration, inferred from the tensors of a checkpoint."""
        return self.sizes(ExpertFile(tensors, self.prefix))


FORMS: list[Form] = []
OFFICIAL_PARTS: dict[str, OfficialPart] = {}


def form(title: str, *names: str, model_types: tuple[str, ...] = ()) -> Callable[..., Callable[[ExpertFile], Known]]:
    """Decorator that registers a reader for files with tensors of these names, see `Form`."""

    def known(read: Callable[[ExpertFile], Known]) -> Callable[[ExpertFile], Known]:
        FORMS.append(Form(title, names, model_types, read))
        return read

    return known


def official(kind: str, prefix: str, sizes: Callable[[ExpertFile], ExpertConfig], rules: Rules) -> None:
    """Register the place of a kind in the reference's checkpoints, see `OfficialPart`."""
    OFFICIAL_PARTS[kind] = OfficialPart(prefix, sizes, rules)
