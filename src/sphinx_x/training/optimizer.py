"""AdamW on float32 masters of weights that may compute in bfloat16 (paper, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class MasterOptimizer:
    """AdamW whose weights are float32, beside modules that compute in `dtype`.

    parts: name -> module with float32 weights; they are moved to `device` and rounded to `dtype` here. Only parameters
    that require a gradient are trained.
    """

    def __init__(
        self,
        parts: dict[str, nn.Module],
        device: torch.device,
        dtype: torch.dtype,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        for module in parts.values():
            module.to(device)
        self.parameters: dict[str, nn.Parameter] = {
            f"{part}.{name}": parameter
            for part, module in parts.items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        self.masters = {name: nn.Parameter(p.detach().float().clone()) for name, p in self.parameters.items()}
        for module in parts.values():
            for parameter in module.parameters():  # buffers (the angles of the positions) stay as exact as they are
                parameter.data = parameter.data.to(dtype)
        self.adamw = torch.optim.AdamW(
            list(self.masters.values()), lr=0.0, betas=betas, weight_decay=weight_decay, fused=True
        )

    def step(self, learning_rate: float, clip: float) -> float:
        """One step with the gradients that lie on the modules; returns the gradient's norm before clipping."""
        for name, parameter in self.parameters.items():
            gradient = parameter.grad
            self.masters[name].grad = torch.zeros_like(self.masters[name]) if gradient is None else gradient.float()
        norm = torch.nn.utils.clip_grad_norm_(list(self.masters.values()), clip).item()
        if math.isfinite(norm):
            for group in self.adamw.param_groups:
                group["lr"] = learning_rate
            self.adamw.step()
            self.copy_to_modules()
        for parameter in [*self.parameters.values(), *self.masters.values()]:
            parameter.grad = None
        return norm

    @torch.no_grad()
    def copy_to_modules(self) -> None:
        """Rounds the masters into the modules."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.masters[name])

    def tensors(self) -> dict[str, Tensor]:
        """Masters and moments by name, for a checkpoint."""
        out = {f"weight.{name}": master.detach() for name, master in self.masters.items()}
        for name, master in self.masters.items():
            for key, value in self.adamw.state[master].items():
                out[f"{key}.{name}"] = value
        return out

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        with torch.no_grad():
            for name, master in self.masters.items():
                master.copy_(tensors[f"weight.{name}"])
                self.adamw.state[master] = {
                    key: tensors[f"{key}.{name}"].clone() for key in ("step", "exp_avg", "exp_avg_sq")
                }
        self.copy_to_modules()


def learning_rate_at(progress: float, peak: float, warmup: float) -> float:
    """Linear warm-up over a share `warmup` of the run, then a cosine to 0. progress: the share that is done, 0 to 1."""
    if progress < warmup:
        return peak * progress / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def freeze(modules: Iterable[nn.Module]) -> None:
    """Takes modules out of training: no gradients, evaluation mode."""
    for module in modules:
        module.requires_grad_(False).eval()
