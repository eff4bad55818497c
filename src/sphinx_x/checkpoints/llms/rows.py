"""The image tokens' rows in a language model's embedding table and output layer."""

from __future__ import annotations

import torch
from torch import Tensor

from sphinx_x.checkpoints.rules import LLM, Rule, Tensors
from sphinx_x.family import IMAGE_VOCABULARY

EMBEDDING, OUTPUT = f"{LLM}embed_tokens.weight", "lm_head.weight"
BLOCK = 64
"""Number of weights that share one scale in 4-bit quantisation."""


def embedding_rule(source: str, vocabulary: int, learned: tuple[str, ...] = ()) -> Rule:
    """Return the rule that appends the image tokens' rows to the table: slot (zeros), start, end, skip.

    Args:
        source: Name of the table.
        vocabulary: Its number of rows.
        learned: Names of the learned start and end of a view and, if there are any, of the skip token and of that of
            lines, (1, 1, D) each; without a learned skip, it is the mean of the two.
    """
    if not learned:
        return Rule((source,), (EMBEDDING,), lambda table: (_below(table),), lambda table: (table[:vocabulary],))

    def with_rows(table: Tensor, *rows: Tensor) -> Tensors:
        start, end, *others = (row.reshape(1, -1).to(table.dtype) for row in rows)
        others = others or [((start.float() + end.float()) / 2).to(table.dtype)]
        return (torch.cat([table, torch.zeros_like(start), start, end, *others]),)

    def without(table: Tensor) -> Tensors:
        return table[:vocabulary], *(table[vocabulary + 1 + k].reshape(1, 1, -1) for k in range(len(learned)))

    return Rule((source, *learned), (EMBEDDING,), with_rows, without)


def _below(table: Tensor) -> Tensor:
    return torch.cat([table, table.new_zeros(IMAGE_VOCABULARY, table.shape[1])])


def output_rule(source: str, vocabulary: int, count: int = IMAGE_VOCABULARY) -> Rule:
    """Return the rule that appends rows for the image tokens to the output layer, whose logits nobody sees.

    4-bit quantisation stores scales relative to their mean; the new rows are filled so that the mean, and with it every
    old row, stays what it would be without them.

    Args:
        source: Name of the output layer.
        vocabulary: Its number of rows.
        count: Number of image tokens.
    """

    def extended(rows: Tensor) -> Tensors:
        scales = rows.float().reshape(-1, BLOCK).abs().amax(1) if rows.numel() % BLOCK == 0 else rows.float().abs()
        return (torch.cat([rows, scales.mean().to(rows.dtype).expand(count, rows.shape[1])]),)

    return Rule((source,), (OUTPUT,), extended, lambda rows: (rows[:vocabulary],))
