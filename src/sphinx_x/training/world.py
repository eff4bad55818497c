"""The processes of a run: who they are, and what they tell each other.

`torchrun` starts one process (a rank) for each device. They form a mesh of three dimensions: ranks along `tensor` share
every matrix, those along `expert` share the experts of a mixture, and `outer` holds the rest. All ranks along `outer`
and `expert` have samples of their own: together they are the `data` ranks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from sphinx_x.errors import RecipeError
from sphinx_x.planning.machine import chosen_device
from sphinx_x.recipe import ParallelRecipe

PATIENCE = timedelta(minutes=30)
"""How long ranks wait for each other: the first one may have much to measure."""


@dataclass(frozen=True)
class World:
    """This rank among the others. mesh: (outer, expert, tensor); None where the run has one process alone."""

    device: torch.device
    rank: int = 0
    size: int = 1
    data_rank: int = 0
    data_size: int = 1
    mesh: DeviceMesh | None = None
    data: DeviceMesh | None = None

    @property
    def first(self) -> bool:
        """Whether this rank writes what all have in common."""
        return self.rank == 0

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Sums of each number over the data ranks."""
        if self.data is None:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor, group=self.data.get_group())
        return tensor.tolist()

    def sum_over(self, tensor: Tensor, axes: Sequence[str]) -> Tensor:
        """The tensor summed over the ranks along some dimensions of the mesh."""
        for axis in axes:
            if self.mesh is not None:
                dist.all_reduce(tensor, group=(self.data if axis == "data" else self.mesh[axis]).get_group())  # pyright: ignore[reportOptionalMemberAccess]
        return tensor

    def gathered(self, thing: Any) -> list[Any]:
        """What each data rank has, in their order."""
        if self.data is None:
            return [thing]
        out: list[Any] = [None] * self.data_size
        dist.all_gather_object(out, thing, group=self.data.get_group())
        return out

    def agreed(self, thing: Any) -> Any:
        """What the first rank has."""
        if self.mesh is None:
            return thing
        out = [thing]
        dist.broadcast_object_list(out, src=0)
        return out[0]

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank."""
        if self.mesh is None:
            return flag
        tensor = torch.tensor(float(flag))
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return bool(tensor)

    def wait(self) -> None:
        """Waits for all ranks."""
        if self.mesh is not None:
            dist.barrier()


def join(parallel: ParallelRecipe, name: str | None = None) -> World:
    """Joins the other ranks, where `torchrun` started several. name: the device.

    Raises `RecipeError` where the ranks cannot be shared out as the recipe says.
    """
    device, size = chosen_device(name), int(os.environ.get("WORLD_SIZE", "1"))
    inner = parallel.tensor * parallel.expert
    if size % inner:
        raise RecipeError(
            f"parallel: {size} ranks cannot be {parallel.tensor} (tensor) x {parallel.expert} (expert) x any number;"
            f" start them with torchrun --nproc-per-node, {inner} or a multiple of it in all"
        )
    if size == 1:
        return World(device)
    if device.type == "mps":
        raise RecipeError("parallel: device mps has no collectives; train with one process")
    if not dist.is_initialized():
        dist.init_process_group("gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:nccl", timeout=PATIENCE)
    names = ("outer", "expert", "tensor")
    mesh = init_device_mesh(device.type, (size // inner, parallel.expert, parallel.tensor), mesh_dim_names=names)
    data = mesh["outer", "expert"]._flatten("data")
    return World(device, dist.get_rank(), size, data.get_local_rank(), data.size(), mesh, data)


def leave() -> None:
    """Ends what `join` began."""
    if dist.is_initialized():
        dist.destroy_process_group()
