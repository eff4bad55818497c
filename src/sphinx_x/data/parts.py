"""A run that writes its shards in parallel: taken up after a stop, stopped where too much is bad, told in full.

Part k of a run NAME is the shard NAME-0000k, with its quarantine and, last, its tally in hidden files beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from sphinx_x.data.sample import Sample
from sphinx_x.data.shards import write_shard
from sphinx_x.errors import DataError
from sphinx_x.work.files import write_atomic
from sphinx_x.work.pool import run
from sphinx_x.work.tally import QUARANTINE, Tally, quarantine_lines


def claim(out: Path, settings: dict) -> None:
    """Takes a folder for one conversion with these settings; what a kill left half written there is removed."""
    known = out / ".settings.json"
    begun = any(out.glob(".*.tally.json"))
    if not known.exists() and any(not path.name.startswith(".") for path in out.iterdir()):
        raise DataError(f"{out}: is not empty, and what is in it is no conversion")
    if begun and _settings_of(known) != settings:
        raise DataError(f"{out}: holds a conversion of something else, or its release has changed: take another folder")
    for path in out.glob(".*.tmp"):
        path.unlink()
    write_atomic(known, json.dumps(settings, indent=1) + "\n")


def _settings_of(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_part(
    out: Path,
    name: str,
    number: int,
    samples: Iterable[tuple[Sample, Sequence[bytes]]],
    tally: Tally,
    aside: list[dict],
) -> Tally:
    """Writes part `number` of a run; gives its tally. samples: fill `tally` and `aside` while they are taken."""
    part = f"{name}-{number:05d}"
    write_shard(out, part, samples)
    write_atomic(out / f".{part}.quarantine.jsonl", quarantine_lines(aside))
    write_atomic(out / f".{part}.tally.json", tally.to_json())
    return tally


def run_parts(
    work: Callable[[Any, Any], Tally],
    job: Any,
    tasks: Iterable[tuple[int, Any]],
    out: Path,
    name: str,
    max_bad: float,
    workers: int | None = None,
    engine: str = "local",
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Does the parts of a run that are not whole yet, work(job, task) each, where task[0] is the part's number.

    Raises `DataError` where more than a share `max_bad` is bad. However it ends, `quarantine.jsonl` says what was set
    aside.
    """
    total, done = Tally(), set()
    for path in sorted(out.glob(f".{name}-*.tally.json")):
        number = path.name.removesuffix(".tally.json").removeprefix(f".{name}-")
        if number.isdigit() and (out / f"{name}-{number}.jsonl").exists():
            total.add(Tally.from_json(path.read_text(encoding="utf-8")))
            done.add(int(number))
    total.check_share(max_bad, out)
    try:
        for tally in run(work, job, (task for task in tasks if task[0] not in done), workers, engine):
            total.add(tally)
            total.check_share(max_bad, out)
            progress(total)
    finally:
        pieces = sorted(out.glob(f".{name}-*.quarantine.jsonl"))
        write_atomic(out / QUARANTINE, lambda file: file.writelines(piece.read_bytes() for piece in pieces))
    total.check_share(max_bad, out, final=True)
    return total
