"""BenchLMM: short answers about pictures of many styles: drawn, X-ray, infrared, from above, of games."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.measures import ByKind
from sphinx_x.evaluation.readers import Folders, items_of, numbered, picture, rows_of, text_of, texts
from sphinx_x.evaluation.scoring.parts import has_text
from sphinx_x.evaluation.scoring.verdicts import graded
from sphinx_x.evaluation.task import Files, Reading, Task
from sphinx_x.evaluation.tasks.mmvet import GRADED

PICTURES = {f"style_{style}": "style" for style in ("cartoon", "handmake", "painting", "sketch", "tattoo", "weather")}
PICTURES |= {
    "CT": "Med",
    "MRI": "Med",
    "Med-X-RAY": "Med",
    "xray": "Xray",
    "infrard": "infrard",
    "RS": "RS",
    "AD": "AD",
}
PICTURES |= {"Robots": "Robots", "game": "open_game", "defect_detection": "defect_detection"}
"""The folder of the pictures of every style."""
FOLDERS = ("**/BenchLMM/jsonl", "**/benchlmm/jsonl", "jsonl", "**/BenchLMM", "**/benchlmm")
IMAGES = ("**/BenchLMM/images", "**/benchlmm/images", "images")


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The folder `jsonl` of the release, a file a style, or one of its files."""
    files = [path] if path.is_file() else [path / f"Benchmark_{style}.jsonl" for style in PICTURES]
    there = [file for file in files if file.is_file()]
    if not there:
        raise DataError(f"{path}: holds no Benchmark_STYLE.jsonl")
    return numbered(item for file in there for item in _style(file, folders))


def _style(path: Path, folders: Folders) -> Iterator[Item]:
    # earlier releases call some files Benchmark_LLaVA_STYLE.jsonl
    style = path.stem.removeprefix("Benchmark_").removeprefix("LLaVA_")
    if style not in PICTURES:
        raise DataError(f"{path}: no style of BenchLMM: {style!r}")
    for item in items_of(path, rows_of(path), folders, own_item):
        pictures = picture(f"{PICTURES[style]}/{item.cluster}", folders)
        yield replace(item, id=f"{style}/{item.id}", kind=style, pictures=pictures, cluster=pictures[0].name)


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release (image, text, answer); some answers begin with `A: `, and a slash parts true ones."""
    true = tuple(one.strip() for text in texts(row["answer"]) for one in text.removeprefix("A: ").split("/"))
    return Item(number, text_of(row, "text"), (), true, str(row["question_id"]), cluster=text_of(row, "image"))


def verdict(item: Item, answer: str, how: Reading) -> Verdict:
    """Whether one of the true texts stands in an answer."""
    return graded(float(any(has_text(answer, true) for true in item.references)), answer)


TASKS = [
    Task(
        "benchlmm",
        "BenchLMM",
        {"test": Files(FOLDERS, IMAGES)},
        read,
        verdict,
        ByKind(tuple(PICTURES), "mean of styles"),
        max_new_tokens=64,
        judging=replace(GRADED, offline="one of the true texts, word for word"),
        licence="Apache-2.0",
        address="https://github.com/AIFEG/BenchLMM",
        layout="BenchLMM's repository (jsonl/Benchmark_STYLE.jsonl; folders of images as in its scripts)",
        paper={"": {"tiny": 50.0, "intern2": 47.0, "plus": 57.4, "moe": 50.7}},
        note="the mean over the styles that are there; which mean the paper's is, is not told; the judge is asked in "
        "our own words, and with one prompt for all styles",
    )
]
