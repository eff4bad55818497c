"""The experts that every question used: kept beside its answer, so that a repeated run costs nothing; then summed.

One line a question: its key, the number of its tokens by modality, and counts and weights as packed numbers. A line is
written before the question's answer is, and an answer without one is asked for again.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sphinx_x.errors import DataError
from sphinx_x.evaluation.answers import Answer, Store
from sphinx_x.evaluation.asking import Asked
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.routing.watching import MODALITIES, Usage, Watcher
from sphinx_x.work.files import append_line, read_lines


@dataclass(frozen=True)
class UsageStore:
    """The usage by the questions of one task. layers, experts: the model's sizes."""

    folder: Path
    name: str
    layers: int
    experts: int

    def append(self, rank: int, key: str, usage: Usage) -> None:
        """Add a question's usage, to the file of a rank."""
        line = {
            "key": key,
            "tokens": usage.tokens.tolist(),
            "counts": _packed(usage.counts.astype("<u4")),
            "weights": _packed(usage.weights.astype("<f4")),
        }
        append_line(self.folder / f"{self.name}.{rank}.jsonl", line)

    def read(self) -> dict[str, Usage]:
        """Return the usage by the key of the question. Raises `DataError` where a file holds something else."""
        files = sorted(self.folder.glob(f"{self.name}.*.jsonl"))
        found = {}
        for path in files:
            for number, line in enumerate(read_lines(path), 1):
                try:
                    found[line["key"]] = self._usage(line)
                except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
                    raise DataError(f"{path}, line {number}: not the usage of a question by this model") from error
        return found

    def _usage(self, line: Mapping[str, Any]) -> Usage:
        shape = (self.layers, len(MODALITIES), self.experts)
        counts = np.frombuffer(_unpacked(line["counts"]), "<u4").reshape(shape).astype(np.int64)
        weights = np.frombuffer(_unpacked(line["weights"]), "<f4").reshape(shape).astype(np.float64)
        return Usage(np.array(line["tokens"], np.int64).reshape(len(MODALITIES)), counts, weights)


def _packed(numbers: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(numbers.tobytes())).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text, validate=True))


@dataclass(frozen=True)
class WatchedStore(Store):
    """The answers to one task of which the usage is known."""

    usage: UsageStore

    def read(self) -> dict[str, Answer]:
        """Return the answers so far by their keys, those whose usage was counted."""
        counted = self.usage.read()
        return {key: answer for key, answer in super().read().items() if key in counted}


@dataclass(frozen=True)
class Counting:
    """What is done around each batch while a task is asked. rank: that of this process."""

    watcher: Watcher
    store: UsageStore
    rank: int

    @contextmanager
    def __call__(self, batch: Sequence[Asked]) -> Iterator[None]:
        """Count the experts of a batch, and keep the counts if it is answered."""
        with self.watcher.batch([asked.prompt for asked in batch if asked.prompt is not None]) as usages:
            yield
        for asked, usage in zip(batch, usages, strict=True):
            self.store.append(self.rank, asked.key, usage)


@dataclass
class Groups:
    """Usage summed over questions.

    Attributes:
        layers: Number of layers with experts.
        experts: Number of experts of a layer.
        domains: Usage by task, and by kind within a task (`mme`, `mme: OCR`).
        modalities: Usage by modality.
        missing: Number of questions without usage, because they could not be asked.
    """

    layers: int
    experts: int
    domains: dict[str, Usage]
    modalities: dict[str, Usage]
    missing: int = 0

    @classmethod
    def empty(cls, layers: int, experts: int) -> Groups:
        """Return groups without questions."""
        return cls(layers, experts, {}, {name: Usage.empty(layers, experts) for name in MODALITIES})

    def add(self, task: str, item: Item, usage: Usage | None) -> None:
        """Add a question's usage to its task, to its kind, and to the modalities of its tokens."""
        if usage is None:
            self.missing += 1
            return
        for name in (task, *([f"{task}: {item.kind}"] if item.kind else [])):
            self.domains[name] = self.domains.get(name, Usage.empty(self.layers, self.experts)) + usage
        for place, name in enumerate(MODALITIES):
            here = np.arange(len(MODALITIES)) == place
            part = Usage(usage.tokens * here, usage.counts * here[:, None], usage.weights * here[:, None])
            self.modalities[name] += part


def shares(sums_LME: np.ndarray) -> np.ndarray:
    """Return the share of each expert in each layer (L, E), over all modalities; zeros where there is nothing."""
    sums_LE = sums_LME.sum(1).astype(np.float64)
    total_L1 = sums_LE.sum(-1, keepdims=True)
    return np.divide(sums_LE, total_L1, out=np.zeros_like(sums_LE), where=total_L1 > 0)


def entropies(shares_LE: np.ndarray) -> np.ndarray:
    """Return the entropy of each layer's shares (L,) as a share of the largest: 1 if all experts are equally busy."""
    experts = shares_LE.shape[-1]
    safe = np.where(shares_LE > 0, shares_LE, 1)
    return -(shares_LE * np.log(safe)).sum(-1) / np.log(experts) if experts > 1 else np.zeros(len(shares_LE))
