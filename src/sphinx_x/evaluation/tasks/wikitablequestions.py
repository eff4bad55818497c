"""WikiTableQuestions: questions about tables of Wikipedia, answered with one value or several."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError, one_line
from sphinx_x.evaluation.documents import LAYOUT, document_reader, due_files, due_images
from sphinx_x.evaluation.drawn import PictureDrawn
from sphinx_x.evaluation.items import Item, Picture, Verdict
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, entry
from sphinx_x.evaluation.scoring.denotation import same_answer
from sphinx_x.evaluation.scoring.verdicts import graded
from sphinx_x.evaluation.task import Files, Reading, Task
from sphinx_x.sources.documents import draw_wikitable, wikitable_questions, wikitable_text, wikitable_values

NAMES = "pristine-unseen-tables"


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The release (lines with tabs, tables as CSV files), or another form."""
    return _release(path) if path.suffix == ".tsv" else document_reader(of_document)(path, folders)


def _release(path: Path) -> Iterator[Item]:
    """Values with the canonical forms of the tagged lines, where these are, as the release's evaluator has them."""
    folder = path.parent.parent
    tagged = folder / "tagged" / "data" / f"{path.stem}.tagged"
    forms = {row["id"]: wikitable_values(row["targetCanon"]) for row in _lines(tagged)} if tagged.is_file() else {}
    for number, row in enumerate(_lines(path)):
        with entry(path, number):
            name, values = row["context"], wikitable_values(row["targetValue"])
            canonical = forms[row["id"]] if forms else []
            if canonical and len(canonical) != len(values):
                raise DataError(f"{len(canonical)} canonical forms of {len(values)} values")
            table = PictureDrawn(name, partial(draw_wikitable, folder / name))
            yield _item(number, wikitable_text(row["utterance"]), (table,), values, canonical, row["id"], name)


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        rows = list(wikitable_questions(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {one_line(error)}") from error
    if not rows or "targetValue" not in rows[0]:
        raise DataError(f"{path}: holds no lines of questions with a heading")
    return rows


def of_document(row: Mapping[str, Any], pages: tuple[Picture, ...]) -> Iterator[Item]:
    """Questions about a document of DUE."""
    for turn, annotation in enumerate(row["annotations"]):
        values = [value["value"] for value in annotation["values"]]
        yield _item(0, annotation["key"], pages, values, [], f"{row['name']}-{turn}", row["name"])


def _item(
    number: int,
    question: str,
    pictures: tuple[Picture, ...],
    values: list[str],
    canonical: list[str],
    name: str,
    table: str,
) -> Item:
    facts = {"values": values, "canonical": canonical}
    return Item(number, question, pictures, (", ".join(values),), name, cluster=table, facts=facts)


def denotation(item: Item, answer: str, how: Reading) -> Verdict:
    """The same values, in any order. `script`: the answer is one value, as UReader's program takes it."""
    values, canonical = item.facts.get("values", item.references), item.facts.get("canonical", ())
    return graded(float(same_answer(answer, values, canonical, single=how.rule == "script")), answer)


TASKS = [
    Task(
        "wikitablequestions",
        "WikiTableQuestions",
        {
            "test": Files(
                (
                    *due_files("WikiTableQuestions", "WikiTableQuestions"),
                    f"**/data/{NAMES}.tsv",
                ),
                due_images("WikiTableQuestions"),
                4344,
            )
        },
        read,
        denotation,
        prompt=SHORT,
        max_new_tokens=20,
        rules=("script",),
        licence="CC BY-SA 4.0",
        address="https://github.com/ppasupat/WikiTableQuestions",
        layout=f"README of ppasupat/WikiTableQuestions; {LAYOUT}",
        paper={"": {"tiny": 15.3, "intern2": 21.1, "plus": 27.1, "moe": 29.9}},
        aliases=("wtq",),
        note="accuracy of denotations; several values of an answer stand between commas or |; the release has tables "
        "as text, which are drawn here, where DUE and UReader have pages",
    )
]
