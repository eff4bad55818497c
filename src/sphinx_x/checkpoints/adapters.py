"""Low-rank adapters (LoRA) in PEFT's form: what a folder of them holds, and adding them to the weights they lie over.

Written by `sphinx_x.training.lora`, or by PEFT itself. Nothing of PEFT is needed to read them: of a linear layer W
(out, in) the folder holds A (rank, in) and B (out, rank), and the layer becomes W + scale * B A.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sphinx_x.checkpoints.recognise import check_files
from sphinx_x.errors import CheckpointError, one_line
from sphinx_x.work.files import MANIFEST, check_folder

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BASE = "base.json"
"""Beside PEFT's two files: SHA-256 of the weights that the adapters were trained over."""
PREFIX = "base_model.model."
"""PEFT's, before the names of layers."""
NAME = re.compile(re.escape(PREFIX) + r"(.+)\.lora_([AB])\.weight")
READ = {
    *("peft_type", "base_model_name_or_path", "r", "lora_alpha", "use_rslora"),
    *(
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "rank_pattern",
        "init_lora_weights",
    ),
    *("task_type", "inference_mode", "auto_mapping", "peft_version", "lora_dropout"),
    *("megatron_core", "qalora_group_size"),  # set by default, and of use only with fields that must be off
}
"""Fields that are read, or that change nothing of what finished adapters compute (the tensors say which layers have
one, and of which rank). Any other must be off."""
PLAIN_STARTS = (True, False, "gaussian")
"""Values of `init_lora_weights` that leave the layer below as it is."""


@dataclass(frozen=True)
class Adapter:
    """A folder of adapters. base: the model they lie over, as it was named; files: SHA-256 of its weights, if known."""

    folder: Path
    base: str
    alpha: float
    by_root: bool = False
    files: dict[str, str] = field(default_factory=dict)

    def scale(self, rank: int) -> float:
        """The factor of B A."""
        return self.alpha / (math.sqrt(rank) if self.by_root else rank)


def is_adapter(path: str | Path) -> bool:
    """Whether a path is a folder of adapters and of no model."""
    return (Path(path) / CONFIG).is_file() and not (Path(path) / "config.json").is_file()


def read_adapter(folder: str | Path) -> Adapter:
    """What a folder says of its adapters. Raises `CheckpointError` where they are of a kind that is not read."""
    folder = Path(folder)
    check_files(folder)
    check_folder(folder)
    fields = _json(folder / CONFIG)
    kind = str(fields.get("peft_type", "nothing")).upper()
    if kind != "LORA":
        raise CheckpointError(f"{folder / CONFIG}: adapters of the kind {kind} are not read, only LORA")
    odd = sorted(name for name, value in fields.items() if name not in READ and value and value != "none")
    if fields.get("init_lora_weights", True) not in PLAIN_STARTS:
        odd.append("init_lora_weights")
    if odd:
        raise CheckpointError(f"{folder / CONFIG}: adapters with {', '.join(odd[:3])} are not read")
    base, alpha = fields.get("base_model_name_or_path"), fields.get("lora_alpha")
    if not isinstance(base, str) or not base:
        raise CheckpointError(f"{folder / CONFIG}: base_model_name_or_path does not name the model they lie over")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise CheckpointError(f"{folder / CONFIG}: lora_alpha is not a number")
    files = _json(folder / BASE) if (folder / BASE).is_file() else {}
    return Adapter(folder, base, alpha, bool(fields.get("use_rslora")), {k: str(v) for k, v in files.items()})


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({one_line(error)})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return content


def weight_hashes(folder: str | Path) -> dict[str, str]:
    """SHA-256 of the weight files of a folder, as its manifest has them; none where there is no manifest."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return {}
    files = _json(path).get("files", {})
    return {name: entry["sha256"] for name, entry in files.items() if "/" not in name and name.endswith(".safetensors")}


def check_base(adapter: Adapter, base: str | Path) -> None:
    """Raises `CheckpointError` where a folder's weights are known not to be those an adapter was trained over."""
    found = weight_hashes(base)
    if adapter.files and found and adapter.files != found:
        differs = next(name for name in {**adapter.files, **found} if adapter.files.get(name) != found.get(name))
        raise CheckpointError(f"{adapter.folder}: was trained over other weights than those of {base} ({differs})")


@torch.no_grad()
def apply_adapter(model: nn.Module, adapter: Adapter) -> int:
    """Adds adapters to the weights of a model; gives the number of layers.

    Raises `CheckpointError`, and leaves the model as it is, where a layer is missing or of another shape.
    """
    pairs = _fitting(model, adapter)
    for layer, a_RI, b_OR in pairs:
        add_low_rank(layer, a_RI, b_OR, adapter.scale(a_RI.shape[0]))
    return len(pairs)


@contextmanager
def beside(model: nn.Module, adapters: Sequence[Adapter]) -> Iterator[None]:
    """A model that computes with adapters beside its weights, as while they were trained, until the block ends.

    Raises `CheckpointError` where a layer is missing or of another shape.
    """
    handles: list[RemovableHandle] = []
    try:
        for adapter in adapters:
            for layer, a_RI, b_OR in _fitting(model, adapter):
                handles.append(layer.register_forward_hook(_adding(a_RI, b_OR, adapter.scale(a_RI.shape[0]))))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _adding(a_RI: Tensor, b_OR: Tensor, scale: float) -> Callable[..., Tensor]:
    """A hook that adds scale * B A x to what a layer gives, summed in float32."""

    def hook(_: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        a, b = (half.to(out.device, torch.float32) for half in (a_RI, b_OR))
        return (out.float() + scale * F.linear(F.linear(given[0].float(), a), b)).to(out.dtype)

    return hook


def _fitting(model: nn.Module, adapter: Adapter) -> list[tuple[nn.Linear, Tensor, Tensor]]:
    """The layers of a model that adapters lie over, each with its A and B."""
    layers, found = dict(model.named_modules()), []
    tied = getattr(model.config, "tie_word_embeddings", False)
    for name, (a_RI, b_OR) in _pairs(adapter.folder).items():
        layer = layers.get(name)
        if not isinstance(layer, nn.Linear):
            raise CheckpointError(f"{adapter.folder}: the model has no linear layer {name}: not the one they lie over")
        if tied and name == "lm_head":
            raise CheckpointError(
                f"{adapter.folder}: lm_head is the embedding table of this model, adapters would change both"
            )
        fits = tuple(layer.weight.shape) == (b_OR.shape[0], a_RI.shape[1]) and a_RI.shape[0] == b_OR.shape[1]
        if not fits:
            shapes = f"{tuple(b_OR.shape)} x {tuple(a_RI.shape)} over {tuple(layer.weight.shape)}"
            raise CheckpointError(f"{adapter.folder}: {name} does not fit: {shapes}")
        found.append((layer, a_RI, b_OR))
    return found


def _pairs(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Name of a layer -> its A and B."""
    try:
        tensors = load_file(folder / WEIGHTS)
    except Exception as error:  # missing, cut short, or no such file at all
        raise CheckpointError(f"{folder / WEIGHTS}: {one_line(error)}") from error
    halves: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = NAME.fullmatch(key)
        if not match or tensor.ndim != 2 or not tensor.is_floating_point():
            raise CheckpointError(f"{folder / WEIGHTS}: {key} is no adapter of a linear layer")
        halves.setdefault(match[1], {})[match[2]] = tensor
    for name, pair in halves.items():
        if len(pair) != 2:
            raise CheckpointError(f"{folder / WEIGHTS}: {name} has half an adapter")
    if not halves:
        raise CheckpointError(f"{folder / WEIGHTS}: no adapters")
    return {name: (pair["A"], pair["B"]) for name, pair in halves.items()}


@torch.no_grad()
def add_low_rank(layer: Any, a_RI: Tensor, b_OR: Tensor, scale: float) -> None:
    """Adds scale * B A to the weight of a linear layer, in float32, and rounds once to the weight's own type."""
    weight = layer.weight
    delta = (b_OR.to(weight.device, torch.float32) @ a_RI.to(weight.device, torch.float32)) * scale
    # a new tensor: the old one may be mapped from its file
    weight.data = (weight.detach().float() + delta).to(weight.dtype)
