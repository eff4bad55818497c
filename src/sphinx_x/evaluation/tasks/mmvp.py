"""MMVP: pairs of images that CLIP takes for alike, the same question about both; a pair counts where both are right."""

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx_x.errors import DataError
from sphinx_x.evaluation.chances import guessed_group
from sphinx_x.evaluation.items import Item
from sphinx_x.evaluation.measures import Together, each
from sphinx_x.evaluation.prompts import OPTIONS
from sphinx_x.evaluation.readers import Folders, entry, picture, table
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task

_OPTION = re.compile(r"\(([a-z])\)\s*(.*?)\s*(?=\([a-z]\)|$)", re.DOTALL)


def read(path: Path, folders: Folders) -> Iterator[Item]:
    """Questions.csv: Index, Question, Options ("(a) Open (b) Closed"), Correct Answer; two rows in turn are a pair."""
    for number, (row, _) in enumerate(table(path, ",")):
        with entry(path, number):
            index = int(row["lndex"] if "lndex" in row else row["Index"])  # so the released heading is spelt
            options = {letter.upper(): text for letter, text in _OPTION.findall(row["Options"])}
            answer = row["Correct Answer"].strip().strip("()").upper()
            if answer not in options:
                raise DataError(f"the answer {row['Correct Answer']!r} is none of the options {row['Options']!r}")
            question = f"{row['Question']} {row['Options']}"
            pair = str((index - 1) // 2)
            pictures = picture(f"{index}.jpg", folders)
            yield Item(number, question, pictures, (answer,), str(index), cluster=f"pair {pair}", options=options)


TASKS = [
    Task(
        "mmvp",
        "MMVP",
        {"test": Files(("**/MMVP/Questions.csv", "**/Questions.csv"), ("**/MMVP Images", "**/MMVP Imgaes"), 300)},
        read,
        verdicts.option,
        Together({"pairs": lambda item: item.cluster, "accuracy": each}),
        prompt=OPTIONS,
        chance=guessed_group(lambda item: item.cluster),
        rules=("strict",),
        licence="MIT",
        address="https://github.com/tsb0601/MMVP",
        layout="MMVP's release and its evaluate_mllm.py; the request for a letter is lmms-eval's",
        paper={"": {"moe": 49.3}},
        whole=True,
        note="the release has answers judged by GPT-4, here the letter is read. As released: the answers to 99, 100, "
        "279 and 280 are held to be swapped (issue 30 there)",
    )
]
