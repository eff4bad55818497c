"""Linear layers for CPUs with weights of 8 or 4 bits, by PyTorch's own integer kernels.

One token at a time, a CPU is as fast as it reads the weights, so smaller weights are faster ones. Layers of integers
answer only: no gradients pass through them, and they stay on the CPU, in the order of bytes that its kernels want.

N and K are the numbers of outputs and inputs, M that of rows (tokens).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sphinx_x.model.content import bytes_of

GROUP = 32
"""Neighbouring weights of a row that share a scale and an offset in 4 bits; the kernel also has 64, 128 and 256."""
FEW = 48
"""Rows up to which the 4-bit kernel is the fastest; for more, the weights are unpacked once for all rows."""
BLOCK = 64
"""Rows of a weight in 4 bits are padded to a multiple of this, of which the kernels for all CPUs make whole blocks."""
AT_ONCE = 1 << 17
"""Weights rounded at once: few enough for the processor's own memory, which is several times as fast."""
UNPACKED = 1 << 20
"""Weights in 4 bits unpacked at once, for the same reason; fewer would make the products slow."""
LEAST = 1e-30
"""Least scale, so that a row of zeros is divided by something."""


class _CpuLinear(nn.Module):
    """What both kinds share: they answer on the CPU only.

    Attributes:
        digest: SHA-256 of the weights, (32,) uint8: `state_dict` has it in their place, so that models differ there.
    """

    digest: Tensor

    def __init__(self, weight_NK: Tensor, bias_N: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight_NK.shape
        self.bias = None if bias_N is None else bias_N.detach().clone()

    def _tell_apart(self, *tensors: Tensor) -> None:
        found = hashlib.sha256()
        for tensor in [*tensors, *([] if self.bias is None else [self.bias])]:
            found.update(bytes_of(tensor))
        self.register_buffer("digest", torch.frombuffer(bytearray(found.digest()), dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., K) to (..., N), in the type of `x`.

        Raises:
            RuntimeError: A gradient is wanted.
        """
        if x.requires_grad and torch.is_grad_enabled():
            raise RuntimeError("no gradients pass through weights quantised for a CPU: train a model in whole weights")
        rows_MK = x.reshape(-1, self.in_features).contiguous()
        y_MN = self._apply_to(rows_MK) if len(rows_MK) else rows_MK.new_empty(0, self.out_features)
        if self.bias is not None:
            y_MN = y_MN + self.bias
        return y_MN.to(x.dtype).view(*x.shape[:-1], self.out_features)

    def _apply_to(self, rows_MK: Tensor) -> Tensor:
        raise NotImplementedError

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Called by `to`, `half`, `cuda` and their like: the type of the rows is taken anyway, another device is not.

        Raises:
            RuntimeError: The layer would leave the CPU.
        """
        if fn(torch.empty(0)).device.type != "cpu":
            raise RuntimeError("weights quantised for a CPU stay there: load the model on the other device")
        return self

    def extra_repr(self) -> str:
        """See the base class."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Int8Linear(_CpuLinear):
    """A linear layer with int8 weights, one scale for each row of them.

    Rows of tokens are rounded to 8 bits as well, each with a scale of its own, so the products are sums of integers.
    """

    def __init__(self, weight_NK: Tensor, bias_N: Tensor | None = None) -> None:
        super().__init__(weight_NK, bias_N)
        rounded_NK = torch.empty(weight_NK.shape, dtype=torch.int8)
        scales_N = torch.empty(self.out_features)
        for rows in _pieces(self.out_features, self.in_features):
            piece = weight_NK[rows].float()
            scales_N[rows] = (piece.abs().amax(1) / 127).clamp_(min=LEAST)
            rounded_NK[rows] = (piece / scales_N[rows, None]).round_().to(torch.int8)
        # packed for few rows: then prefill is as fast as otherwise, and decoding faster
        self.packed: Any = _onednn().qlinear_prepack(rounded_NK, [1, self.in_features])
        self.scales_N, self.zeros_N = scales_N, torch.zeros(self.out_features, dtype=torch.int64)
        self._tell_apart(rounded_NK, scales_N)

    def nbytes(self) -> int:
        """Return the bytes that are read for a row of tokens."""
        return self.out_features * (self.in_features + self.scales_N.element_size())

    def _apply_to(self, rows_MK: Tensor) -> Tensor:
        most, wide = activation_levels(), torch.float32 if rows_MK.dtype == torch.float16 else rows_MK.dtype
        scales_M1 = (rows_MK.abs().amax(-1, keepdim=True).float() / most).clamp_(min=LEAST)
        rounded_MK = (rows_MK / scales_M1).round_().add_(most + 1).to(torch.uint8)
        y_MN = _qlinear(rounded_MK, most + 1, self.packed, self.scales_N, self.zeros_N, wide)
        return y_MN * scales_M1.to(wide)


def _onednn() -> Any:
    """Return PyTorch's operators of oneDNN.

    Raises:
        ValueError: This PyTorch has none.
    """
    if not hasattr(torch.ops.onednn, "qlinear_prepack"):
        raise ValueError("8 bits on a CPU need a PyTorch with oneDNN (torch.backends.mkldnn); 4 bits do not")
    return torch.ops.onednn


def _qlinear(rows: Tensor, zero: int, packed: Any, scales: Tensor, zeros: Tensor, dtype: torch.dtype) -> Tensor:
    args = (rows, 1.0, zero, packed, scales, zeros, None, 1.0, 0, dtype, "none", [], "")
    return torch.ops.onednn.qlinear_pointwise(*args)


@functools.cache
def activation_levels() -> int:
    """Return the largest number that tokens may be rounded to: 127, or 63 where sums of two products are cut off.

    CPUs without VNNI add pairs of products in 16 bits, and what does not fit is cut off without a word.
    """
    ones, most = torch.ones(16), torch.full((16, 64), 127, dtype=torch.int8)
    packed = _onednn().qlinear_prepack(most, [1, 64])
    rows = torch.full((1, 64), 255, dtype=torch.uint8)
    found = _qlinear(rows, 128, packed, ones, torch.zeros(16, dtype=torch.int64), torch.float32)
    return 127 if bool((found == 127 * 127 * 64).all()) else 63


class Int4Linear(_CpuLinear):
    """A linear layer with 4-bit weights; each `GROUP` of neighbours has a scale and an offset in bfloat16.

    It computes in bfloat16. Sizes that do not fit the kernel are padded.
    """

    def __init__(self, weight_NK: Tensor, bias_N: Tensor | None = None) -> None:
        super().__init__(weight_NK, bias_N)
        self.padding = (-self.in_features % GROUP, -self.out_features % BLOCK)
        inputs, outputs = self.in_features + self.padding[0], self.out_features + self.padding[1]
        self.packed = torch.empty(outputs, inputs // 2, dtype=torch.uint8)
        self.scales_GN2 = torch.empty(inputs // GROUP, outputs, 2, dtype=torch.bfloat16)
        for rows in _pieces(outputs, inputs):
            piece = F.pad(weight_NK[rows].float(), (0, self.padding[0]))
            piece = F.pad(piece, (0, 0, 0, rows.stop - rows.start - len(piece)))
            numbers, self.scales_GN2[:, rows] = round_to_4_bits(piece)
            self.packed[rows] = _pack(numbers)
        self._tell_apart(self.packed, self.scales_GN2)

    def nbytes(self) -> int:
        """Return the bytes that are read for a row of tokens."""
        return self.packed.numel() + 2 * self.scales_GN2.numel()

    def _apply_to(self, rows_MK: Tensor) -> Tensor:
        rows_MK = F.pad(rows_MK.to(torch.bfloat16), (0, self.padding[0]))
        if len(rows_MK) <= FEW:
            multiply = torch.ops.aten._weight_int4pack_mm_for_cpu
            return multiply(rows_MK, self.packed, GROUP, self.scales_GN2)[:, : self.out_features]
        y_MN = rows_MK.new_empty(len(rows_MK), len(self.packed))
        for outputs in _pieces(len(self.packed), rows_MK.shape[1], UNPACKED):
            found = (rows_MK @ self._unpacked(outputs)).unflatten(1, (2, -1, packed_layout()[0] // 2))
            _halves(y_MN[:, outputs], 1).copy_(found.transpose(1, 2))
        return y_MN[:, : self.out_features]

    def _unpacked(self, outputs: slice) -> Tensor:
        """Return some rows of the padded weight, turned over, in bfloat16: (K, 2 B H) for B blocks of 2 H rows.

        Lower halves of all bytes come first, then the upper ones: long runs in memory are several times as fast.
        """
        packed = self.packed[outputs]
        size, inputs = packed_layout()[0], packed.shape[1] * 2
        words_BKW = packed.view(len(packed) // size, inputs, size // 2).view(torch.int64)
        bytes_KR = words_BKW.transpose(0, 1).contiguous().view(torch.uint8).flatten(1)
        weight_K2R = torch.empty(inputs, 2, bytes_KR.shape[1], dtype=torch.bfloat16)
        weight_K2R[:, 0] = (bytes_KR & 15).view(torch.int8).sub_(8)
        weight_K2R[:, 1] = (bytes_KR >> 4).view(torch.int8).sub_(8)
        scales, offsets = (_halves(part, 1).transpose(1, 2) for part in self.scales_GN2[:, outputs].unbind(-1))
        weight_GJN = weight_K2R.view(inputs // GROUP, GROUP, -1)
        torch.addcmul(offsets.flatten(1)[:, None], weight_GJN, scales.flatten(1)[:, None], out=weight_GJN)
        return weight_GJN.flatten(0, 1)


def _halves(x: Tensor, dim: int) -> Tensor:
    """Split the dimension of a weight's rows into (B, 2, H): blocks, halves of bytes, bytes."""
    size, alternating = packed_layout()
    return (
        x.unflatten(dim, (-1, size // 2, 2)).transpose(-1, -2) if alternating else x.unflatten(dim, (-1, 2, size // 2))
    )


def round_to_4_bits(weight_NK: Tensor, rounds: int = 2) -> tuple[Tensor, Tensor]:
    """Round weights to sixteen values per group, evenly spaced, with little squared error.

    From the range of a group, a little narrowed, scale and offset are fitted to what was rounded (linear regression),
    and it is rounded again.

    Args:
        weight_NK: float32, (N, K) with K a multiple of `GROUP`.
        rounds: How often they are fitted.

    Returns:
        Numbers 0..15 as int32, (N, K), and scales and offsets in bfloat16, (K / GROUP, N, 2): a weight is
        (number - 8) * scale + offset.
    """
    groups = weight_NK.unflatten(1, (-1, GROUP))
    low, high = groups.aminmax(dim=-1, keepdim=True)
    middle, scale = (low + high) / 2, (high - low) * (NARROWED / 15)
    offset = middle + scale / 2  # of the number 8
    mean = groups.mean(-1, keepdim=True)
    for number in range(rounds + 1):
        scale, offset = scale.bfloat16().float(), offset.bfloat16().float()
        numbers = ((groups - offset) / scale.clamp(min=LEAST)).round_().clamp_(-8, 7)
        if number == rounds:
            break
        mean_number = numbers.mean(-1, keepdim=True)
        apart = numbers - mean_number
        scale = (apart * groups).sum(-1, keepdim=True) / apart.square().sum(-1, keepdim=True).clamp_(min=LEAST)
        offset = mean - scale * mean_number
    scales_GN2 = torch.cat([scale, offset], -1).transpose(0, 1).bfloat16()
    return numbers.add_(8).int().flatten(1), scales_GN2


NARROWED = 0.94
"""Share of a group's range that its sixteen values span at first: fewer outliers, finer steps for all others."""


def _pieces(outputs: int, inputs: int, at_once: int = AT_ONCE) -> list[slice]:
    """Return slices of rows with about so many weights: whole blocks, unless they are the last."""
    step = max(at_once // max(inputs, 1) // BLOCK, 1) * BLOCK
    return [slice(start, min(start + step, outputs)) for start in range(0, outputs, step)]


def _pack(numbers_NK: Tensor) -> Tensor:
    return torch.ops.aten._convert_weight_to_int4pack_for_cpu(numbers_NK, 1)


@functools.cache
def packed_layout() -> tuple[int, bool]:
    """Return how this CPU's kernel wants 4-bit weights, found by packing numbers whose place is known.

    Returns:
        The number of rows in a block, which has half as many bytes for each column; and whether neighbouring rows share
        a byte, or else rows that are half a block apart.

    Raises:
        ValueError: This PyTorch packs in another way.
    """
    row, column = torch.meshgrid(torch.arange(BLOCK), torch.arange(GROUP), indexing="ij")

    def places(value: Tensor) -> Tensor:
        low, high = (_pack(part.int().contiguous()).flatten() for part in (value % 16, value // 16))
        return torch.stack([(low & 15) + 16 * (high & 15), (low >> 4) + 16 * (high >> 4)])

    rows, columns = places(row), places(column)
    for size, alternating in itertools.product((64, 32, 16), (False, True)):
        found = row.view(-1, size // 2, 2, GROUP).transpose(1, 2) if alternating else row.view(-1, 2, size // 2, GROUP)
        wanted = found.permute(1, 0, 3, 2)  # half, block, column, byte
        same = (rows.view(wanted.shape) == wanted) & (columns.view(wanted.shape) == torch.arange(GROUP)[:, None])
        if bool(same.all()):
            return size, alternating
    raise ValueError(f"PyTorch {torch.__version__} packs 4-bit weights in a way that is not known: use 8 bits")
