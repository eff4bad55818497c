"""Tiny members with much to say: an output layer of its own makes random weights wander from letter to letter."""

import torch

from sphinx_x.family import new_model
from sphinx_x.inference import SphinxX


def talking(member, seed, letters=True):
    """A member of random weights; letters: it writes printable characters, and no broken ones."""
    model, processor = new_model(member, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head = torch.randn(model.lm_head.weight.shape, generator=generator)
        for number in range(len(head)) if letters else ():
            text = processor.tokenizer.decode([number])
            if not (text.isascii() and text.isprintable() and text) and number != processor.tokenizer.eos_token_id:
                head[number] = 0
        model.lm_head.weight = torch.nn.Parameter(head)
        for layer in model.model.language_model.layers:
            layer.self_attn.o_proj.weight.mul_(4)
            layer.mlp.down_proj.weight.mul_(4) if hasattr(layer.mlp, "down_proj") else None
    return SphinxX(model, processor)
