"""From any readable format to shards with the images inside, which a large set of one's own should be trained from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sphinx_x.data.shards import SampleReader, write_part
from sphinx_x.errors import one_line
from sphinx_x.images import image_size
from sphinx_x.work.files import alone_in
from sphinx_x.work.runs import Parts, claim
from sphinx_x.work.tally import UNUSABLE, Tally, reason_of

SHARD = 5000


@dataclass(frozen=True)
class Repacking:
    """What every worker needs: the samples, where their shards go, and the number of samples per shard."""

    reader: SampleReader
    parts: Parts
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
    """Write the samples of a reader as shards NAME-00000, ... of `size` samples; an interrupted run is continued.

    Unusable samples are named in `quarantine.jsonl`.

    Raises:
        DataError: More than a share `max_bad` is unusable, or the folder holds something else.
    """
    out = Path(out)
    job = Repacking(reader, Parts(out, name), size)
    tasks = ((number, None) for number in range(-(-len(reader) // size)))
    with alone_in(out):
        claim(out, {"samples": reader.fingerprint(), "name": name, "size": size})
        return job.parts.run(make_part, job, tasks, max_bad, workers, progress=progress)


def make_part(job: Repacking, task: tuple[int, None]) -> Tally:
    """Write one shard with its tally and its quarantined samples."""
    reader, number, samples, aside, tally = job.reader, task[0], [], [], Tally()
    for index in range(number * job.size, min((number + 1) * job.size, len(reader))):
        tally.records += 1
        try:
            sample = reader[index]
            pictures = [reader.image_bytes(sample, k) for k in range(len(sample.images))]
            reader.checked_sizes(sample, index)
            for image, content in zip(sample.images, pictures, strict=True):
                image.check_size(image_size(content))
        except UNUSABLE as error:
            reason, where = reason_of(error), reader.where(index)
            tally.set_aside[reason] += 1
            aside.append({"source": job.parts.name, "where": where, "reason": reason, "detail": one_line(error)})
            continue
        tally.samples += 1
        tally.turns += sample.answers
        samples.append((sample, pictures))
    return write_part(job.parts, number, samples, tally, aside)
