"""From model folders to official SPHINX checkpoints, bit for bit what they were imported from."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sphinx_x.checkpoints.accessory.architectures import (
    ARCHITECTURES,
    EXTRA,
    FACTS,
    SETTINGS,
    UNUSED,
    Checkpoint,
    visual_groups,
)
from sphinx_x.checkpoints.accessory.shards import split
from sphinx_x.checkpoints.export import check_model, config_of, plain_tokenizer
from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.llms.rows import EMBEDDING
from sphinx_x.checkpoints.pth import PREFIX
from sphinx_x.checkpoints.rules import convert, inverse, plan
from sphinx_x.checkpoints.weights import WeightFiles
from sphinx_x.checkpoints.writer import (
    ORIGINAL,
    keep_tokenizer,
    new_folder,
    size_of,
)
from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.model.config import SphinxXConfig
from sphinx_x.work.files import write_manifest


@told_in_one_line
def export_accessory(model: str | Path, out: str | Path, shards: int | None = None) -> list[str]:
    """Write a model folder as an official checkpoint, bit for bit what it was imported from.

    One shard is held in memory at a time. If an error is raised, `out` is not created.

    Args:
        model: The model folder.
        out: The folder to write.
        shards: Number of tensor-parallel files, by default as many as there were.

    Returns:
        Notes for the user, one line each.

    Raises:
        CheckpointError: The model has none of the reference's architectures.
    """
    model = Path(model)
    config, source, notes = config_of(model), _Untied(model), []
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
    whole = {"heads": config.text_config.num_attention_heads, "experts": experts}
    whole["heads of keys and values"] = config.text_config.num_key_value_heads
    cut = next((f"{number} {what}" for what, number in whole.items() if number % total), None)
    if cut:
        raise CheckpointError(f"{model}: {cut} cannot be shared by {total} shards")
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


class _Untied(WeightFiles):
    """A model folder's weights; an output layer that is the embedding table appears under both names."""

    def tensors(self) -> Mapping[str, Tensor]:
        """Return shapes and types, on the meta device."""
        found = dict(super().tensors())
        return {"lm_head.weight": found[EMBEDDING], **found} if EMBEDDING in found else found

    def read(self, name: str) -> Tensor:
        """Return one tensor."""
        return super().read(EMBEDDING if name not in super().tensors() else name)


def _alone(tensor: Tensor) -> Tensor:
    """Return a tensor with a storage of its own: `torch.save` writes the whole storage of a view."""
    whole = tensor.untyped_storage().nbytes() == tensor.nbytes and tensor.is_contiguous()
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)


def _save(content: Any, path: Path) -> None:
    """Save like `torch.save`, but raise an OSError if the disk is full."""
    with path.open("xb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # PyTorch's writer hides the cause of its failure
            if isinstance(error.__context__, (KeyboardInterrupt, SystemExit, OSError)):
                raise error.__context__ from None
            raise OSError(errno.ENOSPC, f"writing {path.name} failed: {one_line(error)}") from error


def _write_settings(model: Path, folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the settings as they were imported, or new ones for a model made here."""
    came = [name for name in SETTINGS if (model / ORIGINAL / name).is_file()]
    for name in came:
        shutil.copyfile(model / ORIGINAL / name, folder / name)
    if not came:
        (folder / "config.json").write_text(json.dumps(facts["config"], indent=1) + "\n")
        (folder / "meta.json").write_text(json.dumps({"llama_type": facts["llama_type"]}) + "\n")


def _copy_tokenizer(model: Path, folder: Path) -> None:
    """Copy the tokenizer as it was imported; for a model made here, write its own without the image tokens."""
    if (model / ORIGINAL / "tokenizer.model").is_file() or (model / ORIGINAL / "tokenizer.json").is_file():
        keep_tokenizer(model / ORIGINAL, folder)
    else:
        plain_tokenizer(model, folder)


def _facts(model: Path, config: SphinxXConfig) -> dict[str, Any]:
    """Return the facts of the checkpoint a model came from, or those it can be written with if it was made here."""
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
    """Return whether a model has the experts of an architecture and resizes views for them in the same way."""
    architecture = ARCHITECTURES[kind]
    assert architecture is not None
    found = config.group_configs()
    wanted = [["qformer"], ["clip", "convnext", "dinov2"]] if architecture.four else [["convnext", "dinov2"]]
    if [[expert.kind for expert in group.experts] for group in found] != wanted:
        return False
    return found == visual_groups(kind, {}, {expert.kind: expert for group in found for expert in group.experts})


def _settings(model: Path, text: Any) -> dict[str, Any]:
    """Return a config.json of the reference for a language model of the library.

    Raises:
        CheckpointError: It has something that the reference does not support.
    """
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
    # the reference rounds its width up to a multiple of `multiple_of`, which is therefore the wanted width itself
    share = min(1.0, text.intermediate_size / int(8 * text.hidden_size / 3))
    return {**settings, "multiple_of": text.intermediate_size, "ffn_dim_multiplier": share}
