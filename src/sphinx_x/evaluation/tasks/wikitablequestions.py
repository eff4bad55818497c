"""WikiTableQuestions: questions about tables of Wikipedia, answered with one value or several."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
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
    """The release (tagged or plain lines, tables as CSV files), or another form."""
    return _release(path) if path.suffix in (".tsv", ".tagged") else document_reader(of_document)(path, folders)


def _release(path: Path) -> Iterator[Item]:
    """Tagged lines, where they are there, have the values' canonical forms, as the release's evaluator takes them."""
    folder = path.parent.parent.parent if path.suffix == ".tagged" else path.parent.parent
    tagged = folder / "tagged" / "data" / f"{path.stem}.tagged"
    number = -1
    for number, row in enumerate(wikitable_questions(tagged if tagged.is_file() else path)):
        with entry(path, number):
            name, values = row["context"], wikitable_values(row["targetValue"])
            canonical = wikitable_values(row["targetCanon"]) if "targetCanon" in row else []
            if canonical and len(canonical) != len(values):
                raise DataError(f"{len(canonical)} canonical forms of {len(values)} values")
            table = PictureDrawn(name, partial(draw_wikitable, folder / name))
            yield _item(number, wikitable_text(row["utterance"]), (table,), values, canonical, row["id"], name)
    if number < 0:
        raise DataError(f"{path}: holds no questions")


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
                    f"**/tagged/data/{NAMES}.tagged",
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
