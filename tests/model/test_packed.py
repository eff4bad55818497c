"""Packed attention gives what each sample alone gives, for every causal architecture there is, or says why not."""

import inspect
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from sphinx_x.errors import UnsupportedError
from sphinx_x.model.attention import attend
from sphinx_x.model.packed import PACKED, check_packable, packed_attention, packed_mask, plan_groups, plan_pack

LENGTHS = (20, 7, 1, 12, 3)
LARGEST = 20_000_000
"""Parameters from which a configuration is none of a tiny model: its sizes have names that `SIZES` lacks."""
SIZES: dict[str, Any] = {
    **{"vocab_size": 64, "vocab_size_per_layer_input": 64, "max_position_embeddings": 64, "n_positions": 64},
    **{"hidden_size": 32, "n_embd": 32, "d_model": 32, "embedding_size": 32, "word_embed_proj_dim": 32},
    **{"num_hidden_layers": 4, "n_layer": 4, "decoder_layers": 4, "num_attention_heads": 4, "n_head": 4},
    **{"decoder_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "global_head_dim": 8, "v_head_dim": 8},
    **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8},
    **{"intermediate_size": 48, "n_inner": 48, "ffn_dim": 48, "decoder_ffn_dim": 48, "ffn_hidden_size": 48},
    **{"num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2},
    **{"moe_k": 2, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
    **{"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "hidden_size_per_layer_input": 8},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "num_kv_shared_layers": 0},
}
WINDOWS = {
    "windows": {"sliding_window": 4, "use_sliding_window": True, "max_window_layers": 1, "attention_chunk_size": 4},
    "wide windows": {"sliding_window": 64, "use_sliding_window": False, "attention_chunk_size": 64},
}
MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16}
OWN: dict[str, dict[str, Any]] = {
    "bamba": MAMBA,
    "codegen": {"rotary_dim": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "num_layers": 4, "window_size": 4},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": MAMBA,
    "zaya": {"num_experts_per_tok": 1},
}
"""What single architectures need beside `SIZES`."""
EQUAL = {"gemma3_text", "gemma", "gpt2", "llama", "mistral", "ministral", "mixtral", "olmo3", "phi3", "qwen2", "qwen3"}
"""Some that must be among those that can be trained."""
REFUSED = {
    "gemma2": "softcap",
    "gpt_oss": "s_aux",
    "llama4_text": "chunked_attention",
    "lfm3": "conv",
    "jamba": "linear_attention",
    "mamba": "linear_attention",
    "bert": "attention to later tokens",
    "bloom": "the library's",
}


@given(st.lists(st.integers(1, 4000), max_size=40))
def test_only_sequences_of_similar_length_are_padded_together(lengths):
    groups = plan_groups(lengths, 8)
    assert sorted(k for members, _ in groups for k in members) == list(range(len(lengths)))
    for members, longest in groups:
        sizes = [lengths[k] for k in members]
        assert len(members) <= 8 and max(sizes) <= longest < max(sizes) + 32
        assert longest <= 256 or max(sizes) <= 1.1 * min(sizes)


@pytest.mark.parametrize("length", [1, 100, 256, 257, 290, 1000])
def test_equal_sequences_are_always_computed_together(length):
    assert [len(members) for members, _ in plan_groups([length] * 9, 8)] == [8, 1]


def known_names(kind: str) -> set[str]:
    """What the configuration of an architecture takes."""
    configuration = CONFIG_MAPPING[kind]
    known = {*inspect.signature(configuration.__init__).parameters, *configuration.__annotations__}
    return known | {*configuration.attribute_map, *getattr(configuration, "__dataclass_fields__", {})}


def tiny_llm(kind: str, **fields: Any) -> Any:
    """A tiny float32 model of an architecture with lively weights; raises what the library does where it cannot."""
    known = known_names(kind)
    fields = {**SIZES, **OWN.get(kind, {}), **fields}
    config = CONFIG_MAPPING[kind](**{name: value for name, value in fields.items() if name in known})
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in AutoModel.from_config(config).parameters())
    if size > LARGEST:
        raise ValueError(f"{size} parameters")
    torch.manual_seed(0)
    model = AutoModel.from_config(config).float().eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def samples_of(model: Any) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(3, 60, (1, length), generator=generator) for length in LENGTHS]
    return [model.get_input_embeddings()(row).detach() for row in ids]


def alone(model: Any, samples: list[torch.Tensor]) -> torch.Tensor:
    """Hidden states of all samples, each by itself, in the attention that inference takes."""
    with torch.no_grad():
        hidden = [model(inputs_embeds=sample, use_cache=False).last_hidden_state[0] for sample in samples]
    return torch.cat(hidden)


def together(model: Any, samples: list[torch.Tensor], grad: bool = False) -> torch.Tensor:
    """The same from one packed row, longer than its samples."""
    check_packable(model)
    model.config._attn_implementation = PACKED
    pack = plan_pack(LENGTHS, group_size=2, total=64)
    row = torch.cat([*samples, samples[0][:, :1].expand(-1, 64 - sum(LENGTHS), -1)], 1)
    with torch.set_grad_enabled(grad):
        out = model(inputs_embeds=row, position_ids=pack.position_ids, use_cache=False, pack=pack)
    return out.last_hidden_state[0, : sum(LENGTHS)]


def compare(kind: str, fields: dict[str, Any]) -> str:
    """ "equal", how much they differ, why the model is refused, or why there is none."""
    try:
        known = known_names(kind)
    except Exception as error:  # whatever its module needs that is not here
        return f"no tiny model: {type(error).__name__} {error}"
    return _compared(kind, tuple((name, value) for name, value in fields.items() if name in known))


@cache
def _compared(kind: str, named: tuple[tuple[str, Any], ...]) -> str:
    """Kept, since most architectures have no windows and so are the same with any."""
    fields = dict(named)
    try:
        try:
            model = tiny_llm(kind, **fields)
            wanted = alone(model, samples_of(model))
        except Exception:  # latent attention has no fewer heads for keys
            model = tiny_llm(kind, **fields, num_key_value_heads=4)
            wanted = alone(model, samples_of(model))
    except Exception as error:  # whatever a configuration needs that is not in SIZES
        return f"no tiny model: {type(error).__name__} {error}"
    try:
        found = [together(model, samples_of(model), grad) for grad in (False, True)]
    except UnsupportedError as error:
        return f"refused: {error}"
    worst = max(float((hidden.detach() - wanted).abs().max()) for hidden in found)
    return "equal" if worst < 1e-4 else f"DIFFERENT: {worst}"


@pytest.mark.slow
@pytest.mark.parametrize("windows", WINDOWS)
def test_every_architecture_equals_its_samples_alone_or_is_refused_by_name(windows):
    found = {kind: compare(kind, WINDOWS[windows]) for kind in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)}
    for kind, outcome in found.items():
        print(f"{kind}: {outcome[:160]}")
    outcomes = [outcome.split(":")[0] for outcome in found.values()]
    wrong = {kind: outcome for kind, outcome in found.items() if outcome.startswith("DIFFERENT")}
    assert not wrong
    assert outcomes.count("equal") >= 70 and outcomes.count("no tiny model") <= 48
    assert {kind for kind in EQUAL if found[kind] != "equal"} == set()
    for kind, reason in REFUSED.items():
        assert found[kind].startswith("refused") and (reason in found[kind] or windows != "windows"), found[kind]


@pytest.mark.parametrize("kind", ["mistral", "gemma3_text", "qwen2"])
def test_windows_are_honoured(kind):
    """Layers with and without windows: hidden states, and what the weights learn from them."""
    model = tiny_llm(kind, **WINDOWS["windows"])
    samples = samples_of(model)
    wanted = torch.cat([model(inputs_embeds=sample, use_cache=False).last_hidden_state[0] for sample in samples])
    wanted.square().sum().backward()
    learned = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    for grad in (False, True):
        found = together(model, samples, grad)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    found.square().sum().backward()
    for name, parameter in model.named_parameters():
        if name in learned:
            torch.testing.assert_close(parameter.grad, learned[name], rtol=1e-3, atol=1e-3)
    # the window matters: without it the same weights give something else
    model.config._attn_implementation = "sdpa"
    free = tiny_llm(kind, **{**WINDOWS["windows"], "sliding_window": 64})
    assert (alone(free, samples) - wanted).abs().max() > 0.1


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_what_is_not_honoured_is_named(kind):
    model = tiny_llm(kind, **WINDOWS["windows"])
    with pytest.raises(UnsupportedError, match=REFUSED[kind]) as caught:
        together(model, samples_of(model))
    assert "\n" not in str(caught.value) and type(model).__name__[:3] in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"softcap": 50.0}, "softcap"),
        ({"s_aux": torch.zeros(2)}, "s_aux"),
        ({"position_bias": torch.zeros(1, 2, 8, 8)}, "position_bias"),
        ({"some_new_option": 0.5}, "some_new_option"),
        ({"output_attentions": True}, "output_attentions"),
        ({"dropout": 0.1}, "dropout"),
        ({"is_causal": False}, "later tokens"),
        ({"sliding_window": 3}, "sliding_window"),
        ({"pack": None}, "without the model's options"),
    ],
)
def test_an_option_is_honoured_or_refused(options, says):
    query, key, value = torch.randn(3, 1, 2, 8, 4).unbind()
    given = {"pack": plan_pack([5, 3], total=8), "position_ids": None, "output_attentions": False, **options}
    with pytest.raises(UnsupportedError, match=says):
        packed_attention(torch.nn.Linear(1, 1), query, key, value, None, **given)


def test_a_mask_is_causal_or_a_window_or_refused():
    config = CONFIG_MAPPING["mistral"](sliding_window=4)
    assert packed_mask(config) is None
    window = packed_mask(config, local_size=4)
    assert window is not None and window.size == 4 and not hasattr(window, "dtype")
    for options in (
        {"local_size": 5},
        {"use_vmap": True},
        {"attention_mask": torch.ones(1, 8)},
        {"allow_is_bidirectional_skip": False},
    ):
        with pytest.raises(UnsupportedError, match="MistralConfig"):
            packed_mask(config, **options)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("window", [1, 3, 9, 50])
def test_a_window_is_what_it_says(window, grad):
    """Against the definition: token i sees those from i - window + 1 to i."""
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 9, 8), torch.randn(2, 2, 9, 8), torch.randn(2, 2, 9, 8)
    with torch.set_grad_enabled(grad):
        found = attend(query.requires_grad_(grad), key, value, causal=True, window=window)
    for i in range(9):
        seen = slice(max(0, i - window + 1), i + 1)
        k, v = (x[:, :, seen].repeat_interleave(2, 1) for x in (key, value))
        weights = (query[:, :, i : i + 1] @ k.mT / 8**0.5).softmax(-1)
        torch.testing.assert_close(found[:, :, i], (weights @ v)[:, :, 0])
