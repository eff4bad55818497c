"""How a visual expert is known by the names of its tensors, and what its own file in this package says of it.

Each such file has, for one kind, the rules from other names to ours and the sizes read off the tensors. `form` makes a
way known in which the kind lies on disk, `official` where it lies in a checkpoint of the reference.
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
"""(configuration, what their names begin with, what ours begin with) -> rules."""
HEAD = 64
"""Width of an attention head in every DINOv2, in CLIP's ViT-B and ViT-L and in the Q-Former."""


@dataclass(frozen=True)
class ExpertFile:
    """Tensors of a file, read behind `prefix`; every name that is asked for goes on from there.

    tensors: all of the file, on the meta device; settings: what lies beside the weights (config.json and the like);
    name: how messages call it.
    """

    tensors: Mapping[str, Tensor]
    prefix: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def has(self, name: str) -> bool:
        """Whether there is such a tensor."""
        return self.prefix + name in self.tensors

    def shape(self, name: str, dimensions: int | None = None) -> tuple[int, ...]:
        """A tensor's shape; raises `CheckpointError` where it is missing or has another number of dimensions."""
        return probe.shape(self.tensors, self.prefix + name, dimensions)

    def patch(self, name: str) -> tuple[int, tuple[int, int]]:
        """Channels and (down, across) pixels of a convolution that cuts patches."""
        channels, _, down, across = self.shape(name, 4)
        return channels, (down, across)

    def count(self, name: str) -> int:
        """How many numbered parts follow ("blocks."); raises `CheckpointError` where a number is left out."""
        return probe.count(self.tensors, self.prefix + name)

    def length(self, name: str, axis: int, default: int) -> int:
        """A length of a tensor of the first block; the default where there is no block at all."""
        return self.shape(name)[axis] if self.has(name) else default

    def square(self, name: str, axis: int, more: int = 0) -> tuple[int, int]:
        """Rows and columns of positions that lie along an axis of a tensor behind `more` others."""
        return probe.square(self.shape(name)[axis] - more, self.prefix + name)

    def colors(self, name: str, default: tuple[float, ...], settings: Mapping[str, Any] | None = None) -> Any:
        """A mean or a spread of the three colours, as the settings have it."""
        values = (self.settings if settings is None else settings).get(name) or default
        numbers = tuple(float(value) for value in values)
        if len(numbers) != 3 or not all(0 < number < 10 for number in numbers):
            raise self.refused(f"{values} are no mean or spread of three colours")
        return numbers

    @property
    def model_type(self) -> str:
        """What the library calls it, for messages."""
        return plain(str(self.settings.get("model_type", "model")), 40)

    def refused(self, why: str) -> CheckpointError:
        """The error that says why this file is not read."""
        return CheckpointError(f"{self.name}: {why}")


@dataclass(frozen=True)
class Known:
    """What a file turned out to be. inside: beginnings of the names, behind the prefix, that are the expert's own."""

    config: ExpertConfig
    rules: Rules
    inside: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """A way in which a kind of experts lies on disk.

    title: the expert's name for messages; names: tensors that, all behind one prefix, tell it from every other form;
    model_types: what the library's config.json beside it may say; read: from the file to what it is.
    """

    title: str
    names: tuple[str, ...]
    model_types: tuple[str, ...]
    read: Callable[[ExpertFile], Known]

    def prefixes(self, tensors: Mapping[str, Tensor]) -> Iterator[str]:
        """What its names begin with, everywhere in a file where all of them are."""
        first = self.names[0]
        for name in tensors:
            prefix = name.removesuffix(first)
            begins = name.endswith(first) and (not prefix or prefix.endswith("."))
            if begins and all(prefix + other in tensors for other in self.names):
                yield prefix


@dataclass(frozen=True)
class OfficialPart:
    """Where a kind lies in the reference's checkpoints: what its names begin with, its sizes, its rules."""

    prefix: str
    sizes: Callable[[ExpertFile], ExpertConfig]
    rules: Rules

    def config(self, tensors: Mapping[str, Tensor]) -> ExpertConfig:
        """What the expert is, read off the tensors of a checkpoint."""
        return self.sizes(ExpertFile(tensors, self.prefix))


FORMS: list[Form] = []
OFFICIAL_PARTS: dict[str, OfficialPart] = {}


def form(title: str, *names: str, model_types: tuple[str, ...] = ()) -> Callable[..., Callable[[ExpertFile], Known]]:
    """Decorator: makes a reader known for files that have tensors of these names, see `Form`."""

    def known(read: Callable[[ExpertFile], Known]) -> Callable[[ExpertFile], Known]:
        FORMS.append(Form(title, names, model_types, read))
        return read

    return known


def official(kind: str, prefix: str, sizes: Callable[[ExpertFile], ExpertConfig], rules: Rules) -> None:
    """Makes known where a kind lies in the reference's checkpoints, see `OfficialPart`."""
    OFFICIAL_PARTS[kind] = OfficialPart(prefix, sizes, rules)
