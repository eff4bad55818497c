"""From model folders to ONNX: three graphs that any ONNX runtime can run, even in a browser or on a phone.

- vision.onnx: pixel_values (V, 3, H, W) from 0 to 1, the views of one image -> features (V, N, D)
- embed.onnx: input_ids (1, T) -> inputs_embeds (1, T, D), whose rows at image slots the features replace, in order
- decoder.onnx: inputs_embeds (1, T, D), attention_mask (1, P + T), position_ids (1, T) and past.I.key, past.I.value (1,
  heads, P, width) of each layer I -> logits (1, 1, vocabulary) of the last token, and present.I.* for the next step

`onnx.json` holds the sizes; tokenizer, processor and configuration are next to it, as in the model folder.

With int8 the matrices of vision.onnx and decoder.onnx are 8-bit integers with a scale for each column, and what
they are multiplied with is rounded to 8 bits as it comes. Embeddings, which are looked up, and convolutions, which
onnxruntime computes faster as they are, stay float32.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import AutoModelForImageTextToText, DynamicCache

from sphinx_x.checkpoints.complete import check_loaded
from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.writer import new_folder
from sphinx_x.errors import CheckpointError, needs_extra, one_line
from sphinx_x.work.files import check_new, write_manifest
from sphinx_x.work.quiet import only_above

OWN_FILE = 1_500_000_000
"""Bytes of weights from which they get a file next to their graph: one ONNX file holds 2 GB at most."""
QUANTIZED = ("vision", "decoder")
"""The graphs that have matrices to quantise."""
SIDE_FILES = ("config.json", "processor_config.json", "chat_template.jinja", "tokenizer.json", "tokenizer_config.json")


class _Vision(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.trunk = model.model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.trunk.features(pixel_values)


class _Decoder(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.language_model, self.lm_head, self.logits = model.model.language_model, model.lm_head, model.logits

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor, position_ids: Tensor, past: list[Tensor]) -> Any:
        cache = DynamicCache(list(zip(past[::2], past[1::2], strict=True)))
        out = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        layers = out.past_key_values.layers
        logits = self.logits(out.last_hidden_state[:, -1:])
        return logits, *(tensor for layer in layers for tensor in (layer.keys, layer.values))


@told_in_one_line
def export_onnx(model: str | Path, out: str | Path, int8: bool = False) -> list[str]:
    """Write the three graphs.

    If an error is raised, `out` is not created.

    Args:
        model: The model folder.
        out: The folder to write.
        int8: Whether matrices get whole numbers of 8 bits in place of float32; `onnx.json` and `config.json` say so.

    Returns:
        Notes for the user, one line each.

    Raises:
        MissingToolError: onnx or onnxscript is not installed, or for int8 onnxruntime.
        CheckpointError: The folder is not a model with visual experts, or `out` exists already.
    """
    with needs_extra("onnx", "export to ONNX"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401

        if int8:
            import onnxruntime.quantization  # noqa: F401
    model = Path(model)
    check_new(out)  # before the model is loaded
    loaded = _load(model)
    with (
        new_folder(out, sources=[model]) as folder,
        torch.no_grad(),
        warnings.catch_warnings(),
        only_above("torch.onnx._internal.exporter._registration", logging.ERROR),  # it misses torchvision; we do not
    ):
        warnings.simplefilter("ignore")
        sizes = {**_sizes(loaded.config), "weights": "int8" if int8 else "float32"}
        _export_vision(loaded, folder)
        ids = torch.zeros(1, 5, dtype=torch.int64)
        _export(
            loaded.get_input_embeddings(),
            (ids,),
            folder / "embed.onnx",
            ["input_ids"],
            ["inputs_embeds"],
            ({1: DYNAMIC},),
        )
        _export_decoder(loaded, sizes, folder)
        for name in SIDE_FILES:
            if (model / name).is_file():
                shutil.copyfile(model / name, folder / name)
        notes = _to_int8(folder, loaded.config) if int8 else []
        (folder / "onnx.json").write_text(json.dumps(sizes, indent=1) + "\n")
        write_manifest(folder)
    return notes


def _load(model: Path) -> Any:
    """Return a model that graphs can be made of."""
    try:
        found: Any = AutoModelForImageTextToText.from_pretrained(
            model, dtype=torch.float32, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{model}: no model folder ({one_line(error)})") from error
    loaded, report = found
    check_loaded(model, report)
    if not loaded.config.groups:
        raise CheckpointError(f"{model}: has no visual experts; export it as llm")
    if loaded.config.lines is not None:
        raise CheckpointError(f"{model}: reads the lines of images, which the graphs have no input for")
    loaded.config.text_config._experts_implementation = "batched_mm"  # it does not branch on its input
    return loaded.eval()


def _to_int8(folder: Path, config: Any) -> list[str]:
    """Quantise the graphs of a folder, write so into its configuration, and return what there is to say of it."""
    notes = []
    for name in QUANTIZED:
        before, after = _quantize(folder, name)
        notes.append(f"{name}.onnx: {before / 1e6:.1f} MB in float32, {after / 1e6:.1f} MB in int8")
    if getattr(config.text_config, "num_local_experts", 0):
        notes.append("the experts of the mixture stay float32: onnxruntime quantises no matrices that a token chooses")
    file = folder / "config.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    how = {"quant_method": "onnxruntime", "bits": 8, "weights": "int8", "graphs": list(QUANTIZED)}
    said["quantization_config"] = how
    file.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    return notes


def _quantize(folder: Path, name: str) -> tuple[int, int]:
    """Quantise the matrices of one graph in place; return the bytes of its files before and after."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    def files() -> list[Path]:
        return sorted(folder.glob(f"{name}.onnx*"))

    before = sum(file.stat().st_size for file in files())
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        moved = [shutil.move(file, aside) for file in files()]
        with only_above("root", logging.ERROR):  # it advises to infer shapes first, which changes nothing here
            quantize_dynamic(
                moved[0],
                folder / f"{name}.onnx",
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                use_external_data_format=before > OWN_FILE,
            )
    return before, sum(file.stat().st_size for file in files())


DYNAMIC = Dim.AUTO  # pyright: ignore[reportAttributeAccessIssue]


def _sizes(config: Any) -> dict[str, Any]:
    text = config.text_config
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return {
        "layers": text.num_hidden_layers,
        "key_value_heads": text.num_key_value_heads,
        "head_width": head,
        "hidden_size": text.hidden_size,
        "image_token_id": config.image_token_id,
        "tokens_per_view": config.tokens_per_view,
    }


def _export_vision(model: Any, folder: Path) -> None:
    grid = model.config.view_grid()
    views = 2 if grid.skip else grid.cells + grid.global_view  # all views of one image, where nothing is skipped
    pixels = torch.rand(views, 3, grid.view_height, grid.view_width)
    shapes = ({0: DYNAMIC},) if grid.skip else None
    _export(_Vision(model), (pixels,), folder / "vision.onnx", ["pixel_values"], ["features"], shapes)


def _export_decoder(model: Any, sizes: dict[str, Any], folder: Path) -> None:
    fresh, before = 7, 5  # any numbers except 0 and 1, which the exporter would treat as constants
    past = [torch.randn(1, sizes["key_value_heads"], before, sizes["head_width"]) for _ in range(2 * sizes["layers"])]
    embeds = torch.randn(1, fresh, sizes["hidden_size"])
    mask, positions = torch.ones(1, before + fresh, dtype=torch.int64), torch.arange(before, before + fresh)[None]
    names = [f"{k}.{part}" for k in range(sizes["layers"]) for part in ("key", "value")]
    _export(
        _Decoder(model),
        (embeds, mask, positions, past),
        folder / "decoder.onnx",
        ["inputs_embeds", "attention_mask", "position_ids", *(f"past.{name}" for name in names)],
        ["logits", *(f"present.{name}" for name in names)],
        ({1: DYNAMIC}, {1: DYNAMIC}, {1: DYNAMIC}, [{2: DYNAMIC}] * len(past)),
    )


def _export(
    module: nn.Module, example: tuple[Any, ...], path: Path, inputs: list[str], outputs: list[str], shapes: Any
) -> None:
    size = sum(tensor.nbytes for tensor in module.state_dict().values())
    torch.onnx.export(
        module.eval(),
        example,
        str(path),
        dynamo=True,
        external_data=size > OWN_FILE,
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=shapes,
        verbose=False,
    )
