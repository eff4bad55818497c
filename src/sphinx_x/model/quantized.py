"""Quantisation through the library: by what, what of a model, and a Mixtral whose experts can be.

`bits` quantises by `model.cpu_quantizer` on a CPU, and by bitsandbytes elsewhere.

The library keeps the experts of a layer in one joint tensor, which is fast, but quantisation looks for linear layers
and ignores it: 96 % of Mixtral-8x7B would stay unquantised.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, BitsAndBytesConfig
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming
from transformers.models.mixtral.configuration_mixtral import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralModel

from sphinx_x.model.cpu_quantizer import CpuQuantizationConfig


class LinearExpert(nn.Module):
    """One expert: w2(silu(w1 x) * w3 x)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)
        self.w3 = nn.Linear(width, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the expert to tokens."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class LinearExperts(nn.ModuleList):
    """The experts of a layer, called with the same arguments as the library's."""

    def __init__(self, config: MixtralConfig) -> None:
        width, hidden = config.hidden_size, config.intermediate_size
        super().__init__(LinearExpert(width, hidden) for _ in range(config.num_local_experts))

    def forward(self, hidden_TD: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        """Map tokens (T, D), and the experts and weights of each (T, k), to (T, D)."""
        out_TD = torch.zeros_like(hidden_TD)
        for number in top_k_index.unique().tolist():
            rows, ways = torch.where(top_k_index == number)
            said = self[number](hidden_TD[rows]) * top_k_weights[rows, ways, None]
            out_TD.index_add_(0, rows, said.to(out_TD.dtype))
        return out_TD


class MixtralOfLinears(MixtralModel):
    """The library's Mixtral with `LinearExperts`; its tensors have the names that they have in the files."""

    def __init__(self, config: MixtralConfig) -> None:
        super().__init__(config)
        for layer in self.layers:
            layer.mlp.experts = LinearExperts(config)  # pyright: ignore[reportAttributeAccessIssue]


register_checkpoint_conversion_mapping(
    "MixtralOfLinears", [WeightRenaming(".block_sparse_moe.", ".mlp.")], overwrite=True
)


def quantization_options(path: str | Path, bits: int | None, device: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return options for `from_pretrained` with a quantisation that leaves the visual experts as they are.

    Args:
        path: The model folder.
        bits: 4 or 8, in place of a `quantization_config` in the options. With bitsandbytes and 4 bits the output layer
            is quantised as well, as in the reference, unless it is the embedding table; on a CPU it has 8 bits.
        device: Where the model will run.
        options: The caller's options, which are included.

    Raises:
        ValueError: Another number of bits.
    """
    asked, config = options.get("quantization_config"), AutoConfig.from_pretrained(path, trust_remote_code=False)
    saved = getattr(config, "quantization_config", None) is not None
    if bits is not None:
        if bits not in (4, 8):
            raise ValueError(f"bits is 4 or 8, not {bits}")
        if asked is not None or saved:
            raise ValueError(
                "give bits or a quantization_config, not both" if asked else "the model is quantised already"
            )
        if torch.device(device).type == "cpu":
            # with `auto` every part has a place of its own, unless there is but one
            rest = {k: v for k, v in options.items() if (k, v) != ("device_map", "auto")}
            return {**rest, "quantization_config": CpuQuantizationConfig(bits)}
        asked = _config_of(bits, device)
    if asked is None and not saved:
        return options
    if isinstance(asked, dict) and str(asked.get("quant_method", "bitsandbytes")) == "bitsandbytes":
        asked = BitsAndBytesConfig(**{k: v for k, v in asked.items() if k != "quant_method"})
    if isinstance(asked, BitsAndBytesConfig):
        asked = copy.deepcopy(asked)
        head = ["lm_head"] if config.tie_word_embeddings or asked.load_in_8bit else []
        skipped = head if asked.llm_int8_skip_modules is None else asked.llm_int8_skip_modules
        asked.llm_int8_skip_modules = [*skipped, "model.vision", "model.line_places"]
    chosen = {} if asked is None else {"quantization_config": asked}
    return {"device_map": {"": device}, **options, **chosen}


def _config_of(bits: int, device: str) -> BitsAndBytesConfig:
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    # older GPUs compute in float16
    old = device.startswith("cuda") and torch.cuda.get_device_capability(device) < (8, 0)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float16 if old else torch.bfloat16,
    )


def is_quantized(config: Any) -> bool:
    """Return whether a model with this configuration is quantised, or is about to be."""
    return getattr(config, "quantization_config", None) is not None


def check_reached(config: Any) -> None:
    """Raise ValueError if the language model is a mixture of experts that quantisation would miss."""
    text = config.get_text_config()
    if text.model_type != "mixtral" and (getattr(text, "num_experts", 0) or getattr(text, "num_local_experts", 0)):
        raise ValueError(f"the experts of a {text.model_type} are not reached by quantisation; Mixtral's are")


NOISE = {
    # logged for every layer and token: 8-bit matrices always take float16, whatever the model computes in
    "bitsandbytes.autograd._functions": "MatMul8bitLt: inputs will be cast from",
    # a hub kernel for some CPUs, fetched if the package `kernels` is installed; bitsandbytes' own is as good
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",
}
"""Loggers, and the beginning of a message of theirs that users cannot act on."""


def _without(start: str) -> Callable[[logging.LogRecord], bool]:
    return lambda record: not record.getMessage().startswith(start)


for _logger, _start in NOISE.items():
    logging.getLogger(_logger).addFilter(_without(_start))


def prefer_exact_kernels(model: nn.Module) -> None:
    """Replace bitsandbytes' fast 4-bit CPU kernel for layers that it does not suit.

    It rounds scales to bfloat16 and fails for sizes it was not made for, so it is kept only for layers that fit and
    compute in bfloat16.
    """
    layers: list[Any] = list(model.modules())
    for layer in layers:
        if getattr(layer, "support_avx512bf16_for_cpu", False):
            fits = layer.out_features % 32 == 0 and layer.in_features % 64 == 0
            layer.support_avx512bf16_for_cpu = fits and layer.compute_dtype == torch.bfloat16
