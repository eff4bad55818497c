"""What ranks of a group do in the tests of shared experts: each compares its part with what one process computes."""

import copy
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers import AutoModel, MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

from processes import ready_server
from sphinx_x.model import moe
from sphinx_x.model.packed import PACKED, plan_pack
from sphinx_x.model.routing import balance_from, load_balancing_loss, recorded_routing, routing_sums

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_local_experts": 4, "num_experts_per_tok": 2}
LAYERS = {"vocab_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}


def spawn(check, ranks: int, folder: Path, *arguments) -> None:
    """Runs check(folder, *arguments) in processes of one gloo group; an error of any of them is raised here.

    They come from one server that has done the imports, which take longer than anything they do.
    """
    store = folder / "store"
    store.unlink(missing_ok=True)
    ready_server()
    mp.start_processes(_rank, (check, ranks, str(store), folder, arguments), ranks, start_method="forkserver")


def _rank(rank, check, ranks, store, folder, arguments):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    try:
        check(folder, *arguments)
    finally:
        dist.destroy_process_group()


def block(dtype=torch.float32, seed=0) -> MixtralSparseMoeBlock:
    """The library's router and experts with large random weights; its experts go through a loop."""
    config = MixtralConfig(**SIZES)
    config._experts_implementation = "eager"
    made = MixtralSparseMoeBlock(config)
    generator = torch.Generator().manual_seed(seed)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return made.to(dtype)


def tokens(count: int, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states (1, count, D), and what the gradient of the output is to be."""
    generator = torch.Generator().manual_seed(count)
    hidden, wanted = (torch.randn(1, count, SIZES["hidden_size"], generator=generator) for _ in range(2))
    return hidden.to(dtype), wanted.to(dtype)


def run(layer, hidden, wanted):
    """Output, and gradients by name, of (output x wanted) summed."""
    hidden = hidden.clone().requires_grad_()
    out = layer(hidden)
    (out * wanted).sum().backward()
    return out.detach(), {"hidden": hidden.grad, **{name: p.grad for name, p in layer.named_parameters()}}


def close(found, expected, tolerance=1e-5):
    """Within a tolerance relative to the largest value, or to 1 (gradients of the router nearly cancel)."""
    found = found.full_tensor() if isinstance(found, DTensor) else found
    assert found.shape == expected.shape
    if expected.numel():
        worst = (found.float() - expected.float()).abs().max().item()
        assert worst <= tolerance * max(expected.float().abs().max().item(), 1.0), worst


def shared(way, mesh, dtype=torch.float32):
    """The block with its experts shared."""
    layer = block(dtype)
    assert moe.install_experts(layer) == 1 and moe.share_experts(layer, mesh, way) == 1
    assert layer.experts.gate_up_proj.to_local().shape[0] == SIZES["num_local_experts"] // mesh.size()
    return layer


def same_tokens(folder, dtype, tolerance):
    """`tensor`: every rank has all tokens; output and all gradients are the loop's."""
    mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("tensor",))
    for count in (13, 1, 0):
        hidden, wanted = tokens(count, dtype)
        layer = shared("tensor", mesh, dtype)
        out, grads = run(layer, hidden, wanted)
        if count:
            expected, expected_grads = run(block(dtype), hidden, wanted)
            close(out, expected, tolerance)
            for name, grad in expected_grads.items():
                close(grads[name], grad, tolerance)
        else:
            assert out.shape == hidden.shape and all(
                not g.full_tensor().any() for g in grads.values() if g.ndim == 3 and isinstance(g, DTensor)
            )


def without_the_sum_backwards(folder, *_):
    """`same_tokens` where a rank keeps its own part of the gradients."""
    moe._Entered.backward = staticmethod(lambda ctx, *grads: (*grads, None))
    same_tokens(folder, torch.float32, 1e-5)


def other_tokens(folder, dtype, tolerance):
    """`expert`: each rank has some of the tokens, or none; together they are what one process computes."""
    mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("expert",))
    rank = dist.get_rank()
    for first, collapsed in ((9, False), (0, False), (13, False), (5, True), (1, True)):
        hidden, wanted = tokens(13, dtype)
        layer, whole = shared("expert", mesh, dtype), block(dtype)
        if collapsed:  # all tokens go to the first rank's experts
            hidden = hidden.abs()
            for gate in (layer.gate, whole.gate):
                gate.weight.data[:2], gate.weight.data[2:] = gate.weight.data[:2].abs() + 1, -1.0
        expected, expected_grads = run(whole, hidden, wanted)
        own = slice(0, first) if rank == 0 else slice(first, None)
        out, grads = run(layer, hidden[:, own], wanted[:, own])
        close(out, expected[:, own], tolerance)
        close(grads.pop("hidden"), expected_grads.pop("hidden")[:, own], tolerance)
        dist.all_reduce(grads["gate.weight"])
        for name, grad in expected_grads.items():
            close(grads[name], grad, tolerance)


def pooled_over_ranks(folder):
    """With a group, two halves of a pool have the loss and the gradient of the whole."""
    logits = [torch.randn(12, 4, generator=torch.Generator().manual_seed(s), requires_grad=True) for s in range(3)]
    expected = load_balancing_loss(logits, 2)
    wanted = torch.autograd.grad(expected, logits)
    own = slice(0, 5) if dist.get_rank() == 0 else slice(5, 12)
    part = balance_from(routing_sums([x[own] for x in logits], 2), 2, tokens=12, group=dist.group.WORLD)
    grads = torch.autograd.grad(part, logits)
    total = part.detach().clone()
    dist.all_reduce(total)
    close(total, expected.detach())
    for grad, other in zip(grads, wanted, strict=True):
        close(grad[own], other[own])


def lengths_of(row: int) -> list[int]:
    """Tokens of the samples of a row."""
    return [[7, 20], [3], [15, 1, 9], [30]][row]


def language_model():
    """A tiny Mixtral for packed rows."""
    torch.manual_seed(0)
    model = AutoModel.from_config(MixtralConfig(**SIZES, **LAYERS, initializer_range=0.3))
    model.config._attn_implementation = PACKED
    return model.train()


def row_loss(model, row: int, total: int):
    """What a row adds to the loss of a step of `total` tokens, balance included."""
    lengths = lengths_of(row)
    pack = plan_pack(lengths, total=32)
    embeddings = torch.randn(1, 32, SIZES["hidden_size"], generator=torch.Generator().manual_seed(row))
    inputs = {"position_ids": pack.position_ids, "pack": pack, "use_cache": False}
    with recorded_routing(model) as logits:
        out = model(inputs_embeds=embeddings, **inputs)
    balance = balance_from(routing_sums(logits, 2, [sum(lengths)]), 2, total)
    return out.last_hidden_state[0, : sum(lengths)].pow(3).sum() / total + balance


@contextmanager
def step_of(model):
    """Gradients of all rows one after the other in one process, as what is expected."""
    total = sum(sum(lengths_of(row)) for row in range(4))
    for row in range(4):
        row_loss(model, row, total).backward()
    yield total, {name: p.grad for name, p in model.named_parameters()}


def plain_sums(module):
    """FSDP sums gradients, which gloo needs to be told in this way."""
    module.set_gradient_divide_factor(1.0)
    module.set_force_sum_reduction_for_comms(True)


def under_fsdp(folder, way, recompute):
    """A language model of 4 ranks: experts shared by 2, everything cut over the rest; then saved and read again."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("outer", way))
    whole = language_model()
    model = copy.deepcopy(whole).to_empty(device="meta")
    moe.install_experts(model)
    moe.share_experts(model, mesh[way], way)
    data = mesh._flatten("data") if way == "expert" else mesh["outer"]
    policy = MixedPrecisionPolicy(param_dtype=torch.float32, cast_forward_inputs=False)
    if recompute:
        model.activation_checkpointing_enable()
    for layer in model.layers:
        place = {"shard_placement_fn": moe.fsdp_placement, "mp_policy": policy}
        plain_sums(fully_shard(layer.mlp.experts, mesh=mesh["outer"], **place))
        plain_sums(fully_shard(layer, mesh=data))
    plain_sums(fully_shard(model, mesh=data))
    model.to_empty(device="cpu")
    for name, buffer in model.named_buffers():
        buffer.copy_(whole.get_buffer(name))
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, whole.state_dict() if dist.get_rank() == 0 else {}, options=options)
    with step_of(whole) as (total, expected):
        rows = [dist.get_rank()] if way == "expert" else [mesh["outer"].get_local_rank() * 2 + n for n in range(2)]
        for row in rows:
            row_loss(model, row, total).backward()
        for name, parameter in model.named_parameters():
            if name != "embed_tokens.weight":
                close(parameter.grad, expected[name], 2e-5)
    state = {name: p.detach() for name, p in model.named_parameters()}
    dcp.save(state, checkpoint_id=folder / "state")
    other = {name: torch.zeros_like(p) for name, p in whole.named_parameters()}
    again = block(seed=5)  # another layout: all four ranks share
    moe.install_experts(again)
    moe.share_experts(again, init_device_mesh("cpu", (4,)), way)
    name = "layers.1.mlp.experts.gate_up_proj"
    dcp.load(other, checkpoint_id=folder / "state")
    for key, tensor in whole.named_parameters():
        assert torch.equal(other[key], tensor), key
    dcp.load({name: again.experts.gate_up_proj.detach()}, checkpoint_id=folder / "state")
    assert torch.equal(again.experts.gate_up_proj.full_tensor(), dict(whole.named_parameters())[name])


def in_bfloat16(folder, way):
    """FSDP that computes in bfloat16: routing weights stay float32, gradients and parameters are float32."""
    mesh = init_device_mesh("cpu", (1, 2), mesh_dim_names=("outer", way))
    layer = block()
    moe.install_experts(layer)
    moe.share_experts(layer, mesh[way], way)
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    fully_shard(layer.experts, mesh=mesh["outer"], shard_placement_fn=moe.fsdp_placement, mp_policy=policy)
    plain_sums(layer.experts)
    seen = []
    layer.experts.register_forward_pre_hook(lambda _, given: seen.extend(x.dtype for x in given))
    hidden, _ = tokens(13)
    _, weights, chosen = layer.gate(hidden[0])
    out = layer.experts(hidden[0].bfloat16(), chosen, weights)
    out.float().sum().backward()
    assert seen == [torch.bfloat16, torch.int64, torch.float32] and out.dtype == torch.bfloat16
    assert layer.experts.down_proj.grad.dtype == torch.float32
    expected = block()(hidden)[0]
    close(out.detach(), expected, 0.03)
