"""The same work through the Transformers library alone: what the benchmark compares SPHINX-X with.

No straw man: prompts are grouped by length, batches are padded to their longest, the cache is on, the type is the same,
and images go through the same processor.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from threading import Thread

import torch
import torch.nn.functional as F
from PIL import Image
from transformers import TextIteratorStreamer, TrainingArguments
from transformers import Trainer as HubTrainer

from sphinx_x.data.loader import Example
from sphinx_x.model.modeling import SphinxXForConditionalGeneration
from sphinx_x.model.processing import SphinxXProcessor

PROMPT = "<|bos|><|user|><image>Read the text.<|assistant|>"


def generate(
    model: SphinxXForConditionalGeneration, processor: SphinxXProcessor, images: Sequence[Image.Image], batch: int
) -> list[str]:
    """Reads images with plain `generate`, in batches of similar prompt length."""
    order = sorted(range(len(images)), key=lambda k: images[k].width)
    answers = [""] * len(images)
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        inputs = processor(
            text=[PROMPT] * len(chosen), images=[images[k] for k in chosen], return_tensors="pt", padding=True
        ).to(model.device)
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=120, do_sample=False)
        texts = processor.tokenizer.batch_decode(ids[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
        for k, text in zip(chosen, texts, strict=True):
            answers[k] = text.strip()
    return answers


def first_piece(model: SphinxXForConditionalGeneration, processor: SphinxXProcessor, image: Image.Image) -> float:
    """Seconds until the library's own streamer gives the first piece of text."""
    began = time.perf_counter()
    inputs = processor(text=PROMPT, images=[image], return_tensors="pt")
    streamer = TextIteratorStreamer(processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
    thread = Thread(target=model.generate, kwargs={**inputs, "streamer": streamer, "max_new_tokens": 30})
    thread.start()
    seconds = None
    for piece in streamer:
        if piece and seconds is None:
            seconds = time.perf_counter() - began
    if seconds is None:  # a model that says nothing
        seconds = time.perf_counter() - began
    thread.join()
    return seconds


class PlainLoop:
    """A plain training loop: padded batches of the library's model, its own attention, AdamW with float32 masters.

    longest: pad every batch to this many tokens (the reference's way), or to its own longest example.
    """

    def __init__(
        self, model: SphinxXForConditionalGeneration, dtype: torch.dtype, batch: int, longest: int | None
    ) -> None:
        self.model, self.dtype, self.batch, self.longest = model.to(dtype), dtype, batch, longest
        self.masters = [p.detach().float().clone().requires_grad_() for p in model.parameters()]
        self.optimizer = torch.optim.AdamW(self.masters, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
        self.rows = self.real = 0

    def step(self, examples: Sequence[Example]) -> None:
        """One optimizer step, in micro-batches of `batch` examples of similar length."""
        examples = sorted(examples, key=lambda e: len(e.ids))
        trained = sum(int((e.labels != -100).sum()) for e in examples)
        for first in range(0, len(examples), self.batch):
            self._backward(examples[first : first + self.batch], trained)
        for master, parameter in zip(self.masters, self.model.parameters(), strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for master, parameter in zip(self.masters, self.model.parameters(), strict=True):
                parameter.copy_(master)

    def _backward(self, examples: Sequence[Example], trained: int) -> None:
        batch = padded(examples, self.longest)
        self.rows, self.real = self.rows + batch["input_ids"].numel(), self.real + int(batch["attention_mask"].sum())
        batch["pixel_values"] = batch["pixel_values"].to(self.dtype)
        self.model(**batch, use_cache=False, num_items_in_batch=trained).loss.backward()


def padded(examples: Sequence[Example], longest: int | None = None) -> dict[str, torch.Tensor]:
    """A padded batch as the library's models take it."""
    longest = longest or max(len(e.ids) for e in examples)
    return {
        "input_ids": torch.stack([F.pad(e.ids, (0, longest - len(e.ids))) for e in examples]),
        "labels": torch.stack([F.pad(e.labels, (0, longest - len(e.labels)), value=-100) for e in examples]),
        "attention_mask": torch.stack([torch.arange(longest) < len(e.ids) for e in examples]).long(),
        "pixel_values": torch.cat([e.views for e in examples]).float() / 255,
    }


class _Listed(torch.utils.data.Dataset[Example]):
    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> Example:
        return self.examples[number]


class TransformersTrainer:
    """The library's Trainer as its examples use it: padded batches in the order of the data, bfloat16 by autocast."""

    def __init__(self, model: SphinxXForConditionalGeneration, batch: int) -> None:
        self.model, self.batch = model, batch
        self.rows = self.real = 0

    def collate(self, examples: list[Example]) -> dict[str, torch.Tensor]:
        """Pads a batch to its longest sample, and counts."""
        batch = padded(examples)
        self.rows, self.real = self.rows + batch["input_ids"].numel(), self.real + int(batch["attention_mask"].sum())
        return batch

    def steps(self, steps: Sequence[list[Example]]) -> None:
        """Optimizer steps of as many samples as ours have on average."""
        examples = [example for step in steps for example in step]
        with tempfile.TemporaryDirectory() as folder:
            settings = TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=self.batch,
                gradient_accumulation_steps=max(len(examples) // len(steps) // self.batch, 1),
                num_train_epochs=1,
                learning_rate=1e-4,
                bf16=True,
                use_cpu=True,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                logging_strategy="no",
                remove_unused_columns=False,
            )
            HubTrainer(self.model, settings, data_collator=self.collate, train_dataset=_Listed(examples)).train()
