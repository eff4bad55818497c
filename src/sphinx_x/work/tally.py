"""The tally of a run's samples: how many were made, and the reason for every one that was not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

from sphinx_x.errors import DataError, ImageError, PromptError, SampleError, one_line

QUARANTINE = "quarantine.jsonl"
"""The file next to the shards of a folder that names what is not in them."""

ENOUGH = 100
"""Number of samples that must be seen before a share of bad ones can stop a run."""

UNUSABLE = (
    *(DataError, ImageError, PromptError),
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, OSError),
)
"""Errors that other people's samples may raise if they are invalid."""


@dataclass
class Tally:
    """Counts of a run.

    Attributes:
        records: Records read.
        samples: Samples made.
        turns: Turns made.
        set_aside: Samples with something wrong, by reason.
        left_out: What was left out on purpose, by reason.
    """

    records: int = 0
    samples: int = 0
    turns: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    @property
    def bad(self) -> int:
        """Number of potential samples that were set aside."""
        return sum(self.set_aside.values())

    def check_share(self, limit: float, where: Path | str, final: bool = False) -> None:
        """Raise `DataError` if more than a share `limit` was set aside; with `final`, even of few samples."""
        seen = self.samples + self.bad
        if (final or seen >= ENOUGH) and self.bad > limit * seen:
            reason, count = self.set_aside.most_common(1)[0]
            raise DataError(
                f"{where}: {self.bad} of {seen} samples were set aside ({count}: {reason}), more than {limit:.2%}"
            )

    def to_json(self) -> str:
        """Return the tally as JSON, which `from_json` reads."""
        return json.dumps(vars(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Tally:
        """Read what `to_json` returned."""
        try:
            data = json.loads(text)
            return cls(**data | {name: Counter(data[name]) for name in ("set_aside", "left_out")})
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"a tally cannot be read: {one_line(error)}") from error


def reason_of(error: Exception) -> str:
    """Return why a sample cannot be used, in words that are the same for all samples with this fault."""
    if isinstance(error, KeyError):
        return f"field {error.args[0]!r} is missing" if error.args else "a field is missing"
    if isinstance(error, ImageError):
        return "image unreadable"
    if isinstance(error, PromptError):
        return "malformed dialogue"
    if isinstance(error, SampleError):
        return ": ".join(filter(None, (re.sub(r"\[\d+\]", "", error.field), error.reason)))
    if isinstance(error, OSError):
        return "file unreadable"
    if isinstance(error, DataError):
        return str(error).split(": ")[0]
    return "malformed record"


def quarantine_lines(entries: Iterable[dict]) -> str:
    """Return entries of a quarantine file, one JSON object per line."""
    text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    return text.encode(errors="backslashreplace").decode()
