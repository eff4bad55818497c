"""Checks a user's own data file: every sample and every image, with line, field and reason of every fault."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sphinx_x.data.shards import SampleReader
from sphinx_x.errors import SampleError, one_line
from sphinx_x.images import image_size, open_image
from sphinx_x.work.pool import run
from sphinx_x.work.tally import UNUSABLE, Tally, reason_of

CHUNK = 500


@dataclass(frozen=True)
class Finding:
    """A fault in one sample."""

    where: str
    field: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.where, self.field, self.reason)))


def check(
    reader: SampleReader, workers: int | None = None, progress: Callable[[int], None] = lambda _: None
) -> tuple[list[Finding], Tally]:
    """Read every sample and decode every image; returns the faults, in the order of the file, and the counts."""
    found: dict[int, list[Finding]] = {}
    total, ids = Tally(), np.zeros(len(reader), np.uint64)
    for start, findings, tally, own in run(check_chunk, reader, range(0, len(reader), CHUNK), workers):
        found |= findings
        ids[start : start + len(own)] = own
        total.add(tally)
        progress(total.records)
    for number, finding in _repeated(reader, ids):
        total.samples -= number not in found
        total.set_aside[finding.reason.split(":")[0]] += 1
        found.setdefault(number, []).append(finding)
    return [finding for number in sorted(found) for finding in found[number]], total


def check_chunk(reader: SampleReader, start: int) -> tuple[int, dict[int, list[Finding]], Tally, list[int]]:
    """Return the faults in the samples from number `start` on, and a hash of each one's own id (0 if it has none)."""
    findings: dict[int, list[Finding]] = {}
    tally, ids = Tally(), []
    for number in range(start, min(start + CHUNK, len(reader))):
        tally.records += 1
        ids.append(0)
        wrong = list(_findings(reader, number, tally, ids))
        if wrong:
            findings[number] = wrong
        else:
            tally.samples += 1
    return start, findings, tally, ids


def _repeated(reader: SampleReader, ids: np.ndarray) -> Iterator[tuple[int, Finding]]:
    """Yield the samples whose id an earlier one has."""
    order = np.argsort(ids, kind="stable")
    same = (ids[order][1:] == ids[order][:-1]) & (ids[order][1:] != 0)
    first: dict[int, int] = {}
    for number in np.sort(order[1:][same]).tolist():
        key = int(ids[number])
        if key not in first:
            first[key] = int(np.flatnonzero(ids == ids[number])[0])
        earlier = reader.where(first[key])
        yield number, Finding(reader.where(number), "id", f"occurs twice: {reader[number].id!r} is also in {earlier}")


def _findings(reader: SampleReader, number: int, tally: Tally, ids: list[int]) -> Iterator[Finding]:
    where = reader.where(number)
    try:
        sample = reader[number]
        if reader.is_named(number, sample):
            ids[-1] = int.from_bytes(hashlib.blake2b(sample.id.encode(), digest_size=8).digest(), "big")
    except UNUSABLE as error:
        tally.set_aside[reason_of(error)] += 1
        if isinstance(error, SampleError):
            yield Finding(where, error.field, ": ".join(filter(None, (error.reason, error.detail))))
        else:
            yield Finding(where, "", one_line(error))
        return
    problems, sizes = [], []
    for k, image in enumerate(sample.images):
        sizes.append((image.width, image.height))
        try:
            content = reader.image_bytes(sample, k)
            image_size(content)  # a PDF cannot be trained on, as its size is not measured
            sizes[-1] = open_image(content).size
        except UNUSABLE as error:
            reason = (error.detail or error.reason) if isinstance(error, SampleError) else one_line(error)
            name = image.path or image.archive or "data"
            problems.append((f"images[{k}]", f"image unreadable: {name}: {reason.removeprefix('image bytes: ')}"))
            continue
        if wrong := image.differs(sizes[-1]):
            problems.append((f"images[{k}]", wrong))
    problems += sample.sized(sizes).problems()
    first = next((k for k, message in enumerate(sample.messages) if message.role != "system"), None)
    unasked = first is not None and sample.messages[first].role == "assistant"
    if unasked and reader.form(number).prompt_type != "caption":  # the reference's captions answer no question
        problems.append((f"messages[{first}]", "begins with its answer: nothing is asked before it"))
    for field, reason in problems:
        tally.set_aside[reason.split(":")[0]] += 1
        yield Finding(where, field, reason)
    tally.turns += sample.answers
