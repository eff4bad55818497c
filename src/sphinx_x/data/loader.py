"""Samples -> what one step of training takes: ids, labels and kept views of a batch, packed without padding.

Everything random about a sample (its place in the mixture, how it is augmented) depends on the seed and its global
index alone, so any worker of any run builds the same sample.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sphinx_x.conversation import Message, Place, parse_messages
from sphinx_x.data.blend import Blend
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError, SphinxXError
from sphinx_x.model.processing import SphinxXProcessor, render_views
from sphinx_x.model.views import plan_views


@dataclass(frozen=True)
class Augmentation:
    """Random changes of pictures, for members that are trained from nothing.

    scale: range of a uniform resize; contrast: lowest share of the contrast that is left; noise: largest standard
    deviation of pixel noise (0 to 255); margin: pixels of the picture's own border colour added on each side.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    contrast: float = 1.0
    noise: float = 0.0
    margin: int = 0

    def apply(
        self, image: Image.Image, messages: list[Message], rng: np.random.Generator
    ) -> tuple[Image.Image, list[Message]]:
        """A changed RGB picture, and the messages with their boxes moved along."""
        factor = rng.uniform(*self.scale)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        if size != image.size:
            image = image.resize(size, Image.Resampling.BICUBIC if rng.random() < 0.7 else Image.Resampling.BILINEAR)
        left, top, right, bottom = rng.integers(0, self.margin + 1, 4).tolist()
        pixels = np.asarray(image)
        corner = pixels[0, 0]
        canvas = np.empty((size[1] + top + bottom, size[0] + left + right, 3), np.uint8)
        canvas[:] = corner
        canvas[top : top + size[1], left : left + size[0]] = pixels
        if rng.random() < 0.5 and (self.contrast < 1 or self.noise > 0):
            strength = rng.uniform(self.contrast, 1)
            noisy = corner + (canvas.astype(np.float32) - corner) * strength
            noisy += rng.normal(0, rng.uniform(0, self.noise) + 1e-6, canvas.shape[:2])[..., None]
            canvas = noisy.clip(0, 255).astype(np.uint8)
        return Image.fromarray(canvas), [_moved(message, factor, left, top) for message in messages]


def _moved(message: Message, factor: float, left: int, top: int) -> Message:
    parts = tuple(
        replace(
            part, places=tuple(tuple(n * factor + (left, top)[k % 2] for k, n in enumerate(p)) for p in part.places)
        )
        if isinstance(part, Place)
        else part
        for part in message.parts
    )
    return Message(message.role, parts)


@dataclass
class Example:
    """One sample, ready. ids, labels: (T,) int64; views: (V, 3, H, W) uint8; source: its number in the mixture.

    line: the ids of the text that its views show in reading order, where that is known (a single row of views that
    is read whole), else empty: what the alignment loss learns from. error: why the sample is a hole, else empty.
    """

    ids: Tensor
    labels: Tensor
    views: Tensor
    line: Tensor
    source: int
    name: str
    error: str = ""


class Examples(Dataset[Example]):
    """The mixture as ready examples, by global index."""

    def __init__(
        self,
        readers: Sequence[SampleReader],
        blend: Blend,
        processor: SphinxXProcessor,
        augmentation: Augmentation,
        max_tokens: int,
    ) -> None:
        self.readers, self.blend, self.processor = readers, blend, processor
        self.augmentation, self.max_tokens = augmentation, max_tokens
        self.builder, self.grid = processor.prompt_builder(), processor.image_processor.grid()
        self.padding = tuple(processor.image_processor.padding_color)

    def __len__(self) -> int:
        return len(self.blend)

    def __getitem__(self, index: int) -> Example:
        source, number = self.blend[index]
        reader = self.readers[source]
        name = f"{self.blend.sources[source].name}[{number}]"
        try:
            return self._build(reader, reader[number], source, name, np.random.default_rng((self.blend.seed, 3, index)))
        except (SphinxXError, OSError, ValueError) as error:
            # a hole: counted and named by the training loop, never filled with another sample
            empty = torch.empty(0, dtype=torch.int64)
            views = torch.empty(0, 3, self.grid.view_height, self.grid.view_width, dtype=torch.uint8)
            return Example(empty, empty, views, empty, source, name, f"{type(error).__name__}: {error}")

    def _build(self, reader: SampleReader, sample: Sample, source: int, name: str, rng: np.random.Generator) -> Example:
        messages = parse_messages(sample.messages)
        images = []
        for k in range(len(sample.images)):
            image = Image.open(io.BytesIO(reader.image_bytes(sample, k))).convert("RGB")
            if len(sample.images) == 1:
                image, messages = self.augmentation.apply(image, messages, rng)
            images.append(image)
        layouts = [plan_views(image.width, image.height, self.grid) for image in images]
        encoded = self.builder.encode(messages, layouts)
        if not any(encoded.trained) or any(m.role == "assistant" and not m.parts for m in messages):
            raise DataError("an answer is missing or empty")
        if len(encoded.ids) > self.max_tokens:
            raise DataError(f"{len(encoded.ids)} tokens, more than {self.max_tokens}")
        pixels = [render_views(image, layout, self.padding) for image, layout in zip(images, layouts, strict=True)]
        shape = (0, 3, self.grid.view_height, self.grid.view_width)
        return Example(
            torch.tensor(encoded.ids),
            torch.tensor(encoded.labels()),
            torch.from_numpy(np.concatenate(pixels) if pixels else np.empty(shape, np.uint8)),
            torch.tensor(self._line(sample, layouts), dtype=torch.int64),
            source,
            name,
        )

    def _line(self, sample: Sample, layouts: Sequence) -> list[int]:
        """Ids of the text of a single line that lies in one row of views, from the sample's regions."""
        if len(layouts) != 1 or layouts[0].grid.global_view or not sample.regions:
            return []
        columns = self.grid.columns
        if any(layouts[0].kept[columns:]):
            return []
        return self.builder.text(" ".join(region["text"] for region in sample.regions))


class _Indices(Sampler[list[int]]):
    """Global indices, batch by batch, from a step on."""

    def __init__(self, first: int, last: int, batch: int) -> None:
        self.first, self.last, self.batch = first, last, batch

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            yield list(range(step * self.batch, (step + 1) * self.batch))

    def __len__(self) -> int:
        return self.last - self.first


def _as_list(examples: list[Example]) -> list[Example]:
    return examples


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def batches(examples: Examples, batch: int, first_step: int, last_step: int, workers: int) -> Iterable[list[Example]]:
    """Lists of `batch` examples for the steps first_step to last_step - 1, in the mixture's order."""
    return DataLoader(
        examples,
        batch_sampler=_Indices(first_step, last_step, batch),
        collate_fn=_as_list,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_one_thread,
        persistent_workers=False,
    )


def open_source(path: str | Path, prefix: str) -> SampleReader:
    """All shards PREFIX-*.jsonl of a folder."""
    files = sorted(Path(path).glob(f"{prefix}-*.jsonl"))
    if not files:
        raise DataError(f"{path}: no shard {prefix}-*.jsonl")
    return SampleReader(files)
