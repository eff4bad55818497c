"""A run in numbered parts, in a folder of its own: resumed after a stop, stopped if too much is bad, fully reported.

Part k of a run NAME is what its work writes as NAME-0000k (a shard, a table), and in hidden files next to it what was
set aside and, last, its tally: a part with a tally is complete. The same tasks give the same bytes for any number of
workers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.work.files import write_atomic
from sphinx_x.work.pool import run
from sphinx_x.work.tally import QUARANTINE, Tally, quarantine_lines

SETTINGS = ".settings.json"
OTHER = "holds what was made of something else or with other settings, or what it was made of has changed: take another"


def claim(out: Path, settings: dict[str, Any], name: str = SETTINGS, empty: bool = True) -> None:
    """Claim a folder for one run with these settings; half-written leftovers of a kill are removed.

    Args:
        out: The folder.
        settings: Everything that the run's result depends on, as JSON.
        name: The file in it that keeps them.
        empty: Whether a folder that is claimed for the first time has to be empty, except for hidden files.

    Raises:
        DataError: The folder holds something else, or the results of other settings.
    """
    known = out / name
    told = json.dumps(settings, indent=1)
    visible = {path.name for path in out.iterdir() if not path.name.startswith(".")} - {name}
    # a run that was refused before its first part has only made an empty quarantine file
    begun = bool(visible - {QUARANTINE}) or any(out.glob(".*.tally.json")) or (out / WORK).exists()
    if not known.exists() and empty and visible:
        raise DataError(f"{out}: is not empty, and what is in it was made by no such run")
    if known.exists() and begun and _read(known) != json.loads(told):
        raise DataError(f"{out}: {OTHER}")
    for path in out.glob(".*.tmp"):
        path.unlink()
    write_atomic(known, told + "\n")


WORK = ".work"
"""The folder for a run's intermediate files."""


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Parts:
    """The parts of a run NAME in a folder.

    Attributes:
        folder: The folder.
        name: The run's name.
        ending: Extension of the file that each part's work writes.
        quarantine: The file that says what all of them set aside.
    """

    folder: Path
    name: str
    ending: str = "jsonl"
    quarantine: str = QUARANTINE

    def part(self, number: int) -> str:
        """Return the prefix of a part's files."""
        return f"{self.name}-{number:05d}"

    def hidden(self, number: int, ending: str) -> Path:
        """Return a hidden file of a part."""
        return self.folder / f".{self.part(number)}.{ending}"

    def finish(self, number: int, tally: Tally, aside: Iterable[dict]) -> Tally:
        """Complete a part whose own file is written; returns its tally."""
        write_atomic(self.hidden(number, "quarantine.jsonl"), quarantine_lines(aside))
        write_atomic(self.hidden(number, "tally.json"), tally.to_json())
        return tally

    def whole(self) -> dict[int, Tally]:
        """Return the tallies of the complete parts, by their numbers."""
        found = {}
        for path in sorted(self.folder.glob(f".{self.name}-*.tally.json")):
            number = path.name.removesuffix(".tally.json").removeprefix(f".{self.name}-")
            if number.isdigit() and (self.folder / f"{self.name}-{number}.{self.ending}").exists():
                found[int(number)] = Tally.from_json(path.read_text(encoding="utf-8"))
        return found

    def gather(self) -> None:
        """Join what the parts have set aside."""
        pieces = [self.hidden(number, "quarantine.jsonl") for number in self.whole()]
        write_atomic(self.folder / self.quarantine, lambda file: file.writelines(p.read_bytes() for p in pieces))

    def forget(self) -> None:
        """Delete the parts and their records, but not what was gathered."""
        own = re.compile(rf"\.?{re.escape(self.name)}-\d{{5,}}\.({self.ending}|tally\.json|quarantine\.jsonl)")
        for path in self.folder.glob("*"):
            if own.fullmatch(path.name):
                path.unlink()

    def run(
        self,
        work: Callable[[Any, Any], Tally],
        job: Any,
        tasks: Iterable[tuple[int, Any]],
        max_bad: float = 1.0,
        workers: int | None = None,
        engine: str = "local",
        progress: Callable[[Tally], None] = lambda _: None,
    ) -> Tally:
        """Do the parts that are not complete yet, `work(job, task)` each, where task[0] is the part's number.

        Args:
            work: Writes a part and returns its tally (see `finish`); a function of a module.
            job: What every part needs.
            tasks: The parts.
            max_bad: The share of samples that may be set aside.
            workers: Number of processes, by default one per core.
            engine: See `pool.run`.
            progress: Called after every part with the tally so far.

        Returns:
            The tally of all parts. However the run ends, the quarantine file says what was set aside.

        Raises:
            DataError: More than a share `max_bad` is bad.
        """
        whole, total = self.whole(), Tally()
        for tally in whole.values():
            total.add(tally)
        total.check_share(max_bad, self.folder)
        try:
            for tally in run(work, job, (task for task in tasks if task[0] not in whole), workers, engine):
                total.add(tally)
                total.check_share(max_bad, self.folder)
                progress(total)
        finally:
            self.gather()
        total.check_share(max_bad, self.folder, final=True)
        return total
