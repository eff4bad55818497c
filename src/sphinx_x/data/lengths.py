"""The length of every sample, measured once and kept: packs are formed from it, and bad samples are found.

A source's table has one row for every piece: a sample or, if that is too long, a run of its turns. A sample that cannot
be used has no row: it is counted by reason and named in a quarantine file, and too many stop the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sphinx_x.conversation import Image, Message
from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import DataError, one_line
from sphinx_x.model.processing import SphinxXProcessor
from sphinx_x.model.prompt import PromptBuilder
from sphinx_x.model.views import Layout, ViewGrid, plan_views
from sphinx_x.text_lines.reader import LineReader
from sphinx_x.work.files import write_atomic
from sphinx_x.work.runs import Parts
from sphinx_x.work.tally import UNUSABLE, Tally, reason_of

PIECE = np.dtype(
    [
        ("sample", "<u4"),
        ("first", "<u2"),
        ("last", "<u2"),
        ("tokens", "<u4"),
        ("views", "<u2"),
        ("width", "<u4"),
        ("height", "<u4"),
    ]
)
"""A row: the sample's number, its messages first to last - 1, tokens and views, and its image's size if there is
one."""

CHUNK = 5000


@dataclass(frozen=True)
class Limits:
    """Limits of a sample's length.

    Attributes:
        tokens: Largest number of tokens.
        views: Largest number of views.
        over_long: `split` cuts a longer dialogue between its turns, `aside` leaves it out. A single turn that is too
            long, and too many views, are always left out and counted. Nothing is ever cut within an answer.
    """

    tokens: int
    views: int
    over_long: str = "split"


@dataclass(frozen=True)
class Meter:
    """Measures samples as one member reads them.

    Attributes:
        name: Name of the source.
        reader: Reads its samples.
        builder: Encodes them.
        grid: The member's views.
        limits: Limits of their length.
        folder: Where the table is put.
        lines: How the lines of images are read, for a member that reads them: images are decoded then.
    """

    name: str
    reader: SampleReader
    builder: PromptBuilder
    grid: ViewGrid
    limits: Limits
    folder: Path
    lines: LineReader | None = None

    @property
    def parts(self) -> Parts:
        """Return the parts in which the table is measured."""
        return Parts(self.folder, self.name, "npy", f"{self.name}.quarantine.jsonl")

    def pieces(self, sample: Sample, number: int, tally: Tally) -> Iterator[tuple]:
        """Yield the rows of one sample; raises `DataError` and other errors if it cannot be used."""
        sizes = self.reader.checked_sizes(sample, number)
        layouts = [plan_views(*size, self.grid) for size in sizes]
        if self.lines is not None:
            contents = [self.reader.image_bytes(sample, k) for k in range(len(layouts))]
            pairs = zip(layouts, contents, strict=True)
            layouts = [layout.with_lines(self.lines.read_file(content)) for layout, content in pairs]
            if any(layout.lines_left_out for layout in layouts):
                tally.left_out["the last lines of a very full page"] += 1
        if sum(layout.views for layout in layouts) > self.limits.views:
            tally.left_out[f"more than {self.limits.views} views"] += 1
            return
        for first, last, tokens in self._runs(sample.messages, layouts, tally):
            shown = layouts[: images_before(sample.messages, last)]
            size = sizes[0] if len(shown) == 1 else (0, 0)
            tally.turns += sum(message.role == "assistant" for message in sample.messages[first:last])
            yield (number, first, last, tokens, sum(layout.views for layout in shown), *size)

    def _runs(
        self, messages: Sequence[Message], layouts: Sequence[Layout], tally: Tally
    ) -> Iterator[tuple[int, int, int]]:
        """Yield first and last message and tokens of a dialogue's pieces, each with as many whole turns as fit.

        A turn ends with its answer; anything after the last answer is not a turn.
        """
        encoded = self.builder.encode(messages, layouts)
        if not any(encoded.trained):
            raise DataError("no token to learn")
        whole = len(encoded.ids)
        if whole <= self.limits.tokens:
            yield 0, len(messages), whole
            return
        if self.limits.over_long == "aside":
            tally.left_out[f"more than {self.limits.tokens} tokens"] += 1
            return
        ends = [k + 1 for k, message in enumerate(messages) if message.role == "assistant"]
        if ends[-1] < len(messages):
            tally.left_out["turn without an answer"] += 1
        starts = [0, *ends[:-1]]
        turn = 0
        while turn < len(ends):
            first = starts[turn]
            fitting, length = self._fitting(messages, layouts, first, ends[turn:])
            last = ends[turn + max(fitting, 1) - 1]
            if not any(message.role == "assistant" and message.trained for message in messages[first:last]):
                tally.left_out["a piece without an answer that is trained"] += 1
            elif fitting:
                yield first, last, length
            else:
                tally.left_out[f"a turn of more than {self.limits.tokens} tokens"] += 1
            turn += max(fitting, 1)

    def _fitting(
        self, messages: Sequence[Message], layouts: Sequence[Layout], first: int, ends: Sequence[int]
    ) -> tuple[int, int]:
        """Return how many turns from message `first` on fit into one piece, by doubling and halving, and its tokens."""
        fits, length, over = 0, 0, len(ends) + 1
        step = 1
        while fits + 1 < over:
            probe = min(fits + step, over - 1)
            tokens = self._tokens(messages, layouts, first, ends[probe - 1])
            if tokens <= self.limits.tokens:
                fits, length, step = probe, tokens, 2 * step
            else:
                over, step = probe, max((probe - fits) // 2, 1)
        return fits, length

    def _tokens(self, messages: Sequence[Message], layouts: Sequence[Layout], first: int, last: int) -> int:
        part = cut(messages, first, last)
        return len(self.builder.encode(part, layouts[: images_before(messages, last)]).ids)


def images_before(messages: Sequence[Message], last: int) -> int:
    """Return the number of images in the messages before number `last`."""
    return sum(isinstance(part, Image) for message in messages[:last] for part in message.parts)


def cut(messages: Sequence[Message], first: int, last: int) -> list[Message]:
    """Return messages first to last - 1 as a separate dialogue.

    System messages stay, and the images of omitted messages come first, so that image numbers stay the same.
    """
    earlier = [message for message in messages[:first] if message.role == "system"]
    images = sum(isinstance(part, Image) for m in messages[:first] if m.role != "system" for part in m.parts)
    kept = list(messages[first:last])
    if images:
        kept[0] = replace(kept[0], parts=(*[Image()] * images, *kept[0].parts))
    return earlier + kept


@dataclass(frozen=True)
class Lengths:
    """The table of one source, and the tally of its samples."""

    pieces: np.ndarray
    tally: Tally


def measure_lengths(
    meter: Meter,
    key: str,
    workers: int | None = None,
    engine: str = "local",
    max_bad: float = 1.0,
    progress: Callable[[str, Tally], None] = lambda *_: None,
) -> Lengths:
    """Return the table of a source in `meter.folder`, measuring it if necessary and continuing an interrupted run.

    A table made of other files, for another processor or with other limits is measured again. One process at a time may
    measure into a folder.

    Args:
        meter: The source.
        key: The key of the member's processor (`processor_key`).
        workers: Number of processes, by default one per core.
        engine: See `pool.run`.
        max_bad: Share of samples that may be unusable.
        progress: Called with the source's name and its tally so far.

    Raises:
        DataError: More samples are unusable; only the quarantine file is then kept.
    """
    folder, name = meter.folder, meter.name
    facts = {"files": meter.reader.fingerprint(), "processor": key, **asdict(meter.limits)}
    known, table = folder / f"{name}.json", folder / f"{name}.npy"
    if _facts_of(known) != facts:
        _forget(meter)
        write_atomic(known, json.dumps({"facts": facts}))
    if not table.exists():
        starts = range(0, len(meter.reader), CHUNK)
        tasks = [(k, range(start, min(start + CHUNK, len(meter.reader)))) for k, start in enumerate(starts)]
        total = meter.parts.run(
            measure, meter, tasks, workers=workers, engine=engine, progress=lambda done: progress(name, done)
        )
        _gather(meter, len(tasks), total, facts)
    tally = Tally.from_json(json.dumps(json.loads(known.read_text(encoding="utf-8"))["tally"]))
    aside = folder / f"{name}.quarantine.jsonl"
    try:
        tally.check_share(max_bad, f"source {name} (see {aside}; max_bad_samples)", final=True)
    except DataError:
        _forget(meter, but=aside)  # so that corrected files are measured again
        raise
    return Lengths(np.load(table, mmap_mode="r"), tally)


def _facts_of(path: Path) -> object:
    """Return what a table was made of; None if there is none, or its file cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _forget(meter: Meter, but: Path | None = None) -> None:
    """Delete the table of a source, whole or in parts."""
    meter.parts.forget()
    for ending in ("json", "npy", "quarantine.jsonl"):
        path = meter.folder / f"{meter.name}.{ending}"
        if path != but:
            path.unlink(missing_ok=True)


def _gather(meter: Meter, count: int, total: Tally, facts: dict) -> None:
    """Join the parts of a table; the table itself comes last."""
    folder, name = meter.folder, meter.name
    write_atomic(folder / f"{name}.json", json.dumps({"facts": facts, "tally": vars(total)}))
    tables = [folder / f"{meter.parts.part(k)}.npy" for k in range(count)]
    parts = [np.load(path, mmap_mode="r") for path in tables]

    def write_table(file: BinaryIO) -> None:
        shape = {"descr": np.lib.format.dtype_to_descr(PIECE), "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, shape | {"shape": (sum(map(len, parts)),)})
        for part in parts:  # the whole table is never in memory
            file.write(part.tobytes())

    write_atomic(folder / f"{name}.npy", write_table)
    meter.parts.forget()


def processor_key(processor: SphinxXProcessor) -> str:
    """Return a key that changes with everything that affects how many tokens and views a sample has."""
    image = processor.image_processor
    facts = (processor.template, processor.tokens_per_view, processor.box_decimals, sorted(image.views.items()))
    reader = image.line_reader()
    if reader is not None:
        facts += (reader.least_confidence, reader.least_object, reader.max_bytes, reader.enough, reader.identity)
    vocabulary = sorted(processor.tokenizer.get_vocab().items())
    return hashlib.sha256(repr((facts, vocabulary)).encode()).hexdigest()[:16]


def measure(meter: Meter, task: tuple[int, range]) -> Tally:
    """Measure the samples of a range: writes part `number` of the table."""
    number, samples = task
    tally, rows, aside = Tally(), [], []
    for index in samples:
        tally.records += 1
        name = f"{meter.name}[{index}]"
        try:
            sample = meter.reader[index]
            name = sample.id
            found = np.array(list(meter.pieces(sample, index, tally)), dtype=PIECE)
        except UNUSABLE as error:
            reason, where = reason_of(error), meter.reader.where(index)
            tally.set_aside[reason] += 1
            entry = {"source": meter.name, "id": name, "where": where, "reason": reason, "detail": one_line(error)}
            aside.append(entry)
            continue
        rows.append(found)
        tally.samples += len(found) > 0
    table = np.concatenate([np.empty(0, PIECE), *rows])
    write_atomic(meter.folder / f"{meter.parts.part(number)}.npy", lambda file: np.save(file, table))
    return meter.parts.finish(number, tally, aside)
