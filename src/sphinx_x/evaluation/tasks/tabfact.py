"""TabFact: whether statements about a table are true."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.documents import LAYOUT, document_reader, due_files, due_images, turn_of
from sphinx_x.evaluation.drawn import PictureDrawn
from sphinx_x.evaluation.items import Item, Picture
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, entry, picture
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task
from sphinx_x.sources.base import Malformed, Raw
from sphinx_x.sources.documents import YES_NO, draw_tabfact, read_tabfact

_WORD = re.compile(r"\W*(yes|no|true|false)\b", re.IGNORECASE)
MEANT = {"yes": "yes", "true": "yes", "no": "no", "false": "no", "1": "yes", "0": "no"}


def read_truth(answer: str) -> str | None:
    """`yes` or `no`: the word that an answer begins with, `true` and `false` as well; None: another."""
    found = _WORD.match(answer)
    return MEANT[found[1].lower()] if found else None


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The release (names of tables, the statements in collected_data, tables as text), or another form."""
    if not path.name.endswith("_id.json"):
        return document_reader(of_document, of_turn)(path, folders)
    return _release(path)


def _release(path: Path) -> Iterator[Item]:
    raw = Raw(path.parent.parent, path.name.removesuffix("_id.json"))
    count = 0
    for number, record in enumerate(read_tabfact(raw)):
        with entry(path, number):
            if isinstance(record.data, Malformed):
                raise DataError(f"{record.id}: {record.data.reason}")
            caption = record.data[0][2]
            table = PictureDrawn(record.id, partial(_drawn, raw, record.id, caption))
            for statements, labels, _ in record.data:
                for statement, label in zip(statements, labels, strict=True):
                    yield _item(count, statement, MEANT[str(label)], (table,), record.id)
                    count += 1


def _drawn(raw: Raw, name: str, caption: str) -> bytes:
    return draw_tabfact(raw.file(f"data/all_csv/{name}"), caption)


def of_document(row: Mapping[str, Any], pages: tuple[Picture, ...]) -> Iterator[Item]:
    """Statements of a document of DUE, whose values are 1 and 0."""
    for annotation in row["annotations"]:
        yield _item(0, annotation["key"], MEANT[annotation["values"][0]["value"]], pages, row["name"])


def of_turn(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A line of UReader's files."""
    name, question, answer = turn_of(row)
    true = read_truth(answer)
    if true is None:
        raise DataError(f"the answer {answer!r} is neither yes nor no")
    return Item(number, question, picture(name, folders), (true,), f"{name}-{number}", cluster=name)


def _item(number: int, statement: str, true: str, pictures: tuple[Picture, ...], table: str) -> Item:
    question = YES_NO.format(statement.strip().rstrip(" ."))
    return Item(number, question, pictures, (true,), f"{table}-{number}", cluster=table)


TASKS = [
    Task(
        "tabfact",
        "TabFact",
        {
            "test": Files(
                (
                    *due_files("TabFact", "TabFact")[:2],
                    "**/[tT]ab*[fF]act*/data/test_id.json",
                    "**/Table-Fact-Checking*/data/test_id.json",
                    "**/TabFact.json",
                ),
                due_images("TabFact"),
            )
        },
        read,
        verdicts.word(read_truth),
        prompt=SHORT,
        chance=lambda items: 0.5,
        licence="CC BY 4.0",
        address="https://github.com/wenhuchen/Table-Fact-Checking",
        layout=f"README, code/preprocess_data.py and data of wenhuchen/Table-Fact-Checking; {LAYOUT}",
        paper={"": {"tiny": 51.1, "intern2": 51.4, "plus": 52.8, "moe": 52.7}},
        note="the release has tables as text, drawn here, where DUE and UReader have pages; the question is UReader's",
    )
]
