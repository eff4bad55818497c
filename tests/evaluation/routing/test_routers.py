"""Other numbers of active experts, and experts removed: what routers and experts then compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoConfig, AutoModel

from commands import one_line
from known_mixture import (
    EXPERTS,
    LAYERS,
    prompts_of,
)
from sphinx_x.errors import DataError
from sphinx_x.evaluation.answers import model_digest
from sphinx_x.evaluation.routing.routers import active_experts, find_routers, without_experts
from sphinx_x.evaluation.routing.watching import MODALITIES, watched
from sphinx_x.inference import SphinxX
from sphinx_x.model.quantized import MixtralOfLinears


def experts_of(block: Any, hidden_TD: torch.Tensor) -> torch.Tensor:
    """What each expert makes of each token (E, T, D)."""
    experts = block.experts
    gate, up = torch.einsum("td,efd->etf", hidden_TD, experts.gate_up_proj).chunk(2, -1)
    return torch.einsum("eti,edi->etd", F.silu(gate) * up, experts.down_proj)


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_active_experts_equal_a_dense_computation(count: int, folder: Path) -> None:
    sphinx = SphinxX.load(folder, device="cpu")
    trunk = sphinx.model.model.language_model
    routers, block = find_routers(trunk), trunk.layers[0].mlp
    block.gate.weight.copy_(torch.randn(EXPERTS, 32, generator=torch.Generator().manual_seed(1)))
    hidden_TD = torch.randn(9, 32, generator=torch.Generator().manual_seed(2))
    weights_TE = (hidden_TD @ block.gate.weight.T).softmax(-1)
    # all but the `count` largest count for nothing, and the rest is made to add up to 1
    smallest = weights_TE.sort(-1, descending=True).values[:, count - 1 : count]
    weights_TE = weights_TE.where(weights_TE >= smallest, 0)
    weights_TE /= weights_TE.sum(-1, keepdim=True)
    expected = torch.einsum("te,etd->td", weights_TE, experts_of(block, hidden_TD))
    with active_experts(routers, count):
        assert sphinx.model.config.text_config.num_experts_per_tok == count
        torch.testing.assert_close(block(hidden_TD[None])[0], expected, rtol=1e-4, atol=1e-4)
    assert (routers.modules[0].top_k, block.top_k, trunk.config.num_experts_per_tok) == (2, 2, 2)


@torch.no_grad()
def test_removed_experts_are_chosen_no_more(known: SphinxX, data: Path) -> None:
    """Without their first experts, images and texts go to those that come next; numbers stay those of the model."""
    [_, prompt] = prompts_of(known, data)[0]
    routers = find_routers(known.model.model.language_model)
    before = [router.weight for router in routers.modules]
    after = {(0, 2): ([1, 3], [3, 1]), (1,): ([0, 2], [2, 3]), (0,): ([1, 2], [2, 3]), (3,): ([0, 1], [2, 1])}
    for gone, (image, text) in after.items():
        with (
            watched(known, routers) as watcher,
            without_experts(routers, [gone] * LAYERS),
            watcher.batch([prompt]) as usages,
        ):
            known.answers([prompt], max_new_tokens=3)
        counts = usages[0].counts
        for name, chosen in (("image", image), ("text", text)):
            place = MODALITIES.index(name)
            number = usages[0].tokens[place]
            expected = [[number * (expert in chosen) for expert in range(EXPERTS)]] * LAYERS
            assert counts[:, place].tolist() == expected
    assert all(router.weight is weight for router, weight in zip(routers.modules, before, strict=True))
    assert all(router.num_experts == EXPERTS for router in routers.modules)


def test_everything_is_put_back_after_an_error(known: SphinxX) -> None:
    routers, before = find_routers(known.model.model.language_model), model_digest(known)
    with pytest.raises(KeyboardInterrupt), active_experts(routers, 1), without_experts(routers, [(0,), (1,)]):
        raise KeyboardInterrupt
    assert model_digest(known) == before
    assert not any(router._forward_hooks for router in routers.modules)
    with (
        pytest.raises(DataError, match="1 experts are left, but a token goes to 2"),
        without_experts(routers, [(0,), (1, 2, 3)]),
    ):
        pass
    with pytest.raises(DataError, match="1 to 4 experts of this model, not to 5"), active_experts(routers, 5):
        pass
    assert model_digest(known) == before


SMALL = {
    **{"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 24, "head_dim": 8},
    **{"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "num_experts_per_tok": 2},
}
KINDS = {
    "mixtral": {"num_local_experts": 6},
    "qwen2_moe": {"num_experts": 6, "shared_expert_intermediate_size": 24},
    "qwen3_moe": {"num_experts": 6, "norm_topk_prob": True},
    "olmoe": {"num_experts": 6},
    "granitemoe": {"num_local_experts": 6},
    "gpt_oss": {"num_local_experts": 6, "layer_types": ["full_attention"] * 2},
    "minimax": {"num_local_experts": 6, "layer_types": ["full_attention"] * 2},
}


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_routers_of_the_librarys_models(kind: str) -> None:
    """What a router says of the experts that are left does not change where it would have chosen none of the others."""
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **SMALL, **KINDS[kind])).eval()
    routers = find_routers(model)
    assert (routers.experts, routers.active, routers.layers, routers.most) == (6, 2, (0, 1), 6)
    router, hidden_TD = routers.modules[0], torch.randn(200, 16)
    torch.nn.init.normal_(router.weight)
    _, weights, chosen = router(hidden_TD)
    with without_experts(routers, [(1, 4), (0,)]):
        _, weights_left, chosen_left = router(hidden_TD)
        model(torch.arange(8)[None])
    assert not torch.isin(chosen_left, torch.tensor([1, 4])).any()
    assert set(chosen_left.flatten().tolist()) == {0, 2, 3, 5}
    same = ~torch.isin(chosen, torch.tensor([1, 4])).any(-1)
    assert 0 < same.sum() < 200
    assert torch.equal(chosen_left[same], chosen[same])
    if kind not in ("qwen2_moe", "olmoe"):  # whose weights are not made to add up to 1, and share what others had
        torch.testing.assert_close(weights_left[same], weights[same])
    for count in range(1, 7):
        with active_experts(routers, count):
            _, weights_k, chosen_k = router(hidden_TD)
            model(torch.arange(8)[None])
        assert chosen_k.shape == weights_k.shape == (200, count)
        assert all(len(set(row)) == count for row in chosen_k.tolist())
    after = router(hidden_TD)
    assert torch.equal(after[1], weights) and torch.equal(after[2], chosen)


def test_groups_of_experts_and_biases_elsewhere_are_refused() -> None:
    deep = {"n_routed_experts": 8, "n_group": 4, "topk_group": 2, "first_k_dense_replace": 1, "n_shared_experts": 1}
    small = {**SMALL, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8}
    model = AutoModel.from_config(AutoConfig.for_model("deepseek_v3", **{**small, **deep, "v_head_dim": 8}))
    routers = find_routers(model)
    assert (routers.layers, routers.experts, routers.most) == ((1,), 8, 4)
    with pytest.raises(DataError, match="1 to 4 experts"), active_experts(routers, 5):
        pass
    with pytest.raises(DataError, match="experts of a deepseek_v3 cannot be removed"), without_experts(routers, [(0,)]):
        pass
    ernie = AutoModel.from_config(AutoConfig.for_model("ernie4_5_moe", **SMALL, moe_num_experts=6, moe_k=2))
    routers = find_routers(ernie)
    with pytest.raises(DataError, match="cannot be removed"), without_experts(routers, [(0,)] * len(routers.layers)):
        pass


DBRX = {
    **{"vocab_size": 64, "d_model": 16, "n_heads": 2, "n_layers": 1},
    **{
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 1e4},
        "ffn_config": {"hidden_size": 16, "ffn_hidden_size": 16},
    },
}


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("llama", {**SMALL, "num_experts_per_tok": 0}, "is a llama: it has no sparse mixture of experts"),
        ("dbrx", DBRX, "is a dbrx: its routers are of no kind that can be watched"),
        ("jetmoe", {**SMALL, "kv_channels": 8, "num_local_experts": 4}, "is a jetmoe: its routers are of no kind"),
    ],
)
def test_models_without_readable_routers_are_refused(kind: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        find_routers(AutoModel.from_config(AutoConfig.for_model(kind, **settings)))
    assert one_line(f"error: {error.value}\n")


@torch.no_grad()
def test_experts_that_can_be_quantised() -> None:
    """Of the form that `bits` quantises: experts of linear layers."""
    config = AutoConfig.for_model("mixtral", **SMALL, num_local_experts=6)
    model = MixtralOfLinears(config).eval()
    routers = find_routers(model)
    assert (routers.experts, routers.layers) == (6, (0, 1))
    with without_experts(routers, [(0, 1), (2, 3)]), active_experts(routers, 4):
        model(torch.arange(8)[None])
