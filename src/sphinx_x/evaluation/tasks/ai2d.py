"""AI2D: questions about diagrams of school books, answered with the text of an option."""

from sphinx_x.evaluation.prompts import SHORT
from sphinx_x.evaluation.readers import reader
from sphinx_x.evaluation.scoring import verdicts
from sphinx_x.evaluation.task import Files, Task

TASKS = [
    Task(
        "ai2d",
        "AI2D",
        {"test": Files(("**/ai2diagram_test.json",), ("ai2d/images",), 3088)},
        reader(),
        verdicts.same_text,
        prompt=SHORT,
        licence="CC BY-SA 4.0",
        address="https://allenai.org/data/diagrams",
        layout="the reference repository's list",
        paper={"": {"tiny": 24.6, "intern2": 63.0, "plus": 46.0, "moe": 55.6}},
        aliases=("ai2diagram",),
        note="the list glues the options to the question without a blank; the true answer is an option's text",
    )
]
