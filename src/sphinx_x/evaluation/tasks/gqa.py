"""GQA: compositional questions about photos, one word each."""

from collections.abc import Iterator
from pathlib import Path

from sphinx_x.errors import DataError
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import Folders, entry, load, picture, reader
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The release (an object of questions by their ids) or the reference repository's list."""
    content = load(path)
    if not isinstance(content, dict):
        yield from reader()(path, folders)
        return
    if not content:
        raise DataError(f"{path}: holds no questions")
    for number, (name, row) in enumerate(content.items()):
        with entry(path, number):
            image = f"{row['imageId']}.jpg"
            kind = row.get("types", {}).get("structural", "")
            yield Item(number, row["question"], picture(image, folders), (row["answer"],), name, kind, image)


TASKS = [
    Task(
        "gqa",
        "GQA",
        {
            "testdev": Files(
                ("**/testdev_balanced_questions.json", "**/gqa_testdev_balanced.json"),
                ("**/gqa/images", "**/GQA/images"),
                12578,
            )
        },
        read,
        verdicts.same_text,
        prompt=SHORT,
        licence="CC BY 4.0",
        address="https://cs.stanford.edu/people/dorarad/gqa",
        layout="GQA's release; the reference repository's list",
        paper={"": {"tiny": 58.0, "intern2": 56.2, "moe": 63.8}},
    )
]
