"""Charts: questions about them, and the tables that they show."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from sphinx_x.sources.base import Draft, Expected, Raw, Record, Source, grouped
from sphinx_x.sources.dialogue import dialogue
from sphinx_x.sources.vqa import PROMPT, build_questions, short_turns

TABLE = "Convert this chart to a table."


def read_chartqa(raw: Raw) -> Iterator[Record]:
    """Yield human and generated questions about each chart."""
    written, generated = raw.json("{split}_human.json"), raw.json("{split}_augmented.json")
    yield from grouped([*written, *generated], "imgname")


def build_chartqa(record: Record, raw: Raw) -> Draft:
    """Ask the questions about a chart, then for its table if the release has it."""
    left_out: Counter[str] = Counter()
    turns = short_turns(((entry["query"], entry["label"]) for entry in record.data), left_out)
    table = table_text(raw, PurePosixPath(record.id).stem)
    if table:
        turns.append((TABLE, table))
    else:
        left_out["chart without a readable table"] += 1
    return Draft(dialogue(turns), [raw.picture(f"{raw.split}/png/{record.id}")], left_out=left_out)


def table_text(raw: Raw, name: str) -> str:
    """Return the table of a chart, one row per line, cells separated by ` | `; empty if it cannot be read."""
    found = raw.files(f"{{split}}/tables/{name}.csv")
    if len(found) != 1:
        return ""
    try:
        with found[0].open(encoding="utf-8-sig", newline="") as file:
            rows = [[" ".join(cell.split()) for cell in row] for row in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return ""
    lines = (" | ".join("" if cell == "nan" else cell for cell in row).rstrip() for row in rows)
    return "\n".join(line for line in lines if line)


def read_dvqa(raw: Raw) -> Iterator[Record]:
    """Yield all questions about each bar chart."""
    yield from grouped(raw.json("{split}_qa.json"), "image")


SOURCES = (
    Source(
        name="chartqa",
        title="ChartQA",
        task="vqa",
        home="https://huggingface.co/datasets/ahmed-masry/ChartQA",
        licence="GPL-3.0",
        files=(
            Expected("{split}/{split}_human.json", "questions that people wrote"),
            Expected("{split}/{split}_augmented.json", "questions made from summaries"),
            Expected("{split}/png/*.png", "charts"),
            Expected("{split}/tables/*.csv", "their tables"),
        ),
        unit="questions",
        count={"train": 28_299, "val": 1_920, "test": 2_500},
        layout="vis-nlp/ChartQA README.md and its folder `ChartQA Dataset`; "
        "https://huggingface.co/datasets/ahmed-masry/ChartQA",
        prompts=(PROMPT, TABLE),
        read=read_chartqa,
        build=build_chartqa,
        note="Boxes of chart elements (`annotations`) are not used: their authors call them noisy.",
    ),
    Source(
        name="dvqa",
        title="DVQA",
        task="vqa",
        home="https://github.com/kushalkafle/DVQA_dataset",
        licence="not stated",
        files=(
            Expected("{split}_qa.json", "questions and answers"),
            Expected("bar_{split}_*.png", "bar charts", {"train": 200_000, "val_easy": 50_000, "val_hard": 50_000}),
        ),
        unit="questions",
        count={"train": 2_325_316, "val_easy": 580_557, "val_hard": 581_321},
        layout="kushalkafle/DVQA_dataset README.md; xeniaqian94/DVQA README-xinq.md (records as they are)",
        prompts=(PROMPT,),
        read=read_dvqa,
        build=partial(build_questions, picture="{id}"),
        note="Splits: train, val_easy, val_hard. Boxes of answers and the charts' metadata are not used.",
    ),
)
