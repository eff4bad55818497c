"""Writing the files of an excerpt."""

import json
from pathlib import Path

from PIL import Image


def put(path: Path, content: object) -> None:
    """A text file as it is given, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def put_lines(path: Path, records: list) -> None:
    """JSON lines."""
    put(path, "".join(json.dumps(record) + "\n" for record in records))


def put_table(path: Path, rows: list[dict]) -> None:
    """Parquet."""
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def picture(path: Path, width: int = 64, height: int = 48) -> None:
    """A plain picture of this size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), "gray").save(path)
