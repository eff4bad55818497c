"""Model folders to other formats: the reference's checkpoints, and the language model alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from sphinx_x.checkpoints.accessory import ARCHITECTURES, EXTRA, FACTS, ORIGINAL, SETTINGS, TOKENIZER, Checkpoint
from sphinx_x.checkpoints.rules import LLM, convert, inverse, plan
from sphinx_x.checkpoints.shards import PREFIX, split
from sphinx_x.checkpoints.weights import WeightFiles
from sphinx_x.checkpoints.writer import new_folder, size_of, write_safetensors, write_weights
from sphinx_x.errors import CheckpointError
from sphinx_x.jobs import write_manifest
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.tokenizer import IMAGE_TOKENS


def _config(folder: Path) -> SphinxXConfig:
    try:
        return SphinxXConfig.from_pretrained(folder)
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{folder}: no model folder ({' '.join(str(error).split())[:120]})") from error


def export_accessory(model: str | Path, out: str | Path, shards: int | None = None) -> list[str]:
    """Writes a model folder as an official checkpoint, bit for bit what it was imported from; returns notes.

    shards: tensor-parallel files, by default as many as there were. One shard is held in memory at a time. Raises
    `CheckpointError` where the model is none of the reference's architectures; then there is no `out`.
    """
    model = Path(model)
    config, source, notes = _config(model), WeightFiles(model), []
    facts = _facts(model, config)
    checkpoint = Checkpoint(facts["llama_type"], facts["config"], config, config.image_token_id)
    rules = inverse(checkpoint.rules())
    outline = plan(rules, source, lambda _: False)
    extra = WeightFiles(model / ORIGINAL / EXTRA) if (model / ORIGINAL / EXTRA).is_file() else None
    if extra is None and config.groups:
        notes.append("without the tensors that the reference stores but never uses; its loader says so and goes on")
    total = shards or facts["shards"]
    meta_style, experts = facts["meta_style"], getattr(config.text_config, "num_local_experts", 0)
    if meta_style and config.groups:
        raise CheckpointError(f"{model}: Meta's files have no place for images")
    with new_folder(out, size_of(outline.values())) as folder:
        for number in range(total):
            tensors = dict(_shard(convert(rules, source.read), number, total, experts))
            if extra is not None:
                tensors |= {name: extra.read(name) for name in extra.tensors()}
            order = {name: k for k, name in enumerate(facts.get("order", ()))}
            tensors = dict(sorted(tensors.items(), key=lambda pair: order.get(pair[0], len(order))))
            if meta_style:
                torch.save(tensors, folder / f"consolidated.{number:02d}.pth")
            else:
                named = {PREFIX + name: tensor for name, tensor in tensors.items()}
                torch.save({"model": named}, folder / f"consolidated.{number:02d}-of-{total:02d}.model.pth")
        _write_settings(model, folder, facts)
        _copy_tokenizer(model, folder)
        write_manifest(folder)
    return notes


def _shard(tensors: Any, number: int, total: int, experts: int) -> Any:
    """One shard's part of every tensor that has one, in memory of its own."""
    for name, whole in tensors:
        part = split(name, whole, number, total, experts)
        if part is not None:
            # torch.save writes the whole storage of a view
            yield name, part.contiguous() if part.is_contiguous() and part is whole else part.clone().contiguous()


def _write_settings(model: Path, folder: Path, facts: Mapping[str, Any]) -> None:
    """The settings as they came; of a model made here, new ones."""
    came = [name for name in SETTINGS if (model / ORIGINAL / name).is_file()]
    for name in came:
        shutil.copyfile(model / ORIGINAL / name, folder / name)
    if not came:
        (folder / "config.json").write_text(json.dumps(facts["config"], indent=1) + "\n")
        (folder / "meta.json").write_text(json.dumps({"llama_type": facts["llama_type"]}) + "\n")


def _copy_tokenizer(model: Path, folder: Path) -> None:
    """The tokenizer as it came; of a model made here, its own without the image tokens."""
    came = [name for name in TOKENIZER if (model / ORIGINAL / name).is_file()]
    for name in came:
        shutil.copyfile(model / ORIGINAL / name, folder / name)
    if came:
        return
    fields = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    fields["added_tokens"] = [token for token in fields["added_tokens"] if token["content"] not in IMAGE_TOKENS]
    (folder / "tokenizer.json").write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")
    settings = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    for key in ("processor_class", "additional_special_tokens", "extra_special_tokens"):
        settings.pop(key, None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1, ensure_ascii=False), encoding="utf-8")


def _facts(model: Path, config: SphinxXConfig) -> dict[str, Any]:
    """What the checkpoint was that a model came from; of a model made here, what it can be written as."""
    file = model / ORIGINAL / FACTS
    if file.is_file():
        return json.loads(file.read_text(encoding="utf-8"))
    text = config.text_config
    for kind, architecture in ARCHITECTURES.items():
        same_llm = kind.startswith("mixtral") == (text.model_type == "mixtral")
        if architecture and same_llm and architecture.views == config.view_grid() and _same_experts(kind, config):
            return {"llama_type": kind, "config": _settings(text), "shards": 1, "meta_style": False}
    raise CheckpointError(
        f"{model}: not one of the reference's architectures (it has no skip token, and centred views)"
    )


def _same_experts(kind: str, config: SphinxXConfig) -> bool:
    architecture = ARCHITECTURES[kind]
    wanted = [["qformer"], ["clip", "convnext", "dinov2"]] if architecture and architecture.four else None
    kinds = [[expert.kind for expert in group.experts] for group in config.group_configs()]
    return kinds == (wanted or [["convnext", "dinov2"]])


def _settings(text: Any) -> dict[str, Any]:
    """A config.json of the reference for a language model of the library."""
    settings = {
        "dim": text.hidden_size,
        "n_layers": text.num_hidden_layers,
        "n_heads": text.num_attention_heads,
        "n_kv_heads": text.num_key_value_heads,
        "norm_eps": text.rms_norm_eps,
        "rope_theta": text.rope_parameters["rope_theta"],
        "max_seq_len": text.max_position_embeddings,
    }
    if text.model_type == "mixtral":
        moe = {"num_experts_per_tok": text.num_experts_per_tok, "num_experts": text.num_local_experts}
        return {**settings, "hidden_dim": text.intermediate_size, "moe": moe}
    # the reference rounds a width of its own up to a multiple: of the width that is wanted
    share = min(1.0, text.intermediate_size / int(8 * text.hidden_size / 3))
    return {**settings, "multiple_of": text.intermediate_size, "ffn_dim_multiplier": share}


def export_llm(model: str | Path, out: str | Path) -> list[str]:
    """Writes the language model alone, as the library and what is built on it read it (llama.cpp's converter, vLLM).

    Vocabulary and tokenizer are those from before the image tokens were added; these tokens' rows of the embedding
    table lie beside it in `image_tokens.safetensors` (start, end, skip), for a runtime that feeds embeddings.
    """
    model = Path(model)
    config, source = _config(model), WeightFiles(model)
    rows = config.image_token_id
    tensors = {name: t for name, t in source.tensors().items() if name.startswith((LLM, "lm_head."))}
    names = {name: f"model.{name.removeprefix(LLM)}" if name.startswith(LLM) else name for name in tensors}

    def cut(name: str, tensor: Tensor) -> Tensor:
        return tensor[:rows] if name.endswith(("embed_tokens.weight", "lm_head.weight")) else tensor

    outline = {names[name]: cut(name, tensor) for name, tensor in tensors.items()}
    text = type(config.text_config)(**{**config.text_config.to_dict(), "vocab_size": rows})
    text.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[text.model_type]]
    table = source.read(f"{LLM}embed_tokens.weight")
    ends = {name: table[rows + k : rows + k + 1] for k, name in enumerate(("start", "end", "skip"), 1)}
    with new_folder(out, size_of(outline.values())) as folder:
        hashes = write_weights(folder, outline, ((names[name], cut(name, source.read(name))) for name in tensors))
        shapes = {name: row.to("meta") for name, row in ends.items()}
        write_safetensors(folder / "image_tokens.safetensors", shapes, ends.items())
        text.save_pretrained(folder)
        _copy_tokenizer(model, folder)
        write_manifest(folder, hashes)
    return []
