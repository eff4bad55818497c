"""MathVista: mathematics in pictures; the final answer is found by rule or by a judge, and compared by rule."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_x.evaluation import judge_prompts as prompts
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.judging import Judging, Texts
from sphinx_x.evaluation.measures import Grouped
from sphinx_x.evaluation.readers import (
    Folders,
    entry,
    items_of,
    lettered,
    load,
    parquet,
    picture,
    rows_by_id,
    text_of,
    texts,
)
from sphinx_x.evaluation.scoring import mathvista
from sphinx_x.evaluation.task import Files, Reading, Task

FORMS = {"text": "the option's letter", "integer": "an integer", "float": "a number", "list": "a list like [1, 2, 3]"}
FOLDERS = ("**/mathvista", "**/mathvista/**", "**/MathVista", "**/MathVista/**")
ROOTS = ("**/mathvista", "**/mathvista/data", "**/MathVista", "**/MathVista/data", "data")
PARQUET = "**/testmini-*.parquet"
PROBLEMS = (
    *("figure question answering", "geometry problem solving", "math word problem"),
    *("textbook question answering", "visual question answering"),
)


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """testmini.json, entries by their ids or a list, or the Parquet file, which holds the pictures.

    The prompts are those of query.json where it lies beside.
    """
    if path.suffix == ".parquet":
        for number, (row, pictures) in enumerate(parquet(path, ["decoded_image"])):
            with entry(path, number):
                yield replace(own_item(row, number, folders), pictures=(pictures["decoded_image"],))
        return
    rows = rows_by_id(path, "pid")
    beside = path.with_name("query.json")
    queries = load(beside) if beside.is_file() else {}
    yield from items_of(path, ({"query": queries.get(str(row.get("pid"))), **row} for row in rows), folders, own_item)


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A problem of the release."""
    name, answer_type = text_of(row, "image"), text_of(row, "answer_type")
    if answer_type not in FORMS:
        raise ValueError(f"no type of answer of MathVista: {answer_type!r}")
    options = lettered(texts(row["choices"])) if row.get("choices") else {}
    about = row.get("metadata") or {}
    facts = {"type": answer_type, "precision": int(row.get("precision") or 0), "problem": text_of(row, "question")}
    question, kind = row.get("query") or query(row, options), about.get("task", "")
    true = texts(row["answer"])
    pictures = picture(name, folders)
    return Item(number, question, pictures, true, str(row["pid"]), kind, name, options, facts=facts)


def query(row: Mapping[str, Any], options: Mapping[str, str]) -> str:
    """The prompt of the release: what form the answer has, the question with its unit, the options."""
    wanted = {
        "text": "and provide the correct option letter, e.g., A, B, C, D, at the end.",
        "integer": "requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
        "list": "requiring a Python list as an answer and provide the final list, "
        "e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.",
        "float": "requiring a floating-point number with two decimal places and provide the final value, "
        "e.g., 1.23, 1.34, 1.45, at the end."
        if row.get("precision") == 2
        else "requiring a floating-point number with one decimal place and provide the final value, "
        "e.g., 1.2, 1.3, 1.4, at the end.",
    }[row["answer_type"]]
    unit = f" (Unit: {row['unit']})" if row.get("unit") else ""
    lines = [f"Hint: Please answer the question {wanted}", f"Question: {row['question']}{unit}"]
    if options:
        lines += ["Choices:", *(f"({letter}) {text}" for letter, text in options.items())]
    return "\n".join(lines)


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """By rule alone."""
    return mathvista.by_rule(item, answer, how.rule)


def ask(item: Item, answer: str) -> Texts | None:
    """What the final answer is; a bare answer needs no judge."""
    if mathvista.decided(item, answer):
        return None
    form = FORMS[item.facts["type"]]
    return [("user", prompts.filled(prompts.EXTRACT, question=item.question, answer=answer, form=form))]


def problems(item: Item) -> tuple[str, ...]:
    """The kind of problem, where it is told."""
    return (item.kind,) if item.kind in PROBLEMS else ()


TASKS = [
    Task(
        "mathvista",
        "MathVista",
        {
            "testmini": Files(
                (*(f"{f}/testmini.json" for f in FOLDERS), "data/testmini.json", "testmini.json", PARQUET), ROOTS, 1000
            )
        },
        read,
        verdict,
        Grouped(PROBLEMS, problems),
        max_new_tokens=512,
        chance=guessed_option,
        rules=("script",),
        judging=Judging(
            prompts.EXTRACT_VERSION,
            ask,
            mathvista.read_extracted,
            "Reply with the final answer alone, or with null.",
            longest=128,
            offline="the final answer is found by rule",
        ),
        licence="CC BY-SA 4.0",
        address="https://mathvista.github.io",
        layout="MathVista's release (data/testmini.json, query.json, images; testmini-*.parquet) and its scripts",
        paper={"": {"tiny": 26.4, "intern2": 35.5, "plus": 36.8, "moe": 42.7}},
        note="rule script takes an option that cannot be read for the one with the fewest edits; "
        "the judge that finds answers is asked in our own words",
    )
]
