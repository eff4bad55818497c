"""The page of a run: every question with its pictures, its answer, the true one and the verdict, to be filtered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sphinx_x.boxes import Box
from sphinx_x.drawing import draw_places
from sphinx_x.errors import ImageError
from sphinx_x.evaluation.items import Item, Verdict
from sphinx_x.evaluation.run import Row, Run
from sphinx_x.evaluation.scores import NOT, known, shown_figure, shown_number
from sphinx_x.images import open_image
from sphinx_x.model.views import ViewGrid, plan_views
from sphinx_x.report.html import Item as Entry
from sphinx_x.report.html import Paragraph, Picture, Section, Table, write_html

MOST = 1000
"""Items of a row that the page shows at most, spread over it; all are in `items/TASK.jsonl`."""
LONGEST = 480
"""Pixels of the longer side of a picture on the page."""
REFERENCES = 5
"""True answers that are shown at most."""


def write_page(run: Run, out: Path, further: Sequence[Section] = ()) -> None:
    """Write `report.html` into a folder, with the pictures beside it; `further` sections come after the scores."""
    sections = [Section("Scores", tables=[_scores(run)]), *further, *(_section(row) for row in run.rows)]
    write_html(out / "report.html", f"Evaluation of {run.model}", sections, beside=True)


def _scores(run: Run) -> Table:
    rows = []
    for row in run.rows:
        task, (name, figure) = row.scored.chosen.task, row.scored.headline
        chance = shown_number(task.chance(row.scored.items), task.measure.scale) if task.chance else ""
        unjudged = len(row.scored.unjudged) if row.scored.judge else ""
        counts = (len(row.scored.items), len(row.scored.unreadable), unjudged, len(row.refused))
        rows.append((row.name, name, shown_figure(figure, task.measure.scale), chance, *counts))
    columns = ("task", "metric", "score (95 % interval)", "chance", "items", "unreadable", "no judgement", "not asked")
    return Table(f"weights {run.digest}", rows, columns)


def _section(row: Row) -> Section:
    count = len(row.scored.items)
    step = max(count / MOST, 1.0)
    numbers = [int(number * step) for number in range(min(count, MOST))]
    intro = f"{len(numbers)} of {count} items." if len(numbers) < count else ""
    intro = " ".join(part for part in (intro, f"Scored by: {row.scored.way}." if row.scored.way else "") if part)
    return Section(row.name, intro, items=_entries(row, numbers))


def _entries(row: Row, numbers: Sequence[int]) -> Iterator[Entry]:
    """One entry at a time, its pictures opened when its turn comes."""
    refused = row.refused
    for number in numbers:
        item, verdict = row.scored.items[number], row.scored.verdicts[number]
        answer, problem = row.scored.answers[number], refused.get(item.index, "")
        pictures = [] if row.shown == "blind" or problem else list(_pictures(row, number, verdict))
        labels = [("verdict", _verdict(verdict, problem)), *([("kind", item.kind)] if item.kind else [])]
        yield Entry(
            title=f"{item.index}: {item.question}",
            pictures=pictures,
            texts=_texts(row, item, answer, verdict),
            facts=[NOT if known(verdict.score) is None else f"score {verdict.score:.2f}"],
            labels=labels,
            problem=problem,
        )


def _verdict(verdict: Verdict, problem: str) -> str:
    if problem:
        return "not asked"
    if verdict.unjudged:
        return "no judgement"
    if known(verdict.score) is None:
        return NOT
    if not verdict.readable:
        return "unreadable"
    return "right" if verdict.score == 1 else "partly right" if verdict.score else "wrong"


def _texts(row: Row, item: Item, answer: str | None, verdict: Verdict) -> list[Paragraph]:
    true = list(dict.fromkeys(item.references))
    gold = " | ".join(true[:REFERENCES]) + (" | ..." if len(true) > REFERENCES else "")
    texts = [
        Paragraph(row.scored.chosen.task.ask(item), "question", "question"),
        Paragraph(answer or "", "right" if verdict.score == 1 else "wrong", "answer"),
        Paragraph(gold, "answer", "true answer"),
    ]
    if verdict.said is not None and verdict.said != (answer or "").strip():
        texts.append(Paragraph(verdict.said, "note", "read as"))
    return texts


def _pictures(row: Row, number: int, verdict: Verdict) -> Iterator[Picture]:
    item = row.shown_items[number]
    for picture in item.pictures:
        try:
            image = open_image(picture.read())
        except ImageError:
            continue  # it could be asked about, and is gone since
        if item.box is not None:
            image = draw_places(image, _places(item, verdict, row.scored.how.frame))
        yield Picture(image, picture.name, LONGEST)


def _places(item: Item, verdict: Verdict, frame: ViewGrid) -> list[tuple[Box, str, str]]:
    """The true box and the one that was said, in pixels."""
    assert item.box is not None
    places: list[tuple[Box, str, str]] = [(item.box, "true", "green")]
    if verdict.said is not None and item.size is not None:
        x1, y1, x2, y2 = plan_views(*item.size, frame).from_square([float(part) for part in verdict.said.split(",")])
        places.append(((x1, y1, x2, y2), "said", "red"))
    return places
