"""Tiny base models with random weights, saved as the hub and other code have them."""

import shutil
from pathlib import Path

import torch
from torch import nn

from paths import REFERENCE

TOKENIZER = REFERENCE / "tokenizer" / "tokenizer.model"
CONVNEXT = {"kind": "convnext", "height": 32, "width": 32, "channels": (8, 16), "depths": (1, 2)}
CONVNEXT |= {"strides": ((4, 4), (2, 2))}
DINOV2 = {"kind": "dinov2", "height": 28, "width": 28, "patch": (7, 7), "channels": 64, "depth": 2, "heads": 1}
DINOV2 |= {"hidden": 96, "swiglu": True, "positions": (5, 5)}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
SMALL |= {"intermediate_size": 48, "vocab_size": 512, "max_position_embeddings": 512}


def randomise(module: nn.Module) -> nn.Module:
    """Every parameter another than at the start: a mix-up of two is seen."""
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return module.eval()


def base_llm(folder: Path, kind: str, **fields) -> tuple[Path, nn.Module]:
    """A language model of the library with random weights, saved as the hub has it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **{**SMALL, **fields})
    model = randomise(AutoModelForCausalLM.from_config(config))
    model.tie_weights()
    model.save_pretrained(folder)
    shutil.copyfile(TOKENIZER, folder / "tokenizer.model")
    return folder, model


def timm_names(ours: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A ConvNeXt of ours under timm's names: written out here, not taken from the code under test."""
    out = {}
    for name, tensor in ours.items():
        parts = name.split(".")
        if parts[0] == "norm":
            out[f"head.norm.{parts[1]}"] = tensor
        elif parts[1] == "0" and int(parts[2]) < 2:
            out[f"stem.{parts[2]}.{parts[3]}"] = tensor
        elif int(parts[2]) < 2:
            out[f"stages.{parts[1]}.downsample.{parts[2]}.{parts[3]}"] = tensor
        else:
            inner = ".".join(parts[3:])
            for old, new in {
                "depthwise": "conv_dw",
                "expand": "mlp.fc1",
                "contract": "mlp.fc2",
                "scale": "gamma",
            }.items():
                inner = inner.replace(old, new)
            out[f"stages.{parts[1]}.blocks.{int(parts[2]) - 2}.{inner}"] = tensor
    return out
