"""The family's figures against what is published of its parts."""

from functools import cache

import pytest

from paths import ROOT
from sphinx_x.errors import SphinxXError
from sphinx_x.family import IMAGE_VOCABULARY, MEMBERS, Facts, build_config, describe, get_member, new_model

PROJECTOR = {"tiny": 9.4e6, "tiny-sig": 5.5e6, "intern2": 18.9e6, "plus": 23.6e6, "plus-2k": 23.6e6, "moe": 18.9e6}


@cache
def counted(name: str) -> Facts:
    """A member's figures, counted once."""
    return describe(get_member(name))


@pytest.mark.parametrize("name", PROJECTOR)
def test_parameters_are_the_sum_of_the_published_parts(name):
    member, facts = get_member(name), counted(name)
    llm, *experts = member.published.values()
    assert facts.llm == llm + 2 * IMAGE_VOCABULARY * member.llm["hidden_size"]
    assert facts.experts == pytest.approx(sum(experts), rel=1e-3)
    assert facts.projector == pytest.approx(PROJECTOR[name], rel=5e-3)
    assert facts.parameters == facts.llm + facts.experts + facts.projector


def test_nano_is_small_enough_to_ship():
    facts = describe(get_member("nano"))
    assert facts.parameters <= 10e6
    assert 2 * facts.parameters <= 20e6


def test_skipping_figures_of_the_paper():
    assert describe(get_member("tiny")).typical["2:1"] == 779
    two_k = describe(get_member("plus-2k"))
    assert (two_k.tokens, two_k.typical["3:2"], two_k.typical["3:1"]) == (2590, 1816, 1042)


def test_configurations_survive_a_round_trip():
    for member in MEMBERS.values():
        config = build_config(member)
        again = type(config).from_dict(config.to_dict())
        assert again.group_configs() == config.group_configs()
        assert again.view_grid() == member.views


def test_moe_routes_two_of_eight():
    text = build_config(get_member("moe")).text_config
    assert (text.num_local_experts, text.num_experts_per_tok) == (8, 2)


def test_unknown_and_weightless_members_are_refused():
    with pytest.raises(SphinxXError, match="unknown member 'huge'"):
        get_member("huge")
    with pytest.raises(SphinxXError, match="starts from the weights"):
        new_model(get_member("plus"))


@pytest.mark.parametrize("name", MEMBERS)
def test_the_table_of_needs_is_what_is_counted(name):
    facts = counted(name)
    needs = (2 * facts.parameters / 1e9, facts.run, facts.run8, facts.run4, facts.train)
    row = f"| {name} | {facts.parameters / 1e9:.3g} | " + " | ".join(f"{need:.3g}" for need in needs) + " |"
    assert row in (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8"), row


@pytest.mark.parametrize("name", MEMBERS)
def test_fewer_bits_need_less(name):
    facts = counted(name)
    assert facts.run > facts.run8 > facts.run4 > 0.25 * facts.run


SMALL = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
SMALL |= {"intermediate_size": 48, "vocab_size": 100, "max_position_embeddings": 24, "pad_token_id": None}
CACHES = {
    "llama": {},
    "qwen3": {"head_dim": 16},
    "mixtral": {"num_local_experts": 2, "sliding_window": None},
    "gemma3_text": {"head_dim": 16, "sliding_window": 8},
}


@pytest.mark.parametrize("kind", CACHES)
def test_the_cache_is_as_large_as_the_library_fills_it(kind):
    """Against a pass with weights and all its memory."""
    import torch
    from transformers import AutoModel
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from sphinx_x.family import cache_size

    config = CONFIG_MAPPING[kind](**SMALL, **CACHES[kind])
    model = AutoModel.from_config(config).bfloat16().eval()
    with torch.no_grad():
        filled = model(input_ids=torch.ones(1, 24, dtype=torch.long), use_cache=True).past_key_values
    bytes_held = sum(x.nbytes for layer in filled.layers for x in (layer.keys, layer.values))
    with torch.device("meta"):
        assert cache_size(AutoModel.from_config(config)) == bytes_held


def test_heads_of_a_size_of_their_own_count_in_full():
    """Qwen3-0.6B: 28 layers, keys and values of 8 heads of 128 numbers (its width gives 64), 2 bytes, 40960 tokens."""
    from dataclasses import replace

    llm = {"model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16}
    llm |= {"num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151940}
    llm |= {"max_position_embeddings": 40960, "tie_word_embeddings": True}
    facts = describe(replace(get_member("smol"), name="qwen", llm=llm))
    assert facts.run - 2 * facts.parameters / 1e9 == pytest.approx(28 * 2 * 8 * 128 * 2 * 40960 / 1e9)
