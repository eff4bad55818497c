"""OCR-VQA: who wrote it, what is it called, what is it about: questions about covers of books."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item, PictureFile
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, entry, load, reader, text_of
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task

NUMBERS = {"train": 1, "val": 2, "test": 3}


def read(path: Path, folders: Folders, split: str) -> Iterator[Item]:
    """The release (an object of covers by their names, `split` from 1 to 3) or the reference repository's list."""
    content = load(path)
    if not isinstance(content, dict):
        yield from reader()(path, folders)
        return
    count = 0
    for number, (cover, row) in enumerate(content.items()):
        with entry(path, number):
            if row["split"] != NUMBERS[split]:
                continue
            questions, answers = row["questions"], row["answers"]
            if len(questions) != len(answers):
                raise DataError(f"{len(questions)} questions and {len(answers)} answers")
            # the loader of the release keeps the ending of the address; others write .jpg for all
            name = cover + (PurePosixPath(text_of(row, "imageURL")).suffix or ".jpg")
            pictures = (PictureFile(name, folders, (f"{cover}.jpg",)),)
            for turn, (question, answer) in enumerate(zip(questions, answers, strict=True)):
                kind = row.get("genre", "")
                yield Item(count, question, pictures, (str(answer),), f"{cover}-{turn}", kind, cover)
                count += 1
    if not count:
        raise DataError(f"{path}: holds no questions of the split {split}")


def _files(split: str) -> Files:
    release = ("**/[oO][cC][rR][-_]*[vV][qQ][aA]*/dataset.json", "**/[oO][cC][rR][vV][qQ][aA]*/dataset.json")
    images = ("**/[oO][cC][rR]*[vV][qQ][aA]*/images",)
    return Files((f"**/ocrvqa_{split}.json", *release), images, read=partial(read, split=split))


TASKS = [
    Task(
        "ocrvqa",
        "OCR-VQA",
        {split: _files(split) for split in ("val", "test")},
        reader(),
        verdicts.same_text,
        prompt=SHORT,
        max_new_tokens=20,
        licence="Apache-2.0 (see the address)",
        address="https://ocr-vqa.github.io",
        layout="open-mmlab/mmpretrain mmpretrain/datasets/ocr_vqa.py (after the release's loader); the reference "
        "repository's configuration (val)",
        paper={"val": {"tiny": 60.3, "intern2": 53.0, "plus": 70.1, "moe": 64.8}},
    )
]
