"""MMBench and CCBench: one letter of two to six options.

A question counts where it is answered rightly in every rotation of its options (circular evaluation).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_group, guessed_option
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import Together, each
from sphinx_x.evaluation.prompts import CHINESE_OPTIONS, OPTIONS
from sphinx_x.evaluation.readers import Folders, entry, listing, numbered, table, table_picture
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task

ROTATION = 1_000_000
"""Rotations of a question stand in the table under its index and as many times this number."""
LETTERS = "ABCDEF"
EMPTY = ("", "nan")
"""Cells without a value: some of the released tables write it out."""
Places = Mapping[str, tuple[int, int]]


def question_of(item: Item) -> str:
    """What the rotations of a question have in common."""
    return item.facts["question"]


def rotations(item: Item) -> Iterator[Item]:
    """The question with its options moved on by one, by two, ..."""
    letters, texts = list(item.options), list(item.options.values())
    true = letters.index(item.references[0])
    for step in range(1, len(letters)):
        moved = dict(zip(letters, texts[step:] + texts[:step], strict=True))
        asked = item.question.replace(listing(item.options), listing(moved))
        answer = letters[(true - step) % len(letters)]
        name = str(int(item.id) + step * ROTATION)
        yield replace(item, question=asked, references=(answer,), id=name, options=moved, facts=_facts(int(name)))


def _facts(index: int) -> dict[str, object]:
    return {"question": str(index % ROTATION), "rotated": index >= ROTATION}


def _items(path: Path) -> Iterator[Item]:
    """An item for every row. A picture may be told by the index of the row that holds it."""
    rows: list[tuple[dict[str, str], Places]] = []
    holders: dict[str, Places] = {}
    for row, places in table(path):
        if "image" in places:
            holders[row.get("index", "")] = places
            row["image"] = row.get("index", "")  # a thousand pictures are not kept
        rows.append((row, places))
    for number, (row, _) in enumerate(rows):
        with entry(path, number):
            yield _item(path, row, holders)


def _item(path: Path, row: Mapping[str, str], holders: Mapping[str, Places]) -> Item:
    index = int(row["index"])
    options = {letter: row[letter] for letter in LETTERS if row.get(letter, "").strip() not in EMPTY}
    answer = row["answer"].strip()
    if answer not in options or list(options) != list(LETTERS[: len(options)]):
        raise DataError(f"the answer {answer!r} is none of the options {', '.join(options) or '(none)'}")
    if row["image"] not in holders:
        raise DataError(f"image must be base64, or the index of a row that holds it, not {row['image'][:40]!r}")
    hint = row.get("hint", "").strip()
    lines = [hint] if hint not in EMPTY else []
    shown = table_picture(path, f"{path.stem}/{row['image']}", holders[row["image"]])
    return Item(
        index=0,
        question="\n".join([*lines, row["question"], listing(options)]),
        pictures=(shown,),
        references=(answer,),
        id=str(index),
        kind=row.get("category", ""),
        cluster=str(int(row["image"]) % ROTATION),
        options=options,
        facts=_facts(index),
    )


def circular(path: Path, folders: Folders) -> Iterator[Item]:
    """All rows of the table; where it has no rotations at all, those of every question come after them."""
    items = list(_items(path))
    if not any(item.facts["rotated"] for item in items):
        items += [turned for item in items for turned in rotations(item)]
    return numbered(items)


def plain(path: Path, folders: Folders) -> Iterator[Item]:
    """The questions as they stand first, without their rotations."""
    return numbered(item for item in _items(path) if not item.facts["rotated"])


def _tasks(
    name: str, title: str, prompt: str, files: Sequence[str], items: tuple[int, int], scores: Mapping[str, float]
) -> list[Task]:
    def first(item: Item) -> str | None:
        return None if item.facts["rotated"] else each(item)

    both = Task(
        name,
        f"{title}, circular",
        {"dev": Files(tuple(files), (), items[1])},
        circular,
        verdicts.option,
        Together({"circular": question_of, "plain": first}),
        prompt=prompt,
        chance=guessed_group(question_of),
        rules=("strict",),
        licence="Apache-2.0",
        address="https://github.com/open-compass/MMBench",
        layout="the released tables as VLMEvalKit and lmms-eval read them; LLaVA's prompt",
        paper={"circular": scores},
        aliases=(f"{name}_circular",),
        whole=True,
        note="no option is read by a language model; rotations that the table lacks are made and asked after its rows",
    )
    alone = replace(
        both,
        name=f"{name}_plain",
        title=f"{title}, each question once",
        splits={"dev": Files(tuple(files), (), items[0])},
        read=plain,
        measure=Together({"accuracy": each}),
        chance=guessed_option,
        paper={},
        aliases=(),
        whole=False,
        note="no option is read by a language model; rotations in the table are left out, `index` counts what is left",
    )
    return [both, alone]


TASKS = [
    *_tasks(
        "mmbench",
        "MMBench (dev)",
        OPTIONS,
        ("**/mmbench_dev_en*.tsv", "**/MMBench_DEV_EN.tsv", "**/MMBench_DEV_EN*.tsv", "**/mmbench_dev_2*.tsv"),
        (1164, 4329),
        {"tiny": 56.6, "intern2": 57.9, "plus": 71.0, "moe": 71.3},
    ),
    *_tasks(
        "ccbench",
        "CCBench",
        CHINESE_OPTIONS,
        ("**/CCBench.tsv", "**/CCBench*.tsv", "**/ccbench*.tsv"),
        (510, 2040),
        {"tiny": 17.5, "intern2": 21.0, "plus": 25.6, "moe": 15.4},
    ),
]
