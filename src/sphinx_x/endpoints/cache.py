"""Answers that were paid for, kept so that none is paid for twice: a log on disk that survives a kill at any moment."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.work.files import alone_in, append_line, read_lines

LOG = "answers.jsonl"


@dataclass(frozen=True)
class Completion:
    """An endpoint's answer.

    Attributes:
        content: The text.
        finish: The endpoint's reason for the end of the text.
        refusal: A refusal in place of an answer.
        tokens: Numbers of tokens in and out, or None if the endpoint gave no plausible numbers.
        model: The endpoint's own name for the version of the model that answered.
    """

    content: str
    finish: str
    refusal: str = ""
    tokens: tuple[int, int] | None = None
    model: str = ""


class Cache:
    """The log of a folder: one line before a call with its largest cost, one after it with the answer and the cost.

    Every line is on the disk before the call is made or its answer is used. `spent` (in units of 1 / `spending.UNIT`)
    is the total cost of all runs with this folder. A call with only its first line, left by a killed run, counts as
    paid in full. Open it with `opened`, in one process at a time.
    """

    def __init__(self, path: Path) -> None:
        self._answers: dict[str, Completion] = {}
        self._lock = threading.Lock()
        self.spent = 0
        open_calls = self._read(path)
        append_line(path, {"opened": True})  # this also removes a last line truncated by a kill
        self._file = path.open("ab", buffering=0)
        for key, reserved in open_calls.items():
            self.lost(key, reserved, "the run was killed before the answer came")

    def _read(self, path: Path) -> dict[str, int]:
        open_calls: dict[str, int] = {}
        for number, line in enumerate(read_lines(path), 1):
            try:
                if "asked" in line:
                    open_calls[line["asked"]] = int(line["reserved"])
                elif "answered" in line:
                    del open_calls[line["answered"]]
                    self._keep(line["answered"], line["answer"], int(line["paid"]))
                elif "lost" in line:
                    del open_calls[line["lost"]]
                    self.spent += int(line["paid"])
            except (LookupError, TypeError, ValueError) as error:
                raise DataError(f"{path}, record {number}: not a record of a call") from error
        return open_calls

    def _keep(self, key: str, answer: Mapping[str, Any], paid: int) -> None:
        tokens = answer["tokens"]
        self._answers[key] = Completion(**{**answer, "tokens": None if tokens is None else (tokens[0], tokens[1])})
        self.spent += paid

    def find(self, key: str) -> Completion | None:
        """Return the answer of an earlier call, or None."""
        with self._lock:
            return self._answers.get(key)

    def asked(self, key: str, name: str, reserved: int) -> None:
        """Record a call that may cost `reserved`; `name` is that of the request, for people."""
        self._write({"asked": key, "id": name, "reserved": reserved})

    def answered(self, key: str, answer: Completion, paid: int) -> None:
        """Record an answer, and its cost."""
        with self._lock:
            self._append({"answered": key, "paid": paid, "answer": asdict(answer)})
            self._answers[key] = answer
            self.spent += paid

    def lost(self, key: str, paid: int, reason: str) -> None:
        """Record that a call brought no answer, what it may have cost nevertheless, and why."""
        self._write({"lost": key, "paid": paid, "reason": reason})
        with self._lock:
            self.spent += paid

    def _write(self, record: Mapping[str, Any]) -> None:
        with self._lock:
            self._append(record)

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        if self._file.closed or self._file.write(line) != len(line):
            self._file.close()  # nothing may follow an incomplete line
            raise OSError(f"{self._file.name}: the disk took no whole line")
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the log."""
        self._file.close()


@contextmanager
def opened(folder: str | Path) -> Iterator[Cache]:
    """Open the cache of a folder for this process alone; raise `SphinxXError` if another process is using it."""
    with alone_in(folder):
        cache = Cache(Path(folder) / LOG)
        try:
            yield cache
        finally:
            cache.close()


def key_of(parameters: Mapping[str, Any], texts: list[tuple[str, str]], image: bytes) -> str:
    """Return the SHA-256 of what an answer depends on: model, parameters, roles with their texts, and the image."""
    parts = {"parameters": parameters, "texts": texts, "image": hashlib.sha256(image).hexdigest()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
