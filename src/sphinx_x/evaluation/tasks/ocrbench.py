"""OCRBench: 1,000 questions about text in pictures, the number of right ones."""

from collections.abc import Mapping
from typing import Any

from sphinx_x.evaluation.counts import Count
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.readers import Folders, picture, reader, text_of, texts
from sphinx_x.evaluation.scoring.verdicts import graded
from sphinx_x.evaluation.task import Files, Reading, Task

FORMULAS = "HME100k"
READING = tuple(
    f"{kind} Recognition"
    for kind in (
        *("Regular Text", "Irregular Text", "Artistic Text", "Handwriting"),
        *("Digit String", "Non-Semantic Text"),
    )
)
KINDS = (
    *READING,
    *("Scene Text-centric VQA", "Doc-oriented VQA", "Key Information Extraction"),
    "Handwritten Mathematical Expression Recognition",
)


def own_item(row: Mapping[str, Any], number: int, folders: Folders) -> Item:
    """A question of the release (dataset_name, image_path, question, answers, type)."""
    name, kind = text_of(row, "image_path"), text_of(row, "type")
    facts = {"set": text_of(row, "dataset_name")}
    question, answers = text_of(row, "question"), texts(row["answers"])
    return Item(number, question, picture(name, folders), answers, f"{row['id']}-{name}", kind, name, facts=facts)


def holds(item: Item, answer: str, how: Reading) -> Verdict:
    """Whether the answer holds a true one: of formulas with its case but without blanks, else in lower case."""

    def plain(text: str) -> str:
        if item.facts["set"] == FORMULAS:
            return text.strip().replace("\n", " ").replace(" ", "")
        return text.lower().strip().replace("\n", " ")

    return graded(float(any(plain(true) in plain(answer) for true in item.references)), answer)


TASKS = [
    Task(
        "ocrbench",
        "OCRBench",
        {"test": Files(("**/OCRBench.json",), ("**/OCRBench_Images", "**/[oO][cC][rR][bB]ench/images"), 1000)},
        reader(own=own_item),
        holds,
        Count({"text recognition": READING, **{kind: (kind,) for kind in KINDS}}),
        max_new_tokens=100,
        licence="MIT (repository); pictures of 29 sets under their own terms",
        address="https://github.com/Yuliang-Liu/MultimodalOCR",
        layout="Yuliang-Liu/MultimodalOCR OCRBench/json_files/OCRBench.json, rule and tokens OCRBench/example.py",
        note="of 1,000; case counts for HME100k alone, as the release has it (lmms-eval lowers the answer there, too)",
    )
]
