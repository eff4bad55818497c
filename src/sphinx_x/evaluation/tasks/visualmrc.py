"""VisualMRC: questions about pages of the web, answered in sentences."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sphinx_x.evaluation.documents import LAYOUT, document_reader
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.measures import Mean
from sphinx_x.evaluation.readers import Folders, entry, picture, rows_of, text_of
from sphinx_x.evaluation.scoring import captions
from sphinx_x.evaluation.scoring.verdicts import graded
from sphinx_x.evaluation.task import Files, Reading, Task


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """The release (a line a page) or another form; items know how rare phrases are in all of the references."""
    rows = rows_of(path)
    items = list(_pages(path, folders) if "qa_data" in rows[0] else document_reader()(path, folders))
    rarity = captions.Rarity.among(item.references for item in items)
    return (replace(item, shared=rarity) for item in items)


def _pages(path: Path, folders: Folders) -> Iterator[Item]:
    count = 0
    for number, row in enumerate(rows_of(path)):
        with entry(path, number):
            name = text_of(row, "image_filename")
            pictures = picture(name, folders)
            for turn, pair in enumerate(row["qa_data"]):
                question, answer = text_of(pair["question"], "text"), text_of(pair["answer"], "text")
                yield Item(count, question, pictures, (answer,), f"{row['id']}-{turn}", cluster=name)
                count += 1


def cider(item: Item, answer: str, how: Reading) -> Verdict:
    """CIDEr as a share of 10."""
    return graded(captions.cider(answer, item.references, item.shared) / captions.SCALE, answer)


TASKS = [
    Task(
        "visualmrc",
        "VisualMRC",
        {
            "test": Files(
                (
                    "**/[vV]isual[mM][rR][cC]/data/test.jsonl",
                    "**/[vV]isual[mM][rR][cC]/test.jsonl",
                    "**/ureader_json/test_VisualMRC.jsonl",
                    "**/VisualMRC.json",
                ),
                ("**/[vV]isual[mM][rR][cC]", "**/[vV]isual[mM][rR][cC]/images", "**/ureader_images"),
            )
        },
        read,
        cider,
        Mean("CIDEr", 1000.0),
        max_new_tokens=35,
        licence="not stated (annotations); web pages under their own licences",
        address="https://github.com/nttmdlab-nlp/VisualMRC",
        layout=f"README of nttmdlab-nlp/VisualMRC; {LAYOUT}",
        paper={"": {"tiny": 147.5, "intern2": 149.3, "plus": 171.0, "moe": 184.4}},
        note="100 x CIDEr-D of pycocoevalcap; words by rules after its Java tokenizer (golden outputs in the tests); "
        "phrases are rare or not among all references, also where only some items are asked",
    )
]
