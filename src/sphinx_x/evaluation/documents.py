"""Releases of questions about documents that several tasks share: those of the DUE benchmark and of UReader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.drawn import PicturePage
from sphinx_x.evaluation.items import Item, Picture
from sphinx_x.evaluation.readers import (
    Folders,
    Make,
    Reader,
    entry,
    is_published,
    items_of,
    numbered,
    picture,
    published_item,
    rows_of,
    text_of,
)

FromDocument = Callable[[Mapping[str, Any], tuple[Picture, ...]], Iterator[Item]]
"""Makes items of a document of the DUE benchmark (name, annotations) and its page."""
LAYOUT = (
    "DUE: due-benchmark/du-schema schema/document.json and the folders of saifullah3396/docdjinn-base-datasets due.py; "
    "UReader: X-PLUG/mPLUG-DocOwl UReader/README.md and pipeline/data_utils/processors; the reference repository's list"
)


def document_reader(due: FromDocument | None = None, turn: Make | None = None, own: Make | None = None) -> Reader:
    """A reader of what the tasks about documents come in: also the lists of the reference repository.

    Args:
        due: Makes items of a document of the DUE benchmark (`document.jsonl`); None: there is none.
        turn: Makes an item of a line of UReader's files; by default `turn_item`.
        own: Makes one of an entry of the benchmark's own file; None: that is read elsewhere.
    """

    def read(path: Path, folders: Folders) -> Iterator[Item]:
        rows = rows_of(path, "data")
        if is_published(rows):
            return items_of(path, rows, folders, published_item)
        if "conversations" in rows[0]:
            return items_of(path, rows, folders, turn or turn_item)
        if due is not None and "annotations" in rows[0]:
            return numbered(_documents(path, rows, folders, due))
        if own is not None:
            return items_of(path, rows, folders, own)
        raise DataError(f"{path}: entry 0 is neither a document with annotations nor a conversation")

    return read


def _documents(path: Path, rows: Sequence[Mapping[str, Any]], folders: Folders, due: FromDocument) -> Iterator[Item]:
    for number, row in enumerate(rows):
        with entry(path, number):
            name = text_of(row, "name")
            yield from due(row, (PicturePage(name.removesuffix(".pdf") + ".pdf", folders),))


def turn_of(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Picture, question and answer of a line of UReader's files: `<image>`, the question, the answer."""
    said = [text_of(turn, "value") for turn in row["conversations"]]
    if len(said) != 3 or len(row["image"]) != 1:
        raise DataError("needs one image and conversations of <image>, a question and its answer")
    return row["image"][0].removeprefix("./"), said[1], said[2]


def turn_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """An item of a line of UReader's files."""
    name, question, answer = turn_of(row)
    return Item(number, question, picture(name, folders), (answer,), f"{name}-{number}", cluster=name)


def due_files(folder: str, title: str, split: str = "test") -> tuple[str, ...]:
    """Where the questions of a set lie: folder of DUE's archive, and its name in UReader's files."""
    return (f"**/{folder}/{split}/document.jsonl", f"**/ureader_json/{split}_{title}.jsonl", f"**/{title}.json")


def due_images(title: str) -> tuple[str, ...]:
    """Folders of its pages: DUE's PDF files, and UReader's pictures."""
    return (f"**/pdfs/{title}/{title}", f"**/pdfs/{title}", "**/pdfs", "**/ureader_images")
