"""Model folders to other formats: the reference's checkpoints, and the language model alone."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from sphinx_x.checkpoints.accessory import ARCHITECTURES, EXTRA, FACTS, SETTINGS, UNUSED, Checkpoint, visual_groups
from sphinx_x.checkpoints.forms import check_model_folder
from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.llms import EMBEDDING
from sphinx_x.checkpoints.parts import disk_outline
from sphinx_x.checkpoints.rules import LLM, convert, inverse, plan
from sphinx_x.checkpoints.shards import PREFIX, split
from sphinx_x.checkpoints.weights import WeightFiles
from sphinx_x.checkpoints.writer import (
    ORIGINAL,
    keep_tokenizer,
    new_folder,
    size_of,
    write_safetensors,
    write_weights,
)
from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.model.tokenizer import IMAGE_TOKENS
from sphinx_x.work.files import write_manifest


def _config(folder: Path) -> SphinxXConfig:
    check_model_folder(folder)
    try:
        return SphinxXConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a malformed file makes the library raise errors of nearly every kind
        raise CheckpointError(f"{folder}: no model folder ({one_line(error)})") from error


@told_in_one_line
def export_accessory(model: str | Path, out: str | Path, shards: int | None = None) -> list[str]:
    """Writes a model folder as an official checkpoint, bit for bit what it was imported from; returns notes.

    shards: tensor-parallel files, by default as many as there were. One shard is held in memory at a time. Raises
    `CheckpointError` where the model is none of the reference's architectures; then there is no `out`.
    """
    model = Path(model)
    config, source, notes = _config(model), _Untied(model), []
    check_model(model, config, WeightFiles(model))
    facts = _facts(model, config)
    checkpoint = Checkpoint(facts["llama_type"], facts["config"], config, config.image_token_id)
    rules = inverse(checkpoint.rules())
    plan(rules, source, lambda _: False)
    extra = WeightFiles(model / ORIGINAL / EXTRA) if (model / ORIGINAL / EXTRA).is_file() else None
    if extra is None and config.groups:
        notes.append("without the tensors that the reference stores but never uses; its loader says so and goes on")
    total, meta_style = shards or facts["shards"], facts["meta_style"]
    if type(total) is not int or total < 1 or (total > 1 and facts["llama_type"] == "internlm"):
        raise CheckpointError(f"{model}: cannot be written in {total} shards")
    wrong = next((name for name in (extra.tensors() if extra else ()) if not UNUSED.fullmatch(name)), None)
    if wrong:
        raise CheckpointError(f"{model / ORIGINAL / EXTRA}: {wrong} is not a tensor that the reference leaves unused")
    experts = getattr(config.text_config, "num_local_experts", 0)
    order = {name: k for k, name in enumerate(facts.get("order", ()))}

    def shard(number: int, read: Callable[[str], Tensor]) -> dict[str, Tensor]:
        parts = ((name, split(name, whole, number, total, experts)) for name, whole in convert(rules, read))
        tensors = {name: part for name, part in parts if part is not None}
        if extra is not None:
            tensors |= {name: extra.read(name) for name in extra.tensors()}
        return dict(sorted(tensors.items(), key=lambda pair: order.get(pair[0], len(order))))

    needed = sum(size_of(shard(number, source.tensors().__getitem__).values()) for number in range(total))
    with new_folder(out, needed, [model]) as folder:
        for number in range(total):
            tensors = {name: _alone(tensor) for name, tensor in shard(number, source.read).items()}
            if meta_style:
                _save(tensors, folder / f"consolidated.{number:02d}.pth")
            else:
                named = {PREFIX + name: tensor for name, tensor in tensors.items()}
                _save({"model": named}, folder / f"consolidated.{number:02d}-of-{total:02d}.model.pth")
        _write_settings(model, folder, facts)
        _copy_tokenizer(model, folder)
        write_manifest(folder)
    return notes


def check_model(model: Path, config: SphinxXConfig, source: WeightFiles) -> None:
    """Raises `CheckpointError` unless a folder's tensors are exactly its configuration's, and its image tokens come
    after all others: what is cut off with them must be nothing else."""
    wanted, found = disk_outline(config), dict(source.tensors())
    if config.tie_word_embeddings:
        found.pop("lm_head.weight", None)
    odd = next((name for name in {**wanted, **found} if name not in found or name not in wanted), None)
    odd = odd or next((name for name, tensor in wanted.items() if found[name].shape != tensor.shape), None)
    if odd:
        raise CheckpointError(f"{model}: its tensor {odd} is not that of its config.json")
    rows = config.text_config.vocab_size
    if config.image_tokens().all() != tuple(range(rows - 4, rows)):
        raise CheckpointError(f"{model}: its image tokens are not the last of its vocabulary: nothing to go back to")


class _Untied(WeightFiles):
    """A model folder's weights; where the output layer is the embedding table, it is there under both names."""

    def tensors(self) -> Mapping[str, Tensor]:
        found = dict(super().tensors())
        return {"lm_head.weight": found[EMBEDDING], **found} if EMBEDDING in found else found

    def read(self, name: str) -> Tensor:
        return super().read(EMBEDDING if name not in super().tensors() else name)


def _alone(tensor: Tensor) -> Tensor:
    """In memory of its own: `torch.save` writes the whole storage of a view."""
    whole = tensor.untyped_storage().nbytes() == tensor.nbytes and tensor.is_contiguous()
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)


def _save(content: Any, path: Path) -> None:
    """As `torch.save`, but a disk that is full is an OSError."""
    with path.open("xb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # PyTorch's writer hides what stopped it
            if isinstance(error.__context__, (KeyboardInterrupt, SystemExit, OSError)):
                raise error.__context__ from None
            raise OSError(errno.ENOSPC, f"writing {path.name} failed: {one_line(error)}") from error


def _write_settings(model: Path, folder: Path, facts: Mapping[str, Any]) -> None:
    """The settings as they came; of a model made here, new ones."""
    came = [name for name in SETTINGS if (model / ORIGINAL / name).is_file()]
    for name in came:
        shutil.copyfile(model / ORIGINAL / name, folder / name)
    if not came:
        (folder / "config.json").write_text(json.dumps(facts["config"], indent=1) + "\n")
        (folder / "meta.json").write_text(json.dumps({"llama_type": facts["llama_type"]}) + "\n")


def _copy_tokenizer(model: Path, folder: Path) -> None:
    """The tokenizer as it came; of a model made here, its own without what was added for images."""
    if (model / ORIGINAL / "tokenizer.model").is_file() or (model / ORIGINAL / "tokenizer.json").is_file():
        keep_tokenizer(model / ORIGINAL, folder)
    else:
        _plain_tokenizer(model, folder)


def _plain_tokenizer(model: Path, folder: Path) -> None:
    """The model's tokenizer without the image tokens, in the library's files."""
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
        views = architecture.views if architecture else config.view_grid()
        if same_llm and bool(architecture) == bool(config.groups) and views == config.view_grid():
            if config.groups and not _same_experts(kind, config):
                continue
            return {"llama_type": kind, "config": _settings(model, text), "shards": 1, "meta_style": False}
    raise CheckpointError(f"{model}: none of the reference's architectures, which have centred views and no skip token")


def _same_experts(kind: str, config: SphinxXConfig) -> bool:
    """Whether a model has the experts of an architecture, and brings views to them as that does."""
    architecture = ARCHITECTURES[kind]
    assert architecture is not None
    found = config.group_configs()
    wanted = [["qformer"], ["clip", "convnext", "dinov2"]] if architecture.four else [["convnext", "dinov2"]]
    if [[expert.kind for expert in group.experts] for group in found] != wanted:
        return False
    return found == visual_groups(kind, {}, {expert.kind: expert for group in found for expert in group.experts})


def _settings(model: Path, text: Any) -> dict[str, Any]:
    """A config.json of the reference for a language model of the library; raises `CheckpointError` where that has
    something which the reference has not."""
    rope, head = text.rope_parameters, getattr(text, "head_dim", None)
    odd = {
        f"a {text.model_type}": text.model_type not in ("llama", "mixtral"),
        f"{rope['rope_type']} rotary positions": rope["rope_type"] not in ("default", "linear"),
        f"heads {head} wide": head not in (None, text.hidden_size // text.num_attention_heads),
        "biases": getattr(text, "attention_bias", False) or getattr(text, "mlp_bias", False),
        "a sliding window": getattr(text, "sliding_window", None) is not None,
    }
    for what, found in odd.items():
        if found:
            raise CheckpointError(f"{model}: its language model has {what}; the reference's format has no such thing")
    settings = {
        "dim": text.hidden_size,
        "n_layers": text.num_hidden_layers,
        "n_heads": text.num_attention_heads,
        "n_kv_heads": text.num_key_value_heads,
        "norm_eps": text.rms_norm_eps,
        "rope_theta": rope["rope_theta"],
        "rope_scaling": 1 / rope["factor"] if rope["rope_type"] == "linear" else None,
        "max_seq_len": text.max_position_embeddings,
    }
    if text.model_type == "mixtral":
        moe = {"num_experts_per_tok": text.num_experts_per_tok, "num_experts": text.num_local_experts}
        return {**settings, "hidden_dim": text.intermediate_size, "moe": moe}
    # the reference rounds a width of its own up to a multiple: of the width that is wanted
    share = min(1.0, text.intermediate_size / int(8 * text.hidden_size / 3))
    return {**settings, "multiple_of": text.intermediate_size, "ffn_dim_multiplier": share}


@told_in_one_line
def export_llm(model: str | Path, out: str | Path) -> list[str]:
    """Writes the language model alone, as the library and what is built on it read it (llama.cpp's converter, vLLM).

    Vocabulary and tokenizer are those from before the image tokens were added; these tokens' rows of the embedding
    table (start, end, skip) lie in `image_tokens/rows.safetensors`, for a runtime that feeds embeddings. Raises
    `CheckpointError` where the folder is no model; then there is no `out`.
    """
    model = Path(model)
    config, source = _config(model), WeightFiles(model)
    check_model(model, config, source)
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
    with new_folder(out, size_of(outline.values()), [model]) as folder:
        hashes = write_weights(folder, outline, ((names[name], cut(name, source.read(name))) for name in tensors))
        shapes = {name: row.to("meta") for name, row in ends.items()}
        (folder / "image_tokens").mkdir()
        write_safetensors(folder / "image_tokens" / "rows.safetensors", shapes, ends.items())
        text.save_pretrained(folder)
        if (model / ORIGINAL / "tokenizer.json").is_file():
            keep_tokenizer(model / ORIGINAL, folder)
        else:
            _plain_tokenizer(model, folder)
        write_manifest(folder, hashes)
    return []
