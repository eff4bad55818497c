"""Spreads a module over the ranks of a run: tensor parallelism, recomputed activations, sharding (FSDP2).

Every rank keeps a slice of each weight, gathers a layer when it is called, and gets its slice of the summed gradient.
What is expert parallel is in `sphinx_x.model.moe`. The first rank has the weights; the others get their slices from it,
so that no other needs the memory for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from sphinx_x.errors import RecipeError
from sphinx_x.model.moe import Experts, fsdp_placement, share_experts
from sphinx_x.recipe import Recipe
from sphinx_x.training.objective import Objective
from sphinx_x.training.world import World

_ATTENTION = {f"self_attn.{name}_proj": ColwiseParallel for name in "qkv"} | {"self_attn.o_proj": RowwiseParallel}
_FORWARD = {"mlp.gate_proj": ColwiseParallel, "mlp.up_proj": ColwiseParallel, "mlp.down_proj": RowwiseParallel}


def spread(objective: Objective, recipe: Recipe, world: World) -> None:
    """Prepares a module for a run, in place: on the run's device, and in slices where there are several ranks.

    Trained parameters are float32 then; with several ranks, frozen ones are of the recipe's dtype. Only the first
    rank's weights count: on the others the module may be on the meta device.
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
    """Takes the weights and buffers out of a module, which is on the meta device then; only the first rank has any."""
    dtype = getattr(torch, recipe.dtype)
    for parameter in objective.parameters():
        parameter.data = parameter.data.to(torch.float32 if parameter.requires_grad else dtype)
    source = dict(objective.state_dict()) | dict(objective.named_buffers()) if world.first else {}
    objective.to_empty(device="meta")
    objective.model.tie_weights()
    return source


def _fill(objective: Objective, source: dict[str, Tensor], world: World) -> None:
    """Gives every rank its slices of the first rank's weights."""
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
    # the weights of routing stay float32; experts that ranks share have those of fewer data ranks to be summed with
    experts = plain | {"mp_policy": replace(policy, cast_forward_inputs=False), "shard_placement_fn": fsdp_placement}
    if recipe.parallel.expert > 1:
        experts["mesh"] = world.mesh["outer"]  # pyright: ignore[reportOptionalSubscript]
    modules = [(module, experts) for module in objective.modules() if isinstance(module, Experts)]
    modules += [(module, plain) for module in (*_layers(objective), *_vision_blocks(objective), objective)]
    for module, how in modules:
        sharded: Any = fully_shard(module, **how)
        # losses are divided by the tokens of all ranks, so gradients are summed and not averaged
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)


def _vision_blocks(objective: Objective) -> Iterator[nn.Module]:
    """The blocks of the visual experts: what is gathered, or compiled, one by one."""
    for group in objective.model.model.vision.groups:
        for expert in group.experts:  # pyright: ignore[reportGeneralTypeIssues]
            for child in expert.modules():
                if isinstance(child, nn.ModuleList):
                    yield from child
                    break
