"""From public sets to shards: reading a release, opening its images, writing samples, with everything accounted for.

The output folder holds NAME-00000.jsonl, ..., `quarantine.jsonl` (every record that could not be used, with its reason)
and `report.json`, written last. An interrupted conversion continues after its last complete shard; the same release
gives the same bytes for any number of workers.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from sphinx_x.conversation import Numbers, Place
from sphinx_x.data.sample import ImageRef, Sample
from sphinx_x.data.shards import write_part
from sphinx_x.errors import DataError, one_line
from sphinx_x.images import check_places, open_image, size_and_orientation
from sphinx_x.sources.base import Draft, Malformed, PdfPage, Picture, Raw, Record, Source, UnusedError
from sphinx_x.work.files import alone_in, read_lines, write_atomic
from sphinx_x.work.runs import Parts, claim
from sphinx_x.work.tally import QUARANTINE, UNUSABLE, Tally, reason_of

SHARD = 5000


@dataclass(frozen=True)
class Job:
    """What every worker of a conversion needs.

    Attributes:
        source: The set.
        raw: Its release.
        out: The folder to write.
        inside: Whether images are copied into the shards.
        verify: Whether images are decoded.
    """

    source: Source
    raw: Raw
    out: Path
    inside: bool = False
    verify: bool = False


Task = tuple[int, list[Record]]
"""Number of a shard, and the records that it is made of."""


def convert(
    job: Job,
    workers: int | None = None,
    shard_size: int = SHARD,
    max_bad: float = 0.01,
    engine: str = "local",
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Write the samples of a release into `job.out`, continuing an interrupted conversion.

    Args:
        job: The conversion.
        workers: Number of processes, by default one per core.
        shard_size: Number of records per shard.
        max_bad: The share of samples that may be set aside.
        engine: See `pool.run`.
        progress: Called after every shard.

    Raises:
        DataError: More samples are bad, or the folder holds a conversion of something else.
    """
    source, split = job.source, job.raw.split
    if split != "train" and split not in source.count and not any("{split}" in file.pattern for file in source.files):
        raise DataError(f"{source.name} has no split {split!r}")
    settings = {"source": source.name, "split": split, "release": job.raw.fingerprint(job.out)}
    with alone_in(job.out):
        claim(job.out, settings | {"inside": job.inside, "verify": job.verify, "shard_size": shard_size})
        return _go_on(job, workers, shard_size, max_bad, engine, progress)


def _go_on(
    job: Job, workers: int | None, shard_size: int, max_bad: float, engine: str, progress: Callable[[Tally], None]
) -> Tally:
    tasks = chunks(read_records(job.source, job.raw), shard_size)
    total = _parts(job).run(make_shard, job, tasks, max_bad, workers, engine, progress)
    if not total.samples:
        raise DataError(f"{job.raw.root}: no sample in the split {job.raw.split!r} ({total.records} {job.source.unit})")
    report = {"source": job.source.name, "split": job.raw.split, "unit": job.source.unit}
    report |= {"expected": job.source.count.get(job.raw.split), **vars(total)}
    write_atomic(job.out / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return total


def make_shard(job: Job, task: Task) -> Tally:
    """Write one shard and its quarantined records, and last its tally, which marks the shard as complete."""
    number, records = task
    tally, aside = Tally(), []
    samples = built(job.source, job.raw, records, tally, aside, partial(_finished, job))
    return write_part(_parts(job), number, samples, tally, aside)


def _parts(job: Job) -> Parts:
    return Parts(job.out, job.source.name)


T = TypeVar("T")


class Release(Protocol):
    """Something that is read record by record."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def read(self) -> Callable[[Raw], Iterable[Record]]:
        """Yields its records."""
        ...


def built(
    source: Source,
    raw: Raw,
    records: Iterable[Record],
    tally: Tally,
    aside: list[dict],
    finish: Callable[[Record, Draft], T],
) -> Iterator[T]:
    """Yield what `finish` makes of every record's draft.

    Every record is counted in `tally`; unusable ones are also named in `aside`.
    """
    for record in records:
        tally.records += record.count
        try:
            if isinstance(record.data, Malformed):
                raise DataError(record.data.reason)
            draft = source.build(record, raw)
            made = finish(record, draft)
        except UnusedError as error:
            tally.left_out[reason_of(error)] += record.count
            continue
        except UNUSABLE as error:
            reason = reason_of(error)
            tally.set_aside[reason] += 1
            aside.append({"source": source.name, "id": record.id, "reason": reason, "detail": one_line(error)})
            continue
        tally.samples += 1
        tally.turns += sum(message.role == "assistant" for message in draft.messages)
        tally.left_out += draft.left_out
        yield made


Row = tuple[str, str, str, bool]
"""What was checked, what was expected, what was found, whether they agree."""


def check_files(source: Source, raw: Raw) -> list[Row]:
    """Return a row for every kind of file that a release should contain."""
    rows = []
    for file in source.files:
        found, expected = len(raw.files(file.pattern)), file.count.get(raw.split)
        wanted = "any" if file.optional else "some" if expected is None else f"{expected:,}"
        good = file.optional or found == (expected or found) > 0
        rows.append((file.pattern.replace("{split}", raw.split), wanted, f"{found:,}", good))
    return rows


def check_release(source: Source, raw: Raw) -> tuple[list[Row], Tally]:
    """Compare a release with its known contents, without writing anything or opening an image.

    Returns:
        Rows of (what, expected, found, whether they agree), and the tally that a conversion would have.
    """
    rows, tally = check_files(source, raw), Tally()
    for _ in built(source, raw, read_records(source, raw), tally, [], lambda *_: None):
        pass
    expected = source.count.get(raw.split)
    shown = "not known" if expected is None else f"{expected:,}"
    rows.append((source.unit, shown, f"{tally.records:,}", expected in (None, tally.records)))
    rows += [(f"set aside: {reason}", "0", f"{count:,}", False) for reason, count in tally.set_aside.most_common()]
    return rows, tally


def read_records(source: Release, raw: Raw) -> Iterator[Record]:
    """Yield the records of a release, each id once; errors that stop the reader are reported as well."""
    seen: set[str] = set()
    try:
        for record in source.read(raw):
            if record.id in seen:
                record = replace(record, data=Malformed("id occurs twice"))
            seen.add(record.id)
            yield record
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise DataError(f"{raw.root}: not laid out as a release of {source.name}: {reason_of(error)}") from error


def chunks(records: Iterable[Record], size: int) -> Iterator[Task]:
    """Yield records in numbered pieces of this size."""
    chunk: list[Record] = []
    number = 0
    for record in records:
        chunk.append(record)
        if len(chunk) == size:
            yield number, chunk
            chunk, number = [], number + 1
    if chunk:
        yield number, chunk


def read_quarantine(folder: Path) -> list[dict]:
    """Return what was set aside: source, id, reason and detail of each."""
    return read_lines(folder / QUARANTINE)


def _finished(job: Job, record: Record, draft: Draft) -> tuple[Sample, list[bytes]]:
    """Return the sample of a draft, with the bytes of its images if they go into the shard."""
    inside = job.inside or any(not isinstance(picture, Path) for picture in draft.images)
    opened = [_opened(job, picture, inside) for picture in draft.images]
    refs = [ref for ref, _, _ in opened]
    if draft.size and refs and draft.size != (refs[0].width, refs[0].height):
        shown = f"{refs[0].width} x {refs[0].height}, not {draft.size[0]} x {draft.size[1]}"
        raise DataError(f"image is not of the size that its annotations say: {shown}")
    _check_upright(draft, refs, [orientation for _, _, orientation in opened])
    messages = [message.moved(partial(_placed, refs, draft)) for message in draft.messages]
    licence = draft.licence or job.source.licence
    sample = Sample(f"{job.source.name}/{record.id}", refs, messages, job.source.name, licence, [], job.source.task)
    sample = Sample.from_dict(sample.to_dict()).check()
    return sample, [content for _, content, _ in opened] if inside else []


def _check_upright(draft: Draft, refs: list[ImageRef], orientations: list[int]) -> None:
    placed = {part.image for message in draft.messages for part in message.parts if isinstance(part, Place)}
    for number in placed:
        size = (refs[number].width, refs[number].height)
        check_places(size, orientations[number], draft.size if number == 0 else None)


def _opened(job: Job, picture: Picture, inside: bool) -> tuple[ImageRef, bytes, int]:
    """Return where an image is and how large, its bytes if it is to be copied, and its EXIF orientation."""
    if isinstance(picture, PdfPage):
        content = io.BytesIO()
        open_image(picture.path, picture.number, picture.dpi).save(content, "PNG")
        picture = content.getvalue()
    elif not isinstance(picture, Path | bytes):
        picture = picture()
    if job.verify:
        open_image(picture)
    (width, height), orientation = size_and_orientation(picture)
    if isinstance(picture, bytes):
        return ImageRef("-", width=width, height=height), picture, orientation
    path = os.path.relpath(os.path.realpath(picture), os.path.realpath(job.out))
    return ImageRef(path, width=width, height=height), picture.read_bytes() if inside else b"", orientation


def _placed(refs: list[ImageRef], draft: Draft, part: Place) -> Place:
    """Return a message with its boxes and points in pixels, clipped to their image."""
    ref = refs[part.image]
    places = [_clipped(place, ref, draft.unit) for place in part.places]
    good = [place for place in places if len(place) == 2 or (place[2] > place[0] and place[3] > place[1])]
    if not good:
        raise DataError("empty box")
    draft.left_out["empty box"] += len(places) - len(good)
    return replace(part, places=tuple(good))


def _clipped(place: Numbers, ref: ImageRef, unit: float | None) -> Numbers:
    sides = (ref.width, ref.height)
    scale = (1.0, 1.0) if unit is None else (ref.width / unit, ref.height / unit)
    return tuple(round(min(max(n * scale[k % 2], 0.0), sides[k % 2]), 2) for k, n in enumerate(place))
