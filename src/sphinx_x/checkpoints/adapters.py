"""Low-rank adapters (LoRA) in PEFT's format: what a folder of them holds, and adding them to the base's weights.

They are written by `sphinx_x.training.lora`, or by PEFT itself. Reading them does not need PEFT: for a linear layer W
(out, in), the folder holds A (rank, in) and B (out, rank), and the layer becomes W + scale * B A. Parts that were
trained whole beside them (PEFT's `modules_to_save`) are in the same file, and take the place of the base's.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
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
"""A file next to PEFT's two, with the SHA-256 of the weights that the adapters were trained on."""
PREFIX = "base_model.model."
"""PEFT's prefix of layer names."""
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
    "modules_to_save",
    *("task_type", "inference_mode", "auto_mapping", "peft_version", "lora_dropout"),
    *("megatron_core", "qalora_group_size"),  # set by default, and effective only with fields that must be off
}
"""Fields that are read, or that do not change what finished adapters compute (the tensors tell which layers have one,
and with which rank). All others must be off."""
PLAIN_STARTS = (True, False, "gaussian")
"""Values of `init_lora_weights` that leave the base layer as it is."""


@dataclass(frozen=True)
class Adapter:
    """A folder of adapters.

    Attributes:
        folder: The folder.
        base: The model they apply to, as it was named.
        alpha: LoRA's alpha, which the scale of B A follows from.
        by_root: Whether the scale is divided by the square root of the rank, not by the rank.
        whole: Names of the modules that were trained whole: paths, or the ends of paths.
        files: SHA-256 of the base's weights, if known.
    """

    folder: Path
    base: str
    alpha: float
    by_root: bool = False
    whole: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    def replaces(self, name: str) -> bool:
        """Return whether a parameter belongs to a module that was trained whole."""
        return any(f".{module}." in f".{name}" for module in self.whole)

    @property
    def base_here(self) -> str:
        """The base's name, or its path if it lies where the name leads from the adapters' folder alone."""
        beside = self.folder / self.base
        return str(beside) if not Path(self.base).is_dir() and beside.is_dir() else self.base

    def scale(self, rank: int) -> float:
        """Return the factor of B A."""
        return self.alpha / (math.sqrt(rank) if self.by_root else rank)


def is_adapter(path: str | Path) -> bool:
    """Return whether a path is a folder of adapters, and not of a model."""
    return (Path(path) / CONFIG).is_file() and not (Path(path) / "config.json").is_file()


def read_adapter(folder: str | Path) -> Adapter:
    """Read a folder's description of its adapters; raise `CheckpointError` if they are of an unsupported kind."""
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
    whole = fields.get("modules_to_save") or []
    if not isinstance(whole, list) or not all(isinstance(name, str) and name for name in whole):
        raise CheckpointError(f"{folder / CONFIG}: modules_to_save is not a list of names")
    files = _json(folder / BASE) if (folder / BASE).is_file() else {}
    hashes = {name: str(value) for name, value in files.items()}
    return Adapter(folder, base, alpha, bool(fields.get("use_rslora")), tuple(whole), hashes)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({one_line(error)})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return content


def weight_hashes(folder: str | Path) -> dict[str, str]:
    """Return the SHA-256 of a folder's weight files from its manifest; empty if there is no manifest."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return {}
    files = _json(path).get("files", {})
    return {name: entry["sha256"] for name, entry in files.items() if "/" not in name and name.endswith(".safetensors")}


def check_base(adapter: Adapter, base: str | Path) -> None:
    """Raise `CheckpointError` if a folder's weights are known to differ from those an adapter was trained on."""
    found = weight_hashes(base)
    if adapter.files and found and adapter.files != found:
        differs = next(name for name in {**adapter.files, **found} if adapter.files.get(name) != found.get(name))
        raise CheckpointError(f"{adapter.folder}: was trained over other weights than those of {base} ({differs})")


@torch.no_grad()
def apply_adapter(model: nn.Module, adapter: Adapter) -> int:
    """Add adapters to the weights of a model, which stays unchanged if an error is raised.

    Returns:
        The number of layers.

    Raises:
        CheckpointError: A layer is missing or has another shape.
    """
    pairs, whole = _fitting(model, adapter)
    for layer, a_RI, b_OR in pairs:
        add_low_rank(layer, a_RI, b_OR, adapter.scale(a_RI.shape[0]))
    for parameter, tensor in whole:
        _replace(parameter, tensor)
    return len(pairs)


@contextmanager
def beside(model: nn.Module, adapters: Sequence[Adapter]) -> Iterator[None]:
    """Let a model compute with adapters next to its weights, as in their training, until the block ends.

    Raises:
        CheckpointError: A layer is missing or has another shape.
    """
    handles: list[RemovableHandle] = []
    before: list[tuple[nn.Parameter, Tensor]] = []
    try:
        for adapter in adapters:
            pairs, whole = _fitting(model, adapter)
            for layer, a_RI, b_OR in pairs:
                handles.append(layer.register_forward_hook(_adding(a_RI, b_OR, adapter.scale(a_RI.shape[0]))))
            for parameter, tensor in whole:
                before.append((parameter, parameter.data))
                _replace(parameter, tensor)
        yield
    finally:
        for handle in handles:
            handle.remove()
        for parameter, tensor in reversed(before):
            parameter.data = tensor


def _replace(parameter: nn.Parameter, tensor: Tensor) -> None:
    # a new tensor, as the old one may be mapped from its file
    parameter.data = tensor.to(parameter.device, parameter.dtype, copy=True)


def _adding(a_RI: Tensor, b_OR: Tensor, scale: float) -> Callable[..., Tensor]:
    """Return a hook that adds scale * B A x to a layer's output, summed in float32."""

    def hook(_: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> Tensor:
        a, b = (half.to(out.device, torch.float32) for half in (a_RI, b_OR))
        return (out.float() + scale * F.linear(F.linear(given[0].float(), a), b)).to(out.dtype)

    return hook


Pairs = list[tuple[nn.Linear, Tensor, Tensor]]
"""Linear layers, each with its A and B."""


def _fitting(model: nn.Module, adapter: Adapter) -> tuple[Pairs, list[tuple[nn.Parameter, Tensor]]]:
    """Return the layers of a model that adapters apply to, and the parameters that others take the place of."""
    layers, found = dict(model.named_modules()), Pairs()
    pairs, whole = adapter_weights(adapter)
    tied = getattr(model.config, "tie_word_embeddings", False)
    for name, (a_RI, b_OR) in pairs.items():
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
    return found, _fitting_whole(model, adapter, whole)


def _fitting_whole(model: nn.Module, adapter: Adapter, tensors: dict[str, Tensor]) -> list[tuple[nn.Parameter, Tensor]]:
    """Return the parameters of the modules that were trained whole, each with what takes its place."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    counted = Counter(id(parameter) for parameter in parameters.values())
    for name in adapter.whole:
        if not any(f".{name}." in f".{parameter}" for parameter in parameters):
            raise CheckpointError(f"{adapter.folder}: the model has no module {name}: not the one they lie over")
    for name in {**tensors, **{name: None for name in parameters if adapter.replaces(name)}}:
        if name not in parameters or name not in tensors:
            side = "the model" if name in tensors else str(adapter.folder / WEIGHTS)
            raise CheckpointError(f"{adapter.folder}: {side} has no {name}, which was trained whole")
        if counted[id(parameters[name])] > 1:
            raise CheckpointError(f"{adapter.folder}: {name} is shared by two parts of this model")
        if parameters[name].shape != tensors[name].shape:
            shapes = f"{tuple(tensors[name].shape)} for {tuple(parameters[name].shape)}"
            raise CheckpointError(f"{adapter.folder}: {name} does not fit: {shapes}")
    return [(parameters[name], tensor) for name, tensor in tensors.items()]


def adapter_weights(adapter: Adapter) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]:
    """Return A and B by the name of the layer, and the tensors of what was trained whole by theirs."""
    path = adapter.folder / WEIGHTS
    try:
        tensors = load_file(path)
    except Exception as error:  # missing, truncated, or not such a file
        raise CheckpointError(f"{path}: {one_line(error)}") from error
    halves: dict[str, dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        match, name = NAME.fullmatch(key), key.removeprefix(PREFIX)
        if not tensor.is_floating_point():
            raise CheckpointError(f"{path}: {key} is not of floating-point numbers")
        if match and tensor.ndim == 2:
            halves.setdefault(match[1], {})[match[2]] = tensor
        elif name != key and adapter.replaces(name):
            whole[name] = tensor
        else:
            raise CheckpointError(f"{path}: {key} is no adapter of a linear layer")
    for name, pair in halves.items():
        if len(pair) != 2:
            raise CheckpointError(f"{path}: {name} has half an adapter")
    if not halves:
        raise CheckpointError(f"{path}: no adapters")
    return {name: (pair["A"], pair["B"]) for name, pair in halves.items()}, whole


@torch.no_grad()
def add_low_rank(layer: Any, a_RI: Tensor, b_OR: Tensor, scale: float) -> None:
    """Add scale * B A to the weight of a linear layer, in float32, and round once to the weight's own type."""
    weight = layer.weight
    delta = (b_OR.to(weight.device, torch.float32) @ a_RI.to(weight.device, torch.float32)) * scale
    # a new tensor, as the old one may be mapped from its file
    weight.data = (weight.detach().float() + delta).to(weight.dtype)
