"""DeepForm and Kleister Charity: the values of keys on the first page of forms and reports."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sphinx_x.evaluation.counts import ValueF1
from sphinx_x.evaluation.documents import LAYOUT, document_reader, due_files, due_images, turn_of
from sphinx_x.evaluation.items import Item, Picture, Verdict
from sphinx_x.evaluation.readers import Folders, picture
from sphinx_x.evaluation.task import Files, Reading, Task
from sphinx_x.sources.documents import CHARITY_KEYS, FORM_KEYS, NO_VALUE, VALUE


def of_document(row: Mapping[str, Any], pages: tuple[Picture, ...], keys: Sequence[str]) -> Iterator[Item]:
    """A question for every key that a document of the set may have, and for any further one that this one has."""
    values: dict[str, list[Mapping[str, Any]]] = {key: [] for key in keys}
    for annotation in row["annotations"]:
        values.setdefault(annotation["key"], []).extend(annotation["values"])
    for key, found in values.items():
        texts = tuple(text for value in found for text in (value["value"], *value.get("value_variants", ())))
        facts = {"values": len(found)}
        name = row["name"]
        yield Item(0, VALUE.format(key), pages, texts or (NO_VALUE,), f"{name}-{key}", key, name, facts=facts)


def of_turn(row: Mapping[str, Any], number: int, folders: Folders, keys: Sequence[str]) -> Item:
    """A line of UReader's files: one value, or `None`; the key stands in the question."""
    name, question, answer = turn_of(row)
    kind = next((key for key in keys if key in question), "")
    facts = {"values": int(answer.strip() != NO_VALUE)}
    return Item(number, question, picture(name, folders), (answer,), f"{name}-{number}", kind, name, facts=facts)


def value(item: Item, answer: str, how: Reading) -> Verdict:
    """Equal to one of the values of the key, or to a variant of one, but for case; `None` claims that there is none.

    `script`: blanks around count, and only the very word `None` claims nothing.
    """
    said = answer if how.rule == "script" else answer.strip()
    nothing = said == NO_VALUE if how.rule == "script" else said.casefold().removesuffix(".") == NO_VALUE.casefold()
    if nothing:
        return Verdict(float(not item.facts["values"]), NO_VALUE)
    right = bool(item.facts["values"]) and said.upper() in [text.upper() for text in item.references]
    return Verdict(float(right), said if said.strip() else None)


def _task(name: str, title: str, due: str, keys: Sequence[str], **more: Any) -> Task:
    files = Files(due_files(due, title), due_images(title), more.pop("items"))
    return Task(
        name,
        title,
        {"test": files},
        document_reader(partial(of_document, keys=keys), partial(of_turn, keys=keys)),
        value,
        ValueF1(NO_VALUE),
        rules=("script",),
        address="https://duebenchmark.com/data",
        layout=LAYOUT,
        note="F1 of DUE's evaluator without regard to case; `None` is no value (UReader); only the first page is shown",
        **more,
    )


TASKS = [
    _task(
        "deepform",
        "DeepForm",
        "DeepForm",
        FORM_KEYS,
        items=None,
        max_new_tokens=20,
        licence="not stated; public files of the FCC",
        paper={"": {"tiny": 11.8, "intern2": 6.5, "plus": 9.2, "moe": 20.7}},
    ),
    _task(
        "kleister_charity",
        "KleisterCharity",
        "kleister-charity",
        CHARITY_KEYS,
        items=4872,
        max_new_tokens=25,
        licence="not stated; reports published by the Charity Commission for England and Wales",
        paper={"": {"tiny": 22.2, "intern2": 10.5, "plus": 23.9, "moe": 25.5}},
        aliases=("kleistercharity", "klc"),
    ),
]
