"""The folders of saved answers in shared/eval: items, answers, and the scores that they get."""

import json
from pathlib import Path
from typing import Any

from sphinx_x.evaluation.task import Rule

FOLDERS = (
    *("MMMU_val_single", "ai2diagram_test", "chartqa_test_human", "docvqa_val", "gqa_testdev", "mme", "okvqa_val"),
    *("refcoco+_testA", "refcoco+_val", "refcoco_testA", "refcoco_testB", "refcoco_val", "refcocog_val"),
    *("scienceqa_test_img", "textvqa_val"),
)
AGGREGATES = (
    *("sum", "overall", "accuracy", "anls", "relaxed_accuracy", "precision"),
    *("accuracy_unreadable_wrong", "accuracy_ambiguous_wrong"),
)


def load(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


def wanted(scores: dict[str, Any], rule: Rule) -> tuple[list[float | None], float] | None:
    """The items' scores and the aggregate by a rule; None where there are none of it."""
    official = scores["official"]
    items = scores.get("per_item_correct") or official["per_item"]
    found = official
    if rule == "script":
        found = scores.get("official_script")
        if found is None:
            return None
        items = list(items)
        for index, value in found["per_item_where_different"].items():
            items[int(index)] = value
    return items, next(found[name] for name in AGGREGATES if name in found)
