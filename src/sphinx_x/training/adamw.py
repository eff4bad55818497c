"""AdamW whose moments may be bfloat16: half the memory of an optimizer, for members that would not fit otherwise.

Everything is computed in float32 and only the stored moments are rounded, up or down by chance, so that a change too
small for bfloat16 is kept on the average instead of being lost every time. The chances follow from the seed, the step
and the parameter, so a resumed run ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

PIECE = 1 << 20
"""Numbers of a parameter that are worked on at once: what bounds the memory of the sums in between."""
MOMENTS = ("exp_avg", "exp_avg_sq")


class AdamW(torch.optim.Optimizer):
    """`torch.optim.AdamW` with moments of the type `moments`; parameters may be DTensors, each rank has its shard.

    seed: of the rounding. Parameters are numbered in the order they are given.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        moments: torch.dtype = torch.bfloat16,
        seed: int = 0,
    ) -> None:
        if moments not in (torch.bfloat16, torch.float32):
            raise ValueError(f"moments are bfloat16 or float32, not {moments}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self.moments, self.seed = moments, seed
        self._numbers = {p: k for k, p in enumerate(p for group in self.param_groups for p in group["params"])}
        self._groups = {p: group for group in self.param_groups for p in group["params"]}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Updates every parameter that has a gradient."""
        if closure is not None:
            raise ValueError("a closure is not supported")
        for parameter in self._numbers:
            if parameter.grad is not None:
                self.update(parameter, parameter.grad)

    @torch.no_grad()
    def update(self, parameter: Tensor, gradient: Tensor, scale: float = 1.0) -> None:
        """One step of one parameter. gradient: of any floating type, e.g. that of the modules; scale: its factor, e.g.
        of clipping. So no float32 copy of all gradients is needed at any time.
        """
        group, state = self._groups[parameter], self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state.update({name: torch.zeros_like(parameter, dtype=self.moments) for name in MOMENTS})
        state["step"] += 1
        step = int(state["step"])
        if isinstance(parameter, DTensor) and isinstance(gradient, DTensor):
            gradient = gradient.redistribute(parameter.device_mesh, parameter.placements)
        tensors = [own_part(tensor) for tensor in (parameter, gradient, state["exp_avg"], state["exp_avg_sq"])]
        generator = self._generator(parameter, step) if self.moments == torch.bfloat16 else None
        whole = all(tensor.is_contiguous() for tensor in tensors)
        pieces = zip(*(tensor.view(-1).split(PIECE) for tensor in tensors), strict=True) if whole else [tensors]
        for weight, slope, mean, square in pieces:
            _update(weight, slope.float() * scale, mean, square, step, group, generator)

    def _generator(self, parameter: Tensor, step: int) -> torch.Generator:
        """The chances of one parameter in one step. Copies of the same shard on several ranks round alike."""
        offset: tuple[int, ...] = ()
        if isinstance(parameter, DTensor):
            _, offset = compute_local_shape_and_global_offset(
                parameter.shape, parameter.device_mesh, parameter.placements
            )
        key = np.random.SeedSequence((self.seed, 6, step, self._numbers[parameter], *offset))
        # a generator takes 63 bits on every device
        return torch.Generator(own_part(parameter).device).manual_seed(int(key.generate_state(1, np.uint64)[0] >> 1))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`: moments keep their type (the base class would make them float32 here).

        Raises ValueError where the state is of other parameters, or of moments of another type.
        """
        groups, saved = self.param_groups, state_dict["param_groups"]
        if [len(group["params"]) for group in groups] != [len(group["params"]) for group in saved]:
            raise ValueError("the state is of other groups of parameters")
        known = (key for group in saved for key in group["params"])
        for parameter, key in zip(self._numbers, known, strict=True):
            if key not in state_dict["state"]:
                self.state.pop(parameter, None)
                continue
            state = state_dict["state"][key]
            if any(state[name].dtype != self.moments or state[name].shape != parameter.shape for name in MOMENTS):
                raise ValueError(f"the state's moments are not {self.moments} of the parameters' shapes")
            self.state[parameter] = {"step": state["step"].detach().clone().cpu()} | {
                name: state[name].detach().clone().to(parameter.device) for name in MOMENTS
            }
        for group, other in zip(groups, saved, strict=True):
            group.update({name: value for name, value in other.items() if name != "params"})


def own_part(tensor: Tensor) -> Tensor:
    """What this rank has of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _update(
    weight: Tensor,
    slope: Tensor,
    mean: Tensor,
    square: Tensor,
    step: int,
    group: dict[str, Any],
    generator: torch.Generator | None,
) -> None:
    """One step of a piece of a parameter, in place. slope: float32, not needed afterwards; generator: rounds by it."""
    beta1, beta2 = group["betas"]
    new_mean = mean.float().lerp_(slope, 1 - beta1) if generator else mean.lerp_(slope, 1 - beta1)
    new_square = (square.float() if generator else square).mul_(beta2).addcmul_(slope, slope, value=1 - beta2)
    root = torch.sqrt(new_square, out=slope).div_((1 - beta2**step) ** 0.5).add_(group["eps"])
    weight.mul_(1 - group["lr"] * group["weight_decay"])
    weight.addcdiv_(new_mean, root, value=-group["lr"] / (1 - beta1**step))
    if generator is not None:
        chances = torch.empty(-(-weight.numel() // 2), dtype=torch.int64, device=weight.device)
        chances.random_(-(2**63), None, generator=generator)
        parts = chances.view(torch.int16)[: 2 * weight.numel()].view(2, *weight.shape)
        mean.copy_(round_by_chance_(new_mean, parts[0]))
        square.copy_(round_by_chance_(new_square, parts[1]))


def round_by_chance_(values: Tensor, chances: Tensor) -> Tensor:
    """float32 `values`, in place to neighbouring bfloat16 values, each as often as the value is near to it.

    chances: int16 of the same shape, all values equally likely. Infinities and what is exact stay.
    """
    bits = values.view(torch.int32)
    bits.add_(chances).add_(1 << 15).bitwise_and_(-(1 << 16))
    return values
