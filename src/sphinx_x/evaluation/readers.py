"""Readers of question files: the JSON lists of the reference repository, and what the benchmarks' own forms share.

A broken file is one `DataError` that names file and entry; no entry is dropped.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError, one_line
from sphinx_x.evaluation.items import Item, Picture, PictureCell, PictureFile, PictureText

Folders = tuple[Path, ...]
Reader = Callable[[Path, Folders], Iterator[Item]]
"""Takes the questions' file and the folders of the pictures; gives the items in the order of the file."""
Make = Callable[[Mapping[str, Any], int, Folders], Item]
PUBLISHED = "gt_answers"
"""The key that tells a list of the reference repository: image_path, question, question_id, dataset_name and this."""


@contextmanager
def entry(path: Path, number: int) -> Iterator[None]:
    """Turns what goes wrong with entry `number` (from 0) of a file into a `DataError` that names both."""
    where = f"{path}, entry {number}"
    with named(where):
        try:
            yield
        except DataError as error:
            raise DataError(f"{where}: {error}") from error


@contextmanager
def named(where: str) -> Iterator[None]:
    """Turns what other people's files make go wrong into a `DataError` that begins with `where`."""
    try:
        yield
    except KeyError as error:
        raise DataError(f"{where}: has no {error.args[0]!r}") from error
    except (LookupError, TypeError, ValueError, AttributeError, SyntaxError, RecursionError, OSError) as error:
        raise DataError(f"{where}: {one_line(error)}") from error


def load(path: Path) -> Any:
    """What a JSON file holds, or the lines of a JSONL file. Raises `DataError` where it is neither."""
    try:
        if path.suffix in (".jsonl", ".ndjson"):
            return json_lines(path)
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: {one_line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file: {one_line(error)}") from error


def json_lines(path: Path) -> list[Any]:
    """The lines of a file, each a JSON text; empty ones are left out. Raises `DataError` for any other."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({one_line(error)})") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number}: not JSON") from error
    return rows


def rows_of(path: Path, *keys: str) -> list[Mapping[str, Any]]:
    """The entries of a JSON list, or of the list under the first of some keys that a JSON object has.

    Raises `DataError` where there is no such list, where it is empty, or where an entry is no object.
    """
    content = load(path)
    if isinstance(content, Mapping):
        content = next((content[key] for key in keys if key in content), None)
    if not isinstance(content, Sequence) or isinstance(content, str):
        raise DataError(f"{path}: holds no list of questions" + (f" ({' or '.join(keys)})" if keys else ""))
    for number, row in enumerate(content):
        if not isinstance(row, Mapping):
            raise DataError(f"{path}, entry {number}: not an object")
    if not content:
        raise DataError(f"{path}: holds no questions")
    return list(content)


def rows_by_id(path: Path, id_key: str) -> list[Mapping[str, Any]]:
    """The entries of a JSON object whose keys are their ids, or of a list, in the order of the file.

    id_key: under which an entry gets its id. Raises `DataError` where there are none.
    """
    content = load(path)
    if not isinstance(content, Mapping):
        return rows_of(path)
    for name, row in content.items():
        if not isinstance(row, Mapping):
            raise DataError(f"{path}, entry {name}: not an object")
    if not content:
        raise DataError(f"{path}: holds no questions")
    return [{id_key: name, **row} for name, row in content.items()]


def is_published(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether these are entries of a list of the reference repository."""
    return PUBLISHED in rows[0]


def items_of(path: Path, rows: Iterable[Mapping[str, Any]], folders: Folders, make: Make) -> Iterator[Item]:
    """An item for every entry."""
    for number, row in enumerate(rows):
        with entry(path, number):
            yield make(row, number, folders)


def reader(*keys: str, own: Make | None = None, published: Make | None = None) -> Reader:
    """A reader of JSON files in a benchmark's own form, or of the reference repository's list.

    Args:
        keys: Under which the list of questions stands in a file that is an object.
        own: Makes an item of an entry in the benchmark's own form; None: there is no such form.
        published: Makes one of an entry of the reference repository; by default `published_item`.
    """

    def read(path: Path, folders: Folders) -> Iterator[Item]:
        rows = rows_of(path, *keys)
        if is_published(rows):
            return items_of(path, rows, folders, published or published_item)
        if own is None:
            raise DataError(f"{path}: entry 0 has no {PUBLISHED!r}")
        return items_of(path, rows, folders, own)

    return read


def published_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """An item of a list of the reference repository; of several true answers all count."""
    pictures = pictures_at(row.get("image_path"), folders)
    return Item(
        index=number,
        question=text_of(row, "question"),
        pictures=pictures,
        references=texts(row[PUBLISHED]),
        id=str(row.get("question_id", number)),
        cluster=pictures[0].name if pictures else "",
    )


def pictures_at(path: object, folders: Folders) -> tuple[Picture, ...]:
    """Return the picture that an entry names, if it names one.

    A leading `data/` is left out: it is the folder in which the list was made.
    """
    if path is None or path == "":
        return ()
    if not isinstance(path, str):
        raise DataError(f"image_path must be a text, not {path!r}")
    return (PictureFile(re.sub(r"^(?:\./)*(?:data/)?", "", path), folders),)


def picture(name: str, folders: Folders) -> tuple[Picture, ...]:
    """A picture by the name that it has in a folder."""
    return (PictureFile(name, folders),)


def text_of(row: Mapping[str, Any], key: str) -> str:
    """A text of an entry. Raises `DataError` where it is something else."""
    if not isinstance(row[key], str):
        raise DataError(f"{key} must be a text, not {row[key]!r}")
    return row[key]


def texts(value: object) -> tuple[str, ...]:
    """One text or number, or a list of them, as texts."""
    if isinstance(value, (list, tuple)):
        return tuple(text for one in value for text in texts(one))
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise DataError(f"an answer must be a text or a number, not {value!r}")
    return (str(value),)


def lettered(options: Iterable[str]) -> dict[str, str]:
    """Options by letters from A on. Raises `DataError` for one text in place of a list of them."""
    if isinstance(options, str):
        raise DataError(f"options must be a list of texts, not {options!r}")
    return {chr(ord("A") + number): option for number, option in enumerate(texts(list(options)))}


def listing(options: Mapping[str, str]) -> str:
    """Options as a question lists them, one a line: `A. red`."""
    return "\n".join(f"{letter}. {text}" for letter, text in options.items())


def table(path: Path, delimiter: str = "\t") -> Iterator[tuple[dict[str, str], dict[str, tuple[int, int]]]]:
    """The rows of a table with a heading, and where each value lies in the file: (first byte, bytes).

    Values are as they stand between the delimiters; where one is quoted, it has the place of what is inside the quotes.
    Raises `DataError` for a row with another number of values.
    """
    csv.field_size_limit(1 << 30)
    with path.open("rb") as file:
        heading: list[str] | None = None
        start = 0
        for number, line in enumerate(_records(file), 1):
            try:
                text = line.decode()
                values = next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter))
            except (ValueError, csv.Error, StopIteration) as error:
                raise DataError(f"{path}, row {number}: {one_line(error)}") from error
            if heading is None:
                heading = [value.removeprefix("\ufeff") for value in values]
            elif len(values) != len(heading):
                raise DataError(f"{path}, row {number}: {len(values)} values for {len(heading)} columns")
            else:
                yield dict(zip(heading, values, strict=True)), _places(line, values, start, heading)
            start += len(line)


def _records(file: Iterable[bytes]) -> Iterator[bytes]:
    """Lines, those with an open quote joined with what follows."""
    held = b""
    for line in file:
        held += line
        if held.count(b'"') % 2 == 0:
            if held.strip():
                yield held
            held = b""
    if held:
        yield held


def _places(line: bytes, values: Sequence[str], start: int, heading: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Where values that are plain base64 lie: only those are looked up later."""
    places, at = {}, 0
    for name, value in zip(heading, values, strict=True):
        content = value.encode()
        if name.startswith("image") and len(content) > 64:
            found = line.find(content, at)
            if found >= 0:
                places[name] = (start + found, len(content))
                at = found + len(content)
    return places


def table_picture(path: Path, name: str, places: Mapping[str, tuple[int, int]], column: str = "image") -> Picture:
    """The picture that a row of a table holds as base64. Raises `DataError` where it holds none."""
    if column not in places:
        raise DataError(f"column {column} holds no picture")
    return PictureText(path, name, *places[column])


def parquet(path: Path, pictures: Sequence[str]) -> Iterator[tuple[dict[str, Any], dict[str, Picture]]]:
    """The rows of a Parquet file, and the pictures that each has, by column, read from there each time.

    pictures: the columns that may hold one.
    """
    from sphinx_x.data.parquet import ParquetRows

    rows = ParquetRows(path, without=pictures)
    there = ParquetRows(path, columns=list(pictures))
    for number in range(len(rows)):
        held = {column for column, value in there[number].items() if value is not None}
        names = {column: f"{path.parent.name}/{path.stem}/{number}/{column}" for column in sorted(held)}
        cells: dict[str, Picture] = {column: PictureCell(path, name, number, column) for column, name in names.items()}
        yield rows[number], cells


def numbered(items: Iterable[Item]) -> Iterator[Item]:
    """Items with their positions as index."""
    for number, item in enumerate(items):
        yield replace(item, index=number)
