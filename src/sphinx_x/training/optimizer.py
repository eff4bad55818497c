"""AdamW on float32 weights beside modules that compute in bfloat16, whole or in slices (paper, section 3.3).

A run with one process keeps a rounded copy of every weight in the module, and the float32 weight here. With several,
the module's own parameters are the float32 weights, a slice on each rank; what is computed with is gathered from them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from sphinx_x.planning.estimate import CHUNK
from sphinx_x.recipe import Recipe
from sphinx_x.training.adamw import MOMENTS, AdamW, own_part
from sphinx_x.training.world import World


class MasterOptimizer:
    """AdamW over the parameters of a module that require a gradient.

    factors: name -> factor of the learning rate. masters: name -> this rank's slice in float32; in a run of one process
    the module gets the recipe's dtype here.
    """

    def __init__(self, module: nn.Module, recipe: Recipe, world: World, factors: Mapping[str, float]) -> None:
        self.world = world
        self.parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.apart = world.mesh is None and recipe.dtype != "float32"
        if self.apart:
            self.masters = {name: nn.Parameter(p.detach().float().clone()) for name, p in self.parameters.items()}
            round_weights(module, getattr(torch, recipe.dtype))
        else:
            if world.mesh is None:  # a start may have come in bfloat16, and what is frozen computes in float32 as well
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

    def norm(self) -> float:
        """The norm of the gradient that lies on the module, over all ranks."""
        squares: dict[tuple[str, ...], Tensor] = {}
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                axes = _axes(parameter)
                square = torch.linalg.vector_norm(own_part(parameter.grad), dtype=torch.float32) ** 2
                squares[axes] = squares[axes] + square if axes in squares else square
        return math.sqrt(sum(float(self.world.sum_over(square, axes)) for axes, square in sorted(squares.items())))

    def step(self, learning_rate: float, clip: float, norm: float) -> None:
        """One step with the gradient that lies on the module, of that norm, and takes it away."""
        scale = min(1.0, clip / (norm + 1e-6))
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate * group["factor"]
        if isinstance(self.adamw, AdamW):
            for name, master in self.masters.items():
                gradient = self.parameters[name].grad
                self.adamw.update(master, torch.zeros_like(master) if gradient is None else own_part(gradient), scale)
                self.parameters[name].grad = None
            self.copy_to_module()
            return
        for names in self._chunks():
            for name in names:
                gradient, master = self.parameters[name].grad, self.masters[name]
                master.grad = torch.zeros_like(master) if gradient is None else own_part(gradient).float() * scale
                self.parameters[name].grad = None
            self.adamw.step()  # passes over what has no gradient
            for name in names:
                self.masters[name].grad = None
        self.copy_to_module()

    def drop_gradients(self) -> None:
        """Takes the gradient away without a step."""
        for parameter in self.parameters.values():
            parameter.grad = None

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
        """Rounds the masters into the module, where it has a copy of its own."""
        if self.apart:
            for name, parameter in self.parameters.items():
                parameter.copy_(self.masters[name])

    def tensors(self) -> dict[str, Tensor]:
        """Masters and moments by name, for a checkpoint; of all ranks together where they have slices."""
        out: dict[str, Tensor] = {}
        for name, master in self.masters.items():
            out[f"weight.{name}"] = self._global(name, master.detach())
            state = self.adamw.state[master]
            if not state:  # as it is before the first step
                state["step"] = torch.zeros((), dtype=torch.float32)
                state |= {key: torch.zeros_like(master, dtype=self.moments) for key in MOMENTS}
            for key, value in state.items():
                out[f"{key}.{name}"] = self._global(name, value) if value.dim() else value
        return out

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        with torch.no_grad():
            for name, master in self.masters.items():
                master.copy_(own_part(tensors[f"weight.{name}"]))
                self.adamw.state[master] = {key: own_part(tensors[f"{key}.{name}"]) for key in ("step", *MOMENTS)}
        self.copy_to_module()

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
    """Gives parameters a type, in place; buffers (the angles of positions) stay as exact as they are."""
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)


def _axes(parameter: Any) -> tuple[str, ...]:
    """The dimensions of the mesh along which a parameter is sliced."""
    if not isinstance(parameter, DTensor):
        return ()
    names: Iterable[str] = parameter.device_mesh.mesh_dim_names or ()
    return tuple(n for n, placement in zip(names, parameter.placements, strict=True) if not placement.is_replicate())


def learning_rate_at(progress: float, peak: float, warmup: float) -> float:
    """Linear warm-up over a share `warmup` of the run, then a cosine to 0. progress: the share that is done, 0 to 1."""
    if progress < warmup:
        return peak * progress / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
