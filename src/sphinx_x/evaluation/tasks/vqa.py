"""Questions with ten answers of people each: OK-VQA, VQAv2 (visualqa.org), TextVQA, VizWiz."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import Mean
from sphinx_x.evaluation.prompts import SHORT, UNANSWERABLE
from sphinx_x.evaluation.readers import Folders, is_published, items_of, picture, published_item, rows_of, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """Official answers with the questions' file beside them, a list with its answers, or the reference repository's.

    That keeps one answer of the ten: the official file beside it has all.
    """
    rows = rows_of(path, "annotations", "data")
    if is_published(rows):
        return _published(path, rows, folders)
    if "question" not in rows[0]:
        questions = _questions(path)
        rows = [{**row, "question": questions.get(row.get("question_id"))} for row in rows]
    return items_of(path, rows, folders, own_item)


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """An item of an official file. Raises `DataError` where its question is not known."""
    if row["question"] is None:
        raise DataError(f"the file of questions has none of the id {row['question_id']!r}")
    return _item(row, number, folders)


def _item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    answers = tuple(text_of(a, "answer") if isinstance(a, Mapping) else str(a) for a in row["answers"])
    name = row.get("image") or _coco(row["image_id"])
    common = Counter(answers).most_common(1)[0][0]
    return Item(
        index=number,
        question=row.get("question", ""),
        pictures=picture(name, folders),
        references=answers,
        id=str(row.get("question_id", name)),
        kind=row.get("answer_type", ""),
        cluster=name,
        facts={"shown": common},
    )


def _coco(number: object) -> str:
    """The file of an image: of COCO by its number, of TextVQA by its name."""
    return f"COCO_val2014_{number:012d}.jpg" if isinstance(number, int) else f"{number}.jpg"


def _questions(path: Path) -> dict[Any, str]:
    """Questions by their ids, from the file beside the answers. Raises `DataError` where there is none."""
    name = path.name.replace("annotations", "questions")
    beside = [path.with_name(name), path.with_name(name.replace("mscoco_", "OpenEnded_mscoco_"))]
    found = next((file for file in beside if file.is_file() and file != path), None)
    if found is None:
        raise DataError(f"{path}: the questions are not beside it ({' or '.join(file.name for file in beside)})")
    return {row["question_id"]: text_of(row, "question") for row in rows_of(found, "questions")}


def _published(path: Path, rows: list[Mapping[str, Any]], folders: Folders) -> Iterator[Item]:
    official = path.with_name("annotations.json")
    answers = rows_of(official, "annotations") if official.is_file() else []
    for number, item in enumerate(items_of(path, rows, folders, published_item)):
        if answers:
            if len(answers) != len(rows) or str(answers[number].get("question_id", item.id)) != item.id:
                raise DataError(f"{official}: entry {number} is not about question {item.id}, as {path.name} is")
            ten = _item(answers[number], number, folders)
            item = replace(item, references=ten.references, kind=ten.kind, facts=ten.facts)
        if len(item.references) < 2:
            raise DataError(f"{path}, entry {number}: one answer of ten; give the benchmark's own annotations")
        yield item


def _task(name: str, title: str, split: str, files: Files, **more: Any) -> Task:
    measure = Mean("VQA accuracy", 100.0, digits=2)
    options: dict[str, Any] = {"prompt": SHORT, "rules": ("script",), **more}
    return Task(name, title, {split: files}, read, verdicts.vqa_accuracy, measure, **options)


def _files(folder: str, official: str, listed: str, images: str, items: int) -> Files:
    questions = (f"{folder}/{official}", official, f"**/{listed}", f"{folder}/annotations.json")
    return Files(questions, (f"{folder}/{images}", images, f"coco/{images}"), items)


TASKS = [
    _task(
        "okvqa",
        "OK-VQA",
        "val",
        _files("okvqa", "mscoco_val2014_annotations.json", "okvqa_val.json", "val2014", 5046),
        licence="CC BY 4.0",
        address="https://okvqa.allenai.org",
        layout="visualqa.org's format of annotations; the reference repository's list",
        paper={"": {"tiny": 53.6, "intern2": 55.5, "moe": 62.7}},
        note="the answers of version 1.1 are stemmed in part, and are taken as they are",
    ),
    _task(
        "vqav2",
        "VQAv2",
        "val",
        _files("vqav2", "v2_mscoco_val2014_annotations.json", "vqav2_val.json", "val2014", 214354),
        licence="CC BY 4.0",
        address="https://visualqa.org",
        layout="visualqa.org's format of annotations",
        paper={"": {"tiny": 74.7, "intern2": 75.5, "moe": 81.1}},
        note="the paper's scores are of test-dev, whose answers are not public: there visualqa.org's server scores",
    ),
    _task(
        "textvqa",
        "TextVQA",
        "val",
        _files("textvqa", "TextVQA_0.5.1_val.json", "textvqa_val.json", "train_images", 5000),
        licence="CC BY 4.0",
        address="https://textvqa.org",
        layout="TextVQA 0.5.1; the reference repository's list",
        paper={"": {"tiny": 57.8, "intern2": 58.1, "plus": 65.7, "moe": 68.0}},
        note="without OCR tokens in the question",
    ),
    _task(
        "vizwiz",
        "VizWiz-VQA",
        "val",
        Files(
            ("**/[vV]iz[wW]iz*/val.json", "**/[vV]iz[wW]iz*/Annotations/val.json", "**/vizwiz_val.json"),
            ("**/[vV]iz[wW]iz*/val", "**/[vV]iz[wW]iz*/val/images"),
            4319,
        ),
        prompt=UNANSWERABLE,
        licence="CC BY 4.0",
        address="https://vizwiz.org/tasks-and-datasets/vqa",
        layout="VizWiz's format of annotations; the reference repository's list",
        paper={"": {"tiny": 49.2, "intern2": 49.6, "plus": 57.8, "moe": 61.9}},
    ),
]
