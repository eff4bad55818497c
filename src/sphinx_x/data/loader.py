"""The data loader: packs of examples for a training step, with their ids, labels and kept views.

Everything random about a sample (its place in the mixture, its augmentation) depends on the seed and its global index
alone, so any worker of any run builds the same sample.
"""

from __future__ import annotations

import logging
import multiprocessing
import re
import shutil
import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sphinx_x.boxes import centre
from sphinx_x.conversation import Message
from sphinx_x.data.augment import Augmentation, Change
from sphinx_x.data.blend import Blend
from sphinx_x.data.features import FeatureStore, Seen
from sphinx_x.data.lengths import Limits, cut, images_before
from sphinx_x.data.packs import Indices, Step
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError, one_line
from sphinx_x.images import image_size, open_image
from sphinx_x.model.processing import SphinxXProcessor, boxes_of, render_views
from sphinx_x.model.views import Layout, plan_views
from sphinx_x.text_lines.line import Reading
from sphinx_x.text_lines.reader import LineReader
from sphinx_x.work.memory import available
from sphinx_x.work.tally import UNUSABLE, reason_of

logger = logging.getLogger(__name__)


@dataclass
class Example:
    """One sample, ready for training.

    Attributes:
        ids: (T,) int64.
        labels: (T,) int64.
        views: (V, 3, H, W) uint8.
        line: The ids of the text that its views show in reading order, which the alignment loss learns from; empty
            unless known (a single row of views that is read whole).
        source: Number of its source in the mixture.
        name: Its name.
        task: Its task.
        error: Why the sample cannot be used, otherwise empty.
        line_boxes: Boxes (L, 4) float32 of the lines in its images, for a member that reads them.
        seen: Its images, in a run that stores features; `views` are then those of the images without stored features.
    """

    ids: Tensor
    labels: Tensor
    views: Tensor
    line: Tensor
    source: int
    name: str
    task: str = ""
    error: str = ""
    line_boxes: Tensor = field(default_factory=lambda: torch.empty(0, 4))
    seen: list[Seen] = field(default_factory=list)

    @property
    def view_count(self) -> int:
        """Number of views of its images."""
        return sum(one.views for one in self.seen) if self.seen else len(self.views)


class Examples(Dataset[list[Example]]):
    """The mixture as ready examples: one by global index with `example`, a pack of them with `[]`.

    Args:
        pieces: Each source's table of lengths (`sphinx_x.data.lengths`), whose rows the mixture's numbers refer to.
        limits: The limits that the tables were made with.
        lines: How the lines of images are read, for a member that reads them.
        store: Stored features of the frozen experts; images are then not changed at random.
    """

    def __init__(
        self,
        readers: Sequence[SampleReader],
        pieces: Sequence[np.ndarray],
        blend: Blend,
        processor: SphinxXProcessor,
        augmentation: Augmentation,
        limits: Limits,
        lines: LineReader | None = None,
        store: FeatureStore | None = None,
    ) -> None:
        if store is not None and augmentation != Augmentation():
            raise DataError("features are stored for images as they are: no augmentation")
        self.store = store
        self.readers, self.pieces, self.blend, self.processor = readers, pieces, blend, processor
        self.augmentation, self.limits, self.lines = augmentation, limits, lines
        self.builder, self.grid = processor.prompt_builder(), processor.image_processor.grid()
        self.padding = tuple(processor.image_processor.padding_color)

    def __len__(self) -> int:
        return len(self.blend)

    def __getitem__(self, pack: Indices) -> list[Example]:
        return [self.example(index) for index in pack]

    def example(self, index: int) -> Example:
        """Return the example at a global index, or the bad sample in its place."""
        source, number = self.blend[index]
        row = self.pieces[source][number]
        name = f"{self.blend.sources[source].name}: {self.readers[source].where(int(row['sample']))}"
        try:
            return self._build(index, source, row, name)
        except UNUSABLE as error:
            # a bad sample: counted and named by the training loop, never replaced by another sample
            empty = torch.empty(0, dtype=torch.int64)
            return Example(
                empty, empty, self._no_views(), empty, source, name, error=f"{reason_of(error)}: {one_line(error)}"
            )

    def _no_views(self) -> Tensor:
        return torch.empty(0, 3, self.grid.view_height, self.grid.view_width, dtype=torch.uint8)

    def costs(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens and views of the examples at the global indices first to last - 1; nothing is decoded."""
        sources, numbers = self.blend.lookup(first, last)
        tokens, views = np.empty(len(sources), np.int64), np.empty(len(sources), np.int64)
        for source in np.unique(sources).tolist():
            places = np.flatnonzero(sources == source)
            rows = self.pieces[source][numbers[places]]
            tokens[places], views[places] = rows["tokens"], rows["views"]
            if self.augmentation.resizes:
                for place, row in zip(places.tolist(), rows, strict=True):
                    _, tokens[place], views[place] = self._changed(row, self._rng(first + place))
        return tokens, views

    def _changed(self, row: np.void, rng: np.random.Generator) -> tuple[Change, int, int]:
        """Return the change of a piece's image size, and the piece's tokens and views after it.

        Only a single image is changed, and only if the piece does not become longer than `limits`.
        """
        tokens, views = int(row["tokens"]), int(row["views"])
        change = self.augmentation.draw(rng)
        if not row["width"]:
            return Change(), tokens, views
        size = int(row["width"]), int(row["height"])
        before, after = plan_views(*size, self.grid), plan_views(*change.size(*size), self.grid)
        if views < before.views:  # a page of text, which stays one
            before, after = (layout.with_lines(Reading(page=True)) for layout in (before, after))
        longer = tokens + self._tokens(after) - self._tokens(before)
        if longer > self.limits.tokens or after.views > self.limits.views:
            return Change(), tokens, views
        return change, longer, after.views

    def _tokens(self, layout: Layout) -> int:
        return layout.views * (self.processor.tokens_per_view + 2) + layout.skip_tokens

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng((self.blend.seed, 3, index))

    def _build(self, index: int, source: int, row: np.void, name: str) -> Example:
        reader = self.readers[source]
        sample = reader[int(row["sample"])]
        first, last = int(row["first"]), int(row["last"])
        shown, messages = images_before(sample.messages, last), cut(sample.messages, first, last)
        seen: list[Seen] = []
        if self.store is None:
            messages, layouts, pixels, planned = self._shown(index, reader, sample, row, messages, shown)
        else:
            layouts, pixels, seen = self._stored(self.store, reader, sample, shown)
            planned = int(row["tokens"])
        encoded = self.builder.encode(messages, layouts)
        if len(encoded.ids) != planned:
            raise DataError(f"its file has changed: {len(encoded.ids)} tokens, but {planned} when it was measured")
        return Example(
            torch.tensor(encoded.ids),
            torch.tensor(encoded.labels()),
            pixels[0] if len(pixels) == 1 else torch.cat([self._no_views(), *pixels]),
            torch.tensor(self._line(sample, layouts), dtype=torch.int64),
            source,
            name,
            sample.task,
            line_boxes=torch.from_numpy(boxes_of(layouts)),
            seen=seen,
        )

    def _shown(
        self,
        index: int,
        reader: SampleReader,
        sample: Sample,
        row: np.void,
        messages: list[Message],
        shown: int,
    ) -> tuple[list[Message], list[Layout], list[Tensor], int]:
        """Return messages, layouts and views of an example's changed images, and how many tokens it has with them."""
        contents = [reader.image_bytes(sample, k) for k in range(shown)]
        images = [open_image(content) for content in contents]
        for ref, image in zip(sample.images, images, strict=False):  # of those that are shown
            ref.check_size(image.size)
        # of the files as they are: what is read does not depend on the change, nor does the number of tokens
        read = [Reading() if self.lines is None else self.lines.read_file(content) for content in contents]
        rng = self._rng(index)
        change, planned, _ = self._changed(row, rng)
        if len(images) == 1:
            images = [self.augmentation.apply(images[0], change, rng)]
            messages = [change.moved(message) for message in messages]
            moved = tuple(replace(line, box=change.moved_place(line.box)) for line in read[0].lines)
            read = [replace(read[0], lines=moved)]
        layouts = [
            plan_views(image.width, image.height, self.grid).with_lines(reading)
            for image, reading in zip(images, read, strict=True)
        ]
        pairs = zip(images, layouts, strict=True)
        pixels = [torch.from_numpy(render_views(image, layout, self.padding)) for image, layout in pairs]
        return messages, layouts, pixels, planned

    def _stored(
        self, store: FeatureStore, reader: SampleReader, sample: Sample, shown: int
    ) -> tuple[list[Layout], list[Tensor], list[Seen]]:
        """Return layouts of an example's images, views of those without stored features, and what is stored."""
        layouts, seen, pixels = [], [], []
        for number in range(shown):
            content = reader.image_bytes(sample, number)
            size = image_size(content)
            sample.images[number].check_size(size)
            layout = plan_views(*size, self.grid)
            if self.lines is not None:
                layout = layout.with_lines(self.lines.read_file(content))
            layouts.append(layout)
            key = store.key(content, layout.kept)
            features = store.get(key)
            if features is None:
                pixels.append(torch.from_numpy(render_views(open_image(content), layout, self.padding)))
            seen.append(Seen(key, layout.views, features))
        return layouts, pixels, seen

    def _line(self, sample: Sample, layouts: Sequence[Layout]) -> list[int]:
        """Return the ids of the text of a single line in one row of views, from the sample's regions."""
        if len(layouts) != 1 or layouts[0].grid.global_view or not sample.regions:
            return []
        columns = self.grid.columns
        boxes = [region["box"] for region in sample.regions]
        beside = all(b[0] >= centre(a)[0] for a, b in pairwise(boxes))  # otherwise they are several lines
        if any(layouts[0].kept[columns:]) or not beside:
            return []
        return self.builder.text(" ".join(region["text"] for region in sample.regions))


class _Packs(Sampler[list[Indices]]):
    """The packs of one step after another; remembers, in order, which steps were handed out."""

    def __init__(self, steps: Iterator[Step], ahead: list[Step], rank: int, ranks: int) -> None:
        self.steps, self.ahead, self.rank, self.ranks = steps, ahead, rank, ranks

    def __iter__(self) -> Iterator[list[Indices]]:
        for step in self.steps:
            self.ahead.append(step)
            yield list(step.packs[self.rank :: self.ranks])


def _as_list(packs: list[list[Example]]) -> list[list[Example]]:
    return packs


STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))
"""Signals to end a run: its own process saves first, and needs its workers for the current step."""


def _begin_worker(_: int) -> None:
    """Set up a worker: one thread, and signals to the whole process group are left to the main process.

    The main process ends its workers.
    """
    torch.set_num_threads(1)
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold such signals back while workers start: one that arrives before a worker ignores it would end it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows has neither signal masks nor process groups of this kind
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


MOST_FILES = 65_536
"""Open files that a process is allowed where the system has no limit, or a higher one."""


def _raise_file_limit() -> None:
    """Allow as many open files as the system lets a process have: each tensor that a worker sends takes one."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


MOST_AHEAD = 4
"""Number of steps that each worker prepares in advance, where memory allows it."""
SHARED = Path("/dev/shm")
"""Where workers put what they have prepared, on Linux."""


def _steps_ahead(examples: Examples, packs: Sequence[Indices], workers: int) -> int:
    """Return how many steps like a first one each worker may prepare in advance, at least one.

    All of them together take half of what is free at most. Where shared memory is a small part of it, as in
    containers, a worker would be killed as soon as that is full.
    """
    numbers = [number for pack in packs for number in pack]
    if not numbers:
        return MOST_AHEAD
    _, views = examples.costs(min(numbers), max(numbers) + 1)
    grid = examples.grid
    step = int(views[np.array(numbers) - min(numbers)].sum()) * 3 * grid.view_height * grid.view_width
    free = available()
    rooms = [free] if free else []  # not known everywhere
    if SHARED.is_dir():
        rooms.append(shutil.disk_usage(SHARED).free)
    if not rooms or not step:
        return MOST_AHEAD
    fits = min(rooms) // (2 * step * workers)
    if not fits:
        where = SHARED if len(rooms) > 1 and rooms[-1] == min(rooms) else "memory"
        logger.warning(
            "note: %d workers prepare steps of %.0f MB, and %.0f MB are free in %s: take fewer (workers)",
            *(workers, step / 1e6, min(rooms) / 1e6, where),
        )
    return int(min(max(fits, 1), MOST_AHEAD))


def batches(
    examples: Examples, steps: Iterator[Step], workers: int, rank: int = 0, ranks: int = 1
) -> Iterable[tuple[Step, list[list[Example]]]]:
    """Yield each step with the examples of its packs (those that rank `rank` of `ranks` computes), in order."""
    ahead: list[Step] = []
    prefetch = None
    if workers and (first := next(steps, None)) is not None:
        _raise_file_limit()
        prefetch = _steps_ahead(examples, first.packs[rank::ranks], workers)
        steps = chain([first], steps)
    with _undisturbed(), warnings.catch_warnings():
        # the recipe sets the number of workers, and PyTorch would warn about it twice for every loader
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        loader = DataLoader(
            examples,
            batch_sampler=_Packs(steps, ahead, rank, ranks),
            collate_fn=_as_list,
            num_workers=workers,
            prefetch_factor=prefetch,
            worker_init_fn=_begin_worker,
            # a forked process shares the mapped tables; a spawned one would get a copy of them
            multiprocessing_context="fork" if workers and "fork" in multiprocessing.get_all_start_methods() else None,
        )
        loading = iter(loader)
    for packs in loading:
        yield ahead.pop(0), packs


def shards_of(path: str | Path, prefix: str) -> list[Path]:
    """Return all shards PREFIX-*.jsonl of a folder."""
    pattern = re.compile(re.escape(prefix) + r"-\d+\.jsonl")
    files = sorted(file for file in Path(path).glob("*.jsonl") if pattern.fullmatch(file.name))
    if not files:
        raise DataError(f"{path}: no shard {prefix}-*.jsonl")
    return files
