"""The results of a study: one line for each finished run and amount, from any number of machines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.work.files import read_lines, write_atomic

FIELDS = (
    *("study", "point", "run", "size", "seed", "samples", "key", "recipe", "data", "held_out", "order"),
    *("parameters", "flops", "seconds", "machine", "loss", "error", "documents", "chance"),
)
"""What every line has.

`key` is a hash of what the run depends on, `order` one of the first samples that it saw; `data` and `held_out` are
hashes by source and by skill (`longest` is the limit of an answer); `flops` are the operations of training, visual
experts included, `seconds` those of training on `machine`; `loss` and `error` are by skill with true, white and
shuffled images, and by item; `documents` has the number of each item's document.
"""
Line = dict[str, Any]


def read_results(paths: Iterable[str | Path]) -> list[Line]:
    """Return the lines of files, each point once, in the order of their names.

    Raises:
        DataError: A line is no result, or two lines cannot stand side by side.
    """
    found: dict[tuple[str, str], Line] = {}
    for path in paths:
        if not Path(path).exists():
            raise DataError(f"{path}: no results there")
        for number, line in enumerate(read_lines(path), 1):
            missing = [name for name in FIELDS if name not in line]
            if missing:
                raise DataError(f"{path}, line {number}: no result of a study: {missing[0]} is missing")
            name = line["study"], line["point"]
            other = found.setdefault(name, line)
            if other["key"] != line["key"]:
                raise DataError(f"{path}, line {number}: {line['point']}: was run with another recipe elsewhere")
    lines = [found[name] for name in sorted(found)]
    check_alike(lines)
    return lines


def check_alike(lines: Sequence[Line]) -> None:
    """Check that all lines are about the same data.

    Raises:
        DataError: Two lines have another source, or another held-out set, under the same name.
    """
    for kind in ("data", "held_out"):
        known: dict[tuple[str, str], tuple[str, str]] = {}
        for line in lines:
            for name, value in line[kind].items():
                first, where = known.setdefault((line["study"], name), (value, line["point"]))
                if first != value:
                    raise DataError(
                        f"{line['point']}: {kind}.{name} is not the same as that of {where} ({value}, {first}): "
                        "arms with other data cannot be compared"
                    )


def write_results(path: str | Path, lines: Iterable[Line]) -> None:
    """Write lines as `read_results` reads them."""
    write_atomic(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def join_results(paths: Iterable[str | Path], out: str | Path) -> int:
    """Write the lines of several files, each point once, into one; returns their number."""
    lines = read_results(paths)
    write_results(out, lines)
    return len(lines)
