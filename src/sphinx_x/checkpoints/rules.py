"""Which tensors of another format become which of ours, and how: in both directions, bit for bit.

A rule turns a few tensors into a few others; its inverse restores the former. A format is a list of rules: import,
export and the check that nothing is missing or left over all follow from it. Our names are those on disk (the library
stores Mixtral's experts one by one and joins them when it loads them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sphinx_x.errors import CheckpointError

Tensors = tuple[Tensor, ...]
LLM = "model.language_model."
VISION = "model.vision.groups."


class Source(Protocol):
    """Named tensors that are read one at a time."""

    name: str
    """How messages refer to it."""

    def tensors(self) -> Mapping[str, Tensor]:
        """Return every tensor's shape and type, as a tensor on the meta device."""
        ...

    def read(self, name: str) -> Tensor:
        """Return one tensor."""
        ...


def _same(*tensors: Tensor) -> Tensors:
    return tensors


@dataclass(frozen=True)
class Rule:
    """`forward` makes the targets from the sources, `backward` the sources from the targets; both must work on meta."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    forward: Callable[..., Tensors] = _same
    backward: Callable[..., Tensors] = _same


def plan(rules: Iterable[Rule], source: Source, ignore: Callable[[str], bool]) -> dict[str, Tensor]:
    """Return what the rules make, on the meta device, in order.

    Raises:
        CheckpointError: Tensors are missing, or no rule reads them and `ignore` does not name them; the message names
            the first.
    """
    found, targets, read = source.tensors(), {}, set()
    rules = list(rules)
    missing = [name for rule in rules for name in rule.sources if name not in found]
    if missing:
        raise CheckpointError(f"{source.name}: {_named(missing)} missing")
    for rule in rules:
        wrong = next((name for name in rule.sources if not found[name].dtype.is_floating_point), None)
        if wrong:
            raise CheckpointError(f"{source.name}: {wrong} has {found[wrong].dtype} numbers, not floating ones")
        try:
            made = rule.forward(*(found[name] for name in rule.sources))
        except (RuntimeError, ValueError, IndexError) as error:
            shapes = ", ".join(f"{name} {tuple(found[name].shape)}" for name in rule.sources)
            raise CheckpointError(f"{source.name}: wrong shape of {shapes}") from error
        if len(made) != len(rule.targets):
            raise CheckpointError(f"{source.name}: wrong shape of {rule.sources[0]}")
        targets.update(zip(rule.targets, made, strict=True))
        read.update(rule.sources)
    extra = [name for name in found if name not in read and not ignore(name)]
    if extra:
        raise CheckpointError(f"{source.name}: {_named(extra)} not part of this model")
    return targets


def convert(rules: Iterable[Rule], read: Callable[[str], Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the targets of all rules in order, reading each rule's sources when it is its turn."""
    for rule in rules:
        yield from zip(rule.targets, rule.forward(*map(read, rule.sources)), strict=True)


def inverse(rules: Iterable[Rule]) -> list[Rule]:
    """Return the rules of the way back."""
    return [Rule(rule.targets, rule.sources, rule.backward, rule.forward) for rule in rules]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"tensor{'s' if len(names) > 1 else ''} {', '.join(names[:3])}{more}"


def renames(pairs: Mapping[str, str], source: str, target: str) -> list[Rule]:
    """Return rules for tensors that only get another name; the prefixes are added to every name."""
    return [Rule((source + old,), (target + new,)) for old, new in pairs.items()]


def weight_and_bias(old: str, new: str) -> dict[str, str]:
    """Return the names of a layer's weight and bias."""
    return {f"{old}.{kind}": f"{new}.{kind}" for kind in ("weight", "bias")}


def weights_and_biases(layers: Mapping[str, str]) -> dict[str, str]:
    """Return `weight_and_bias` of many layers."""
    return {old: new for pair in layers.items() for old, new in weight_and_bias(*pair).items()}


def numbered(count: int, old: str, new: str, layers: Mapping[str, str]) -> dict[str, str]:
    """Return `weights_and_biases` of the layers in `count` blocks, whose names begin with `old`, ours with `new`."""
    return {
        name: ours
        for k in range(count)
        for name, ours in weights_and_biases({f"{old}{k}.{a}": f"{new}{k}.{b}" for a, b in layers.items()}).items()
    }


def joined(sources: tuple[str, ...], target: str, shares: tuple[int, ...] = ()) -> Rule:
    """Return a rule that concatenates tensors by rows, all of equal height or with these shares of it."""

    def join(*parts: Tensor) -> Tensors:
        return (torch.cat(parts),)

    parts = shares or (1,) * len(sources)

    def cut(whole: Tensor) -> Tensors:
        return whole.split([len(whole) * share // sum(parts) for share in parts])

    return Rule(sources, (target,), join, cut)


def reshaped(source: str, target: str, old: tuple[int, ...], new: tuple[int, ...]) -> Rule:
    """Return a rule for the same numbers in another shape (-1 as in PyTorch)."""
    return Rule((source,), (target,), lambda x: (x.reshape(new),), lambda x: (x.reshape(old),))
