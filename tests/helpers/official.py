"""Tiny checkpoints in the reference's format, made in a moment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch

from paths import REFERENCE
from sphinx_x.checkpoints.accessory.shards import split
from sphinx_x.checkpoints.pth import PREFIX

TOKENIZER = REFERENCE / "tokenizer" / "tokenizer.model"
ROWS, WIDTH, HIDDEN = 512, 32, 48


def llama_state(seed: int = 0, layers: int = 2) -> dict[str, torch.Tensor]:
    """A tiny language model in the reference's names (without its prefix)."""
    generator = torch.Generator().manual_seed(seed)

    def make(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).bfloat16()

    state = {"tok_embeddings.weight": make(ROWS, WIDTH), "norm.weight": make(WIDTH), "output.weight": make(ROWS, WIDTH)}
    for k in range(layers):
        state |= {f"layers.{k}.attention.w{x}.weight": make(WIDTH, WIDTH) for x in "qkvo"}
        state |= {f"layers.{k}.feed_forward.w{n}.weight": make(HIDDEN, WIDTH) for n in (1, 3)}
        state[f"layers.{k}.feed_forward.w2.weight"] = make(WIDTH, HIDDEN)
        state |= {f"layers.{k}.{norm}_norm.weight": make(WIDTH) for norm in ("attention", "ffn")}
    return state


def write(folder: Path, state: dict[str, torch.Tensor], shards: int = 1, ending: str = "model") -> Path:
    """A checkpoint folder of `llama`."""
    folder.mkdir(parents=True)
    for number in range(shards):
        parts = {PREFIX + name: split(name, tensor, number, shards) for name, tensor in state.items()}
        path = folder / f"consolidated.{number:02d}-of-{shards:02d}.{ending}.pth"
        torch.save({"model": {name: part.clone() for name, part in parts.items() if part is not None}}, path)
    (folder / "config.json").write_text(json.dumps({"dim": WIDTH, "n_heads": 4, "norm_eps": 1e-5}))
    (folder / "meta.json").write_text('{"llama_type": "llama"}')
    shutil.copyfile(TOKENIZER, folder / "tokenizer.model")
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)
