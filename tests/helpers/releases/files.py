"""Writing the files of a made release."""

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image


def put(path: Path, content: object) -> None:
    """A text file as it is given, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")


def put_lines(path: Path, records: Sequence[object]) -> None:
    """JSON lines."""
    put(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def put_tsv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with tabs, as pandas writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def put_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Parquet."""
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


def pixels(color: str = "gray", width: int = 64, height: int = 48) -> bytes:
    """The bytes of a plain PNG."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), color).save(file, "PNG")
    return file.getvalue()


def base64_picture(color: str = "gray", width: int = 64, height: int = 48) -> str:
    """A plain PNG as base64."""
    return base64.b64encode(pixels(color, width, height)).decode()


def picture(path: Path, color: str = "gray", width: int = 64, height: int = 48) -> None:
    """A plain picture in a file, in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), color).save(path)
