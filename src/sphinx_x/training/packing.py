"""The examples of a pack -> one row on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sphinx_x.data.loader import Example
from sphinx_x.model.packed import ROWS, TOKENS, VIEWS, Pack, plan_pack, round_up

IGNORED = -100


@dataclass
class MicroBatch:
    """Examples in one row of T tokens, filled up at its end.

    pools: tokens of each pack that is in the row; ids: (1, T); views: (V, 3, H, W) uint8, the first `view_count` of
    them real; rows, targets: the positions that predict a trained token, and that token, the first `trained` of them
    real (the rest ignored).
    """

    examples: list[Example]
    pools: list[int]
    ids: Tensor
    views: Tensor
    view_count: int
    rows: Tensor
    targets: Tensor
    trained: int
    pack: Pack

    @property
    def tokens(self) -> int:
        """Real tokens of the row."""
        return sum(len(example.ids) for example in self.examples)

    def by_example(self, losses: Tensor) -> Iterator[tuple[Example, Tensor]]:
        """Each example with the losses of its trained tokens, of those of all, (trained,)."""
        return zip(self.examples, losses.split([trained_tokens(e) for e in self.examples]), strict=True)

    @property
    def characters(self) -> int:
        """Characters that the alignment loss learns from."""
        return sum(len(example.line) for example in self.examples)

    @property
    def attended(self) -> int:
        """Rows that attention computes, its padding included."""
        return sum(count * longest for count, longest in self.pack.groups)


def trained_tokens(example: Example) -> int:
    """How many tokens are learned."""
    return int((example.labels != IGNORED).sum())


def pack_examples(
    packs: Sequence[Sequence[Example]],
    device: torch.device,
    always_views: bool = False,
    view: tuple[int, int] = (48, 384),
) -> MicroBatch:
    """Lays the examples of packs into one row, on `device`; no examples make a row that nothing is learned from.

    always_views: where no example has an image, black views (height and width `view`) are there all the same, so that
    ranks that wait for each other all go the same way.
    """
    examples = [example for pack in packs for example in pack]
    none = torch.empty(0, dtype=torch.int64)
    ids, labels = torch.cat([none, *(e.ids for e in examples)]), torch.cat([none, *(e.labels for e in examples)])
    views = _joined([e.views for e in examples], view, 1 if always_views else 0)
    # an example begins with a token that is never trained, so no position predicts across examples
    rows = (labels[1:] != IGNORED).nonzero()[:, 0]
    targets = labels[1:][rows]
    return MicroBatch(
        examples,
        [sum(len(example.ids) for example in pack) for pack in packs],
        _filled(ids, TOKENS, 0)[None].to(device),
        views.to(device),
        sum(len(e.views) for e in examples),
        _filled(rows, ROWS, 0).to(device),
        _filled(targets, ROWS, IGNORED).to(device),
        len(rows),
        plan_pack([len(e.ids) for e in examples] or [1], total=max(round_up(len(ids), TOKENS), TOKENS), device=device),
    )


def _joined(views: list[Tensor], size: tuple[int, int], least: int) -> Tensor:
    """All views in one tensor, filled up with black ones; each is copied once, in the order it lies in memory."""
    count = sum(map(len, views))
    shape = (round_up(max(count, least), VIEWS), 3, *(views[0].shape[2:] if views else size))
    out = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
    if count:
        torch.cat(views, out=out[:count])
    out[count:] = 0
    return out


def _filled(tensor: Tensor, multiple: int, value: int) -> Tensor:
    """The tensor, its first dimension filled up to a multiple, to one at least."""
    missing = max(round_up(len(tensor), multiple), multiple) - len(tensor)
    return torch.cat([tensor, tensor.new_full((missing, *tensor.shape[1:]), value)]) if missing else tensor
