"""The ranks of a run: how they communicate, and how a module is distributed over them.

This covers tensor parallelism, recomputed activations, and sharding (FSDP2). Every rank keeps a slice of each weight,
gathers a layer when it is called, and gets its slice of the summed gradient. Expert parallelism is in
`sphinx_x.model.moe`. The first rank loads the weights, and the others get their slices from it, so that no other rank
needs the memory for all of them.

`torchrun` starts one process (a rank) for each device. They form a mesh of three dimensions: ranks along `tensor` share
every matrix, those along `expert` share the experts of a mixture, and `outer` holds the rest. All ranks along `outer`
and `expert` have their own samples: together they are the `data` ranks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from sphinx_x.errors import RecipeError
from sphinx_x.model.moe import Experts, fsdp_placement, share_experts
from sphinx_x.planning.machine import chosen_device
from sphinx_x.recipe import ParallelRecipe, Recipe
from sphinx_x.training.objective import Objective

PATIENCE = timedelta(minutes=30)
"""How long ranks wait for each other in a step."""
LONG_PATIENCE = timedelta(days=2)
"""How long they wait for the first one, which may have data to make and lengths to measure."""


@dataclass(frozen=True)
class World:
    """This rank among the others.

    Attributes:
        device: This rank's device.
        rank: Its number.
        size: Number of ranks.
        data_rank: Its number among the data ranks.
        data_size: Number of data ranks.
        mesh: (outer, expert, tensor); None if the run has only one process.
        data: The mesh of the data ranks.
        waiting: The group in which ranks wait for work of the first one.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    data_rank: int = 0
    data_size: int = 1
    mesh: DeviceMesh | None = None
    data: DeviceMesh | None = None
    waiting: Any = None

    @property
    def first(self) -> bool:
        """Whether this rank writes what all have in common."""
        return self.rank == 0

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Return the sum of each number over the data ranks."""
        if self.data is None:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor, group=self.data.get_group())
        return tensor.tolist()

    def sum_over(self, tensor: Tensor, axes: Sequence[str]) -> Tensor:
        """Return the tensor summed over the ranks along some dimensions of the mesh."""
        for axis in axes:
            if self.mesh is not None:
                dist.all_reduce(tensor, group=(self.data if axis == "data" else self.mesh[axis]).get_group())  # pyright: ignore[reportOptionalMemberAccess]
        return tensor

    def gathered(self, thing: Any) -> list[Any]:
        """Return the object of each data rank, in their order."""
        if self.data is None:
            return [thing]
        out: list[Any] = [None] * self.data_size
        dist.all_gather_object(out, thing, group=self.data.get_group())
        return out

    def agreed(self, thing: Any) -> Any:
        """Return the object of the first rank."""
        if self.mesh is None:
            return thing
        out = [thing]
        dist.broadcast_object_list(out, src=0)
        return out[0]

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank."""
        if self.mesh is None:
            return flag
        tensor = torch.tensor(float(flag))
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return bool(tensor)

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.mesh is not None:
            dist.barrier(group=self.waiting)


def join(parallel: ParallelRecipe, name: str | None = None) -> World:
    """Join the other ranks, if `torchrun` started several.

    Args:
        parallel: How they share the work.
        name: The device.

    Raises:
        RecipeError: The ranks cannot be divided as the recipe says.
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
        dist.init_process_group(backend_of(device), timeout=PATIENCE)
    return meshed(device, parallel)


def backend_of(device: torch.device) -> str:
    """Return the backend of collectives on a device, and on the CPU beside it."""
    return "gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:nccl"


def meshed(device: torch.device, parallel: ParallelRecipe) -> World:
    """Return this rank's place among those of the process group, be it the only one: all hold slices of weights."""
    inner, names = parallel.tensor * parallel.expert, ("outer", "expert", "tensor")
    shape = dist.get_world_size() // inner, parallel.expert, parallel.tensor
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=names)
    data = mesh["outer", "expert"]._flatten("data")
    waiting = dist.new_group(timeout=LONG_PATIENCE, backend="gloo")
    own = data.get_local_rank(), data.size()
    return World(device, dist.get_rank(), dist.get_world_size(), *own, mesh, data, waiting)


def leave() -> None:
    """End what `join` began."""
    if dist.is_initialized():
        dist.destroy_process_group()


_ATTENTION = {f"self_attn.{name}_proj": ColwiseParallel for name in "qkv"} | {"self_attn.o_proj": RowwiseParallel}
_FORWARD = {"mlp.gate_proj": ColwiseParallel, "mlp.up_proj": ColwiseParallel, "mlp.down_proj": RowwiseParallel}


def spread(objective: Objective, recipe: Recipe, world: World) -> None:
    """Prepare a module for a run, in place: on the run's device, and in slices if there are several ranks.

    Trained parameters become float32; with several ranks, frozen ones get the recipe's dtype. Only the first rank's
    weights count: on the others the module may be on the meta device.
    """
    if recipe.activation_checkpointing:
        objective.recompute()
    if world.mesh is None:
        objective.to(world.device)
    else:
        source = _taken(objective, recipe, world)
        if recipe.parallel.expert > 1:
            _share_experts(objective, recipe, world)
        if recipe.parallel.tensor > 1:
            _share_tensors(objective, recipe, world)
        _shard(objective, recipe, world)
        _fill(objective, source, world)
    if recipe.compile:
        for layer in [*_layers(objective), *_vision_blocks(objective)]:
            layer.compile(dynamic=True)


def _taken(objective: Objective, recipe: Recipe, world: World) -> dict[str, Tensor]:
    """Take the weights and buffers out of a module, which is then on the meta device; only the first rank has any."""
    dtype = getattr(torch, recipe.dtype)
    for parameter in objective.parameters():
        parameter.data = parameter.data.to(torch.float32 if parameter.requires_grad else dtype)
    source = dict(objective.state_dict()) | dict(objective.named_buffers()) if world.first else {}
    objective.to_empty(device="meta")
    objective.model.tie_weights()
    return source


def _fill(objective: Objective, source: dict[str, Tensor], world: World) -> None:
    """Give every rank its slices of the first rank's weights."""
    objective.to_empty(device=world.device)
    objective.model.tie_weights()
    weights = {name: tensor for name, tensor in source.items() if name in objective.state_dict()}
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(objective, weights, options=options)  # pyright: ignore[reportArgumentType]
    for name, buffer in objective.named_buffers():
        if world.first:
            buffer.copy_(source[name])
        dist.broadcast(buffer, src=0)


def _layers(objective: Objective) -> list[nn.Module]:
    return list(objective.model.model.language_model.layers)


def _share_experts(objective: Objective, recipe: Recipe, world: World) -> None:
    if not objective.mixture:
        raise RecipeError(f"parallel: {recipe.member} is no mixture: it has no experts that ranks could share (expert)")
    if recipe.parallel.tensor > 1:
        raise RecipeError("parallel: experts are shared by tensor ranks where there are any; leave expert at 1")
    share_experts(objective, world.mesh["expert"], "expert")  # pyright: ignore[reportOptionalSubscript]


def _share_tensors(objective: Objective, recipe: Recipe, world: World) -> None:
    text, tensor = objective.model.config.text_config, recipe.parallel.tensor
    sizes = {"attention heads": text.num_attention_heads, "key-value heads": text.num_key_value_heads}
    mixture = text.model_type == "mixtral"
    sizes["experts" if mixture else "hidden units"] = text.num_local_experts if mixture else text.intermediate_size
    for what, size in sizes.items():
        if size % tensor:
            raise RecipeError(f"parallel: {size} {what} of {recipe.member} cannot be shared by {tensor} tensor ranks")
    if recipe.lora is not None:
        raise RecipeError("parallel: adapters (lora) cannot be shared by tensor ranks; shard them over data ranks")
    plan = {name: style() for name, style in (_ATTENTION if mixture else _ATTENTION | _FORWARD).items()}
    if mixture:
        share_experts(objective, world.mesh["tensor"], "tensor")  # pyright: ignore[reportOptionalSubscript]
    for layer in _layers(objective):
        parallelize_module(layer, world.mesh["tensor"], plan)  # pyright: ignore[reportOptionalSubscript, reportArgumentType]


def _shard(objective: Objective, recipe: Recipe, world: World) -> None:
    policy = MixedPrecisionPolicy(param_dtype=getattr(torch, recipe.dtype), reduce_dtype=torch.float32)
    settings: dict[str, Any] = {"mp_policy": policy, "reshard_after_forward": recipe.parallel.zero_stage == 3}
    plain = {"mesh": world.data, **settings}
    # routing weights stay float32; the gradients of shared experts are summed over fewer data ranks
    experts = plain | {"mp_policy": replace(policy, cast_forward_inputs=False), "shard_placement_fn": fsdp_placement}
    if recipe.parallel.expert > 1:
        experts["mesh"] = world.mesh["outer"]  # pyright: ignore[reportOptionalSubscript]
    modules = [(module, experts) for module in objective.modules() if isinstance(module, Experts)]
    modules += [(module, plain) for module in (*_layers(objective), *_vision_blocks(objective), objective)]
    for module, how in modules:
        sharded: Any = fully_shard(module, **how)
        # losses are divided by the tokens of all ranks, so gradients are summed, not averaged
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)


def _vision_blocks(objective: Objective) -> Iterator[nn.Module]:
    """Yield the blocks of the visual experts, which are gathered or compiled one by one."""
    for group in objective.model.model.vision.groups:
        for expert in group.experts:  # pyright: ignore[reportGeneralTypeIssues]
            for child in expert.modules():
                if isinstance(child, nn.ModuleList):
                    yield from child
                    break
