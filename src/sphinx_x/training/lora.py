"""Fine-tuning by low-rank adapters (LoRA) through PEFT: adding them, saving them, and merging them into the weights.

A recipe's `lora.targets` names the linear layers of the language model that get one. Everything else, including the
visual experts and the projector, stays as it is, except for the parts in `lora.whole`: they are trained as they are and
saved beside the adapters (PEFT's `modules_to_save`).
"""

from __future__ import annotations

import copy
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from sphinx_x.checkpoints.adapters import (
    BASE,
    PREFIX,
    WEIGHTS,
    Adapter,
    adapter_weights,
    add_low_rank,
    apply_adapter,
    beside,
    is_adapter,
    weight_hashes,
)
from sphinx_x.checkpoints.forms import ADAPTERS, expect
from sphinx_x.checkpoints.writer import ORIGINAL, keep_original, new_folder
from sphinx_x.errors import CheckpointError, RecipeError, SphinxXError, needs_extra, one_line
from sphinx_x.inference import SphinxX, find_adapters, folder_here, load_processor
from sphinx_x.model.parts import whole_modules
from sphinx_x.recipe import LoraRecipe
from sphinx_x.work.files import atomic_folder, check_new, write_manifest
from sphinx_x.work.quiet import without_bars

logger = logging.getLogger(__name__)

LANGUAGE_MODEL = "model.language_model"
ADAPTER = "default"
"""PEFT's name of the one set of adapters that is trained."""


def add_adapters(model: Any, lora: LoraRecipe, seed: int = 0, adapter: Adapter | None = None) -> int:
    """Add adapters to layers of the language model, in place: fresh ones, or finished ones to go on with.

    Adapters are float32 whatever the layers are, nothing but them and the parts of `lora.whole` requires a gradient any
    more. With fresh ones the model's outputs stay the same at first: B is zero. A depends on the seed alone, so it is
    the same on every rank.

    Args:
        model: The model.
        lora: What gets adapters, and of which kind.
        seed: Of fresh adapters.
        adapter: Finished adapters of just this kind.

    Returns:
        The number of trained parameters.

    Raises:
        CheckpointError: Finished adapters cannot be read.
        RecipeError: Finished adapters are of another kind, a target is not a linear layer of the language model, or a
            part that is trained whole is missing or has adapters itself.
        MissingToolError: PEFT is not installed.
    """
    with needs_extra("train", "lora"), _without_kernel_note():
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer
    _check_targets(model, lora.targets)
    whole = whole_modules(model, lora.whole)
    names = "|".join(re.escape(target) for target in sorted(set(lora.targets)))
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=lora.dropout,
        target_modules=rf"{re.escape(LANGUAGE_MODEL)}\.(?:.*\.)?(?:{names})",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, model, adapter_name=ADAPTER)
        torch.manual_seed(seed)
        layers: list[Any] = [module for module in model.modules() if isinstance(module, LoraLayer)]
        for layer in layers:
            for half in (layer.lora_A, layer.lora_B):
                half.float()  # PEFT makes them in the layer's own type
            layer.reset_lora_parameters(ADAPTER, init_lora_weights=True)
            if not lora.dropout:
                layer.forward = partial(_forward, layer)
    model.peft_config[ADAPTER].modules_to_save = whole or None
    if adapter is not None:
        _go_on(model, lora, adapter)
    for parameter in adapter_tensors(model).values():
        parameter.requires_grad_(True)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _forward(layer: Any, x: Tensor) -> Tensor:
    """Compute what PEFT's layer does, with the adapters' share added within their product.

    On a CPU that takes a quarter of a training step away: no pass over the large outputs to scale, add and cast them.
    """
    if layer.disable_adapters or layer.merged:
        return type(layer).forward(layer, x)
    y = layer.base_layer(x)
    h = F.linear(x, layer.lora_A[ADAPTER].weight.to(x.dtype)).flatten(0, -2)
    b_OR = (layer.lora_B[ADAPTER].weight * layer.scaling[ADAPTER]).to(x.dtype)
    return torch.addmm(y.flatten(0, -2), h, b_OR.T).view_as(y)


@torch.no_grad()
def _go_on(model: Any, lora: LoraRecipe, adapter: Adapter) -> None:
    """Copy finished adapters into fresh ones; raise `RecipeError` unless they are of the same kind."""
    pairs, whole = adapter_weights(adapter)
    rank = next(iter(pairs.values()))[0].shape[0]
    if adapter.alpha != lora.alpha or adapter.by_root or rank != lora.rank:
        root = " over the root of the rank" if adapter.by_root else ""
        raise RecipeError(
            f"lora.start: {adapter.folder}: has rank {rank} and alpha {adapter.alpha:g}{root}, not {lora.rank} and "
            f"{lora.alpha:g} as in the recipe"
        )
    given, own = dict(whole), adapter_tensors(model)
    for name, (a_RI, b_OR) in pairs.items():
        given |= {f"{name}.lora_A.{ADAPTER}.weight": a_RI, f"{name}.lora_B.{ADAPTER}.weight": b_OR}
    for name in {**own, **given}:
        if name not in own or name not in given or own[name].shape != given[name].shape:
            raise RecipeError(f"lora.start: {adapter.folder}: {name} differs (lora.targets, lora.whole)")
    for name, parameter in own.items():
        parameter.copy_(given[name])


@contextmanager
def _without_kernel_note() -> Iterator[None]:
    """Silence a note of bitsandbytes, which PEFT imports if it is installed; other messages stay.

    The note says that a kernel for 4 bits on a CPU is missing, which does not matter to adapters on whole weights.
    """
    logger = logging.getLogger("bitsandbytes.backends.cpu.ops")

    def wanted(record: logging.LogRecord) -> bool:
        return "gemm_4bit_forward" not in str(record.msg)

    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


def _check_targets(model: Any, targets: list[str]) -> None:
    modules = model.get_submodule(LANGUAGE_MODEL).named_modules()
    linear = [name for name, module in modules if isinstance(module, nn.Linear)]
    missing = [t for t in targets if not any(name == t or name.endswith(f".{t}") for name in linear)]
    if missing or not targets:
        known = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in linear))
        text = model.config.text_config
        experts = getattr(text, "num_local_experts", 0) or getattr(text, "num_experts", 0)
        why = " (its experts are joined tensors, which get no adapters)" if experts else ""
        what = ", ".join(missing) or "nothing"
        raise RecipeError(f"lora.targets: {what}: no linear layer of this language model{why}; it has {known}")


def adapter_tensors(model: Any) -> dict[str, nn.Parameter]:
    """Return the parameters of a model's adapters and of the parts trained whole beside them, by their full names."""
    config = getattr(model, "peft_config", {}).get(ADAPTER)
    whole = set((config and config.modules_to_save) or [])
    named = model.named_parameters()
    return {name: p for name, p in named if ".lora_" in name or name.rpartition(".")[0] in whole}


def write_adapters(
    model: Any,
    folder: Path,
    base: str,
    tensors: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a model's adapters into a folder in PEFT's format, for a caller who adds more files and the manifest.

    The hashes of the weights of `base`, if its folder has a manifest, are written as well: on other weights the
    adapters will not be loaded.

    Args:
        model: The model.
        folder: The folder.
        base: The model that training started from (a recipe's `start`).
        tensors: Whole adapters by the names of `adapter_tensors`, if the model itself only holds slices of them.
        dtype: Type to write them in.

    Raises:
        ValueError: Tensors are missing, do not belong to the model, or are slices.
    """
    own = adapter_tensors(model)
    given: Mapping[str, Tensor] = own if tensors is None else tensors
    wrong = next(
        (n for n in {**own, **given} if n not in own or n not in given or own[n].shape != given[n].shape), None
    )
    if wrong or not own:
        raise ValueError(f"{wrong or 'no adapters'}: not what the model's adapters are")
    plain = {
        PREFIX + name.replace(f".{ADAPTER}.", "."): tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in given.items()
    }
    save_file(plain, folder / WEIGHTS, {"format": "pt"})
    config = copy.deepcopy(model.peft_config[ADAPTER])
    config.base_model_name_or_path, config.inference_mode = base, True
    config.save_pretrained(folder)
    try:
        below = folder_here(base)
    except SphinxXError as error:  # what was trained is worth more than what tells its base
        logger.warning("note: %s is not written, as the weights of %s are not found: %s", BASE, base, one_line(error))
        below = None
    if below is not None and (hashes := weight_hashes(below)):
        (folder / BASE).write_text(json.dumps(hashes, indent=1) + "\n")


def save_adapters(
    model: Any, folder: str | Path, base: str, processor: Any, tensors: Mapping[str, Tensor] | None = None
) -> Path:
    """Write a folder of adapters with the processor's files and a manifest, complete or not at all.

    For the arguments see `write_adapters`.
    """
    folder = Path(folder)
    with atomic_folder(folder) as temporary:
        write_adapters(model, temporary, base, tensors)
        processor.save_pretrained(temporary)
        write_manifest(temporary)
    return folder


def merge_adapters(model: Any) -> Any:
    """Add a model's adapters to its weights and remove them, in place; returns the same model, now a plain one.

    Sums are computed in float32 and rounded once to the weights' own type. Parameters must be whole, not slices.
    """
    from peft.tuners.lora import LoraLayer

    found: list[tuple[str, Any]] = [(n, layer) for n, layer in model.named_modules() if isinstance(layer, LoraLayer)]
    for name, layer in found:
        base = layer.base_layer
        add_low_rank(base, layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight, layer.scaling[ADAPTER])
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, base)
    if found:
        del model.peft_config
    return model


def merge_folder(
    adapter: str | Path,
    out: str | Path,
    base: str | Path | None = None,
    dtype: torch.dtype | None = None,
    tell: Callable[[str], None] = lambda note: logger.info("note: %s", note),
) -> Path:
    """Write a folder of adapters and their base as one plain model folder.

    Args:
        adapter: The folder of adapters.
        out: The folder to write.
        base: The base, in place of what the folder names.
        dtype: Type of the weights; by default that of the base.
        tell: Gets two notes: the type of the weights, and how far the logits of a probe are from those with separate
            adapters.

    Returns:
        The folder that was written.

    Raises:
        CheckpointError: `adapter` is not a folder of adapters or does not fit, or `out` exists already.
    """
    check_new(out)  # before the base is fetched and loaded
    if not is_adapter(adapter):
        expect(Path(adapter), ADAPTERS)
    below, adapters = find_adapters(adapter, base, subfolders=(ORIGINAL,))
    sphinx = SphinxX.load(below, dtype="auto" if dtype is None else dtype, device="cpu")
    if getattr(sphinx.model, "is_quantized", False):
        raise CheckpointError(f"{adapter}: {below} is quantised, adapters are merged into whole weights (--base)")
    sphinx = SphinxX(sphinx.model, load_processor(adapter, base))
    model: Any = sphinx.model
    with new_folder(out, sum(p.numel() * p.element_size() for p in model.parameters()), [adapter, below]) as folder:
        with beside(model, adapters):
            wanted = _probed(sphinx)
        for one in adapters:
            apply_adapter(model, one)
        model.config.abilities = None  # as in `load_parts`
        types = sorted({str(p.dtype).removeprefix("torch.") for p in model.parameters()})
        why = f"as those of {below} (--dtype writes another)" if dtype is None else "as asked"
        tell(f"weights are {', '.join(types)}, {why}")
        tell(_difference(wanted, _probed(sphinx)))
        with without_bars():
            model.save_pretrained(folder)
        sphinx.processor.save_pretrained(folder)
        keep_original(below, folder)
        write_manifest(folder)
    return Path(out)


PROBE = "Describe the picture: what is written there, which colours does it have, and where do they lie?"


@torch.no_grad()
def _probed(sphinx: SphinxX) -> torch.Tensor:
    """Return the logits of a fixed question, about an image if the model takes one, as (tokens, words).

    The image tokens' logits are left out, as they are never generated.
    """
    model: Any = sphinx.model
    ramp = np.linspace(0, 255, 96 * 32 * 3).astype(np.uint8).reshape(32, 96, 3)
    images = [Image.fromarray(ramp)] if model.config.groups else None
    prompt = sphinx.prompt_for(PROBE, images)
    views = (prompt.views.float() / 255) if images else None
    given = {"pixel_values": views} | ({} if model.config.lines is None else {"line_boxes": prompt.line_boxes})
    logits = model(input_ids=torch.tensor([prompt.ids]), **given, use_cache=False).logits[0].float()
    said = torch.ones(logits.shape[1], dtype=torch.bool)
    said[list(model.config.image_tokens().all())] = False
    return logits[:, said]


def _difference(wanted: torch.Tensor, found: torch.Tensor) -> str:
    """Return in words how far merged logits are from those with separate adapters."""
    far, same = (found - wanted).abs(), int((found.argmax(-1) == wanted.argmax(-1)).sum())
    return (
        f"logits of a probe of {len(wanted)} tokens are {far.max():.2g} at most and {far.mean():.2g} on average from "
        f"those of the adapters beside the weights; the likeliest token is the same at {same} of {len(wanted)} places"
    )
