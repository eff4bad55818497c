"""Quantisation for CPUs as the Transformers library knows it: linear layers are replaced once they are loaded."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING, AUTO_QUANTIZER_MAPPING
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from sphinx_x.model.cpu_linear import Int4Linear, Int8Linear

METHOD = "sphinx_x_cpu"
"""The name of the method in the library's tables."""


class CpuQuantizationConfig(QuantizationConfigMixin):
    """The language model in 8 or 4 bits on a CPU; visual experts and embeddings stay whole.

    The output layer has 8 bits, or stays whole if it is the embedding table.
    """

    def __init__(self, bits: int = 8, quant_method: str = METHOD) -> None:
        if bits not in (4, 8):
            raise ValueError(f"bits is 4 or 8, not {bits}")
        if quant_method != METHOD:
            raise ValueError(f"quant_method is {METHOD}, not {quant_method}")
        self.bits, self.quant_method = bits, quant_method  # pyright: ignore[reportAttributeAccessIssue]


class CpuQuantizer(HfQuantizer):
    """Replaces the language model's linear layers; the loaded weights, pages of the file, are let go one by one."""

    quantization_config: CpuQuantizationConfig

    def validate_environment(self, *args: Any, **kwargs: Any) -> None:
        """Check that all of the model is on the CPU.

        Raises:
            ValueError: It is not, or its weights are quantised already.
        """
        if self.pre_quantized:
            raise ValueError("weights for a CPU are quantised while loading, they are not stored")
        device_map = kwargs.get("device_map")
        places = device_map.values() if isinstance(device_map, dict) else [device_map or "cpu"]
        elsewhere = sorted({str(place) for place in places} - {"cpu"})
        if elsewhere:
            raise ValueError(f"weights quantised for a CPU are all there, not on {', '.join(elsewhere)}")

    def _process_model_after_weight_loading(self, model: Any, **kwargs: Any) -> Any:
        trunk = getattr(model, model.base_model_prefix, model)
        kind = Int4Linear if self.quantization_config.bits == 4 else Int8Linear
        replace_linears(trunk.language_model, kind)
        head = model.get_output_embeddings()
        if head is not None and head.weight is not model.get_input_embeddings().weight:
            model.set_output_embeddings(Int8Linear(head.weight, head.bias))
        return model

    def is_serializable(self) -> bool:
        """Return that the model cannot be saved: its weights are in the order of this machine's kernels."""
        return False

    @property
    def is_trainable(self) -> bool:
        """That it cannot be trained: no gradients pass through integers."""
        return False


def replace_linears(module: nn.Module, kind: type[Int8Linear] | type[Int4Linear]) -> None:
    """Replace all linear layers inside a module; raise ValueError if one is of a kind that is not known."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, kind(child.weight.detach(), child.bias))
        elif isinstance(child, nn.Linear):
            raise ValueError(f"{name} is a {type(child).__name__}, which is not quantised for CPUs")
        else:
            replace_linears(child, kind)


AUTO_QUANTIZER_MAPPING[METHOD] = CpuQuantizer
AUTO_QUANTIZATION_CONFIG_MAPPING[METHOD] = CpuQuantizationConfig
