"""SROIE: company, date, address and total of scanned receipts (ICDAR 2019, task 3)."""

from collections.abc import Iterator
from pathlib import Path

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import ByKind
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, entry, load, numbered, picture, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task

QUESTIONS = {
    "company": "What is the name of the company?",
    "date": "What is the date?",
    "address": "What is the address?",
    "total": "What is the total?",
}

FOLDER = "**/*[Ss][Rr][Oo][Ii][Ee]*"


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """A question for every value that the folder `key` has of a receipt: one JSON file each, named like its picture."""
    files = sorted(path.glob("*.json")) if path.is_dir() else []
    if not files:
        raise DataError(f"{path}: holds no keys of receipts (NAME.json)")
    return numbered(item for file in files for item in _items(file, (path.parent / "img", *folders)))


def _items(file: Path, folders: Folders) -> Iterator[Item]:
    row, name = load(file), f"{file.stem}.jpg"
    with entry(file, 0):
        if not isinstance(row, dict):
            raise DataError("not an object")
        for field, question in QUESTIONS.items():
            if field in row and text_of(row, field).strip():  # a few receipts of the release lack a value
                yield Item(
                    0, question, picture(name, folders), (row[field].strip(),), f"{file.stem}-{field}", field, name
                )


TASKS = [
    Task(
        "sroie",
        "SROIE",
        {"all": Files(("key", f"{FOLDER}/**/key"), ("img", f"{FOLDER}/**/img"))},
        read,
        verdicts.same_letters_and_digits,
        ByKind(tuple(QUESTIONS), "mean of fields"),
        prompt=SHORT,
        max_new_tokens=80,
        rules=("strict",),
        licence="not stated",
        address="https://rrc.cvc.uab.es/?ch=13",
        layout="zzzDavid/ICDAR-2019-SROIE data/img, data/key",
        note="right where letters and digits are equal; the challenge counts only the very text (rule `strict`), as F1 "
        "over what a program gives out",
    )
]
