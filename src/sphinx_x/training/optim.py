"""AdamW on float32 weights for modules that compute in bfloat16, whole or in slices (paper, section 3.3).

In a run with one process, the module holds a rounded copy of every weight, and the float32 weights are here. With
several processes, the module's own parameters are the float32 weights, a slice on each rank; the weights for the
computation are gathered from them.

The moments may be bfloat16, which halves the optimizer's memory, for members that would not fit otherwise. Everything
is computed in float32 and only the stored moments are rounded, stochastically, so that a change too small for bfloat16
is kept on average instead of being lost every time. The random numbers follow from the seed, the step and the
parameter, so a resumed run ends with the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from sphinx_x.planning.estimate import CHUNK
from sphinx_x.recipe import Recipe
from sphinx_x.training.distributed import World

PIECE = 1 << 20
"""How many numbers of a parameter are processed at once, which bounds the memory of intermediate results."""
MOMENTS = ("exp_avg", "exp_avg_sq")


class AdamW(torch.optim.Optimizer):
    """`torch.optim.AdamW` with moments of the type `moments`; of DTensor parameters, each rank has its shard.

    Parameters are numbered in the order in which they are given.

    Args:
        seed: Seed of the rounding.
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
        """Update every parameter that has a gradient."""
        if closure is not None:
            raise ValueError("a closure is not supported")
        for parameter in self._numbers:
            if parameter.grad is not None:
                self.update(parameter, parameter.grad)

    @torch.no_grad()
    def update(self, parameter: Tensor, gradient: Tensor, scale: float = 1.0) -> None:
        """Take one step of one parameter, so that no float32 copy of all gradients is needed at any time.

        Args:
            parameter: The parameter.
            gradient: Its gradient, of any floating type, for example that of the modules.
            scale: A factor of the gradient, for example from clipping.
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
        """Return the random generator for one parameter and step; copies of a shard on several ranks round alike."""
        offset: tuple[int, ...] = ()
        if isinstance(parameter, DTensor):
            _, offset = compute_local_shape_and_global_offset(
                parameter.shape, parameter.device_mesh, parameter.placements
            )
        key = np.random.SeedSequence((self.seed, 6, step, self._numbers[parameter], *offset))
        # a generator takes 63 bits on every device
        return torch.Generator(own_part(parameter).device).manual_seed(int(key.generate_state(1, np.uint64)[0] >> 1))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned; moments keep their type (the base class would make them float32).

        Raises:
            ValueError: The state belongs to other parameters, or has moments of another type.
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
    """Return this rank's part of a tensor."""
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
    """Take one step of a piece of a parameter, in place; `slope` is float32 and is overwritten."""
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
    """Round float32 `values` in place to bfloat16 values, stochastically and without bias.

    Infinities and exact values stay.

    Args:
        values: The values.
        chances: int16 of the same shape, uniformly distributed.
    """
    bits = values.view(torch.int32)
    bits.add_(chances).add_(1 << 15).bitwise_and_(-(1 << 16))
    return values


class MasterOptimizer:
    """AdamW over the parameters of a module that require a gradient.

    Attributes:
        factors: Factor of the learning rate by parameter name.
        masters: This rank's slice in float32 by name; in a run of one process, the module gets the recipe's dtype.
        sums: Gradients of the step's earlier micro-batches in float32, where the module has another type.
    """

    def __init__(self, module: nn.Module, recipe: Recipe, world: World, factors: Mapping[str, float]) -> None:
        self.world = world
        self.sums: dict[str, Tensor] = {}
        self.parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.apart = world.mesh is None and recipe.dtype != "float32"
        if self.apart:
            self.masters = {name: nn.Parameter(p.detach().float().clone()) for name, p in self.parameters.items()}
            round_weights(module, getattr(torch, recipe.dtype))
        else:
            if world.mesh is None:  # the start may be in bfloat16, and frozen parts compute in float32 as well
                round_weights(module, torch.float32)
            self.masters = {name: nn.Parameter(own_part(p.detach())) for name, p in self.parameters.items()}
        groups = [
            {"params": [self.masters[name] for name in self.parameters if factors[name] == factor], "factor": factor}
            for factor in dict.fromkeys(factors.values())
        ]
        settings: dict[str, Any] = {"lr": 0.0, "betas": recipe.betas, "weight_decay": recipe.weight_decay}
        self.moments: torch.dtype = getattr(torch, recipe.optimizer_state_dtype)
        if self.moments == torch.float32:
            self.adamw: torch.optim.Optimizer = torch.optim.AdamW(groups, fused=True, **settings)
        else:
            self.adamw = AdamW(groups, moments=self.moments, seed=recipe.seed, **settings)

    @torch.no_grad()
    def collect(self) -> None:
        """Add the module's gradient to that of the micro-batches before it, in float32, and remove it there.

        Without this, one process would add them up in the module's type: of a thousand in bfloat16 the last ones would
        be lost. Several ranks hold float32 gradients anyway.
        """
        if not self.apart:
            return
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                if name in self.sums:
                    self.sums[name].add_(parameter.grad)
                else:
                    self.sums[name] = parameter.grad.float()
                parameter.grad = None

    def _gradient(self, name: str) -> Tensor | None:
        return self.sums.get(name, self.parameters[name].grad)

    def norm(self) -> float:
        """Return the norm of the step's gradient, over all ranks."""
        squares: dict[tuple[str, ...], Tensor] = {}
        for name, parameter in self.parameters.items():
            if (gradient := self._gradient(name)) is not None:
                axes = _axes(parameter)
                square = torch.linalg.vector_norm(own_part(gradient), dtype=torch.float32) ** 2
                squares[axes] = squares[axes] + square if axes in squares else square
        return math.sqrt(sum(float(self.world.sum_over(square, axes)) for axes, square in sorted(squares.items())))

    def step(self, learning_rate: float, clip: float, norm: float) -> None:
        """Take one step with the module's gradient, whose norm is `norm`, and remove it."""
        scale = min(1.0, clip / (norm + 1e-6))
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate * group["factor"]
        if isinstance(self.adamw, AdamW):
            for name, master in self.masters.items():
                gradient = self._gradient(name)
                self.adamw.update(master, torch.zeros_like(master) if gradient is None else own_part(gradient), scale)
                self._drop(name)
            self.copy_to_module()
            return
        for names in self._chunks():
            for name in names:
                gradient, master = self._gradient(name), self.masters[name]
                master.grad = torch.zeros_like(master) if gradient is None else own_part(gradient).float() * scale
                self._drop(name)
            self.adamw.step()  # skips parameters without a gradient
            for name in names:
                self.masters[name].grad = None
        self.copy_to_module()

    def drop_gradients(self) -> None:
        """Remove the gradient without a step."""
        for name in self.parameters:
            self._drop(name)

    def _drop(self, name: str) -> None:
        self.parameters[name].grad = None
        self.sums.pop(name, None)

    def _chunks(self) -> Iterator[list[str]]:
        names: list[str] = []
        size = 0
        for name, master in self.masters.items():
            names.append(name)
            size += master.numel()
            if size >= CHUNK:
                yield names
                names, size = [], 0
        if names:
            yield names

    @torch.no_grad()
    def copy_to_module(self) -> None:
        """Round the masters into the module, if it has its own copy."""
        if self.apart:
            for name, parameter in self.parameters.items():
                parameter.copy_(self.masters[name])

    def tensors(self) -> dict[str, Tensor]:
        """Return masters and moments by name, for a checkpoint; of all ranks together if they have slices."""
        out: dict[str, Tensor] = {}
        for name, master in self.masters.items():
            out[f"weight.{name}"] = self._global(name, master.detach())
            state = self.adamw.state[master]
            if not state:  # as it is before the first step
                state["step"] = torch.zeros((), dtype=torch.float32, device=self._step_device(master))
                state |= {key: torch.zeros_like(master, dtype=self.moments) for key in MOMENTS}
            for key, value in state.items():
                out[f"{key}.{name}"] = self._global(name, value) if value.dim() else value
        return out

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` returned."""
        with torch.no_grad():
            for name, master in self.masters.items():
                master.copy_(own_part(tensors[f"weight.{name}"]))
                state = {key: own_part(tensors[f"{key}.{name}"]) for key in ("step", *MOMENTS)}
                self.adamw.state[master] = state | {"step": state["step"].to(self._step_device(master))}
        self.copy_to_module()

    def _step_device(self, master: Tensor) -> torch.device:
        """Return where the number of steps lies: PyTorch's fused optimizer wants it beside the parameter."""
        return master.device if self.moments == torch.float32 else torch.device("cpu")

    def _global(self, name: str, local: Tensor) -> Tensor:
        parameter: Any = self.parameters[name]
        if not isinstance(parameter, DTensor):
            return local
        return DTensor.from_local(
            local,
            parameter.device_mesh,
            parameter.placements,
            run_check=False,
            shape=parameter.shape,
            stride=parameter.stride(),
        )


def round_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Convert parameters to a type, in place; buffers (such as rotary angles) keep their precision."""
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)


def _axes(parameter: Any) -> tuple[str, ...]:
    """Return the dimensions of the mesh along which a parameter is sliced."""
    if not isinstance(parameter, DTensor):
        return ()
    names: Iterable[str] = parameter.device_mesh.mesh_dim_names or ()
    return tuple(n for n, placement in zip(names, parameter.placements, strict=True) if not placement.is_replicate())


def learning_rate_at(
    progress: float, peak: float, warmup: float, schedule: str = "cosine", cooldown: float = 0.0
) -> float:
    """Return the learning rate: linear warm-up, then a cosine to 0, or a constant rate that falls at the end.

    Args:
        progress: Share of the run that is done, 0 to 1.
        peak: The largest learning rate.
        warmup: Share of the run during which the rate rises.
        schedule: `cosine` or `constant`.
        cooldown: Share of the run at its end during which a constant rate falls to 0, as 1 - sqrt (Hägele et al.,
            arXiv 2405.18392).
    """
    if progress < warmup:
        return peak * progress / warmup
    if schedule == "constant":
        cooling = (progress - (1 - cooldown)) / cooldown if cooldown else 0.0
        return peak * (1 - math.sqrt(min(max(cooling, 0.0), 1.0)))
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
