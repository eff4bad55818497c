"""Meters what a real forward and backward pass computes and holds: the oracle of `sphinx_x.planning.costs`."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Meter(TorchDispatchMode):
    """Counts what is computed and held while it is entered.

    flops: of matrix products, convolutions and attention (all of its square, also where it is causal); now, peak: bytes
    of the tensors that were made since and are still there, and the most there were. (PyTorch's own counter of
    operations keeps tensors of a backward pass alive, so the two cannot be used together.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        packet = function._overloadpacket
        if packet in _OWN:
            self.flops += _OWN[packet](*args)
        elif packet in flop_registry:
            self.flops += flop_registry[packet](*args, **kwargs, out_val=out)
        given = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in given | self._known:
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        size, key = storage.nbytes(), storage._cdata
        self.now += size
        self.peak = max(self.peak, self.now)
        self._known.add(key)

        def forget() -> None:
            self.now -= size
            self._known.discard(key)

        weakref.finalize(storage, forget)


def _product(a: Tensor, b: Tensor, *_: Any) -> int:
    """Rows times one of several matrices each, or the gradient of those matrices."""
    return 2 * a.shape[0] * a.shape[1] * b.shape[-1]


def _attended(query: Tensor, key: Tensor, *_: Any) -> int:
    """Scores and their sums of values."""
    return 2 * 2 * query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2] * query.shape[3]


def _attended_back(_: Tensor, query: Tensor, key: Tensor, *__: Any) -> int:
    """The scores again, and four gradients."""
    return 5 * _attended(query, key) // 2


def _convolved_back(grad: Tensor, _: Tensor, weight: Tensor, *rest: Any) -> int:
    """Gradients of what came in and of the weights. (PyTorch counts those of a convolution by channel, whose groups it
    overlooks, as if every channel saw all others.)"""
    wanted = rest[-1][:2]
    return 2 * grad.numel() * weight[0].numel() * sum(wanted)


_OWN = {
    torch.ops.aten.convolution_backward: _convolved_back,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attended,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attended_back,
    torch.ops.aten._grouped_mm: _product,
}
"""Operations that PyTorch's list does not have, or counts wrongly."""
