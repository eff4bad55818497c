"""Linear layers in bfloat16 on a CPU: the same bits as PyTorch's own, sooner.

The units that multiply bfloat16 want weights in an order of their own. PyTorch's linear layer puts them in this order
again for every product, or reads them slowly; `PackedLinear` does it once. Where a processor multiplies a single row
faster as a vector, `OneRowLinear` does so. Which is the case depends on processor and size, so both are tried. It pays
for language models, which multiply single rows for most of the time; visual experts gain less than noise.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.work.memory import available, give_back

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


class OneRowLinear(nn.Linear):
    """A linear layer without bias that multiplies a single row as a vector."""

    def forward(self, input: Tensor) -> Tensor:
        """See the base class."""
        if input.numel() != self.in_features:
            return super().forward(input)
        return torch.mv(self.weight, input.flatten()).view(*input.shape[:-1], self.out_features)


class PackedLinear(nn.Linear):
    """A linear layer with a second copy of its weights, in the order of the processor's matrix units.

    The plain weights stay for `state_dict` and for gradients, which are computed with them. Whoever asks for `weight`
    may be about to change it, so from then on the layer is a plain one, as it is when it moves or changes its type.
    Weights that are changed in place by other ways (`load_state_dict`, an optimizer) are noticed, and used.
    """

    packed: Tensor | None = None
    version = -1

    @torch.no_grad()
    def pack(self) -> None:
        """Put the weights in order for single rows, which suits any number."""
        weight = self._plain()
        self.packed, self.version = _mkldnn()._reorder_linear_weight(weight, 1), weight._version

    def unpack(self) -> None:
        """Become a plain linear layer again."""
        self.__dict__.pop("packed", None)
        self.__dict__.pop("version", None)
        self.__class__ = nn.Linear  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, input: Tensor) -> Tensor:
        """See the base class."""
        weight, bias = self._plain(), self._parameters["bias"]
        tracked = torch.is_grad_enabled() and (input.requires_grad or weight.requires_grad)
        packed = None if tracked or weight._version != self.version else self.packed
        if packed is None or input.dtype != weight.dtype or not input.numel():
            return F.linear(input, weight, bias)
        return _product(input, packed, bias)

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
        return {name: value for name, value in self.__dict__.items() if name not in ("packed", "version")}


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
    layers = _layers(modules)
    packs = _mkldnn() is not None and sum(layer.weight.nbytes for layer in layers) <= available()
    chosen: dict[tuple[torch.Size, bool], type[nn.Linear]] = {}
    packed: list[PackedLinear] = []
    read: list[Tensor] = []
    for layer in layers:
        weight, kind = layer.weight, (layer.weight.shape, layer.bias is not None)
        if kind not in chosen:
            chosen[kind] = _best_way(weight, layer.bias, packs)
        layer.__class__ = chosen[kind]
        if isinstance(layer, PackedLinear):
            layer.pack()
            packed.append(layer)
            read.append(weight)
        if untouched and (layer is layers[-1] or sum(weight.nbytes for weight in read) > AT_ONCE):
            give_back(read)
            read.clear()
    return packed


def _layers(modules: Iterable[nn.Module]) -> list[nn.Linear]:
    """Return the plain linear layers in bfloat16 on the CPU, each once; those that are moved about are left out."""
    found = dict.fromkeys(part for module in modules for part in module.modules() if type(part) is nn.Linear)
    return [
        layer
        for layer in found
        if layer.weight.dtype == torch.bfloat16
        and layer.weight.device.type == "cpu"
        and not layer.weight.is_inference()
        and not hasattr(layer, "_hf_hook")
    ]


def _best_way(weight: Tensor, bias: Tensor | None, packs: bool) -> type[nn.Linear]:
    rows = [_rows(count, weight.shape[1]) for count in PROBES]
    plain = [F.linear(row, weight, bias) for row in rows]
    ways: list[type[nn.Linear]] = [nn.Linear]
    if packs:
        packed = _mkldnn()._reorder_linear_weight(weight, 1)
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
