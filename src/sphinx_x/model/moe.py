"""The experts of a mixture in training: grouped products instead of a loop, on one device or shared by many.

The library's Mixtral goes through its experts one by one. Here the copies of the tokens, one for each expert a token
goes to, are sorted by expert once, and one grouped product applies the matrices of all experts.

Two ways to share experts among the n ranks of a group, E / n each (`share_experts`):
- `tensor`: the ranks hold the same tokens, bit for bit. Each computes the copies that go to its own experts, and the
  sum over the ranks is the layer's output. Only that sum is communicated and, in the backward pass, the gradients.
- `expert`: the ranks hold different tokens. Copies travel to the rank that holds their expert, and back.

Shapes: T tokens, k experts a token goes to, R copies (T k of them, or those a rank computes), D width, I inner width, E
experts, F = 2 I, K and N the inner and the outer dimension of a product.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard
from transformers.models.mixtral.modeling_mixtral import MixtralExperts

from sphinx_x.errors import RecipeError

Way = Literal["tensor", "expert"]
RECUR = 32
"""On a CPU, the rows of a group are padded to multiples of this."""


class Experts(nn.Module):
    """All experts of a layer, or a rank's share of them: down(act(gate x) * up x), summed by routing weight.

    The parameters have the library's names, so that checkpoints do not differ.

    Attributes:
        gate_up_proj: (E, F, D), the gate's rows before those of up.
        down_proj: (E, D, I).
    """

    def __init__(self, gate_up: nn.Parameter, down: nn.Parameter, activation: nn.Module) -> None:
        super().__init__()
        self.gate_up_proj, self.down_proj, self.act_fn = gate_up, down, activation
        self.num_experts = len(gate_up)
        self.way: Way | None = None
        self.mesh: DeviceMesh | None = None

    def share(self, mesh: DeviceMesh, way: Way) -> None:
        """Keep this rank's experts only: the parameters become DTensors, cut by expert.

        Args:
            mesh: A mesh of one dimension.
            way: How the experts are shared.

        Raises:
            RecipeError: The experts cannot be divided evenly among the ranks.
        """
        ranks = mesh.size()
        if self.num_experts % ranks:
            raise RecipeError(f"parallel.{way}: {self.num_experts} experts cannot be shared evenly by {ranks} ranks")
        if self.mesh is not None:
            raise ValueError("these experts are shared already")
        if ranks == 1:
            return
        self.mesh, self.way = mesh, way
        for name in ("gate_up_proj", "down_proj"):
            whole: nn.Parameter = getattr(self, name)
            # a copy, so that the other ranks' experts can be freed
            own = whole.detach().chunk(ranks)[mesh.get_local_rank()].clone()
            shared = DTensor.from_local(own, mesh, [Shard(0)], run_check=False)
            setattr(self, name, nn.Parameter(shared, requires_grad=whole.requires_grad))

    @torch.compiler.disable  # sizes depend on the data, and the products are kernels already
    def forward(self, hidden_TD: Tensor, chosen_Tk: Tensor, weights_Tk: Tensor) -> Tensor:
        """Apply the chosen experts to tokens.

        If the experts are shared, every rank of the group must call this, even one without tokens.

        Args:
            hidden_TD: Tokens (T, D).
            chosen_Tk: Numbers of the experts that each token goes to (T, k).
            weights_Tk: Their weights (T, k).

        Returns:
            A tensor (T, D) in the tokens' type.
        """
        group = None if self.mesh is None else self.mesh.get_group()
        if group is not None and self.way == "tensor":
            hidden_TD, weights_Tk = _Entered.apply(hidden_TD, weights_Tk, group)  # pyright: ignore[reportGeneralTypeIssues]
        order_R, counts_E = self._sorted(chosen_Tk)
        if group is not None and self.way == "expert":
            rows_RD = _moved(hidden_TD, order_R, None, len(order_R), chosen_Tk.shape[1])
            copies = _moved(self._elsewhere(rows_RD, counts_E, group), None, order_R, chosen_Tk.numel())
        else:
            copies = self._here(hidden_TD, counts_E, order_R, chosen_Tk.numel(), chosen_Tk.shape[1])
        copies_TkD = copies.unflatten(0, chosen_Tk.shape)
        out_TD = (copies_TkD * weights_Tk[..., None]).sum(1).to(hidden_TD.dtype)
        if group is not None and self.way == "tensor":
            out_TD = _Summed.apply(out_TD, group)
        return out_TD  # pyright: ignore[reportReturnType]

    def _sorted(self, chosen_Tk: Tensor) -> tuple[Tensor, Tensor]:
        """Return the copies that this rank handles and how many of them each expert gets.

        With `tensor` these are the copies for its own experts, otherwise all. The sort is stable, so that sums are
        always taken in the same order.

        Returns:
            Numbers of the copies (R,) among all T k, sorted by expert, and counts (E,).
        """
        numbers = chosen_Tk.flatten()
        if self.mesh is None or self.way == "expert":
            return numbers.argsort(stable=True), numbers.bincount(minlength=self.num_experts)
        own = self.num_experts // self.mesh.size()
        numbers = numbers - self.mesh.get_local_rank() * own
        numbers = numbers.where((numbers >= 0) & (numbers < own), own)
        counts_E = numbers.bincount(minlength=own + 1)[:own]
        return numbers.argsort(stable=True)[: int(counts_E.sum())], counts_E

    def _here(self, rows: Tensor, counts_E: Tensor, order_R: Tensor, total: int, k: int = 1) -> Tensor:
        """Apply this rank's experts to copies of rows (., D).

        Args:
            rows: The rows; copy c is a copy of row c // k.
            counts_E: Number of copies for each expert.
            order_R: Numbers of the copies, sorted by expert.
            total: Number of rows of the result.
            k: Number of copies of each row.

        Returns:
            A tensor (total, D) with each copy's result in its place and zeros elsewhere.
        """
        places_R, ends_E, length = _spaced(counts_E, len(order_R))
        gate_up_EFD, down_EDI = _local(self.gate_up_proj), _local(self.down_proj)
        rows = _moved(rows, order_R, places_R, length, k)
        gate, up = _grouped(rows, gate_up_EFD, ends_E).chunk(2, dim=-1)
        return _moved(_grouped(self.act_fn(gate) * up, down_EDI, ends_E), places_R, order_R, total)

    def _elsewhere(self, rows_RD: Tensor, counts_E: Tensor, group: dist.ProcessGroup) -> Tensor:
        """Send rows (R, D), sorted by expert, to the ranks that hold their experts, and return their results."""
        ranks = group.size()
        sent_nE = counts_E.unflatten(0, (ranks, -1))
        received_nE = torch.empty_like(sent_nE)
        dist.all_to_all_single(received_nE, sent_nE, group=group)
        there, here = torch.stack([sent_nE.sum(1), received_nE.sum(1)]).tolist()
        rows_RD = _sent(rows_RD, there, here, group)
        # they are ordered by the rank they came from, then by expert
        experts = torch.arange(sent_nE.shape[1], device=rows_RD.device).repeat(ranks)
        order_R = experts.repeat_interleave(received_nE.flatten()).argsort(stable=True)
        return _sent(self._here(rows_RD, received_nE.sum(0), order_R, len(order_R)), here, there, group)


def install_experts(model: nn.Module) -> int:
    """Replace the experts of the library's Mixtral with `Experts`, in place and with the same parameters.

    Returns:
        The number of layers changed: 0 if the model is not a mixture, or one whose experts are separate linear layers.
    """
    found: list[tuple[nn.Module, str, Any]] = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, MixtralExperts)
    ]
    for parent, name, child in found:
        setattr(parent, name, Experts(child.gate_up_proj, child.down_proj, child.act_fn).train(child.training))
    return len(found)


def share_experts(model: nn.Module, mesh: DeviceMesh, way: Way) -> int:
    """Share the experts of every layer among the ranks of a mesh of one dimension.

    Call it after `install_experts` and before FSDP, with the same weights on every rank (or none yet, on `meta`). FSDP
    goes over the other dimensions of the mesh, each `Experts` by itself, with `fsdp_placement` and without casting
    inputs: the routing weights stay float32. With `expert`, a rank's gradients are already the sum over all tokens of
    the group, so only the sum over the other dimensions is left.

    Returns:
        The number of layers.

    Raises:
        RecipeError: The experts cannot be divided evenly among the ranks.
    """
    layers = [module for module in model.modules() if isinstance(module, Experts)]
    for layer in layers:
        layer.share(mesh, way)
    return len(layers)


def fsdp_placement(parameter: nn.Parameter) -> Shard | None:
    """Place parameters for `fully_shard(shard_placement_fn=...)`: experts by rows, as ranks may outnumber them."""
    return Shard(1) if parameter.ndim == 3 else None


def _local(parameter: Tensor) -> Tensor:
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


def _spaced(counts_E: Tensor, total: int) -> tuple[Tensor | None, Tensor, int]:
    """Lay out `total` rows, sorted by expert, for the grouped product.

    On a CPU, gaps are left so that the groups' sizes recur: its matrix library builds a kernel for each shape, which
    takes as long as the product itself. Elsewhere there are no gaps.

    Returns:
        The position of each row (R,), or None if there are no gaps; the end of each expert's group (E,) int32; the
            number of rows, gaps included.
    """
    if counts_E.device.type != "cpu":
        return None, counts_E.cumsum(0, dtype=torch.int32), total
    room_E = (counts_E + RECUR - 1) // RECUR * RECUR
    ends_E = room_E.cumsum(0)
    shift_E = ends_E - room_E - (counts_E.cumsum(0) - counts_E)
    places_R = torch.arange(total) + shift_E.repeat_interleave(counts_E)
    return places_R, ends_E.to(torch.int32), int(ends_E[-1])


class _Moved(torch.autograd.Function):
    """The autograd function of `_moved`.

    In the backward pass, each copy's gradient is put in its own place before the k of a row are summed. This always
    gives the same bits, unlike adding rows in no fixed order (`index_select` on a GPU).
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, source_R: Tensor | None, target_R: Tensor | None, total: int, k: int) -> Tensor:
        ctx.save_for_backward(source_R, target_R)
        ctx.shape = (len(rows), k)
        return _put(_take(rows, source_R if source_R is None or k == 1 else source_R // k), target_R, total)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        source_R, target_R = ctx.saved_tensors
        copies = _put(_take(grad, target_R), source_R, math.prod(ctx.shape))
        return copies if ctx.shape[1] == 1 else copies.unflatten(0, ctx.shape).sum(1), None, None, None, None


def _moved(rows: Tensor, source_R: Tensor | None, target_R: Tensor | None, total: int, k: int = 1) -> Tensor:
    """Copy rows (., D) to a tensor (total, D): copy `source_R[i]`, of row `source_R[i] // k`, becomes `target_R[i]`.

    No copy and no target may be named twice; rows that are not a target are zero. None means all, in order.
    """
    return _Moved.apply(rows, source_R, target_R, total, k)  # pyright: ignore[reportReturnType]


def _take(rows: Tensor, source: Tensor | None) -> Tensor:
    return rows if source is None else rows.index_select(0, source)


def _put(rows: Tensor, target: Tensor | None, total: int) -> Tensor:
    return rows if target is None else rows.new_zeros(total, rows.shape[1]).index_copy_(0, target, rows)


class _Grouped(torch.autograd.Function):
    """Product of E consecutive groups of rows (R, K), which end at (E,), with a matrix for each (E, N, K): (R, N)."""

    @staticmethod
    def forward(ctx: Any, rows_RK: Tensor, weight_ENK: Tensor, ends_E: Tensor) -> Tensor:
        ctx.save_for_backward(rows_RK, weight_ENK, ends_E)
        return _by_group(rows_RK, weight_ENK.mT, ends_E)

    @staticmethod
    def backward(ctx: Any, grad_RN: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        rows_RK, weight_ENK, ends_E = ctx.saved_tensors
        grad_RN = grad_RN.contiguous()
        rows = _by_group(grad_RN, weight_ENK, ends_E) if ctx.needs_input_grad[0] else None
        weight = _outer_by_group(grad_RN, rows_RK, ends_E) if ctx.needs_input_grad[1] else None
        return rows, weight, None


def _grouped(rows_RK: Tensor, weight_ENK: Tensor, ends_E: Tensor) -> Tensor:
    return _Grouped.apply(rows_RK, weight_ENK, ends_E)  # pyright: ignore[reportReturnType]


def _grouped_kernel(rows: Tensor, *widths: int) -> bool:
    """Return whether PyTorch has a grouped product for this: on a CPU, and for bfloat16 on a GPU since Ampere.

    On a GPU, rows must begin at multiples of 16 bytes. In each of the three products a group begins at a row, never
    inside one, so this requires widths that are multiples of 8 and nothing of the sizes of the groups.
    """
    if rows.device.type == "cpu":
        return rows.dtype != torch.float64
    return (
        rows.device.type == "cuda"
        and rows.dtype == torch.bfloat16
        and torch.cuda.get_device_capability(rows.device) >= (8, 0)
        and not any(width % 8 for width in widths)
    )


def _by_group(rows_RK: Tensor, weight_EKN: Tensor, ends_E: Tensor) -> Tensor:
    """Multiply each group of rows (R, K) by its matrix (E, K, N); returns (R, N)."""
    if len(rows_RK) == 0:
        return rows_RK.new_zeros(0, weight_EKN.shape[2])
    if _grouped_kernel(rows_RK, *weight_EKN.shape[1:]):
        return torch.nn.functional.grouped_mm(rows_RK, weight_EKN, offs=ends_E)
    parts = rows_RK.split(ends_E.diff(prepend=ends_E.new_zeros(1)).tolist())
    return torch.cat([part @ weight for part, weight in zip(parts, weight_EKN, strict=True)])


def _outer_by_group(left_RN: Tensor, right_RK: Tensor, ends_E: Tensor) -> Tensor:
    """Multiply each group's transposed left rows (R, N) by its right rows (R, K); returns (E, N, K), zero if empty."""
    if len(left_RN) == 0:
        return left_RN.new_zeros(len(ends_E), left_RN.shape[1], right_RK.shape[1])
    if _grouped_kernel(left_RN, left_RN.shape[1], right_RK.shape[1]):
        return torch.nn.functional.grouped_mm(left_RN.mT, right_RK, offs=ends_E)
    sizes = ends_E.diff(prepend=ends_E.new_zeros(1)).tolist()
    pairs = zip(left_RN.split(sizes), right_RK.split(sizes), strict=True)
    return torch.stack([left.mT @ right for left, right in pairs])


class _Entered(torch.autograd.Function):
    """Tokens and routing weights that all ranks of a group hold alike, while each uses part of the experts.

    In the backward pass their gradients are summed over the group: the preceding layers are the same on all its ranks.
    """

    @staticmethod
    def forward(ctx: Any, hidden_TD: Tensor, weights_Tk: Tensor, group: dist.ProcessGroup) -> tuple[Tensor, Tensor]:
        ctx.group = group
        return hidden_TD.view_as(hidden_TD), weights_Tk.view_as(weights_Tk)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden, weights = (
            _all_reduced(grad, ctx.group) if needed else None
            for grad, needed in zip(grads, ctx.needs_input_grad, strict=False)
        )
        return hidden, weights, None


class _Summed(torch.autograd.Function):
    """The sum over a group; the gradient is the same on all ranks, so the backward pass leaves it as it is."""

    @staticmethod
    def forward(ctx: Any, part_TD: Tensor, group: dist.ProcessGroup) -> Tensor:
        return _all_reduced(part_TD, group)

    @staticmethod
    def backward(ctx: Any, grad_TD: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad_TD, None


def _all_reduced(tensor: Tensor, group: dist.ProcessGroup) -> Tensor:
    tensor = tensor.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(tensor, group=group)
    return tensor


class _Sent(torch.autograd.Function):
    """Rows (R, D), of which `sent[i]` go to rank i of a group; returns those received, `received[i]` from rank i."""

    @staticmethod
    def forward(ctx: Any, rows_RD: Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup) -> Tensor:
        ctx.sent, ctx.received, ctx.group = sent, received, group
        return _swapped(rows_RD, sent, received, group)

    @staticmethod
    def backward(ctx: Any, grad_RD: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _swapped(grad_RD, ctx.received, ctx.sent, ctx.group), None, None, None


def _sent(rows_RD: Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup) -> Tensor:
    return _Sent.apply(rows_RD, sent, received, group)  # pyright: ignore[reportReturnType]


def _swapped(rows_RD: Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup) -> Tensor:
    out = rows_RD.new_empty(sum(received), rows_RD.shape[1])
    dist.all_to_all_single(out, rows_RD.contiguous(), received, sent, group=group)
    return out
