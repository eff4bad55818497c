"""Rows of a Parquet file by number."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np

from sphinx_x.errors import DataError, SampleError, needs_extra, one_line


class ParquetRows:
    """The rows of one file, with the requested columns that exist (`columns`) and are not excluded (`without`).

    The row group that was read last is kept, so reading in order is fast. Reading in a shuffled order decodes a whole
    row group for each sample: convert a large set to shards for training.
    """

    def __init__(self, path: Path, columns: list[str] | None = None, without: Container[str] = ()) -> None:
        self.path, self.columns, self.without = path, columns, without
        metadata = self._file().metadata
        groups = [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)]
        self._starts = np.cumsum([0, *groups])
        self._held: tuple[int, list[dict[str, Any]]] = (-1, [])

    def _file(self) -> Any:
        with needs_extra("data", f"{self.path}: reading Parquet"):
            from pyarrow.parquet import ParquetFile
        try:
            return ParquetFile(self.path, memory_map=True)
        except (OSError, ValueError) as error:  # pyarrow's own errors are these
            raise DataError(f"{self.path}: {one_line(error)}") from error

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        if self._held[0] != group:
            try:
                file = self._file()
                names = [name for name in file.schema_arrow.names if name not in self.without]
                names = names if self.columns is None else [name for name in names if name in self.columns]
                rows = file.read_row_group(group, columns=names).to_pylist()
            except (OSError, ValueError, KeyError, ArithmeticError) as error:
                raise SampleError(f"{self.path}: row group {group}", "", "file unreadable", one_line(error)) from error
            self._held = (group, rows)
        return self._held[1][index - int(self._starts[group])]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_held": (-1, [])}
