"""MMMU: questions of college courses, options or open, several images in some."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.items import UNREADABLE, Item, Picture, Verdict
from sphinx_x.evaluation.prompts import LETTER
from sphinx_x.evaluation.readers import (
    Folders,
    entry,
    items_of,
    lettered,
    load,
    numbered,
    parquet,
    published_item,
    reader,
    text_of,
    texts,
)
from sphinx_x.evaluation.scoring import mmmu
from sphinx_x.evaluation.scoring.choice import listed_options
from sphinx_x.evaluation.task import Files, Reading, Task

COLUMNS = tuple(f"image_{number}" for number in range(1, 8))
LETTERS = "ABCDEFGHI"
OPEN = "Answer the question using a single word or phrase."
_SHOWN = re.compile(r"<image ([1-7])>")


def listed_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """An item of the reference repository's list; a true answer in square brackets is a list."""
    item = published_item(row, number, folders)
    gold, options = item.references[0].strip(), listed_options(item.question)
    return replace(
        item,
        references=_true(item.references[0]),
        options=options if gold in options else {},
        kind=item.id,
        id=f"{item.id}-{number}",
    )


def own_item(row: Mapping[str, Any], cells: Mapping[str, Picture], subject: str) -> Item:
    """A row of the release: `options` is a list written in Python.

    Texts name images as <image 1>; those that they name are shown, in the order of their numbers, and all where they
    name none.
    """
    options = lettered(texts(ast.literal_eval(text_of(row, "options"))))
    references = _true(text_of(row, "answer"))
    asked = text_of(row, "question")
    if options:
        if references[0] not in options:
            raise DataError(f"the answer {references[0]!r} is none of the options {', '.join(options)}")
        asked += "\n\n" + "".join(f"({letter}) {text}\n" for letter, text in options.items()) + f"\n{LETTER}"
    else:
        asked += f"\n\n{OPEN}"
    named = {f"image_{number}" for number in _SHOWN.findall(asked)}
    missing = named - cells.keys()
    if missing:
        raise DataError(f"names a picture that it has not: {', '.join(sorted(missing))}")
    pictures = tuple(cells[name] for name in COLUMNS if name in (named or cells))
    known = text_of(row, "id")
    return Item(0, asked, pictures, references, known, subject, known, options)


def _true(answer: str) -> tuple[str, ...]:
    gold = answer.strip()
    return texts(ast.literal_eval(gold)) if gold.startswith("[") and gold.endswith("]") else (answer,)


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The release, a folder for each subject with Parquet files, or the reference repository's list."""
    if path.is_file() and path.suffix != ".parquet":
        return _listed(path, folders)
    files = sorted(path.glob("**/validation-*.parquet")) if path.is_dir() else [path]
    return numbered(item for file in files for item in _rows(file))


def _listed(path: Path, folders: Folders) -> Iterator[Item]:
    """The reference's list, or what the release's own evaluation reads.

    That is a model's output with the true answers, or the answers alone (`answer_dict_val.json`). They have no
    questions: answers can be scored, a model not be asked.
    """
    content = load(path)
    if isinstance(content, Mapping):
        content = [{"id": name, **row} for name, row in content.items() if isinstance(row, Mapping)]
        return items_of(path, content, folders, tool_item)
    tool = isinstance(content, list) and content and isinstance(content[0], Mapping) and "question_type" in content[0]
    return items_of(path, content, folders, tool_item) if tool else reader(published=listed_item)(path, folders)


def tool_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """An entry of the release's evaluation (id, question_type, answer or ground_truth, index2ans)."""
    known, answer = text_of(row, "id"), row["answer"] if "answer" in row else row["ground_truth"]
    choice = text_of(row, "question_type") == "multiple-choice"
    options = dict(row.get("index2ans") or dict.fromkeys(LETTERS, "")) if choice else {}
    references = texts(answer)
    if choice and references[0] not in options:
        raise DataError(f"the answer {references[0]!r} is none of the options {', '.join(options)}")
    return Item(number, "", (), references, known, _subject(known), known, options)


def _subject(known: str) -> str:
    """`validation_Art_Theory_1` is of Art_Theory."""
    return "_".join(known.split("_")[1:-1])


def _rows(file: Path) -> Iterator[Item]:
    for place, (row, cells) in enumerate(parquet(file, COLUMNS)):
        with entry(file, place):
            yield own_item(row, cells, file.parent.name)


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """As the release reads answers, but that an answer without a letter is unreadable where it draws one."""
    if not item.options:
        right = mmmu.open_answer(answer, item.references)
        return Verdict(float(right), answer.strip() or None) if answer.strip() or right else UNREADABLE
    said = mmmu.read_letter(answer, item.options)
    return UNREADABLE if said is None else Verdict(float(said == item.references[0].strip()), said)


TASKS = [
    Task(
        "mmmu",
        "MMMU",
        {"val": Files(("**/MMMU_val_single.json", "**/MMMU"), (), 900)},
        read,
        verdict,
        max_new_tokens=16,
        chance=guessed_option,
        licence="Apache-2.0",
        address="https://mmmu-benchmark.github.io",
        layout="MMMU's release (a folder a subject, Parquet), its prompts and the files of its evaluation; the "
        "reference repository's list",
        paper={"": {"moe": 31.1}},
        aliases=("mmmu_val_single",),
        note="the released reader, without its random letters: unreadable answers are wrong. The reference's list has "
        "one image a question, the release up to seven",
    )
]
