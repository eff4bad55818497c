"""The closed formula of operations and bytes against a real forward and backward pass, tensor by tensor.

Operations of a Llama are the same number; bytes are a few per cent more at most where attention weighs most, as it does
in models as small as these."""

from dataclasses import replace

import pytest
import torch

from meter import Meter
from sphinx_x.errors import UnsupportedError
from sphinx_x.family import build_config, new_model
from sphinx_x.model import attention
from sphinx_x.model.packed import ROWS, TOKENS, VIEWS, plan_pack, round_up
from sphinx_x.model.parts import freeze
from sphinx_x.planning.costs import Costs, Load, Model, count_costs
from sphinx_x.planning.outline import sizes_of
from sphinx_x.recipe import LoraRecipe, Recipe
from sphinx_x.training.lora import add_adapters
from sphinx_x.training.objective import MicroBatch, Objective


def recipe_of(**fields) -> Recipe:
    return Recipe(**{"member": "nano", "folder": "data", "total_samples": 1000, "sources": {"a": {}}, **fields})


def metered(member, recipe: Recipe, load: Load) -> Meter:
    """A real pass over a micro-batch of zeros; gradients are dropped as they come, as `Costs` leaves them out."""
    model, _ = new_model(member)
    if recipe.lora is not None:
        add_adapters(model, recipe.lora)
    model.to(getattr(torch, recipe.dtype))
    objective = Objective(model.train(), None)
    if recipe.lora is None:
        freeze(objective, recipe.freeze)
    if recipe.activation_checkpointing:
        objective.recompute()
    for parameter in objective.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
    config, row = model.config, round_up(load.tokens, TOKENS)
    ids, rows = torch.zeros(1, row, dtype=torch.int64), torch.zeros(round_up(load.trained, ROWS), dtype=torch.int64)
    ids[0, : load.views * config.tokens_per_view] = config.image_token_id
    grid, seen = config.view_grid(), round_up(load.views, VIEWS) if config.groups else 0
    views = torch.zeros(seen, 3, grid.view_height, grid.view_width, dtype=torch.uint8)
    pack = plan_pack(load.lengths, total=row)
    with Meter() as meter:
        losses, *_ = objective(MicroBatch([], [row], ids, views, load.views, rows, rows, load.trained, pack))
        losses.sum().backward()
    return meter


def counted(member, recipe: Recipe, load: Load) -> Costs:
    config = build_config(member)
    return count_costs(Model(config, sizes_of(config, recipe), recipe), load)


TEXT = Load((150, 60, 200, 90, 150, 20, 300, 40, 7), 0, 400)
SHAPES = {
    "as it is": {},
    "wide": {"hidden_size": 96, "intermediate_size": 64, "num_hidden_layers": 3},
    "own heads": {"head_dim": 24, "num_key_value_heads": 1},
    "many words": {"vocab_size": 4096},
    "one table": {"tie_word_embeddings": True},
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_llama(tiny_member, shape, dtype):
    member = replace(tiny_member, llm={**tiny_member.llm, **SHAPES[shape]})
    recipe = recipe_of(freeze=["experts"], dtype=dtype)
    found, wanted = counted(member, recipe, TEXT), metered(member, recipe, TEXT)
    assert found.llm_flops == wanted.flops
    assert found.activations == pytest.approx(wanted.peak, rel=0.08)


CHANGES = {
    "recompute": {"activation_checkpointing": True},
    "frozen": {"freeze": ["language_model"]},
    "frozen layers": {"freeze": ["experts", "*embed_tokens*", "*layers.0.*"]},
    "frozen matrices": {"freeze": ["experts", "*mlp*"]},
    "frozen and recomputed": {"freeze": ["experts", "*embed_tokens*", "*layers.0.*"], "activation_checkpointing": True},
    "adapters": {"start": "nano", "lora": LoraRecipe(rank=4)},
    "adapters and the projector": {"start": "nano", "lora": LoraRecipe(rank=4, whole=["projector"])},
    "adapters of attention": {"start": "nano", "lora": LoraRecipe(rank=4, targets=["q_proj", "v_proj"])},
}
SEEN = Load((150,) * 6, 16, 200)


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_trained(tiny_member, change):
    recipe = recipe_of(**{"dtype": "float32", "freeze": ["experts"], **CHANGES[change]})
    found, wanted = counted(tiny_member, recipe, SEEN), metered(tiny_member, recipe, SEEN)
    assert found.llm_flops + found.vision_flops == pytest.approx(wanted.flops, rel=0.06)
    assert found.activations == pytest.approx(wanted.peak, rel=0.08)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_with_experts_that_are_trained(tiny_member, dtype):
    recipe = recipe_of(freeze=[], dtype=dtype)
    found, wanted = counted(tiny_member, recipe, SEEN), metered(tiny_member, recipe, SEEN)
    assert found.llm_flops + found.vision_flops == pytest.approx(wanted.flops, rel=0.02)
    assert found.activations == pytest.approx(wanted.peak, rel=0.06)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_mixture(tiny_member, recompute):
    llm = {
        **tiny_member.llm,
        "model_type": "mixtral",
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": None,
    }
    member, recipe = (
        replace(tiny_member, llm=llm),
        recipe_of(freeze=["experts"], dtype="float32", activation_checkpointing=recompute),
    )
    load = Load((512,) * 4, 0, 400)
    found, wanted = counted(member, recipe, load), metered(member, recipe, load)
    # a CPU leaves room between the rows of experts, so that its kernels' shapes recur
    assert found.llm_flops == pytest.approx(wanted.flops, rel=0.01)
    assert found.activations == pytest.approx(wanted.peak, rel=0.05)


def test_long_attention(tiny_member, monkeypatch):
    """As on an accelerator: one kernel, which keeps no scores and computes them again."""
    monkeypatch.setattr(attention, "SHORT", 0)
    recipe, config = recipe_of(freeze=["experts"], dtype="float32"), build_config(tiny_member)
    found = count_costs(Model(config, sizes_of(config, recipe), recipe), TEXT, short_attention=False)
    wanted = metered(tiny_member, recipe, TEXT)
    assert found.llm_flops == wanted.flops
    assert found.activations == pytest.approx(wanted.peak, rel=0.02)


def test_what_cannot_be_packed_is_refused(tiny_member):
    config = build_config(tiny_member)
    config.text_config.layer_types = ["chunked_attention"] * config.text_config.num_hidden_layers
    with pytest.raises(UnsupportedError):
        sizes_of(config, recipe_of())
