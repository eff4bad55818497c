"""Linear layers in bfloat16 on a CPU: the same bits as PyTorch's own, sooner.

The units that multiply bfloat16 want weights in an order of their own. PyTorch's linear layer puts them in this order
again for every product, or reads them slowly; `PackedLinear` does it once, and multiplies what has the same input
(queries, keys and values; gate and up) at once. Where a processor multiplies a single row faster as a vector,
`OneRowLinear` does so. Which is the case depends on processor and size, so both are tried. It pays
for language models, which multiply single rows for most of the time; visual experts gain less than noise.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.work.memory import available, give_back

SAME_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Names of layers of a module that are called one after another, with the same tensor."""
WAITING = "_sphinx_waiting"
"""The attribute of an input tensor that holds what was computed of it and not asked for yet."""
PROBES = (1, 2, 64)
"""Numbers of rows with which packed weights have to give the same bits."""
SINGLE = 8
"""Single rows that have to give the same bits as vectors."""
AT_ONCE = 1 << 28
"""Bytes of packed weights whose mapped pages are given back together."""
READ = 1 << 26
"""Bytes of weights that are read when ways are timed: more than most processors keep."""
COPIES = 100
"""The most weights that are read then: small layers are kept in any case."""
TURNS = 5
"""How often each way is timed."""
CLEARLY = 1.1
"""How many times as fast another way has to be than packed weights."""


def multiplies_bfloat16(device: str) -> bool:
    """Return whether a device has instructions for products of bfloat16, with which it is faster than in float32."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    known = torch.cpu.get_capabilities() if kind == "cpu" else {}
    return any(known.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))


STATE = ("joint", "number", "version")
"""What a packed layer has besides its weights."""


class OneRowLinear(nn.Linear):
    """A linear layer without bias that multiplies a single row as a vector."""

    def forward(self, input: Tensor) -> Tensor:
        """See the base class."""
        if input.numel() != self.in_features:
            return super().forward(input)
        return torch.mv(self.weight, input.flatten()).view(*input.shape[:-1], self.out_features)


class Joint:
    """The packed weights of several layers that have the same input, which is multiplied with all of them at once.

    What the other layers will be asked for stays with the input tensor, so that threads do not meet, and is given once.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.packed = _mkldnn()._reorder_linear_weight(torch.cat(list(weights)), 1)
        self.sizes = [len(weight) for weight in weights]

    def part(self, input: Tensor, number: int) -> Tensor:
        """Return the product of an input with the weights of one layer."""
        version = None if input.is_inference() else input._version
        joint, then, parts = getattr(input, WAITING, (None, None, {}))
        if joint is not self or then != version or number not in parts:
            parts = dict(enumerate(_product(input, self.packed, None).split(self.sizes, -1)))
            setattr(input, WAITING, (self, version, parts))
        found = parts.pop(number)
        if not parts:
            delattr(input, WAITING)
        return found


class PackedLinear(nn.Linear):
    """A linear layer with a second copy of its weights, in the order of the processor's matrix units.

    Layers with the same input can share one such copy.

    The plain weights stay for `state_dict` and for gradients, which are computed with them. Whoever asks for `weight`
    may be about to change it, so from then on the layer is a plain one, as it is when it moves or changes its type.
    Weights that are changed in place by other ways (`load_state_dict`, an optimizer) are noticed, and used.
    """

    joint: Joint | None = None
    number = 0
    version = -1

    @staticmethod
    @torch.no_grad()
    def pack(layers: Sequence[PackedLinear]) -> None:
        """Put the weights of layers with the same input in order for single rows, which suits any number."""
        joint = Joint([layer._plain() for layer in layers])
        for number, layer in enumerate(layers):
            layer.joint, layer.number, layer.version = joint, number, layer._plain()._version

    def unpack(self) -> None:
        """Become a plain linear layer again."""
        for name in STATE:
            self.__dict__.pop(name, None)
        self.__class__ = nn.Linear  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, input: Tensor) -> Tensor:
        """See the base class."""
        weight, bias = self._plain(), self._parameters["bias"]
        tracked = torch.is_grad_enabled() and (input.requires_grad or weight.requires_grad)
        joint = None if tracked or weight._version != self.version else self.joint
        if joint is None or input.dtype != weight.dtype or not input.numel():
            return F.linear(input, weight, bias)
        if len(joint.sizes) == 1:
            return _product(input, joint.packed, bias)
        return joint.part(input, self.number)

    def _plain(self) -> Tensor:
        weight = self._parameters["weight"]
        assert weight is not None
        return weight

    def __getattr__(self, name: str) -> Any:
        if name == "weight":
            self.unpack()
        return nn.Module.__getattr__(self, name)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Called by `to`, `half`, `cuda` and their like."""
        self.unpack()
        return nn.Module._apply(self, fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        """Copies are plain: PyTorch can neither copy nor store what was packed."""
        return {name: value for name, value in self.__dict__.items() if name not in STATE}


@functools.cache
def _mkldnn() -> Any:
    """Return PyTorch's operators of oneDNN for weights that are packed; None where it has none for bfloat16."""
    found = torch.ops.mkldnn
    names = ("_is_mkldnn_bf16_supported", "_reorder_linear_weight", "_linear_pointwise")
    return found if all(hasattr(found, name) for name in names) and found._is_mkldnn_bf16_supported() else None


@torch.no_grad()
def speed_up(modules: Iterable[nn.Module], untouched: bool) -> list[PackedLinear]:
    """Make `PackedLinear` or `OneRowLinear` of plain layers in bfloat16 on the CPU, where the bits are the same.

    One layer of each size is tried. Without a bias, as in language models, the way is taken that is fastest for a
    single row: a CPU that writes an answer multiplies little else. Packed weights are faster for many rows as well, so
    another way has to be clearly faster. Where memory is short, nothing is packed.

    Args:
        modules: Where to look for layers.
        untouched: Weights that are mapped from a file are what the file has, so that their pages can be given back
            once they are packed.

    Returns:
        The layers that are packed.
    """
    groups = _groups(modules)
    layers = [layer for group in groups for layer in group]
    packs = _mkldnn() is not None and sum(layer.weight.nbytes for layer in layers) <= available()
    chosen: dict[tuple[torch.Size, bool], type[nn.Linear]] = {}
    joins: dict[tuple[torch.Size, ...], bool] = {}
    packed: list[PackedLinear] = []
    read: list[Tensor] = []
    for group in groups:
        weights = [layer.weight for layer in group]
        for layer in group:
            kind = (layer.weight.shape, layer.bias is not None)
            if kind not in chosen:
                chosen[kind] = _best_way(layer.weight, layer.bias, packs)
            layer.__class__ = chosen[kind]
        found = [layer for layer in group if isinstance(layer, PackedLinear)]
        kinds = tuple(weight.shape for weight in weights)
        if kinds not in joins:
            joins[kinds] = len(found) == len(group) and _joins(weights, any(layer.bias is not None for layer in group))
        for joined in [found] if joins[kinds] else [[layer] for layer in found]:
            PackedLinear.pack(joined)
        packed += found
        read += [layer._plain() for layer in found]
        if untouched and (group is groups[-1] or sum(weight.nbytes for weight in read) > AT_ONCE):
            give_back(read)
            read.clear()
    return packed


def _groups(modules: Iterable[nn.Module]) -> list[list[nn.Linear]]:
    """Return the plain linear layers in bfloat16 on the CPU, each once, those of `SAME_INPUT` in one list.

    Those that are moved about are left out.
    """
    parts = list(dict.fromkeys(part for module in modules for part in module.modules()))
    plain = [part for part in parts if type(part) is nn.Linear and _can_change(part)]
    first_of: dict[nn.Module, nn.Module] = {layer: layer for layer in plain}
    for part in parts:
        for names in SAME_INPUT:
            found = (part._modules.get(name) for name in names)
            group = [layer for layer in found if layer is not None and layer in first_of]
            if len(group) == len(names):
                first_of |= dict.fromkeys(group, group[0])
    groups: dict[nn.Module, list[nn.Linear]] = {}
    for layer in plain:
        groups.setdefault(first_of[layer], []).append(layer)
    return list(groups.values())


def _can_change(layer: nn.Linear) -> bool:
    weight = layer.weight
    on_cpu = weight.dtype == torch.bfloat16 and weight.device.type == "cpu"
    return on_cpu and not weight.is_inference() and not hasattr(layer, "_hf_hook")


def _joins(weights: Sequence[Tensor], biased: bool) -> bool:
    """Return whether layers can be packed together: their products have the same bits as each alone."""
    if len(weights) < 2 or biased or len({weight.shape[1] for weight in weights}) > 1:
        return False
    joint, alone = Joint(weights), [Joint([weight]).packed for weight in weights]
    for count in PROBES:
        rows = _rows(count, weights[0].shape[1])
        if not all(torch.equal(joint.part(rows, k), _product(rows, packed, None)) for k, packed in enumerate(alone)):
            return False
    return True


def _best_way(weight: Tensor, bias: Tensor | None, packs: bool) -> type[nn.Linear]:
    rows = [_rows(count, weight.shape[1]) for count in PROBES]
    plain = [F.linear(row, weight, bias) for row in rows]
    ways: list[type[nn.Linear]] = [nn.Linear]
    if packs:
        packed = Joint([weight]).packed
        if all(torch.equal(_product(row, packed, bias), right) for row, right in zip(rows, plain, strict=True)):
            ways.append(PackedLinear)
    if bias is not None:
        return ways[-1]
    single = [_rows(1, weight.shape[1], seed) for seed in range(SINGLE)]
    if all(torch.equal(torch.mv(weight, row[0]), F.linear(row, weight)[0]) for row in single):
        ways.append(OneRowLinear)
    if len(ways) == 1:
        return nn.Linear
    seconds = {way: _seconds_of_a_row(weight.shape)[way] for way in ways}
    if PackedLinear in ways:
        seconds[PackedLinear] /= CLEARLY
    return min(ways, key=seconds.__getitem__)


@functools.cache
def _seconds_of_a_row(size: torch.Size) -> dict[type[nn.Linear], float]:
    """Return how long each way takes for a single row, with weights that the processor has not kept."""
    copies = min(max(READ // (2 * size.numel()), 1), COPIES)
    weights = [torch.ones(size, dtype=torch.bfloat16) for _ in range(copies)]
    row = _rows(1, size[1])
    works: dict[type[nn.Linear], Callable[[], object]] = {
        nn.Linear: lambda: [F.linear(row, weight) for weight in weights],
        OneRowLinear: lambda: [torch.mv(weight, row[0]) for weight in weights],
    }
    if _mkldnn() is not None:
        packed = [_mkldnn()._reorder_linear_weight(weight, 1) for weight in weights]
        works[PackedLinear] = lambda: [_product(row, weight, None) for weight in packed]
    found: dict[type[nn.Linear], list[float]] = {way: [] for way in works}
    for _ in range(TURNS):
        for way, work in works.items():
            began = time.perf_counter()
            work()
            found[way].append(time.perf_counter() - began)
    return {way: statistics.median(seconds) for way, seconds in found.items()}


def _product(rows: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    return _mkldnn()._linear_pointwise.default(rows, packed, bias, "none", [], "")


def _rows(count: int, inputs: int, seed: int = 0) -> Tensor:
    return torch.randn(count, inputs, generator=torch.Generator().manual_seed(seed)).bfloat16()
