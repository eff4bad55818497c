"""From the files in those packages to folders in the hub's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from sphinx_x.errors import CheckpointError, needs_extra, one_line
from sphinx_x.work.quiet import without_bars

GGUF_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def convert_llm(gguf_file: Path, out: Path) -> None:
    """Convert a llama.cpp file of the Llama architecture into the library's folder, in float32."""
    with needs_extra("smol", f"{gguf_file.name}: reading it"):
        from gguf import GGUFReader
        from gguf.quants import dequantize
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    reader = GGUFReader(str(gguf_file))

    def field(name: str) -> int:
        return reader.fields[f"llama.{name}"].contents()

    heads = {"attn_q": field("attention.head_count"), "attn_k": field("attention.head_count_kv")}
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=field("vocab_size"),
            hidden_size=field("embedding_length"),
            intermediate_size=field("feed_forward_length"),
            num_hidden_layers=field("block_count"),
            num_attention_heads=heads["attn_q"],
            num_key_value_heads=heads["attn_k"],
            max_position_embeddings=field("context_length"),
            rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
            rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")},
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
        )
    )
    state = {}
    for tensor in reader.tensors:
        weight = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32))
        part = tensor.name.removesuffix(".weight").split(".")
        if part[-1] in heads:  # llama.cpp turns neighbouring pairs by the rotary angle, the library halves
            weight = weight.unflatten(0, (heads[part[-1]], -1, 2)).transpose(1, 2).reshape(weight.shape)
        if part[0] == "blk":
            state[f"model.layers.{part[1]}.{GGUF_NAMES[part[2]]}.weight"] = weight
        else:
            state[{"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[part[0]]] = weight
    missing, extra = model.load_state_dict(state, strict=False)
    if missing not in ([], ["lm_head.weight"]) or extra:
        raise CheckpointError(f"{gguf_file.name}: not a Llama with tied embeddings ({[*missing, *extra][:3]})")
    model.tie_weights()
    with without_bars():
        model.save_pretrained(out)
    AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name).save_pretrained(out)


def convert_dinov2(onnx_file: Path, out: Path) -> None:
    """Convert the backbone inside an ONNX graph into the hub's DINOv2.

    Matrices have lost their names: each is found by the bias that is added behind it.
    """
    with needs_extra("smol", f"{onnx_file.name}: reading it"):
        import onnx
        from onnx import numpy_helper
    from transformers import Dinov2Config, Dinov2Model

    graph = onnx.load(str(onnx_file)).graph
    named = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values = dict(named)
    for node in graph.node:
        tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and tensor is not None:
            values[node.output[0]] = numpy_helper.to_array(tensor)
    maker = {output: node for node in graph.node for output in node.output}
    state = {name.removeprefix("backbone."): value for name, value in named.items() if name.startswith("backbone.")}
    for node in (node for node in graph.node if node.op_type == "Add"):
        bias = next((name for name in node.input if name in named and name.endswith(".bias")), None)
        product = next((maker[name] for name in node.input if name != bias and name in maker), None)
        if bias and bias.startswith("backbone.") and product is not None and product.op_type == "MatMul":
            weight = next(values[name] for name in product.input if name in values)
            state[f"{bias.removeprefix('backbone.').removesuffix('bias')}weight"] = weight.T
    width = state["embeddings.cls_token"].shape[-1]
    grid = next(value for value in values.values() if value.ndim == 3 and value.shape[1:] == (37 * 37, width))
    joins = [node for node in graph.node if node.op_type == "Concat"]
    first = next(
        values[name]
        for node in joins
        for name in node.input
        if name != "backbone.embeddings.cls_token" and name in values and values[name].shape == (1, 1, width)
    )
    state["embeddings.position_embeddings"] = np.concatenate([first, grid], axis=1)
    state["embeddings.mask_token"] = np.zeros((1, width), np.float32)
    model = Dinov2Model(
        Dinov2Config(
            hidden_size=width, num_hidden_layers=12, num_attention_heads=width // 64, patch_size=14, image_size=518
        )
    )
    renamed = {_library_name(name, model.state_dict()): value for name, value in state.items()}
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in renamed.items()})
    with without_bars():
        model.save_pretrained(out)


def _library_name(name: str, known: dict) -> str:
    if name in known:
        return name
    for old, new in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")):
        name = name.replace(f"attention.attention.{old}", f"attention.{new}")
    return name.replace("attention.output.dense", "attention.o_proj")


def convert_state(file: Path, out: Path) -> None:
    """Convert PyTorch's file of tensors, such as those from before 1.6, into safetensors, under the same names."""
    try:
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        save_file(tensors, out / "model.safetensors")
    except Exception as error:  # a damaged file makes PyTorch raise errors of nearly every kind
        raise CheckpointError(f"{file.name}: no file of tensors ({one_line(error)})") from error
