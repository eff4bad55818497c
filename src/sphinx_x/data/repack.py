"""Any form that is read -> shards with the images inside: what a large set of one's own should be trained from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sphinx_x.data.shards import SampleReader, write_shard
from sphinx_x.errors import DataError, one_line
from sphinx_x.work.files import write_atomic
from sphinx_x.work.pool import run
from sphinx_x.work.tally import QUARANTINE, UNUSABLE, Tally, quarantine_lines, reason_of

SHARD = 5000


@dataclass(frozen=True)
class Repacking:
    """What every worker needs: the samples, the folder, the first part of the shards' names."""

    reader: SampleReader
    out: Path
    name: str
    size: int


def repack(
    reader: SampleReader,
    out: str | Path,
    name: str,
    workers: int | None = None,
    size: int = SHARD,
    max_bad: float = 0.01,
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Writes the samples of a reader as shards NAME-00000, ... of `size` samples into an empty or new folder.

    What cannot be used is named in `quarantine.jsonl`; raises `DataError` where that is more than a share `max_bad`.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: is not an empty folder")
    common, total = Repacking(reader, out, name, size), Tally()
    lines: dict[int, str] = {}
    try:
        for number, tally, aside in run(make_part, common, range(-(-len(reader) // size)), workers):
            total.add(tally)
            lines[number] = aside
            total.check_share(max_bad, out)
            progress(total)
    finally:
        write_atomic(out / QUARANTINE, "".join(lines[number] for number in sorted(lines)))
    return total


def make_part(common: Repacking, number: int) -> tuple[int, Tally, str]:
    """Writes one shard; gives its number, its tally and the lines of its quarantine."""
    reader, tally, samples, aside = common.reader, Tally(), [], []
    first = number * common.size
    for index in range(first, min(first + common.size, len(reader))):
        tally.records += 1
        try:
            sample = reader[index].check(reader.where(index))
            pictures = [reader.image_bytes(sample, k) for k in range(len(sample.images))]
            for k in range(len(pictures)):
                reader.image_size(sample, k)
        except UNUSABLE as error:
            reason, where = reason_of(error), reader.where(index)
            tally.set_aside[reason] += 1
            aside.append({"source": common.name, "where": where, "reason": reason, "detail": one_line(error)})
            continue
        tally.samples += 1
        tally.turns += sample.answers
        samples.append((sample, pictures))
    write_shard(common.out, f"{common.name}-{number:05d}", samples)
    return number, tally, quarantine_lines(aside)
