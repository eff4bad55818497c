"""CMMMU: questions of Chinese college courses: options (one or several are true), true or false, and gaps to fill."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import UNREADABLE, Item, Verdict
from sphinx_x.evaluation.measures import ByKind
from sphinx_x.evaluation.readers import Folders, entry, json_lines, lettered, picture, text_of, texts
from sphinx_x.evaluation.scoring import cmmmu
from sphinx_x.evaluation.task import Files, Reading, Task

CATEGORIES = ("艺术与设计", "商业", "科学", "健康与医学", "人文社会科学", "技术与工程")
FOLDERS = (
    *("art_and_design", "business", "science", "health_and_medicine"),
    *("humanities_and_social_sciences", "technology_and_engineering"),
)
CHOICE, JUDGEMENT, GAP = "选择", "判断", "填空"
INSTRUCTIONS = {
    CHOICE: "请回答以下多项选择题，并选出正确选项。这些题目可能包括单选和多选题型。"
    "如果所提供的信息不足以确定一个明确的答案，"
    "那么请根据可用的数据和你的判断来选择最可能正确的选项。",
    JUDGEMENT: "请回答以下判断题，并根据题目描述和所给的信息来判断问题中陈述的对错。"
    "如果信息不完整或不足以作出绝对判断，"
    "请运用你的逻辑推理和现有信息来做出最可能的判断。",
    GAP: "请回答以下填空题，并根据题目的要求和所提供的信息来给出最恰当的答案。如果信息不足以确切回答，"
    "那么请依据现有的数据和你的推理能力来填写最合理的答案。",
}
_IMAGE = re.compile(r'<img="([^"]*)">')


def own_item(row: Mapping[str, Any], number: int, folder: str, folders: Folders) -> Item:
    """A question of the release.

    Images stand in its text by their names; there they get the numbers that they have in the order of the pictures.
    """
    kind, category = text_of(row, "type"), text_of(row, "category")
    if kind not in INSTRUCTIONS or category not in CATEGORIES:
        raise DataError(f"no type or category of CMMMU: {kind!r}, {category!r}")
    options = lettered(str(row[f"option{place}"]) for place in range(1, 5)) if kind == CHOICE else {}
    listed = "".join(f"({letter}) {text}\n" for letter, text in options.items())
    text = f"问题：{text_of(row, 'question')}\n" + (f"选项：\n{listed}\n" if options else "") + "正确答案：\n"
    names = list(dict.fromkeys(_IMAGE.findall(text))) or list(row.get("img_list") or ())
    numbered = _IMAGE.sub(lambda found: f"<图片 {names.index(found[1]) + 1}>", text)
    references = texts(row["answer"])
    if options and not set(references[0]) <= set(options):
        raise DataError(f"the answer {references[0]!r} is not made of the letters {', '.join(options)}")
    return Item(
        index=number,
        question=f"{INSTRUCTIONS[kind]}\n\n{numbered}",
        pictures=tuple(shown for name in names for shown in picture(f"{folder}/{name}", folders)),
        references=references,
        id=str(row["id"]),
        kind=category,
        cluster=f"{folder}/{names[0]}" if names else "",
        options=options,
        facts={"type": kind},
    )


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """A folder with a folder for each category: its questions and images."""
    number = 0
    for folder in FOLDERS:
        file = path / folder / f"{folder}.jsonl"
        for place, row in enumerate(json_lines(file) if file.is_file() else ()):
            with entry(file, place):
                yield own_item(row, number, folder, (path, *folders))
                number += 1


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """As the release reads answers, but that where it draws one the answer is unreadable."""
    if item.facts["type"] == CHOICE:
        said = cmmmu.read_letters(answer, item.options)
        return UNREADABLE if said is None else Verdict(float(said == item.references[0].strip()), said)
    if item.facts["type"] == JUDGEMENT:
        said = cmmmu.read_judgement(answer, how.rule)
        return UNREADABLE if said is None else Verdict(float(said == item.references[0].strip()), said)
    right = any(cmmmu.fills_gap(answer, true) for true in item.references)
    return Verdict(float(right), answer.strip()) if answer.strip() else UNREADABLE


def chance(items: Sequence[Item]) -> float:
    """One option of four, right or wrong, and nothing for a gap."""
    shares = {CHOICE: 0.25, JUDGEMENT: 0.5, GAP: 0.0}
    return sum(shares[item.facts["type"]] for item in items) / len(items)


TASKS = [
    Task(
        "cmmmu",
        "CMMMU",
        {"val": Files(("**/cmmmu-data-val",), (), 900)},
        read,
        verdict,
        ByKind(CATEGORIES, "accuracy", whole="items"),
        max_new_tokens=16,
        chance=chance,
        rules=("script",),
        licence="see the address",
        address="https://github.com/CMMMU-Benchmark/CMMMU",
        layout="CMMMU's release and its eval_utils.py; the prompts are lmms-eval's",
        paper={"": {"moe": 29.3}},
        aliases=("cmmmu_val",),
        note="the released reader without its random letters and judgements: those answers are unreadable and wrong",
    )
]
