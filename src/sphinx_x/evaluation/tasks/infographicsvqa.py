"""InfographicsVQA: questions about infographics of the web."""

from collections.abc import Mapping
from typing import Any

from sphinx_x.evaluation.documents import LAYOUT, document_reader
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import Mean
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, picture, text_of, texts
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release, all of its answers; kinds are the sorts of answers."""
    name = text_of(row, "image_local_name")
    kind = ", ".join(texts(row.get("answer_type", ())))
    pictures, answers = picture(name, folders), texts(row["answers"])
    return Item(number, text_of(row, "question"), pictures, answers, str(row["questionId"]), kind, name)


TASKS = [
    Task(
        "infographicsvqa",
        "InfographicsVQA",
        {
            "val": Files(
                (
                    "**/infographicsVQA_val_v1.0*.json",
                    "**/infographicVQA_val_v1.0*.json",
                    "**/InfographicsVQA.json",
                    "**/ureader_json/test_InfographicsVQA.jsonl",
                ),
                ("**/infographicsvqa_images", "**/infographicsvqa/*images*", "**/ureader_images"),
                2801,
            )
        },
        document_reader(own=own_item),
        verdicts.anls,
        Mean("ANLS"),
        prompt=SHORT,
        max_new_tokens=25,
        rules=("script",),
        licence="see the address (registration)",
        address="https://www.docvqa.org",
        layout=f"google-research/big_vision big_vision/datasets/infovqa/infovqa.py; {LAYOUT}",
        paper={"": {"tiny": 26.3, "intern2": 31.6, "plus": 34.7, "moe": 41.8}},
        aliases=("infovqa",),
        note="the paper's scores are of the test split, whose answers are not public",
    )
]
