"""From model folders to ONNX: three graphs that any ONNX runtime can run, even in a browser or on a phone.

- vision.onnx: pixel_values (V, 3, H, W) from 0 to 1, the views of one image -> features (V, N, D)
- embed.onnx: input_ids (1, T) -> inputs_embeds (1, T, D), whose rows at image slots the features replace, in order
- decoder.onnx: inputs_embeds (1, T, D), attention_mask (1, P + T), position_ids (1, T) and past.I.key, past.I.value (1,
  heads, P, width) of each layer I -> logits (1, 1, vocabulary) of the last token, and present.I.* for the next step

`onnx.json` holds the sizes; tokenizer, processor and configuration are next to it, as in the model folder.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import AutoModelForImageTextToText, DynamicCache

from sphinx_x.checkpoints.guard import told_in_one_line
from sphinx_x.checkpoints.writer import new_folder
from sphinx_x.errors import CheckpointError, needs_extra, one_line
from sphinx_x.work.files import write_manifest

OWN_FILE = 1_500_000_000
"""Bytes of weights from which they get a file next to their graph: one ONNX file holds 2 GB at most."""
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
def export_onnx(model: str | Path, out: str | Path) -> list[str]:
    """Write the three graphs in float32.

    If an error is raised, `out` is not created.

    Returns:
        Notes for the user, one line each.

    Raises:
        MissingToolError: onnx or onnxscript is not installed.
        CheckpointError: The folder is not a model with visual experts, or `out` exists already.
    """
    with needs_extra("onnx", "export to ONNX"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    model = Path(model)
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{model}: no model folder ({one_line(error)})") from error
    if not loaded.config.groups:
        raise CheckpointError(f"{model}: has no visual experts; export it as llm")
    if loaded.config.lines is not None:
        raise CheckpointError(f"{model}: reads the lines of images, which the graphs have no input for")
    loaded.eval()
    loaded.config.text_config._experts_implementation = "batched_mm"  # it does not branch on its input
    with new_folder(out, sources=[model]) as folder, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sizes = _sizes(loaded.config)
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
        (folder / "onnx.json").write_text(json.dumps(sizes, indent=1) + "\n")
        for name in SIDE_FILES:
            if (model / name).is_file():
                shutil.copyfile(model / name, folder / name)
        write_manifest(folder)
    return []


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
