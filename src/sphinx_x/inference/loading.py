"""From a model folder to a model and its processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from sphinx_x.checkpoints.adapters import Adapter, apply_adapter
from sphinx_x.checkpoints.complete import check_loaded
from sphinx_x.checkpoints.hub import OPTIONS
from sphinx_x.errors import CheckpointError, MissingToolError, SphinxXError, one_line
from sphinx_x.inference.finding import find_adapters
from sphinx_x.inference.packaged import in_bfloat16
from sphinx_x.model.attention import attend_in_groups
from sphinx_x.model.cpu_bfloat16 import multiplies_bfloat16, speed_up
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.quantized import quantization_options
from sphinx_x.model.tokenizer import image_tokens
from sphinx_x.work.memory import own_memory
from sphinx_x.work.quiet import without_bars

LARGE = 1_000_000_000
"""Bytes of weights above which a CPU computes in the type that they are stored in, not in float32."""
MERGE_FIRST = (
    "adapters are added to whole weights: merge them first (sphinx-x merge), then quantise or spread the result"
)


def load_processor(name_or_path: str | Path, base: str | Path | None = None, **hub: Any) -> SphinxXProcessor:
    """Load only the processor of the model that `SphinxX.load` would load.

    Raises:
        CheckpointError: There is no such model, or it is not a SPHINX-X model.
    """
    return read_processor(name_or_path, *_found(name_or_path, base, **hub))


def load_parts(
    name_or_path: str | Path,
    dtype: Any,
    device: str | None,
    bits: int | None,
    base: str | Path | None,
    fast: bool = False,
    **options: Any,
) -> tuple[SphinxXForConditionalGeneration, SphinxXProcessor]:
    """Load a model and its processor; for the arguments see `SphinxX.load`.

    Raises:
        SphinxXError: A type is given and should be chosen as well.
    """
    hub = {name: options.pop(name) for name in OPTIONS if name in options}
    path, adapters = _found(name_or_path, base, **hub)
    processor = read_processor(name_or_path, path, adapters)
    if device == "auto":
        options.setdefault("device_map", "auto")
    if device in (None, "auto"):
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        device = accelerator.type if accelerator else "cpu"
    if fast and dtype is not None:
        raise SphinxXError("fast chooses the type itself: give fast or dtype")
    if dtype is None:
        small = device == "cpu" and _weights_size(path) < LARGE
        dtype = torch.bfloat16 if fast and multiplies_bfloat16(device) else torch.float32 if small else "auto"
    whole = bits is None and not {"device_map", "quantization_config"} & options.keys()
    if adapters and not whole:
        raise CheckpointError(f"{name_or_path}: {MERGE_FIRST}")
    if fast and dtype is torch.bfloat16 and device == "cpu" and whole and not adapters:
        path = in_bfloat16(path)
    model = load_model(path, dtype, device, bits, options)
    quantized = getattr(model, "is_quantized", False)
    if adapters and quantized:
        raise CheckpointError(f"{name_or_path}: {path} is quantised; {MERGE_FIRST}")
    for adapter in adapters:
        apply_adapter(model, adapter)
        model.config.abilities = None  # the base declares its own; what training added to them is not known
    own = image_tokens(processor.tokenizer, processor.image_processor.lines is not None)
    if own != model.config.image_tokens() or processor.image_processor.line_reader() != model.config.line_reader():
        raise CheckpointError(f"{name_or_path}: its config and its tokenizer have other image tokens or lines")
    if processor.image_processor.grid() != model.config.view_grid():
        raise CheckpointError(f"{name_or_path}: its config and its processor cut images into other views")
    if whole and not quantized:
        try:
            torch.nn.Module.to(model, device)
        except (RuntimeError, AssertionError) as error:
            raise MissingToolError(f"device {device}: {one_line(error)}") from error
    read_often = [model.model.language_model, model.lm_head]  # for each token; the experts stay mapped
    packed = speed_up(read_often, untouched=not adapters)
    own_memory(read_often, but=packed)
    attend_in_groups(model.model.language_model)
    return model, processor


def _found(name: str | Path, base: str | Path | None, **hub: Any) -> tuple[Path, list[Adapter]]:
    """Return what `find_adapters` does; raise `CheckpointError` for a base that nothing would lie over."""
    path, adapters = find_adapters(name, base, **hub)
    if base is not None and not adapters:
        raise CheckpointError(f"{name}: holds no adapters, so there is no other base for them (base)")
    return path, adapters


def read_processor(name: str | Path, source: Path, adapters: Sequence[Adapter]) -> SphinxXProcessor:
    """Load the processor of a model folder, or of the topmost folder of adapters that has one."""
    source = next((a.folder for a in reversed(adapters) if (a.folder / "processor_config.json").is_file()), source)
    try:
        processor = AutoProcessor.from_pretrained(source, trust_remote_code=False)
    except SphinxXError:
        raise
    except Exception as error:  # malformed files make the library raise errors of nearly every kind
        raise CheckpointError(f"{name}: {one_line(error)}") from error
    if not isinstance(processor, SphinxXProcessor):
        raise CheckpointError(f"{name}: not a SPHINX-X model")
    return processor


def load_model(
    path: Path, dtype: Any, device: str, bits: int | None = None, options: Mapping[str, Any] | None = None
) -> SphinxXForConditionalGeneration:
    """Load a model, insisting that its files hold all of its weights and no others.

    Raises:
        CheckpointError: They do not, or it is another model.
        MissingToolError: A package is not installed.
    """
    try:
        options = {**quantization_options(path, bits, device, dict(options or {})), "trust_remote_code": False}
        with without_bars():
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                path, dtype=dtype, output_loading_info=True, **options
            )
        model, report = loaded
    except ImportError as error:
        raise MissingToolError(f"{one_line(error)} (pip install 'sphinx-x[quant]')") from error
    except Exception as error:  # malformed files make the library raise errors of nearly every kind
        raise CheckpointError(f"{path}: {one_line(error)}") from error
    check_loaded(path, report)
    if not isinstance(model, SphinxXForConditionalGeneration):
        raise CheckpointError(f"{path}: not a SPHINX-X model")
    return model


def _weights_size(path: Path) -> int:
    """Return the total size of a folder's weights, in bytes."""
    return sum(file.stat().st_size for file in path.glob("*.safetensors"))
