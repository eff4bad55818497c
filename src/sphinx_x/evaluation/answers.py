"""Answers as they are kept: one file a task, one line an item, so that a run goes on and a repeated one costs nothing.

An answer belongs to its key: a hash of the model's weights, the prompt, the pictures and the settings of generation.
While a run goes on every rank appends to a file of its own (`TASK.0.part.jsonl`); at the end there is one file, in the
order of the items.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.inference import SphinxX
from sphinx_x.model.content import named_bytes
from sphinx_x.work.files import append_line, read_lines, write_atomic


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    prompt, pictures: hashes (16 hexadecimal digits) of the text and of the files; key: what it belongs to; seconds: its
    share of the time of its batch; probability: mean over its tokens; refused: why it was not asked.
    """

    index: int
    answer: str
    key: str
    prompt: str
    pictures: tuple[str, ...] = ()
    seconds: float = 0.0
    probability: float | None = None
    refused: str = ""


def digest(*parts: str | bytes) -> str:
    """A hash of some texts, 16 hexadecimal digits."""
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(len(content).to_bytes(8, "little") + content if len(parts) > 1 else content)
    return found.hexdigest()[:16]


def model_digest(sphinx: SphinxX) -> str:
    """What tells a loaded model from every other: its weights as they compute, its configurations, its processor."""
    found = hashlib.sha256(sphinx.model.config.to_json_string(use_diff=False).encode())
    found.update(sphinx.processor.tokenizer.backend_tokenizer.to_str().encode())
    generation: Any = sphinx.model.generation_config
    told = {name: value for name, value in generation.to_diff_dict().items() if name != "transformers_version"}
    found.update(json.dumps(told, sort_keys=True, default=str).encode())
    found.update(json.dumps(sphinx.processor.image_processor.to_dict(), sort_keys=True, default=str).encode())
    found.update(sphinx.processor.prompt_builder().stop_text().encode())
    for name, tensor in sorted(sphinx.model.state_dict().items()):
        if tensor.is_meta:
            raise DataError("load the model whole to evaluate it: a part on the disk cannot be told from others")
        for part in named_bytes(name, tensor):
            found.update(part)
    return found.hexdigest()[:16]


@dataclass(frozen=True)
class Store:
    """The answers to one task below a run's folder.

    name: the task's, with what was done to its pictures. What earlier runs in the folder asked otherwise (more items,
    another model) is kept in a file of its own, so that it is not asked again when its turn comes back.
    """

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """The file of all answers."""
        return self.folder / f"{self.name}.jsonl"

    @property
    def earlier(self) -> Path:
        """The file of answers that earlier runs got and the last one did not need; there only if there are any."""
        return self.folder / f"{self.name}.earlier.jsonl"

    def part(self, rank: int) -> Path:
        """The file to which a rank appends."""
        return self.folder / f"{self.name}.{rank}.part.jsonl"

    def read(self) -> dict[str, Answer]:
        """Return all answers so far by their keys, including those of a run that was stopped.

        Raises:
            DataError: A file holds something else.
        """
        files = (self.earlier, self.path, *sorted(self.folder.glob(f"{self.name}.[0-9]*.part.jsonl")))
        return {answer.key: answer for path in files for answer in _answers(path) if answer.key}

    def append(self, rank: int, answers: Iterable[Answer]) -> None:
        """Adds answers as they come."""
        for answer in answers:
            append_line(self.part(rank), as_row(answer))

    def hand_in(self, rank: int, answers: Iterable[Answer]) -> None:
        """Writes all answers of a rank, for `finish`."""
        write_atomic(self._done(rank), _lines(answers))

    def finish(self, ranks: int) -> list[Answer]:
        """Makes the one file of what all ranks handed in, in the order of the items, and takes their own files away."""
        rows = [answer for rank in range(ranks) for answer in _answers(self._done(rank))]
        rows.sort(key=lambda answer: answer.index)
        others = Store.read(self)  # also those that a narrower `read` passes over: they stay where they are kept
        for answer in rows:
            others.pop(answer.key, None)
        if others or self.earlier.exists():
            write_atomic(self.earlier, _lines(sorted(others.values(), key=lambda answer: (answer.index, answer.key))))
        write_atomic(self.path, _lines(rows))
        for kind in ("part", "done"):
            for path in self.folder.glob(f"{self.name}.[0-9]*.{kind}.jsonl"):
                path.unlink()
        return rows

    def _done(self, rank: int) -> Path:
        return self.folder / f"{self.name}.{rank}.done.jsonl"


def _answers(path: Path) -> Iterator[Answer]:
    for number, row in enumerate(read_lines(path), 1):
        try:
            yield Answer(**{**row, "pictures": tuple(row["pictures"])})
        except (TypeError, KeyError) as error:
            raise DataError(f"{path}, line {number}: not an answer of a run") from error


def _lines(answers: Iterable[Answer]) -> str:
    return "".join(json.dumps(as_row(answer), ensure_ascii=False) + "\n" for answer in answers)


def as_row(answer: Answer) -> Mapping[str, Any]:
    """An answer as a line of its file."""
    return {**asdict(answer), "pictures": list(answer.pictures)}
