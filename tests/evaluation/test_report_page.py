"""The page of a run is made whatever a model says, for every benchmark."""

import html
from pathlib import Path

import pytest

from benchmarks import RELEASES, made_splits, write_release
from sphinx_x.evaluation.answers import Answer
from sphinx_x.evaluation.page import write_page
from sphinx_x.evaluation.run import Row, Run
from sphinx_x.evaluation.scores import read_items, score_answers
from sphinx_x.evaluation.task import Chosen

ODD = (
    *("", "<script>alert(1)</script>", "[nan, 0, 1, 1]", "[inf, -inf, 1e30, 1]", "[0.9, 0.9, 0.1, 0.1]"),
    *("(0.5, 0.5)", "(inf, 0)", "[0.1, 0.2, 0.6, 0.7]", "A", "yes", "9" * 400, "\x00"),
)


def page_of(chosen: Chosen, data: Path, out: Path, answers: tuple[str, ...]) -> str:
    """The page of a run whose answers are these, over and over."""
    items = read_items(chosen, data)
    said = {item.index: answers[number % len(answers)] for number, item in enumerate(items)}
    kept = [Answer(item.index, said[item.index], "k", "p") for item in items]
    write_page(Run("model", "0" * 16, [Row("images", score_answers(chosen, items, said), kept)]), out)
    return (out / "report.html").read_text("utf-8")


@pytest.mark.parametrize("name", RELEASES)
def test_a_page_of_every_benchmark(name: str, tmp_path: Path) -> None:
    write_release(name, tmp_path / "data")
    chosen = made_splits(name, tmp_path / "data")[0]
    page = page_of(chosen, tmp_path / "data", tmp_path / "run", (ODD[1], "A", "yes"))
    assert "<script>alert(1)" not in page and html.escape(ODD[1]) in page
    for item in read_items(chosen, tmp_path / "data"):
        assert f"{item.index}: " in page


@pytest.mark.parametrize("name", ["refcoco", "screenspot"])
@pytest.mark.parametrize("answer", ODD)
def test_places_that_are_nowhere_are_not_drawn(name: str, answer: str, tmp_path: Path) -> None:
    write_release(name, tmp_path / "data")
    page = page_of(made_splits(name, tmp_path / "data")[0], tmp_path / "data", tmp_path / "run", (answer,))
    assert page.count("<img") >= 1
