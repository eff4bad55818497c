"""Experts in training: one product for all equals the loop, on one rank or shared; balance, however a step is cut."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch.multiprocessing.spawn import ProcessRaisedException
from transformers import AutoModel, LlamaConfig, MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

import moe_ranks as ranks
from sphinx_x.errors import RecipeError
from sphinx_x.family import new_model
from sphinx_x.model import moe
from sphinx_x.model.routing import balance_from, load_balancing_loss, recorded_routing, routing_sums

EXACT, ROUNDED = (torch.float32, 1e-5), (torch.bfloat16, 0.03)


def both(dtype=torch.float32):
    """The library's block, and the same with our experts."""
    loop = ranks.block(dtype)
    ours = copy.deepcopy(loop)
    assert moe.install_experts(ours) == 1
    return loop, ours


def without_kernel(monkeypatch):
    """As on a device that has no grouped product, and needs no room between groups."""
    monkeypatch.setattr(moe, "_grouped_kernel", lambda *_: False)
    monkeypatch.setattr(moe, "_spaced", lambda counts, total: (None, counts.cumsum(0, dtype=torch.int32), total))


def assert_equal_runs(loop, ours, hidden, wanted, tolerance):
    expected, expected_grads = ranks.run(loop, hidden, wanted)
    out, grads = ranks.run(ours, hidden, wanted)
    ranks.close(out, expected, tolerance)
    assert grads.keys() == expected_grads.keys()
    for name, grad in expected_grads.items():
        ranks.close(grads[name], grad, tolerance)
    return grads


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [EXACT, ROUNDED, (torch.float64, 1e-6)])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_experts_equal_the_librarys_loop(count, dtype, tolerance, kernel, monkeypatch):
    if not kernel:
        without_kernel(monkeypatch)
    hidden, wanted = ranks.tokens(count, dtype)
    assert_equal_runs(*both(dtype), hidden, wanted, tolerance)


@pytest.mark.parametrize("kernel", [True, False])
def test_experts_without_tokens_have_gradients_of_zero(kernel, monkeypatch):
    if not kernel:
        without_kernel(monkeypatch)
    loop, ours = both()
    hidden, wanted = ranks.tokens(20)
    for block in (loop, ours):
        block.gate.weight.data[:2], block.gate.weight.data[2:] = block.gate.weight.data[:2].abs() + 1, -1.0
    grads = assert_equal_runs(loop, ours, hidden.abs(), wanted, 1e-5)
    assert grads["experts.down_proj"][:2].any() and not grads["experts.down_proj"][2:].any()
    out, grads = ranks.run(both()[1], *ranks.tokens(0))
    assert out.shape == (1, 0, 16) and all(g is not None and not g.any() for g in grads.values())


def test_experts_give_the_same_bits_again():
    hidden, wanted = ranks.tokens(200, torch.bfloat16)
    (first, grads), (second, again) = (ranks.run(both(torch.bfloat16)[1], hidden, wanted) for _ in range(2))
    assert torch.equal(first, second) and all(torch.equal(grads[name], again[name]) for name in grads)


def test_experts_take_gradients_of_any_layout():
    layer = both()[1]
    layer(ranks.tokens(5)[0]).sum().backward()  # an expanded gradient, which the kernel refuses
    assert layer.experts.gate_up_proj.grad.any()


def test_a_model_keeps_its_parameters_and_its_files(tiny_member, tmp_path):
    extra = {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
    model, _ = new_model(replace(tiny_member, llm={**tiny_member.llm, **extra}))
    ids = torch.arange(30, 50)[None]
    expected, parameters = model(input_ids=ids).logits, dict(model.named_parameters())
    model.save_pretrained(tmp_path / "before")
    assert moe.install_experts(model) == 2 and moe.install_experts(model) == 0
    assert all(parameters[name] is parameter for name, parameter in model.named_parameters())
    finite = expected.isfinite()
    assert torch.allclose(model(input_ids=ids).logits[finite], expected[finite], atol=1e-5)
    model.save_pretrained(tmp_path / "after")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("before", "after"))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert model.double().dtype == torch.float64  # nothing of nn.Module is hidden
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1}
    assert moe.install_experts(AutoModel.from_config(LlamaConfig(vocab_size=8, **sizes))) == 0


def test_experts_that_cannot_be_shared_evenly_are_an_error():
    class Three:
        def size(self):
            return 3

    with pytest.raises(RecipeError, match=r"parallel.expert: 4 experts cannot be shared evenly by 3 ranks"):
        both()[1].experts.share(Three(), "expert")


def test_routing_is_a_softmax_over_all_experts_in_float32():
    router = MixtralTopKRouter(MixtralConfig(hidden_size=4, num_local_experts=4, num_experts_per_tok=2)).bfloat16()
    router.weight.data = torch.eye(4, dtype=torch.bfloat16)
    logits, weights, chosen = router(torch.tensor([[0.0, 1.0, 3.0, 2.0]], dtype=torch.bfloat16))
    odds = math.e / (1 + math.e)  # 3 against 2: whatever the softmax is over, after renormalisation
    assert logits.dtype == torch.bfloat16 and weights.dtype == torch.float32
    assert chosen.tolist() == [[2, 3]] and weights[0].tolist() == pytest.approx([odds, 1 - odds], abs=1e-6)


def test_balance_is_1_when_all_are_busy_and_experts_by_k_when_few_are():
    even = torch.eye(4).repeat(3, 1) * 2 + torch.eye(4).roll(1, 0).repeat(3, 1)
    assert load_balancing_loss([even, even], 2).item() == pytest.approx(1)
    collapsed = torch.tensor([50.0, 50.0, 0.0, 0.0]).repeat(12, 1)
    assert load_balancing_loss([collapsed], 2).item() == pytest.approx(4 / 2)
    assert load_balancing_loss([collapsed, even], 2).item() == pytest.approx((1 + 4 / 2) / 2)  # the mean over layers


def test_gradient_of_balance_by_hand():
    """Two experts, k = 1: C = (2, 1), so dL/da = E / (k N^2) (C_1 - C_2) p (1 - p)."""
    a = torch.tensor([math.log(3), math.log(2), -math.log(3)], requires_grad=True)
    loss = load_balancing_loss([torch.stack([a, torch.zeros(3)], 1)], 1)
    loss.backward()
    assert loss.item() == pytest.approx(2 / 9 * (2 * (3 / 4 + 2 / 3 + 1 / 4) + 1 * (1 / 4 + 1 / 3 + 3 / 4)))
    assert a.grad.tolist() == pytest.approx([2 / 9 * 3 / 16, 2 / 9 * 2 / 9, 2 / 9 * 3 / 16])


def logits_of(count, layers=3):
    return [torch.randn(count, 4, generator=torch.Generator().manual_seed(n)) for n in range(layers)]


def test_padding_has_no_influence_on_balance():
    real = logits_of(11)
    expected = load_balancing_loss(real, 2)
    behind = [torch.cat([x, torch.full((5, 4), math.nan)]).requires_grad_() for x in real]
    loss = balance_from(routing_sums(behind, 2, [11]), 2)
    assert loss.item() == pytest.approx(expected.item())
    (grad,) = torch.autograd.grad(loss, behind[0])
    assert grad[:11].any() and not grad[11:].any()
    mask = torch.arange(16) < 11
    assert load_balancing_loss([x.detach() for x in behind], 2, mask).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("cut", [[[0], [1], [2], [3]], [[3, 1], [0, 2]], [[2, 0, 1], [3]]])
def test_balance_by_pack_does_not_depend_on_how_a_step_is_cut(cut):
    """cut: packs of each micro-batch, on whatever rank."""
    lengths = [5, 9, 2, 8]
    logits = [x.requires_grad_() for x in logits_of(24)]
    packs = [x.split(lengths) for x in logits]
    whole = balance_from(routing_sums(logits, 2, lengths), 2)
    pieces = [
        balance_from(
            routing_sums([torch.cat([x[p] for p in part]) for x in packs], 2, [lengths[p] for p in part]), 2, 24
        )
        for part in cut
    ]
    assert sum(pieces).item() == pytest.approx(whole.item())
    for one, other in zip(torch.autograd.grad(whole, logits), torch.autograd.grad(sum(pieces), logits), strict=True):
        assert torch.allclose(one, other, atol=1e-7)
    # one pool of all tokens is another loss
    assert load_balancing_loss(logits, 2).item() != pytest.approx(whole.item(), rel=1e-3)
    assert balance_from(routing_sums([x[:5] for x in logits], 2, [5, 0]), 2).isfinite()


def test_routing_is_recorded_once_though_activations_are_recomputed():
    model, total = ranks.language_model(), 100
    other = copy.deepcopy(model)
    other.activation_checkpointing_enable()
    with recorded_routing(model) as logits:
        model(torch.arange(9)[None], use_cache=False, position_ids=torch.arange(9)[None], pack=ranks.plan_pack([9]))
    assert [x.shape for x in logits] == [(9, 4)] * 2
    for each in (model, other):
        with recorded_routing(each):  # as is an inner one, which does not see what the backward pass computes
            ranks.row_loss(each, 2, total).backward()
    model(torch.arange(9)[None], use_cache=False, position_ids=torch.arange(9)[None], pack=ranks.plan_pack([9]))
    assert len(logits) == 2
    for (name, one), two in zip(model.named_parameters(), other.parameters(), strict=True):
        assert one.grad is None or torch.allclose(one.grad, two.grad, atol=1e-6), name
    assert model.layers[0].mlp.gate.weight.grad.any()


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [EXACT, ROUNDED])
@pytest.mark.parametrize("check", [ranks.same_tokens, ranks.other_tokens])
def test_shared_experts_equal_the_loop(check, dtype, tolerance, tmp_path):
    ranks.spawn(check, 2, tmp_path, dtype, tolerance)


@pytest.mark.slow
def test_a_sum_left_out_is_seen(tmp_path):
    with pytest.raises(ProcessRaisedException, match="AssertionError"):
        ranks.spawn(ranks.without_the_sum_backwards, 2, tmp_path)


@pytest.mark.slow
def test_a_pool_may_reach_over_ranks(tmp_path):
    ranks.spawn(ranks.pooled_over_ranks, 2, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("way", "recompute"), [("expert", True), ("tensor", False)])
def test_shared_experts_under_fsdp(way, recompute, tmp_path):
    ranks.spawn(ranks.under_fsdp, 4, tmp_path, way, recompute)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["expert", "tensor"])
def test_shared_experts_in_bfloat16_under_fsdp(way, tmp_path):
    ranks.spawn(ranks.in_bfloat16, 2, tmp_path, way)
