"""The same work without this package's own loops: the other side of every ratio that `run.py` prints.

Written as the Transformers library's documentation and common training scripts do it, and not made slow: batches hold
lines of similar width, padding ends at the longest row, one optimizer step costs one step of the same optimizer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, BatchFeature, TextIteratorStreamer

import sphinx_x.model.modeling
import sphinx_x.model.processing  # noqa: F401 (both make the Auto classes know SPHINX-X)
from sphinx_x.data.loader import Example
from sphinx_x.family import get_member, new_model
from sphinx_x.training.optimizer import MasterOptimizer
from sphinx_x.training.recipe import Recipe

IGNORED = -100


class PlainGenerate:
    """A model folder through `AutoProcessor`, `AutoModelForImageTextToText` and `generate`, in float32."""

    def __init__(self, folder: str | Path) -> None:
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()

    def inputs(self, question: str, images: Sequence[Image.Image]) -> BatchFeature:
        """The same question about each image, padded to the longest."""
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
        text = self.processor.apply_chat_template([message], add_generation_prompt=True)
        return self.processor(text=[text] * len(images), images=list(images), padding=True, return_tensors="pt")

    def generate(self, question: str, images: Sequence[Image.Image], max_new_tokens: int) -> Tensor:
        """Ids of the answers, (images, T), padded at their end."""
        inputs = self.inputs(question, images)
        ids = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        return ids[:, inputs["input_ids"].shape[1] :]

    def stream(self, question: str, image: Image.Image, max_new_tokens: int) -> Iterator[str]:
        """Pieces of one answer; the first comes with the first token, even where it is still empty."""
        streamer = TextIteratorStreamer(self.processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
        options = {"streamer": streamer, "max_new_tokens": max_new_tokens, "do_sample": False}
        inputs = self.inputs(question, [image])
        thread = threading.Thread(target=self.model.generate, kwargs={**inputs, **options})
        thread.start()
        yield from streamer
        thread.join()

    def batch(self, question: str, images: Sequence[Image.Image], size: int, max_new_tokens: int) -> list[str]:
        """Answers in the images' order, generated in batches of images of similar width."""
        answers = [""] * len(images)
        order = sorted(range(len(images)), key=lambda k: images[k].width)
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            ids = self.generate(question, [images[k] for k in chosen], max_new_tokens)
            texts = self.processor.batch_decode(ids, skip_special_tokens=True)
            for k, text in zip(chosen, texts, strict=True):
                answers[k] = text.strip()
        return answers


class PaddedLoop:
    """A plain training loop: rows padded to one length, the library's own attention (sdpa) and loss.

    Same start, optimizer, dtype and clipping as `Trainer` with the same recipe. length: what rows are padded to, or
    None for the longest row of a micro-batch.
    """

    def __init__(self, recipe: Recipe, length: int | None = None) -> None:
        self.recipe, self.length = recipe, length
        self.dtype = getattr(torch, recipe.dtype)
        self.model, _ = new_model(get_member(recipe.member), recipe.seed)
        device = torch.device("cpu")
        self.optimizer = MasterOptimizer({"model": self.model}, device, self.dtype, recipe.betas, recipe.weight_decay)

    def step(self, examples: Sequence[Example], rate: float) -> float:
        """One optimizer step on a batch; returns the loss, a mean over its trained tokens."""
        trained = sum(int((example.labels != IGNORED).sum()) for example in examples)
        loss = 0.0
        for rows in self.micro_batches(examples):
            part = self.loss(rows, trained)
            part.backward()
            loss += float(part.detach())
        self.optimizer.step(rate, self.recipe.clip)
        return loss

    def micro_batches(self, examples: Sequence[Example]) -> list[Sequence[Example]]:
        """Runs of examples whose padded rows have at most `micro_tokens` tokens."""
        longest = self.length or max(len(example.ids) for example in examples)
        rows = max(self.recipe.micro_tokens // longest, 1)
        return [examples[first : first + rows] for first in range(0, len(examples), rows)]

    def loss(self, rows: Sequence[Example], trained: int) -> Tensor:
        """Sum of the losses of the rows' trained tokens, divided by `trained`."""
        longest = self.length or max(len(row.ids) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.int64)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
        for k, row in enumerate(rows):
            ids[k, : len(row.ids)], mask[k, : len(row.ids)], labels[k, : len(row.ids)] = row.ids, 1, row.labels
        views = torch.cat([row.views for row in rows]).to(self.dtype) / 255
        return self.model(
            input_ids=ids,
            attention_mask=mask,
            pixel_values=views,
            labels=labels,
            num_items_in_batch=trained,
            use_cache=False,
        ).loss

    def padding(self, examples: Sequence[Example]) -> float:
        """Share of the tokens of a batch's rows that are padding."""
        runs = self.micro_batches(examples)
        computed = sum(len(rows) * (self.length or max(len(row.ids) for row in rows)) for rows in runs)
        return 1 - sum(len(example.ids) for example in examples) / computed


def length_grouped(examples: Sequence[Example], batch: int) -> list[list[Example]]:
    """Batches of examples of similar length, as `group_by_length` of the library's Trainer makes them."""
    order = sorted(examples, key=lambda example: len(example.ids))
    return [order[first : first + batch] for first in range(0, len(order), batch)]


IMPORTS = "import torch; from transformers import LlamaModel, PreTrainedModel, GenerationMixin, AutoProcessor"
"""What any program that runs a Llama of the library imports at least."""
