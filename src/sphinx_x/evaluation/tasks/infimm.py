"""InfiMM-Eval (CORE-MM): open questions that want several steps of reasoning, which a judge grades as well."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sphinx_x.evaluation import judge_prompts as prompts
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.judging import Judging, Texts
from sphinx_x.evaluation.measures import Grouped
from sphinx_x.evaluation.readers import Folders, items_of, picture, rows_by_id, text_of, texts
from sphinx_x.evaluation.scoring import grades
from sphinx_x.evaluation.scoring.verdicts import not_scored
from sphinx_x.evaluation.task import UNVERIFIED, Files, Task

REASONING, COMPLEXITY = ("deductive", "abductive", "analogical"), ("moderate", "high")


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """Entries by their ids, or a list."""
    return items_of(path, rows_by_id(path, "question_id"), folders, own_item)


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question (images, question, answer, steps, category, complexity)."""
    kind, complexity = text_of(row, "category").lower(), text_of(row, "complexity").lower()
    if kind not in REASONING or complexity not in COMPLEXITY:
        raise ValueError(f"no kind of reasoning or complexity of InfiMM-Eval: {kind!r}, {complexity!r}")
    names = texts(row["images"])
    pictures = tuple(one for name in names for one in picture(name, folders))
    facts = {"steps": "\n".join(texts(row.get("steps") or [])), "complexity": complexity}
    true, key = texts(row["answer"])[:1], str(row["question_id"])
    return Item(number, text_of(row, "question"), pictures, true, key, kind, ",".join(names), facts=facts)


def ask(item: Item, answer: str) -> Texts:
    """How far the model came, by the annotated steps."""
    known = {"question": item.question, "truth": item.references[0], "steps": item.facts["steps"], "answer": answer}
    return [("user", prompts.filled(prompts.STEPS, **known))]


def weighed(item: Item, verdict: Verdict) -> tuple[float, float]:
    """Questions of high complexity count twice."""
    weight = 2.0 if item.facts["complexity"] == "high" else 1.0
    return weight * verdict.score, weight


TASKS = [
    Task(
        "infimm",
        "InfiMM-Eval",
        {
            "test": Files(
                ("**/infimm-eval.json", "**/InfiMM-Eval.json"),
                ("**/infimm/images", "**/InfiMM-Eval/images", "images"),
                279,
            )
        },
        read,
        not_scored,
        Grouped((*REASONING, *COMPLEXITY), lambda item: (item.kind, item.facts["complexity"]), "score", 100.0, weighed),
        max_new_tokens=512,
        judging=Judging(prompts.STEPS_VERSION, ask, grades.read_grade),
        licence="CC BY-NC 4.0",
        address="https://infimm.github.io/InfiMM-Eval",
        layout=UNVERIFIED,
        paper={"": {"tiny": 21.9, "intern2": 31.5, "plus": 39.5, "moe": 38.6}},
        aliases=("infimm_eval", "core_mm"),
        note="a list or object of images, question, answer, steps, category, complexity is read, since no public "
        "description of the release's form was found; the judge is asked in our own words; the weights are the paper's",
    )
]
