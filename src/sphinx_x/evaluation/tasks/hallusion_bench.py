"""HallusionBench: yes-or-no questions about charts, maps and illusions as they are and changed, some without image."""

from collections.abc import Mapping
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_group
from sphinx_x.evaluation.items import UNREADABLE, Item, Verdict
from sphinx_x.evaluation.measures import Together, each
from sphinx_x.evaluation.readers import Folders, picture, reader, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Reading, Task


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release. gt_answer: 1 is yes; visual_input: 0 where there is no image."""
    kind = f"{text_of(row, 'category')}_{text_of(row, 'subcategory')}"
    answer, shown = str(row["gt_answer"]), str(row["visual_input"])
    if answer not in ("0", "1"):
        raise DataError(f"gt_answer must be 0 or 1, not {answer!r}")
    numbers = {name: str(row[f"{name}_id"]) for name in ("set", "figure", "question")}
    topic = f"{kind}_{numbers['set']}"
    return Item(
        index=number,
        question=text_of(row, "question"),
        pictures=() if shown == "0" else picture(text_of(row, "filename").removeprefix("./"), folders),
        references=("yes" if answer == "1" else "no",),
        id=f"{topic}_{numbers['figure']}_{numbers['question']}",
        kind=kind,
        cluster=topic,
        facts={**numbers, "category": row["category"]},
    )


def judged(item: Item, answer: str, how: Reading) -> Verdict:
    """Yes or no; without the image that a question is about, to say neither is right as well, as in the release."""
    found = BY_WORD(item, answer, how)
    if found is UNREADABLE and figure(item) is None and answer.strip():
        return Verdict(1.0, "neither")
    return found


def question(item: Item) -> str:
    """A question about all of its images."""
    return f"{item.cluster}_{item.facts['question']}"


def figure(item: Item) -> str | None:
    """An image with all of its questions; none where a question that has an image in other cases has none here."""
    nothing = item.facts["category"] == "VS" and item.facts["figure"] == "0"
    return None if nothing else f"{item.cluster}_{item.facts['figure']}"


def easy(item: Item) -> str | None:
    """A question about the image as it was."""
    return question(item) if item.facts["figure"] == "0" else None


def hard(item: Item) -> str | None:
    """A question about all changed images."""
    return None if item.facts["figure"] == "0" else question(item)


BY_WORD = verdicts.word()
PAPER = {"qAcc": 16.48, "fAcc": 23.12, "easy": 55.16, "hard": 37.91, "aAcc": 52.08}
TASKS = [
    Task(
        "hallusion_bench",
        "HallusionBench",
        {"image": Files(("**/HallusionBench.json",), ("**/hallusion_bench",), 1129)},
        reader(own=own_item),
        judged,
        Together({"aAcc": each, "qAcc": question, "fAcc": figure, "easy": easy, "hard": hard}),
        prompt="{} Please answer yes or no.",
        chance=guessed_group(each, options=2),
        licence="BSD-3-Clause",
        address="https://github.com/tianyi-lab/HallusionBench",
        layout="HallusionBench's release and its utils.py; the request for yes or no is VLMEvalKit's",
        paper={name: {"moe": score} for name, score in PAPER.items()},
        aliases=("hallusionbench",),
        whole=True,
        note="the release has answers judged by GPT-4 against a reference; here yes or no is read, without a judge (as "
        "there, to say neither is right where a question has no image that others have)",
    )
]
