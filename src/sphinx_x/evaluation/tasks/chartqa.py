"""ChartQA: questions about charts, written by people and made from summaries."""

from collections.abc import Mapping
from typing import Any

from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import Mean
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, picture, reader, text_of, texts
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release (imgname, query, label)."""
    name = text_of(row, "imgname")
    return Item(
        number, text_of(row, "query"), picture(name, folders), texts(row["label"]), f"{name}-{number}", cluster=name
    )


IMAGES = ("**/ChartQA*/test/png", "**/chartqa*/test/png")
TASKS = [
    Task(
        "chartqa_test",
        "ChartQA",
        {
            split: Files((f"**/test/test_{split}.json", f"**/chartqa_test_{split}.json"), IMAGES, 1250)
            for split in ("human", "augmented")
        },
        reader(own=own_item),
        verdicts.relaxed,
        Mean("relaxed accuracy"),
        prompt=SHORT,
        rules=("script",),
        licence="GPL-3.0",
        address="https://github.com/vis-nlp/ChartQA",
        layout="ChartQA's release; the reference repository's lists",
        paper={"mean": {"tiny": 34.1, "intern2": 39.7, "plus": 53.4, "moe": 55.0}},
        aliases=("chartqa",),
        note="'12 %' is 0.12 on both sides; the paper's score is the mean of the two splits",
    )
]
