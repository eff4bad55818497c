"""The hub's InternLM2, read as the Llama that it is equivalent to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from sphinx_x.checkpoints.rules import LLM, Rule, Tensors, renames


def internlm2_config(fields: dict[str, Any]) -> PreTrainedConfig:
    """Return its configuration as Llama's.

    Raises:
        ValueError: It is none of the released InternLM2 models.
        KeyError: A field is missing.
    """
    if fields.get("bias"):
        raise ValueError("an InternLM2 with biases")
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": float(fields.get("rope_theta", 1e4))}
    scaling = fields.get("rope_scaling")
    if scaling:
        rope |= {"rope_type": scaling.get("rope_type") or scaling["type"], "factor": scaling["factor"]}
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    more = ("num_key_value_heads", "rms_norm_eps", "max_position_embeddings", "initializer_range")
    config: dict[str, Any] = {name: fields[name] for name in names}
    config |= {name: fields[name] for name in more if name in fields}
    config |= {"rope_parameters": rope, "tie_word_embeddings": bool(fields.get("tie_word_embeddings", False))}
    return CONFIG_MAPPING["llama"](**config)


def internlm2_rules(config: Any, prefix: str) -> list[Rule]:
    """Return the rules for the hub's names, except those of the embedding and the output layer.

    `wqkv` holds, for each key-value head, the queries that belong to it, then the key, then the value.
    """
    rules = []
    width = config.hidden_size // config.num_attention_heads
    queries = config.num_attention_heads // config.num_key_value_heads

    def apart(whole: Tensor) -> Tensors:
        groups = whole.unflatten(0, (-1, queries + 2, width))
        return tuple(part.flatten(0, 2) for part in groups.split([queries, 1, 1], dim=1))

    def together(*parts: Tensor) -> Tensors:
        groups = [part.unflatten(0, (config.num_key_value_heads, -1, width)) for part in parts]
        return (torch.cat(groups, dim=1).flatten(0, 2),)

    for k in range(config.num_hidden_layers):
        old, new = f"{prefix}layers.{k}.", f"{LLM}layers.{k}."
        targets = tuple(f"{new}self_attn.{letter}_proj.weight" for letter in "qkv")
        rules.append(Rule((f"{old}attention.wqkv.weight",), targets, apart, together))
        pairs = {"attention.wo": "self_attn.o_proj", "attention_norm": "input_layernorm"}
        pairs |= {"ffn_norm": "post_attention_layernorm"}
        pairs |= {f"feed_forward.w{n}": f"mlp.{name}_proj" for n, name in ((1, "gate"), (2, "down"), (3, "up"))}
        rules += renames({f"{theirs}.weight": f"{ours}.weight" for theirs, ours in pairs.items()}, old, new)
    return [*rules, Rule((f"{prefix}norm.weight",), (f"{LLM}norm.weight",))]
