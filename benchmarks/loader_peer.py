"""The loader's work done plainly: a PyTorch data set, a sampler that groups by length, padding to the longest.

No straw man: the same tiles come out of the same function, the lengths are measured beforehand, and the tokenizer runs
once over the whole prompt.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from sphinx_x.model.processing import SphinxXProcessor, render_views
from sphinx_x.model.prompt import view_ids
from sphinx_x.model.views import plan_views

Item = tuple[Tensor, Tensor, Tensor]


class PaddedSamples(Dataset[Item]):
    """One JSON lines file, held in memory; an item is ids, labels and views."""

    def __init__(self, path: Path, processor: SphinxXProcessor) -> None:
        self.records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self.tokenizer, self.grid = processor.tokenizer, processor.image_processor.grid()
        builder = processor.prompt_builder()
        self.image_tokens, self.tokens_per_view = builder.image_tokens, builder.tokens_per_view
        self.lengths = [self._length(record) for record in self.records]

    def _length(self, record: dict) -> int:
        with Image.open(record["images"][0]["path"]) as image:
            layout = plan_views(*image.size, self.grid)
        return layout.views * (self.tokens_per_view + 2) + layout.skipped + len(record["messages"][1]["content"])

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Item:
        record = self.records[index]
        image = Image.open(record["images"][0]["path"]).convert("RGB")
        layout = plan_views(image.width, image.height, self.grid)
        views = torch.from_numpy(np.ascontiguousarray(render_views(image, layout)))
        question, answer = record["messages"][0]["content"][1]["text"], record["messages"][1]["content"]
        slots = view_ids(layout, self.image_tokens, self.tokens_per_view)
        head = self.tokenizer("<|bos|><|user|>").input_ids + slots
        head += self.tokenizer(question + "<|assistant|>").input_ids
        said = self.tokenizer(answer + "<|eot|>").input_ids
        return torch.tensor(head + said), torch.tensor([-100] * len(head) + said), views


class LengthGrouped(Sampler[list[int]]):
    """Batches of similar length, in a shuffled order."""

    def __init__(self, lengths: list[int], batch: int) -> None:
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        self.batches = [order[first : first + batch] for first in range(0, len(order), batch)]
        random.Random(0).shuffle(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def collate(items: list[Item]) -> dict[str, Tensor]:
    """A padded batch with its attention mask."""
    ids = pad_sequence([item[0] for item in items], batch_first=True)
    labels = pad_sequence([item[1] for item in items], batch_first=True, padding_value=-100)
    lengths = torch.tensor([len(item[0]) for item in items])
    mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
    return {"input_ids": ids, "labels": labels, "attention_mask": mask, "views": torch.cat([item[2] for item in items])}


def padded_batches(samples: PaddedSamples, batch: int) -> tuple[int, int, int]:
    """Takes every batch; gives samples, real tokens, and tokens with padding."""
    loader = DataLoader(samples, batch_sampler=LengthGrouped(samples.lengths, batch), collate_fn=collate)
    count = real = padded = 0
    for made in loader:
        count, real = count + len(made["input_ids"]), real + int(made["attention_mask"].sum())
        padded += made["input_ids"].numel()
    return count, real, padded
