"""Members for vLLM, whose CPU attention wants heads of 32: with skipped views, with stop texts, imported, mixtures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from base_weights import TOKENIZER
from sphinx_x.checkpoints.accessory.architectures import ARCHITECTURES, Checkpoint
from sphinx_x.checkpoints.parts import disk_outline
from sphinx_x.checkpoints.pth import PREFIX
from sphinx_x.checkpoints.rules import convert, inverse
from sphinx_x.inference import SphinxX
from sphinx_x.model.config import GroupConfig, SphinxXConfig
from sphinx_x.model.experts.clip import ClipConfig
from sphinx_x.model.experts.convnext import ConvNextConfig
from sphinx_x.model.experts.dinov2 import DinoV2Config
from sphinx_x.model.experts.qformer import QFormerConfig
from sphinx_x.model.tokenizer import read_tokenizer
from talkers import talking

HEADS = {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
ROWS = 512


def two_groups(member, seed: int = 3) -> SphinxX:
    """A tiny member that skips views, with a second group of experts."""
    (group,) = member.groups
    fewer = {"experts": group["experts"][1:], "tokens": (1, 4), "global_token": False}
    return talking(replace(member, llm={**member.llm, **HEADS}, groups=(group, fewer)), seed)


def ending(sphinx: SphinxX, text: str) -> SphinxX:
    """The same member with answers that end at a text."""
    template = sphinx.processor.prompt_builder().template
    fields = {**template.__dict__, "after": {**template.after, "assistant": text}}
    sphinx.processor.template = fields
    return SphinxX(sphinx.model, sphinx.processor)


def _groups(side: int) -> tuple[GroupConfig, ...]:
    """The reference's two groups of four experts, each with one or two thin layers."""
    seen = {"depth": 1, "heads": 2, "hidden": 48}
    vit = {"height": 224, "width": 224, "patch": (14, 14), "positions": (16, 16), "resample": "canvas"}
    convnext = {"channels": (4, 8), "depths": (1, 1), "strides": ((4, 4), (8, 8)), "resample": "nearest"}
    size = 256 if side == 224 else 512
    qformer = QFormerConfig(
        height=224, width=224, resample="canvas", vision_channels=88, vision_depth=1, vision_heads=1, vision_hidden=96
    )
    qformer = replace(qformer, channels=64, depth=2, heads=1, hidden=96)
    experts = (
        ClipConfig(**{**vit, **seen, "channels": 64, "heads": 1}),
        ConvNextConfig(**convnext, height=size, width=size),
        DinoV2Config(**{**vit, **seen, "channels": 64, "heads": 1, "hidden": 32}),
    )
    return (
        GroupConfig((qformer,), tokens=(qformer.queries, 1), global_token=False),
        GroupConfig(experts, resize="nearest"),
    )


def official(folder: Path, kind: str) -> Path:
    """A tiny checkpoint of one of the reference's architectures with four experts, in its own format."""
    architecture = ARCHITECTURES[kind]
    text = {**HEADS, "model_type": "llama", "num_hidden_layers": 2, "intermediate_size": 96, "vocab_size": ROWS + 4}
    if kind.startswith("mixtral"):
        text |= {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
    tokens = range(ROWS, ROWS + 4)
    side = architecture.views.view_height
    config = SphinxXConfig({**text, "tie_word_embeddings": False}, _groups(side), architecture.views, *tokens)
    generator = torch.Generator().manual_seed(5)

    def made(name: str, shape: torch.Size) -> torch.Tensor:
        """Norms around 1, all else scaled by its fan-in; the output layer large enough to talk."""
        drawn = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            return (1 + 0.1 * drawn).bfloat16()
        return (drawn * (1 if name.startswith(("tok_", "output")) else 2 * shape[1:].numel() ** -0.5)).bfloat16()

    rules = inverse(Checkpoint(kind, {}, config, ROWS).rules())
    outline = disk_outline(config)
    names = {name: tensor.shape for name, tensor in convert(rules, outline.__getitem__)}
    folder.mkdir(parents=True)
    shutil.copyfile(TOKENIZER, folder / "tokenizer.model")
    state = {PREFIX + name: made(name, shape) for name, shape in names.items()}
    tokenizer = read_tokenizer(folder, model_first=True)
    for number in range(ROWS):
        text = tokenizer.decode([number])
        if not (text.isascii() and text.isprintable()):
            state[f"{PREFIX}output.weight"][number] = 0  # half a character would be decoded in several ways
    torch.save({"model": state}, folder / "consolidated.00-of-01.model.pth")
    settings = {"dim": 64, "n_heads": 2, "n_kv_heads": 1, "norm_eps": 1e-5}
    if kind.startswith("mixtral"):
        settings |= {"head_dim": 32, "moe": {"num_experts": 4, "num_experts_per_tok": 2}}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "meta.json").write_text(json.dumps({"llama_type": kind}))
    return folder
