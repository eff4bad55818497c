"""Measuring on held-out samples: kinds of answers, errors, and two models compared on draws of whole documents."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from commands import run
from messages import dicts
from shards import line_sample, write_lines
from sphinx_x.conversation import Message, Place, Text
from sphinx_x.data.sample import ImageRef, Sample
from sphinx_x.engines.som.words import READY
from sphinx_x.errors import DataError
from sphinx_x.evaluation.samples import Asked, Score, differences, document_of, judge, questions, rates, score_samples


def sample_of(*answers: object) -> Sample:
    messages = []
    for number, answer in enumerate(answers):
        first = [{"type": "image"}] if not number else []
        messages += [
            {"role": "user", "content": [*first, {"type": "text", "text": f"Question {number}?"}]},
            {"role": "assistant", "content": answer},
        ]
    return Sample("s", [ImageRef("x.png", width=100, height=50)], messages, "book.pdf#page=3")


def test_answers_are_told_apart():
    box = [{"type": "box", "image": 0, "box": [10, 10, 20, 20]}]
    mixed = [{"type": "text", "text": "There is a["}, {"type": "box", "image": 0, "box": [1, 1, 2, 2]}]
    points = [{"type": "point", "image": 0, "point": [10, 10]}]
    sample = sample_of("some words", box, READY[0], "<Mark 2>.", "Yes, it is.", "Nobody", mixed, points)
    signs = sample_of("No parking on this side", "No. 12, High Street", "Yes Minister", "No.", "Yes")
    assert [asked.kind for asked in questions(signs)] == ["text"] * 3 + ["yes or no"] * 2
    found = [(asked.turn, asked.kind) for asked in questions(sample)]
    assert found == [(0, "text"), (1, "box"), (3, "mark"), (4, "yes or no"), (5, "text")]
    first, *_, last = questions(sample)
    assert first.document == "book.pdf" and len(first.messages) == 1
    assert len(last.messages) == 11 and last.messages[1].parts == (Text("some words"),), "true answers stand before"


@dataclass
class Parrot:
    """Answers what it is told to, in order; stands in for a model whose square is the image's."""

    said: list[str]

    def prompt(self, messages, images):
        return self

    def answers(self, prompts, max_new_tokens):
        taken, self.said = self.said[: len(prompts)], self.said[len(prompts) :]
        return taken

    @property
    def layouts(self):
        return [self]

    def from_square(self, numbers):
        return tuple(100 * number for number in numbers)


def asked(kind: str, text: str = "", box=None, document: str = "a") -> Asked:
    message = (Message("user", (Text("?"),)),)
    return Asked("s", document, 0, kind, message, text, Place(0, (box,)) if box else None)


@pytest.mark.parametrize(
    ("what", "answer", "errors", "length"),
    [
        (asked("text", "four"), "four", 0, 4),
        (asked("text", "four words"), "for  words", 1, 10),
        (asked("box", box=(10, 10, 20, 20)), "[0.10, 0.10, 0.20, 0.19]", 0, 1),
        (asked("box", box=(10, 10, 20, 20)), "[0.15, 0.10, 0.25, 0.20]", 1, 1),  # a third
        (asked("box", box=(10, 10, 20, 20)), "nowhere", 1, 1),
        (asked("mark", "<Mark 2>."), " <Mark 2>.", 0, 1),
        (asked("mark", "<Mark 2>."), "<Mark 22>.", 1, 1),
        (asked("yes or no", "Yes, it is."), "Yes.", 0, 1),
        (asked("yes or no", "Yes, it is."), "yes", 0, 1),
        (asked("yes or no", "Yes, it is."), "No, it is not.", 1, 1),
        (replace(asked("one of several", "2"), references=("2", "two")), " Two.", 0, 1),
        (replace(asked("one of several", "2"), references=("2", "two")), "two dogs", 1, 1),
        (asked("yes or no", "No."), "", 1, 1),
    ],
)
def test_an_answer_is_judged(what, answer, errors, length):
    score = judge(what, Parrot([]), answer)  # type: ignore[arg-type]
    assert (score.errors, score.length) == (errors, length)


def test_everything_is_asked(tmp_path):
    write_lines(tmp_path, "lines", 3)
    rng_words = [dicts(sample.messages)[1]["content"] for sample, _ in _lines(3)]
    parrot = Parrot([text for word in rng_words for text in (word, "no box")])
    scores = score_samples(parrot, [tmp_path / "lines-00000.jsonl"])  # type: ignore[arg-type]
    assert [score.asked.kind for score in scores] == ["text", "box"] * 3
    assert [score.errors for score in scores] == [0, 1] * 3


def _lines(count: int):
    import random

    rng = random.Random(0)
    return [line_sample(number, rng) for number in range(count)]


def test_rates_and_differences_by_hand():
    """Two documents: one without a difference, one in which the second model is right everywhere."""
    first = [Score(asked("mark", document=d), "", e, 1) for d, e in (("a", 1), ("a", 0), ("b", 1), ("b", 1))]
    second = [Score(asked("mark", document=d), "", e, 1) for d, e in (("a", 0), ("a", 1), ("b", 0), ("b", 0))]
    rate = rates(first)["mark"]
    assert (rate.answers, rate.documents, rate.rate) == (4, 2, 0.75)
    assert rate.low == 0.5 and rate.high == 1.0, "draws of whole documents, not of answers"
    middle, low, high = differences(first, second)["mark"]
    assert (middle, low, high) == (-0.5, -1.0, 0.0)
    same = differences(first, first)["mark"]
    assert same == (0.0, 0.0, 0.0)
    with pytest.raises(DataError, match="not asked the same"):
        differences(first, second[:3])


def test_a_paired_interval_is_narrower_than_two_apart():
    rng = np.random.default_rng(1)
    hard = rng.integers(0, 60, 40)
    first = [Score(asked("text", "x", document=str(k)), "", int(e), 100) for k, e in enumerate(hard)]
    second = [Score(s.asked, "", s.errors + 2, 100) for s in first]
    middle, low, high = differences(first, second)["text"]
    assert (middle, low, high) == pytest.approx((0.02, 0.02, 0.02))
    assert rates(first)["text"].high - rates(first)["text"].low > 0.05


def test_on_the_command_line(tiny_folder, tmp_path, capsys):
    write_lines(tmp_path, "lines", 2)
    out = tmp_path / "answers.jsonl"
    arguments = ["eval", tiny_folder, "--samples", tmp_path / "lines-00000.jsonl"]
    code, said, _ = run(*arguments, "--against", tiny_folder, "-o", out, capsys=capsys)
    assert code == 0 and "| text | 2 | 2 |" in said and "+0.0 (+0.0 to +0.0)" in said
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["text", "box"] * 2 and len(rows[0]["answers"]) == 2
    before = (tmp_path / "lines-00000.jsonl").read_bytes()
    code, _, said = run(*arguments, "-o", tmp_path / "lines-00000.jsonl", capsys=capsys)
    assert code == 2 and "is what is read" in said and (tmp_path / "lines-00000.jsonl").read_bytes() == before
    code, _, said = run(*arguments, "-o", tmp_path, capsys=capsys)
    assert code == 2 and "is a folder" in said
    code, _, said = run("eval", tiny_folder, "--against", tiny_folder, capsys=capsys)
    assert code != 0 and "--against goes with --samples" in said


def test_lines_of_a_document_are_drawn_together_and_pictures_apart():
    page = [Sample(f"p-{k}", [], [], source=f"a.pdf#page={k}") for k in range(2)]
    pictures = [Sample(f"s-{k}", [], [], source="samples") for k in range(2)]
    assert [document_of(sample) for sample in page] == ["a.pdf", "a.pdf"]
    assert [document_of(sample) for sample in pictures] == ["s-0", "s-1"]
