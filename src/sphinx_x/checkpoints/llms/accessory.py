"""Language models of the reference: from its names to ours, which are the library's.

The reference rotates adjacent pairs of a head's channels (rotary embedding), the library the first half against the
second: the rows of the query and key matrices are permuted, and nothing is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sphinx_x.checkpoints import probe
from sphinx_x.checkpoints.llms.rows import embedding_rule, output_rule
from sphinx_x.checkpoints.probe import number
from sphinx_x.checkpoints.rules import LLM, Rule, Tensors, inverse, joined, renames
from sphinx_x.errors import CheckpointError

CONTEXT = 4096
"""The reference's longest sequence, for checkpoints that do not give their own."""
BALANCE = {"mixtral_sparse_ens5": 0.01}
"""Weight of the load-balancing loss for checkpoints that do not give their own: 0.1 except for these."""


def text_config(kind: str, tensors: Mapping[str, Tensor], settings: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    """Return the library's configuration of the reference's language model, with sizes inferred from the tensors.

    Args:
        kind: Name of the architecture.
        tensors: The checkpoint's tensors, on the meta device.
        settings: Its config.json.
        vocabulary: Number of rows of the new embedding table.
    """
    internlm, mixtral = kind == "internlm", kind.startswith("mixtral")
    rows, width = probe.shape(tensors, "embedding.weight" if internlm else "tok_embeddings.weight", 2)
    layers, hidden = probe.count(tensors, "layers."), _hidden(kind, tensors)
    read_off = {"dim": width, "hidden_size": width, "n_layers": layers, "num_layers": layers}
    read_off |= {"vocab_size": rows} if settings.get("vocab_size") != -1 else {}
    read_off |= {"hidden_dim": hidden} if mixtral else {}
    for name, found in read_off.items():
        if settings.get(name, found) != found:
            raise CheckpointError(f"the settings give {name} {settings[name]!r}, the tensors {found}")
    heads = settings.get("num_attention_heads" if internlm else "n_heads")
    if type(heads) is not int or heads < 1 or width % heads:
        raise CheckpointError(f"the settings give {heads!r} attention heads for a width of {width}")
    groups = int(number(settings, "n_kv_heads", heads, 1, heads))
    if heads % groups:
        raise CheckpointError(f"the settings give {heads} attention heads for {groups} of keys and values")
    config: dict[str, Any] = {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "intermediate_size": hidden,
        "vocab_size": vocabulary,
        "rms_norm_eps": number(settings, "layer_norm_epsilon" if internlm else "norm_eps", 1e-5, 1e-12, 1),
        "max_position_embeddings": int(number(settings, "max_seq_len", CONTEXT, 1, 1e8)),
        "rope_parameters": _rope(settings, 1e6 if mixtral else 1e4),
        "tie_word_embeddings": False,
    }
    if not mixtral:
        return {"model_type": "llama", "attention_bias": internlm, **config}
    experts = probe.shape(tensors, "layers.0.feed_forward.gate.weight", 2)[0]
    moe = settings.get("moe") or {}
    if moe.get("num_experts", experts) != experts:
        raise CheckpointError(f"the settings give {moe['num_experts']!r} experts, the tensors {experts}")
    return {
        "model_type": "mixtral",
        **config,
        "num_local_experts": experts,
        "num_experts_per_tok": int(number(moe, "num_experts_per_tok", 2, 1, experts)),
        "router_aux_loss_coef": number(settings, "load_balancing_weight", BALANCE.get(kind, 0.1), 0, 1e3),
        "sliding_window": None,
    }


def _hidden(kind: str, tensors: Mapping[str, Tensor]) -> int:
    """Return the width of the feed-forward layers."""
    if kind == "internlm":
        return probe.shape(tensors, "layers.0.mlp.w1.weight", 2)[0]
    if kind == "mixtral":
        return probe.shape(tensors, "layers.0.feed_forward.experts.0.w1.weight", 2)[0]
    if kind.startswith("mixtral"):
        experts = probe.shape(tensors, "layers.0.feed_forward.gate.weight", 2)[0]
        return probe.shape(tensors, "layers.0.feed_forward.w1", 2)[0] // experts
    return probe.shape(tensors, "layers.0.feed_forward.w1.weight", 2)[0]


def _rope(settings: dict[str, Any], theta: float) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": number(settings, "rope_theta", theta, 1, 1e12)}
    if settings.get("rope_scaling") is not None:  # the reference multiplies positions by it, the library divides by it
        rope |= {"rope_type": "linear", "factor": 1 / number(settings, "rope_scaling", 1, 1e-6, 1e6)}
    return rope


def _half_rotation(heads: int) -> tuple[Any, Any]:
    """Return the permutations from pairs to halves and back, for the rows of a matrix with that many heads."""

    def to_halves(rows: Tensor) -> Tensors:
        return (rows.unflatten(0, (heads, -1, 2)).transpose(1, 2).reshape(rows.shape),)

    def to_pairs(rows: Tensor) -> Tensors:
        return (rows.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(rows.shape),)

    return to_halves, to_pairs


def accessory_llm_rules(kind: str, config: Any, vocabulary: int, images: bool) -> list[Rule]:
    """Return the rules between the reference's names and ours; `images` tells whether views have a start and an end."""
    if kind == "internlm":
        return _internlm_rules(config, vocabulary)
    learned = ("start_img", "end_img") if images else ()
    rules = [embedding_rule("tok_embeddings.weight", vocabulary, learned)]
    for k in range(config.num_hidden_layers):
        old, new = f"layers.{k}.", f"{LLM}layers.{k}."
        for letter, heads in (("q", config.num_attention_heads), ("k", config.num_key_value_heads)):
            names = (f"{old}attention.w{letter}.weight",), (f"{new}self_attn.{letter}_proj.weight",)
            rules.append(Rule(*names, *_half_rotation(heads)))
        pairs = {"attention.wv": "self_attn.v_proj", "attention.wo": "self_attn.o_proj"}
        pairs |= {"attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
        if kind.startswith("mixtral"):
            rules += _expert_rules(kind, config, f"{old}feed_forward.", f"{new}block_sparse_moe.")
        else:
            pairs |= {f"feed_forward.w{n}": f"mlp.{name}_proj" for n, name in ((1, "gate"), (2, "down"), (3, "up"))}
        rules += renames({f"{theirs}.weight": f"{ours}.weight" for theirs, ours in pairs.items()}, old, new)
    return [*rules, Rule(("norm.weight",), (f"{LLM}norm.weight",)), output_rule("output.weight", vocabulary)]


def _expert_rules(kind: str, config: Any, old: str, new: str) -> list[Rule]:
    experts = config.num_local_experts
    rules = [Rule((f"{old}gate.weight",), (f"{new}gate.weight",))]
    for n in (1, 2, 3):
        targets = tuple(f"{new}experts.{e}.w{n}.weight" for e in range(experts))
        if kind == "mixtral":
            rules += [Rule((f"{old}experts.{e}.w{n}.weight",), (target,)) for e, target in enumerate(targets)]
        else:
            rules.append(_stacked(f"{old}w{n}", targets, transposed=n == 2))
    return rules


def _stacked(source: str, targets: tuple[str, ...], transposed: bool) -> Rule:
    """Return the rule between experts stacked in one matrix and one matrix for each."""

    def unstack(whole: Tensor) -> Tensors:
        parts = whole.chunk(len(targets))
        return tuple(part.T for part in parts) if transposed else parts

    def stack(*parts: Tensor) -> Tensors:
        return (torch.cat([part.T for part in parts] if transposed else list(parts)),)

    return Rule((source,), targets, unstack, stack)


def _internlm_rules(config: Any, vocabulary: int) -> list[Rule]:
    """Return the rules for the first InternLM: joint queries, keys and values, biases, the library's rotation."""
    rules = [embedding_rule("embedding.weight", vocabulary)]
    for k in range(config.num_hidden_layers):
        old, new = f"layers.{k}.", f"{LLM}layers.{k}."
        for end in ("weight", "bias"):
            parts = tuple(f"{new}self_attn.{letter}_proj.{end}" for letter in "qkv")
            rules += inverse([joined(parts, f"{old}mixer.Wqkv.{end}")])
        pairs = {f"mixer.out_proj.{end}": f"self_attn.o_proj.{end}" for end in ("weight", "bias")}
        pairs |= {"norm1.weight": "input_layernorm.weight", "norm2.weight": "post_attention_layernorm.weight"}
        pairs |= {f"mlp.w{n}.weight": f"mlp.{name}_proj.weight" for n, name in ((1, "gate"), (2, "up"), (3, "down"))}
        rules += renames(pairs, old, new)
    return [*rules, Rule(("norm.weight",), (f"{LLM}norm.weight",)), output_rule("head.weight", vocabulary)]
