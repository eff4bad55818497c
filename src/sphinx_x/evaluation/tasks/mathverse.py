"""MathVerse: each problem in six versions, from all in words to all in the picture."""

import re
from collections.abc import Mapping
from typing import Any

from sphinx_x.evaluation import judge_prompts as prompts
from sphinx_x.evaluation.chances import guessed_option
from sphinx_x.evaluation.items import UNREADABLE, Item, Verdict
from sphinx_x.evaluation.judging import Judging, Texts
from sphinx_x.evaluation.measures import Grouped
from sphinx_x.evaluation.readers import Folders, Make, pictures_at, reader, text_of, texts
from sphinx_x.evaluation.scoring import choice, grades
from sphinx_x.evaluation.scoring.parts import has_text
from sphinx_x.evaluation.task import Files, Reading, Task

VERSIONS = ("Text Dominant", "Text Lite", "Text Only", "Vision Intensive", "Vision Dominant", "Vision Only")
FOLDERS = ("**/mathverse", "**/mathverse/**", "**/MathVerse", "**/MathVerse/**")
IMAGES = ("**/mathverse/images", "**/MathVerse/images", "images")
_OPTION = re.compile(r"(?:^|[\s(])([A-H])\s*[:.)]\s*(.*?)(?=\s+[A-H]\s*[:.)]|$)", re.DOTALL)
CHOICE = "multi-choice"


def own_item(versions: tuple[str, ...]) -> Make:
    """Makes items of problems in some versions."""

    def make(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
        kind, whole = text_of(row, "problem_version"), row.get("question_for_eval") or text_of(row, "question")
        if kind not in versions:
            raise ValueError(f"no version of a problem: {kind!r}")
        question, pictures = row.get("query_wo") or text_of(row, "question"), pictures_at(row.get("image"), folders)
        options = listed(whole) if row.get("question_type") == CHOICE else {}
        key, problem = str(row["sample_index"]), str(row["problem_index"])
        return Item(
            number, question, pictures, texts(row["answer"]), key, kind, problem, options, facts={"whole": whole}
        )

    return make


def listed(question: str) -> dict[str, str]:
    """The options behind the last `Choices:`; letters alone where the picture has them."""
    found = dict(_OPTION.findall(question.rsplit("Choices:", 1)[-1].strip())) if "Choices:" in question else {}
    return {letter: text.strip() for letter, text in found.items()} or dict.fromkeys("ABCD", "")


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """The letter of the true option; of an open answer, whether it has the true text word for word."""
    if item.options:
        said = choice.read_option(answer, item.options)
        return UNREADABLE if said is None else Verdict(float(said == item.references[0].strip()), said)
    if not answer.strip():
        return UNREADABLE
    return Verdict(float(has_text(answer, item.references[0])), answer.strip())


def ask(item: Item, answer: str) -> Texts:
    """Whether the answer is the true one."""
    texts_of = {"question": item.facts["whole"], "truth": item.references[0], "answer": answer}
    return [("user", prompts.filled(prompts.SAME, **texts_of))]


def by_version(item: Item) -> tuple[str, ...]:
    """The version of the problem."""
    return (item.kind,)


JUDGED = Judging(
    prompts.SAME_VERSION,
    ask,
    grades.read_right,
    "Reply with 1 or 0 alone.",
    offline="the true option's letter, or the true text word for word",
)
MOE = {"": 15.6} | dict(zip(VERSIONS, (22.2, 16.4, 18.3, 14.8, 12.6, 9.1), strict=True))
TASKS = [
    Task(
        "mathverse",
        "MathVerse",
        {
            "testmini": Files((*(f"{folder}/testmini.json" for folder in FOLDERS), "testmini.json"), IMAGES, 3940),
            "text_only": Files(("**/testmini_text_only.json",), (), 788),
        },
        reader(own=own_item(VERSIONS)),
        verdict,
        Grouped(VERSIONS, by_version),
        max_new_tokens=128,
        chance=guessed_option,
        judging=JUDGED,
        licence="MIT",
        address="https://mathverse-cuhk.github.io",
        layout="MathVerse's release (testmini.json, testmini_text_only.json) and its evaluation scripts",
        paper={name: {"moe": score} for name, score in MOE.items()},
        note="asked for the answer without reasoning (query_wo); the paper's All is the mean over all six versions; "
        "the judge is asked once, in our own words, where the release asks twice",
    )
]
