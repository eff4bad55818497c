"""Runs with members that read lines: what was read belongs to the question, and is kept with the answers."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from lined import know_engine, lined, made_lines
from lively import lively
from sphinx_x.evaluation.asking import Asking, prepare
from sphinx_x.evaluation.run import Options, choose, evaluate
from sphinx_x.evaluation.scores import read_items


@pytest.fixture
def sphinx(tiny_member, monkeypatch):
    know_engine(monkeypatch)
    return lively(lined(tiny_member))


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data" / "docvqa" / "val"
    (folder / "documents").mkdir(parents=True)
    rows = []
    for number in range(3):
        name = f"documents/{number}.png"
        Image.new("RGB", (90, 60), (40 * number, 0, 0)).save(folder / name)
        rows.append({"questionId": number, "question": "What?", "image": name, "answers": ["this"]})
    (folder / "val_v1.0.json").write_text(json.dumps({"data": rows}))
    return tmp_path / "data"


def test_an_answer_belongs_to_what_was_read(sphinx, data, monkeypatch):
    (chosen,) = choose(["docvqa"], data)
    item = read_items(chosen, data)[0]

    def key():
        return prepare(Asking(sphinx, "model"), chosen.task, item).key

    first = key()
    know_engine(monkeypatch)
    assert key() == first
    know_engine(monkeypatch, lambda image: [replace(line, text="Total 9.00") for line in made_lines(image)])
    other = key()
    know_engine(monkeypatch, lambda image: [replace(line, box=(1, 2, 30, 40)) for line in made_lines(image)])
    assert len({first, other, key()}) == 3


def test_a_repeated_run_reads_no_picture_again(sphinx, data, tmp_path, monkeypatch):
    calls = []

    def counted(image):
        calls.append(image.size)
        return made_lines(image)

    def run():
        know_engine(monkeypatch, counted)  # nothing is remembered in memory
        return evaluate(sphinx, choose(["docvqa"], data), data, tmp_path / "out", options=Options(longest=2))

    before = sphinx.processor.image_processor.lines
    first = run()
    assert len(calls) == 3 and sphinx.processor.image_processor.lines == before
    again = run()
    assert len(calls) == 3 and again.rows[0].answers == first.rows[0].answers
